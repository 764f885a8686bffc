import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { checkSize, fitting, iamQuotas, mostAttached } from "./iam-quotas.ts";
import { Arns, type Place } from "./place.ts";
import { type Transform, transformed } from "./transform.ts";

/** Conditions of a statement: operator → key → value or values. */
export type Conditions = Readonly<
  Record<string, Readonly<Record<string, pulumi.Input<string> | pulumi.Input<string>[]>>>
>;

/** One statement of an IAM or resource policy. */
export interface Statement {
  /** Letters and digits; says what the statement is for. */
  readonly sid: string;
  /** @default "Allow" */
  readonly effect?: "Allow" | "Deny";
  readonly actions: readonly string[];
  readonly resources: readonly pulumi.Input<string>[];
  readonly conditions?: Conditions;
  /** Principals of a resource policy; absent in a policy attached to a role. */
  readonly principals?: "*" | Readonly<Record<string, pulumi.Input<string> | pulumi.Input<string>[]>>;
}

const statementJson = (statement: Statement): object => ({
  Sid: statement.sid,
  Effect: statement.effect ?? "Allow",
  ...(statement.principals !== undefined && { Principal: statement.principals }),
  Action: statement.actions.length === 1 ? statement.actions[0] : statement.actions,
  Resource: statement.resources.length === 1 ? statement.resources[0] : statement.resources,
  ...(statement.conditions && { Condition: statement.conditions }),
});

/** For a resource's policy: nobody does this to the resource without TLS. */
export const tlsOnly = (action: string, ...resources: readonly pulumi.Input<string>[]): Statement => ({
  sid: "TlsOnly",
  effect: "Deny",
  principals: "*",
  actions: [action],
  resources,
  conditions: { Bool: { "aws:SecureTransport": "false" } },
});

/** A policy document as JSON. @throws Error when a statement has no action or resource, which AWS refuses late */
export function policyDocument(statements: readonly Statement[]): pulumi.Output<string> {
  for (const { sid, actions, resources } of statements) {
    if (actions.length === 0 || resources.length === 0) {
      throw new Error(`IAM statement '${sid}' needs at least one action and one resource`);
    }
  }
  return pulumi.jsonStringify({ Version: "2012-10-17", Statement: statements.map(statementJson) });
}

/** Services that state the account they act for when they assume a role; the others would be locked out by asking. */
const statesSourceAccount = new Set([
  "databrew.amazonaws.com",
  "emr-serverless.amazonaws.com",
  "glue.amazonaws.com",
  "scheduler.amazonaws.com",
  "states.amazonaws.com",
  "vpc-flow-logs.amazonaws.com",
]);

/** Who may assume a role: one AWS service, on behalf of this account where the service says for whom. */
export function serviceTrust(service: string, place: pulumi.Input<Place>): pulumi.Output<string> {
  const account = pulumi.output(place).apply(({ accountId }) => accountId);
  return pulumi.jsonStringify({
    Version: "2012-10-17",
    Statement: [
      {
        Sid: "AssumedByService",
        Effect: "Allow",
        Action: "sts:AssumeRole",
        Principal: { Service: service },
        ...(statesSourceAccount.has(service) && {
          Condition: { StringEquals: { "aws:SourceAccount": account } },
        }),
      },
    ],
  });
}

export interface WorkloadRoleArgs {
  readonly place: pulumi.Input<Place>;
  readonly description: string;
  /** The AWS service that assumes the role, for example `glue.amazonaws.com`; or a whole trust policy. */
  readonly trust: string | { readonly document: pulumi.Input<string> };
  /** Inline policies by name: what the role may do, one policy a concern; made of the role where one names it. */
  readonly policies: Readonly<Record<string, readonly Statement[] | ((role: aws.iam.Role) => Statement[])>>;
  /**
   * Policies that are managed and attached, by name: for a role whose rights are longer together than IAM takes inline.
   * Each is named after the role.
   */
  readonly managedPolicies?: Readonly<Record<string, readonly Statement[]>>;
  /** ARN of a managed policy that the role can never exceed. */
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
  /** Seconds a session lasts at most. @default 3600 */
  readonly maxSessionDuration?: number;
  readonly transform?: { readonly role?: Transform<aws.iam.RoleArgs> };
}

