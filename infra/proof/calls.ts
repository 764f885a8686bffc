/** Calls to AWS as a role makes them, and the roles' rights as the stack renders them. */
import { type ConditionBlock, type PolicyStatement, parseDocument } from "../../policies/iam/document.ts";
import type { Graph, GraphResource } from "../graph/offline.ts";
import type { Policies, Request } from "./evaluate.ts";

/** One call to AWS: what IAM decides on. */
export interface Call {
  /** The role's name without the stack's: `plan`, `workflow`. */
  readonly role: string;
  /** As IAM names it, which is not always the operation's name. */
  readonly action: string;
  readonly resource: string;
  /** Condition keys with their values. */
  readonly context: Readonly<Record<string, string | string[]>>;
}

/** The stack's names and ARNs. */
export class Stack {
  readonly graph: Graph;
  /** The component's name, with which every name begins. */
  readonly name: string;
  /** Documents that were parsed once, by a role's name or by their text. */
  readonly #parsed = new Map<string, readonly PolicyStatement[]>();

  constructor(graph: Graph) {
    this.graph = graph;
    const machine = graph.resources.find(({ type }) => type === "aws:sfn/stateMachine:StateMachine");
    this.name = String(machine?.inputs.name ?? "");
    if (this.name === "") throw new Error(`the stack ${graph.stack} has no state machine`);
  }

  get account(): string {
    return this.graph.place.accountId;
  }

  arn(service: string, resource: string): string {
    const { partition, region, accountId } = this.graph.place;
    return `arn:${partition}:${service}:${region}:${accountId}:${resource}`;
  }

  viaService(service: string): string {
    return `${service}.${this.graph.place.region}.amazonaws.com`;
  }

  ofType(type: string): readonly GraphResource[] {
    return this.graph.resources.filter((resource) => resource.type === type);
  }

  /** A resource by the name that AWS knows it by. @throws Error when there is none */
  named(type: string, name: string): GraphResource {
    const found = this.ofType(type).find(({ inputs }) => (inputs.name ?? inputs.bucket) === name);
    if (!found) throw new Error(`the stack has no ${type} '${name}'`);
    return found;
  }

  /** ARN that AWS would give the only resource of a type, or the one with a name. */
  arnOf(type: string, name?: string): string {
    const found = this.ofType(type).find((each) => name === undefined || each.name === name);
    const arn = found && this.graph.computed[found.urn]?.arn;
    if (typeof arn !== "string") throw new Error(`the stack has no ${type} ${name ?? ""} with an ARN`);
    return arn;
  }

  bucket(zone: string): string {
    const found = this.ofType("aws:s3/bucket:Bucket")
      .map(({ inputs }) => String(inputs.bucket))
      .find((name) => name.startsWith(`${this.name}-${zone}-`));
    if (found === undefined) throw new Error(`the stack has no bucket of the zone ${zone}`);
    return found;
  }

  get dataKey(): string {
    return this.arnOf("aws:kms/key:Key", `${this.name}-data`);
  }

  get logsKey(): string {
    return this.arnOf("aws:kms/key:Key", `${this.name}-logs`);
  }

  /** The stack's key that a secret is encrypted with; undefined for a secret that is not made here. */
  keyOfSecret(arn: string): string | undefined {
    const found = this.ofType("aws:redshiftserverless/namespace:Namespace").find(
      ({ urn }) => this.graph.computed[urn]?.adminPasswordSecretArn === arn,
    );
    return found && String(found.inputs.adminPasswordSecretKmsKeyId);
  }

  /** The secret of the warehouse's administrator. */
  get adminSecret(): string {
    const namespace = this.ofType("aws:redshiftserverless/namespace:Namespace")[0];
    const arn = namespace && this.graph.computed[namespace.urn]?.adminPasswordSecretArn;
    if (typeof arn !== "string") throw new Error("the stack's warehouse has no administrator's secret");
    return arn;
  }

  /** The secret of the source database. */
  get sourceSecret(): string {
    const job = this.named("aws:glue/job:Job", `${this.name}-extract-mysql`);
    return String((job.inputs.defaultArguments as Record<string, string>)["--mysql-secret"]);
  }

  /** Names of all roles, without the stack's. */
  get roles(): readonly string[] {
    return this.ofType("aws:iam/role:Role")
      .map(({ inputs }) => String(inputs.name).slice(this.name.length + 1))
      .sort();
  }

  role(role: string): GraphResource {
    return this.named("aws:iam/role:Role", `${this.name}-${role}`);
  }

  /** The id that AWS would give a role, with which its sessions' ids begin. */
  roleId(role: string): string {
    return String(this.graph.computed[this.role(role).urn]?.uniqueId);
  }

  roleArn(role: string): string {
    return `arn:${this.graph.place.partition}:iam::${this.account}:role/${this.name}-${role}`;
  }

