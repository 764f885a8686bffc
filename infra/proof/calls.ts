/** Calls to AWS as a role makes them, and the roles' rights as the stack renders them. */
import { matches } from "../../policies/iam/actions.ts";
import { type PolicyStatement, parseDocument } from "../../policies/iam/document.ts";
import type { Graph, GraphResource } from "../graph/offline.ts";

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

  /** Documents of a role's inline policies by name. */
  policies(role: string): readonly { readonly name: string; readonly policy: unknown }[] {
    return this.ofType("aws:iam/rolePolicy:RolePolicy")
      .filter(({ inputs }) => inputs.role === `${this.name}-${role}`)
      .map(({ inputs }) => ({ name: String(inputs.name), policy: JSON.parse(String(inputs.policy)) }));
  }

  statements(role: string): readonly PolicyStatement[] {
    return this.policies(role).flatMap(({ policy }) => parseDocument(policy));
  }
}

/** An action that a role was given, with the resources it was given for. */
export interface Grant {
  readonly role: string;
  readonly action: string;
  readonly resources: readonly string[];
  readonly sids: readonly string[];
}

/** Everything that a role was given, by action. */
export function grantsOf(stack: Stack, role: string): readonly Grant[] {
  const byAction = new Map<string, { resources: Set<string>; sids: Set<string> }>();
  for (const statement of stack.statements(role)) {
    if (statement.effect !== "Allow") continue;
    for (const action of statement.actions) {
      const entry = byAction.get(action) ?? { resources: new Set(), sids: new Set() };
      for (const resource of statement.resources) entry.resources.add(resource);
      entry.sids.add(statement.id);
      byAction.set(action, entry);
    }
  }
  return [...byAction]
    .map(([action, { resources, sids }]) => ({ role, action, resources: [...resources], sids: [...sids] }))
    .sort((a, b) => (a.action < b.action ? -1 : 1));
}

/** Whether a call makes use of a grant, conditions left aside. */
export const exercises = (call: Call, grant: Grant): boolean =>
  call.role === grant.role &&
  call.action.toLowerCase() === grant.action.toLowerCase() &&
  grant.resources.some((resource) => matches(resource, call.resource));