/**
 * A managed policy's document as JSON.
 *
 * @param name of the policy
 * @throws Error as `policyDocument` does; RunError, once its values are known, when it is longer than IAM takes
 */
export const managedDocument = (name: string, statements: readonly Statement[]): pulumi.Output<string> =>
  policyDocument(statements).apply(fitting(iamQuotas.managed, name));

/**
 * The role of one workload with what it may do as inline policies, so that the role and its rights live and die
 * together and nothing else can be given them. What is longer than IAM takes ends the program as soon as it is known.
 *
 * @example
 * const role = new WorkloadRole("shop-dev-clean", {
 *   place, description: "Cleans batches", trust: "glue.amazonaws.com", permissionsBoundary: boundary.arn,
 *   policies: { lake: readArea(new Arns(place), { zone: "landing", bucket: lake.bucketNames.landing, prefixes: ["batches/"] }) },
 * });
 * role.arn;
 */
export class WorkloadRole extends pulumi.ComponentResource {
  readonly role: aws.iam.Role;
  readonly policies: readonly aws.iam.RolePolicy[];
  readonly arn: pulumi.Output<string>;
  /** The role's name, known before the role exists. */
  readonly roleName: pulumi.Output<string>;

  constructor(name: string, args: WorkloadRoleArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:iam:WorkloadRole", name, {}, opts);
    if (name.length > 64) throw new Error(`role name '${name}' is longer than the 64 characters IAM allows`);
    const trust =
      typeof args.trust === "string"
        ? serviceTrust(args.trust, args.place)
        : pulumi.output(args.trust.document);
    this.role = new aws.iam.Role(
      ...transformed(
        args.transform?.role,
        name,
        {
          name,
          description: args.description,
          assumeRolePolicy: trust.apply(fitting(iamQuotas.trust, name)),
          maxSessionDuration: args.maxSessionDuration ?? 3600,
          ...(args.permissionsBoundary !== undefined && { permissionsBoundary: args.permissionsBoundary }),
        },
        { parent: this },
      ),
    );
    this.roleName = this.role.name;
    this.arn = new Arns(args.place).iam(pulumi.interpolate`role/${this.role.name}`);
    const inline = Object.entries(args.policies)
      .map(([concern, given]) => [concern, typeof given === "function" ? given(this.role) : given] as const)
      .filter(([, statements]) => statements.length > 0)
      .map(([concern, statements]) => [concern, policyDocument(statements)] as const);
    // Beside the policies and not within: one policy must not wait for what another names.
    pulumi
      .output(Object.fromEntries(inline))
      .apply((documents) => checkSize(iamQuotas.inline, name, documents));
    this.policies = inline.map(
      ([concern, policy]) =>
        new aws.iam.RolePolicy(
          `${name}-${concern}`,
          { name: concern, role: this.role.name, policy },
          { parent: this },
        ),
    );
    attachPolicies(name, args, this.role, this);
    this.registerOutputs({ arn: this.arn });
  }
}

/** Makes a role's managed policies and attaches them to it. */
function attachPolicies(
  name: string,
  { place, managedPolicies = {} }: WorkloadRoleArgs,
  role: aws.iam.Role,
  parent: pulumi.Resource,
): void {
  const count = Object.keys(managedPolicies).length;
  if (count > mostAttached) {
    throw new pulumi.RunError(
      `the role '${name}' has ${count} managed policies, of which IAM takes ${mostAttached}; put some of them together`,
    );
  }
  for (const [concern, statements] of Object.entries(managedPolicies)) {
    const own = `${name}-${concern}`;
    const policy = new aws.iam.Policy(
      own,
      {
        name: own,
        description: `What the role ${name} may do: ${concern}`,
        policy: managedDocument(own, statements),
      },
      { parent },
    );
    new aws.iam.RolePolicyAttachment(
      own,
      {
        role: role.name,
        // Made from the name, so that a preview knows whose policy it is.
        policyArn: new Arns(place).iam(pulumi.interpolate`policy/${policy.name}`),
      },
      { parent },
    );
  }
}