  /** Documents of a role's policies by name, inline and attached. */
  policies(role: string): readonly { readonly name: string; readonly policy: unknown }[] {
    const ofRole = ({ inputs }: GraphResource): boolean => inputs.role === `${this.name}-${role}`;
    const attached = this.ofType("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
      .filter(ofRole)
      .map(({ inputs }) => this.#policyOf(String(inputs.policyArn)));
    return [...this.ofType("aws:iam/rolePolicy:RolePolicy").filter(ofRole), ...attached].map(
      ({ inputs }) => ({ name: String(inputs.name), policy: JSON.parse(String(inputs.policy)) }),
    );
  }

  /** A managed policy by its ARN. @throws Error when the stack has none such */
  #policyOf(arn: string): GraphResource {
    const found = this.ofType("aws:iam/policy:Policy").find(
      ({ urn }) => this.graph.computed[urn]?.arn === arn,
    );
    if (!found) throw new Error(`the stack has no policy ${arn}`);
    return found;
  }

  statements(role: string): readonly PolicyStatement[] {
    return this.#once(role, () => this.policies(role).flatMap(({ policy }) => parseDocument(policy)));
  }

  /** Statements of the boundary that a role carries; undefined where it carries none. */
  boundary(role: string): readonly PolicyStatement[] | undefined {
    if (this.role(role).inputs.permissionsBoundary === undefined) return undefined;
    const { policy } = this.named("aws:iam/policy:Policy", `${this.name}-boundary`).inputs;
    return this.#once(String(policy), () => parseDocument(policy));
  }

  /** Statements of the policy of the resource that a call is made on; undefined where it has none in this stack. */
  resourceStatements(arn: string): readonly PolicyStatement[] | undefined {
    const policy = this.resourcePolicy(arn);
    return policy === undefined ? undefined : this.#once(policy, () => parseDocument(policy));
  }

  #once(key: string, parse: () => readonly PolicyStatement[]): readonly PolicyStatement[] {
    const known = this.#parsed.get(key) ?? parse();
    this.#parsed.set(key, known);
    return known;
  }

  /** The policy of the resource that a call is made on, as JSON text; undefined where it has none in this stack. */
  resourcePolicy(arn: string): string | undefined {
    const bucket = arn.match(/^arn:[^:]+:s3:::([^/]+)/)?.[1];
    const found = arn.includes(":kms:")
      ? this.ofType("aws:kms/key:Key").find(({ urn }) => this.graph.computed[urn]?.arn === arn)
      : arn.includes(":sqs:")
        ? this.ofType("aws:sqs/queuePolicy:QueuePolicy").find(({ name }) => arn.endsWith(`:${name}`))
        : arn.includes(":sns:")
          ? this.ofType("aws:sns/topicPolicy:TopicPolicy").find(({ inputs }) => inputs.arn === arn)
          : this.ofType("aws:s3/bucketPolicy:BucketPolicy").find(({ inputs }) => inputs.bucket === bucket);
    return found && String(found.inputs.policy);
  }
}

/**
 * The smallest part of what a role was given: one action on one resource, under one value of each condition that lists
 * several. A statement is needed as it is only when each of its parts is.
 */
export interface Part {
  readonly role: string;
  readonly sid: string;
  readonly action: string;
  readonly resource: string;
  /** The statement with this part alone. */
  readonly statement: PolicyStatement;
  /** The value that was picked where a condition lists several. */
  readonly picked: string | undefined;
}

/** Operators whose values each let something in of their own. */
const alternatives = new Set(["StringEquals", "StringLike", "ArnEquals", "ArnLike"]);

/** A statement's conditions with every value picked in turn. */
function pickedConditions(
  conditions: ConditionBlock,
): readonly { readonly conditions: ConditionBlock; readonly picked: string | undefined }[] {
  for (const [operator, keys] of Object.entries(conditions)) {
    if (!alternatives.has(operator)) continue;
    for (const [key, values] of Object.entries(keys)) {
      if (values.length < 2) continue;
      return values.flatMap((value) =>
        pickedConditions({ ...conditions, [operator]: { ...keys, [key]: [value] } }).map((more) => ({
          conditions: more.conditions,
          picked: more.picked === undefined ? value : `${value} ${more.picked}`,
        })),
      );
    }
  }
  return [{ conditions, picked: undefined }];
}

/** Everything that a role was given, in its smallest parts. */
export function partsOf(stack: Stack, role: string): readonly Part[] {
  return stack
    .statements(role)
    .filter(({ effect }) => effect === "Allow")
    .flatMap((statement) =>
      statement.actions.flatMap((action) =>
        statement.resources.flatMap((resource) =>
          pickedConditions(statement.conditions).map(({ conditions, picked }) => ({
            role,
            sid: statement.id,
            action,
            resource,
            statement: { ...statement, actions: [action], resources: [resource], conditions },
            picked,
          })),
        ),
      ),
    );
}

/** What IAM is asked for a call; keys that AWS sets on every call are there unless the call says otherwise. */
export function requestOf(stack: Stack, { role, action, resource, context }: Call): Request {
  const { accountId, partition, region } = stack.graph.place;
  const all: Call["context"] = {
    "aws:RequestedRegion": region,
    "aws:ResourceAccount": accountId,
    "aws:SecureTransport": "true",
    "aws:PrincipalAccount": accountId,
    "aws:PrincipalArn": stack.roleArn(role),
    "aws:userid": `${stack.roleId(role)}:session`,
    ...(resource.includes(":kms:") && { "kms:CallerAccount": accountId }),
    ...(action === "s3:PutObject" && {
      "s3:x-amz-server-side-encryption": "aws:kms",
      "s3:x-amz-server-side-encryption-aws-kms-key-id": stack.dataKey,
    }),
    ...context,
  };
  return {
    principalArn: stack.roleArn(role),
    accountArn: `arn:${partition}:iam::${accountId}:root`,
    action,
    resource,
    context: new Map(Object.entries(all).map(([key, value]) => [key.toLowerCase(), [value].flat()])),
  };
}

/** The policies that bear on a call: of the role, of its boundary, and of the resource where it has one. */
export const policiesFor = (stack: Stack, { role, resource }: Call): Policies => ({
  identity: stack.statements(role),
  boundary: stack.boundary(role),
  resource: stack.resourceStatements(resource),
});
