import { Reader, those, typeOf, UnknownValue } from "./reader.ts";
import type { Resource } from "./rule.ts";

/** Where a stack is deployed, as far as it is known. */
export interface Account {
  readonly partition: string;
  readonly accountId?: string | undefined;
  readonly region?: string | undefined;
}

/** Properties that hold a resource's own name, by which others refer to it. */
const nameProperties: Readonly<Record<string, string>> = {
  "aws:s3/bucket:Bucket": "bucket",
  "aws:redshiftserverless/namespace:Namespace": "namespaceName",
  "aws:redshiftserverless/workgroup:Workgroup": "workgroupName",
  "aws:rds/instance:Instance": "identifier",
  "aws:rds/cluster:Cluster": "clusterIdentifier",
  "aws:cloudwatch/compositeAlarm:CompositeAlarm": "alarmName",
  "aws:lambda/alias:Alias": "name",
};

interface Index {
  readonly byType: ReadonlyMap<string, readonly Reader[]>;
  readonly byUrn: ReadonlyMap<string, Resource>;
}

function indexOf(resources: readonly Resource[]): Index {
  const byType = new Map<string, Reader[]>();
  for (const resource of resources) {
    const same = byType.get(resource.type);
    if (same) same.push(new Reader(resource));
    else byType.set(resource.type, [new Reader(resource)]);
  }
  return { byType, byUrn: new Map(resources.map((resource) => [resource.urn, resource])) };
}

/** All resources of a stack, and how they belong together. */
export class StackView {
  readonly resources: readonly Resource[];
  readonly account: Account;
  readonly #index: Index;
  readonly #parameters: Readonly<Record<string, unknown>>;

  constructor(
    resources: readonly Resource[],
    account: Account = { partition: "aws" },
    parameters: Readonly<Record<string, unknown>> = {},
    index: Index = indexOf(resources),
  ) {
    this.resources = resources;
    this.account = account;
    this.#parameters = parameters;
    this.#index = index;
  }

  /** The same stack with a rule's parameters. */
  withParameters(parameters: Readonly<Record<string, unknown>>): StackView {
    return new StackView(this.resources, this.account, parameters, this.#index);
  }

  /** Value of the judging rule's own parameter. */
  parameter(name: string): unknown {
    return this.#parameters[name];
  }

  ofType(...types: readonly string[]): readonly Reader[] {
    return types.flatMap((type) => this.#index.byType.get(type) ?? []);
  }

  byUrn(urn: string): Reader | undefined {
    const resource = this.#index.byUrn.get(urn);
    return resource && new Reader(resource);
  }

  /** The name that AWS knows a resource by; undefined where Pulumi or AWS makes it up. */
  physicalName({ resource }: Reader): string | undefined {
    const value = resource.inputs[nameProperties[resource.type] ?? "name"];
    return typeof value === "string" ? value : undefined;
  }

  /**
   * Whether a property names the target: by name or ARN where both are known, else by the property's dependencies.
   * @throws UnknownValue when neither tells
   */
  refers(from: Reader, path: string, target: Reader): boolean {
    const name = this.physicalName(target);
    let value: string | undefined;
    try {
      value = from.text(path);
    } catch (error) {
      if (!(error instanceof UnknownValue)) throw error;
      const sources = from.sources(path);
      if (sources.length === 0) throw error;
      return isAmong(sources, target);
    }
    if (value === undefined) return false;
    if (name !== undefined && (value === name || endsWithName(value, name))) return true;
    // AWS made up the target's id: the dependency is all there is.
    const made = name === undefined || idTypes.has(target.resource.type);
    return made && isAmong(from.sources(path), target);
  }

  /** Resources of a type whose property names the target. @throws UnknownValue when none does as far as is known */
  attached(type: string, path: string, target: Reader): readonly Reader[] {
    return those(this.ofType(type), (candidate) => this.refers(candidate, path, target));
  }

  /** The resource of one of these types that a property names; undefined when it is outside the stack. */
  target(from: Reader, path: string, ...types: readonly string[]): Reader | undefined {
    return this.ofType(...types).find((candidate) => this.refers(from, path, candidate));
  }
}

/** Types that a component of awsx makes, with its type: a value of it may be said to come from either. */
const partOf: Readonly<Record<string, string>> = { "aws:ec2/vpc:Vpc": "awsx:ec2:Vpc" };

/**
 * Whether a value's sources have a resource among them. Of a value from a component that another program makes, the
 * engine names the component, the part that it is of, or both.
 */
function isAmong(sources: readonly string[], { resource: { urn, type, parent } }: Reader): boolean {
  if (sources.includes(urn)) return true;
  return parent !== undefined && partOf[type] === typeOf(parent) && sources.includes(parent);
}

const endsWithName = (value: string, name: string): boolean =>
  value.startsWith("arn:") || value.startsWith("https://")
    ? [`:${name}`, `/${name}`, `:${name}:*`].some((end) => value.endsWith(end))
    : false;

/** Types that others name by an id of AWS, not by the name. */
const idTypes: ReadonlySet<string> = new Set([
  "aws:ec2/securityGroup:SecurityGroup",
  "aws:ec2/vpc:Vpc",
  "awsx:ec2:Vpc",
  "aws:ec2/vpcEndpoint:VpcEndpoint",
  "aws:kms/key:Key",
  "aws:apigateway/restApi:RestApi",
  "aws:apigateway/stage:Stage",
  "aws:apigateway/deployment:Deployment",
  "aws:apigateway/method:Method",
  "aws:apigateway/requestValidator:RequestValidator",
  "aws:emrserverless/application:Application",
  "aws:redshiftserverless/workgroup:Workgroup",
]);

/** Types whose ids and ARNs follow from their names, so that a program can always make them known. */
const namedTypes: ReadonlySet<string> = new Set([
  "aws:s3/bucket:Bucket",
  "aws:iam/role:Role",
  "aws:iam/policy:Policy",
  "aws:dynamodb/table:Table",
  "aws:lambda/function:Function",
  "aws:cloudwatch/logGroup:LogGroup",
  "aws:cloudwatch/eventRule:EventRule",
  "aws:sns/topic:Topic",
  "aws:sqs/queue:Queue",
  "aws:kinesis/stream:Stream",
  "aws:sfn/stateMachine:StateMachine",
  "aws:glue/job:Job",
  "aws:glue/connection:Connection",
  "aws:glue/catalogDatabase:CatalogDatabase",
]);

/** Whether the program could have made an unknown value known: nothing it comes from is named by AWS. */
export function couldBeKnown(resource: Resource, property: string): boolean {
  const top = property.match(/^[^.[]+/)?.[0] ?? "";
  return (resource.propertyDependencies[top] ?? []).every((urn) => namedTypes.has(typeOf(urn)));
}
