import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { type Graph, type GraphResource, recordGraph } from "./graph/offline.ts";
import type { Place } from "./lib/place.ts";
import type { FunctionDefaults } from "./lib/private-function.ts";

/** Where tests deploy to. */
export const place: Place = { partition: "aws", accountId: "111122223333", region: "eu-central-1" };

/** Keys that parts are given in tests. */
export const keyArns = {
  dataKeyArn: "arn:aws:kms:eu-central-1:111122223333:key/data",
  logsKeyArn: "arn:aws:kms:eu-central-1:111122223333:key/logs",
  secretsKeyArn: "arn:aws:kms:eu-central-1:111122223333:key/secrets",
};

/** Where the functions and jobs of a test's pipeline run. */
export const network = {
  subnetIds: pulumi.output(["subnet-1", "subnet-2", "subnet-3"]),
  securityGroupId: "sg-1",
};

/** What the functions of a test's pipeline have in common, with a queue of its own. */
export const functionDefaults = (): FunctionDefaults => ({
  place,
  network,
  ...keyArns,
  failures: new aws.sqs.Queue("failures", { name: "shop-failures" }),
});

export const bucketNames = {
  landing: "shop-landing",
  staging: "shop-staging",
  curated: "shop-curated",
  quarantine: "shop-quarantine",
  artifacts: "shop-artifacts",
  logs: "shop-logs",
};

/** What a program registers in the test account. */
export function record(program: () => unknown, at: Place = place): Promise<Graph> {
  // A component that a test's arrow function happens to return is no stack output.
  const outputs = (): unknown => {
    const result = program();
    return pulumi.Resource.isInstance(result) ? undefined : result;
  };
  return recordGraph(outputs, { place: at });
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Every resource of a type, for example `aws:s3/bucket:Bucket`. */
export const ofType = (graph: Graph, type: string): GraphResource[] =>
  graph.resources.filter((resource) => resource.type === type);

/** The one resource of a type with this name. @throws Error that lists those that are there */
export function one(graph: Graph, type: string, name: string): GraphResource {
  const candidates = ofType(graph, type);
  const found = candidates.find((resource) => resource.name === name);
  if (!found) {
    throw new Error(
      `no ${type} '${name}'; there are ${candidates.map((each) => each.name).join(", ") || "none"}`,
    );
  }
  return found;
}

/** A statement of a policy document with actions, resources and principals as lists. */
export interface ParsedStatement {
  readonly Sid: string;
  readonly Effect: string;
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly Principal?: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const list = (value: unknown): string[] =>
  Array.isArray(value) ? value.map(String) : value === undefined ? [] : [String(value)];

/** The statements of a policy document in JSON. */
export function statementsOf(json: unknown): ParsedStatement[] {
  const { Statement } = JSON.parse(String(json)) as { Statement: Record<string, unknown>[] };
  return Statement.map(
    (statement) =>
      ({
        ...statement,
        actions: list(statement.Action),
        resources: list(statement.Resource),
      }) as unknown as ParsedStatement,
  );
}

/** Every statement of a role's policies, inline and attached. */
export function rightsOf(graph: Graph, role: string): ParsedStatement[] {
  const inline = ofType(graph, "aws:iam/rolePolicy:RolePolicy").filter(({ inputs }) => inputs.role === role);
  const arns = ofType(graph, "aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    .filter(({ inputs }) => inputs.role === role)
    .map(({ inputs }) => inputs.policyArn);
  const attached = ofType(graph, "aws:iam/policy:Policy").filter(({ urn }) =>
    arns.includes(graph.computed[urn]?.arn),
  );
  if (attached.length < arns.length) throw new Error(`role '${role}' has a policy that is not in the graph`);
  const policies = [...inline, ...attached];
  if (policies.length === 0) throw new Error(`role '${role}' has no policy`);
  return policies.flatMap(({ inputs }) => statementsOf(inputs.policy));
}

/** Every text in a value, however deep. */
export function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return isRecord(value) ? Object.values(value).flatMap(textsIn) : [];
}

/**
 * The error that a program ends with, be it that of an Output, whose promise rejects by itself and ends the process.
 *
 * @throws Error when it ends well
 */
export async function failureOf(program: () => unknown): Promise<Error> {
  const event = "unhandledRejection";
  const others = process.rawListeners(event) as ((error: unknown) => void)[];
  let rejected: (error: unknown) => void = () => undefined;
  const byItself = new Promise<never>((_, reject) => {
    rejected = reject;
  });
  process.removeAllListeners(event);
  process.on(event, rejected);
  try {
    await Promise.race([record(program), byItself]);
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  } finally {
    process.off(event, rejected);
    for (const other of others) process.on(event, other);
  }
  throw new Error("the program ended well, a failure was expected");
}
