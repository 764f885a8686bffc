import { createHash } from "node:crypto";
import type { Place } from "../lib/place.ts";

/** Id and other values that AWS would give a resource. Same resource, same values, in every run. */
export interface ComputedState {
  readonly id: string;
  readonly outputs: Readonly<Record<string, unknown>>;
}

/** Hexadecimal digits that follow from `seed` alone. */
const hex = (seed: string, digits: number): string =>
  createHash("sha256").update(seed).digest("hex").slice(0, digits);

const uuid = (seed: string): string =>
  hex(seed, 32).replace(/^(.{8})(.{4}).(.{3})(.{4})(.{12}).*/, "$1-$2-4$3-$4-$5");

type Inputs = Readonly<Record<string, unknown>>;
type Compute = (at: { inputs: Inputs; name: string; urn: string; place: Place }) => ComputedState;

function text(inputs: Inputs, key: string, fallback: string): string {
  const value = inputs[key];
  return typeof value === "string" ? value : fallback;
}

/** A resource whose ARN is `arn:…:<service>:<region>:<account>:<prefix><its name>` and whose id is that name. */
function named(service: string, prefix: string, key = "name"): Compute {
  return ({ inputs, name, place: { partition, region, accountId } }) => {
    const own = text(inputs, key, name);
    return {
      id: own,
      outputs: { [key]: own, arn: `arn:${partition}:${service}:${region}:${accountId}:${prefix}${own}` },
    };
  };
}

/** The same, where the id is the ARN. */
function namedByArn(service: string, prefix: string): Compute {
  return (at) => {
    const state = named(service, prefix)(at);
    return { ...state, id: String(state.outputs.arn) };
  };
}

/** An EC2 resource: an id with a prefix, an ARN that ends in it. */
function ec2(
  kind: string,
  prefix: string,
  more: (at: Parameters<Compute>[0]) => object = () => ({}),
): Compute {
  return (at) => {
    const id = `${prefix}-${hex(at.urn, 17)}`;
    const { partition, region, accountId } = at.place;
    return { id, outputs: { arn: `arn:${partition}:ec2:${region}:${accountId}:${kind}/${id}`, ...more(at) } };
  };
}

const iamNamed =
  (kind: string): Compute =>
  ({ inputs, name, urn, place: { partition, accountId } }) => {
    const own = text(inputs, "name", name);
    const arn = `arn:${partition}:iam::${accountId}:${kind}${own}`;
    return {
      id: kind === "role/" ? own : arn,
      outputs: { name: own, arn, uniqueId: `AROA${hex(urn, 16).toUpperCase()}` },
    };
  };

const byType: Readonly<Record<string, Compute>> = {
  "aws:s3/bucket:Bucket": ({ inputs, name, place: { partition, region } }) => {
    const bucket = text(inputs, "bucket", name);
    return {
      id: bucket,
      outputs: {
        bucket,
        arn: `arn:${partition}:s3:::${bucket}`,
        bucketDomainName: `${bucket}.s3.amazonaws.com`,
        bucketRegionalDomainName: `${bucket}.s3.${region}.amazonaws.com`,
      },
    };
  },
  "aws:kms/key:Key": ({ urn, place: { partition, region, accountId } }) => {
    const keyId = uuid(urn);
    return { id: keyId, outputs: { keyId, arn: `arn:${partition}:kms:${region}:${accountId}:key/${keyId}` } };
  },
  "aws:kms/alias:Alias": named("kms", ""),
  "aws:iam/role:Role": iamNamed("role/"),
  "aws:iam/policy:Policy": iamNamed("policy/"),
  "aws:iam/openIdConnectProvider:OpenIdConnectProvider": ({
    inputs,
    name,
    place: { partition, accountId },
  }) => {
    const arn = `arn:${partition}:iam::${accountId}:oidc-provider/${text(inputs, "url", name).replace("https://", "")}`;
    return { id: arn, outputs: { arn } };
  },
  "aws:emrserverless/application:Application": ({ urn, place: { partition, region, accountId } }) => {
    const id = `00f${hex(urn, 13)}`;
    return {
      id,
      outputs: { arn: `arn:${partition}:emr-serverless:${region}:${accountId}:/applications/${id}` },
    };
  },
  "aws:cloudwatch/logGroup:LogGroup": named("logs", "log-group:"),
  "aws:cloudwatch/metricAlarm:MetricAlarm": named("cloudwatch", "alarm:"),
  "aws:cloudwatch/compositeAlarm:CompositeAlarm": named("cloudwatch", "alarm:", "alarmName"),
  "aws:cloudwatch/eventRule:EventRule": named("events", "rule/"),
  "aws:cloudwatch/dashboard:Dashboard": ({ inputs, name, place: { partition, accountId } }) => {
    const own = text(inputs, "dashboardName", name);
    return {
      id: own,
      outputs: { dashboardArn: `arn:${partition}:cloudwatch::${accountId}:dashboard/${own}` },
    };
  },
  "aws:sns/topic:Topic": namedByArn("sns", ""),
  "aws:sqs/queue:Queue": (at) => {
    const state = named("sqs", "")(at);
    const url = `https://sqs.${at.place.region}.amazonaws.com/${at.place.accountId}/${state.id}`;
    return { id: url, outputs: { ...state.outputs, url } };
  },
  "aws:apigateway/restApi:RestApi": ({ urn, place: { partition, region, accountId } }) => {
    const id = hex(urn, 10);
    return {
      id,
      outputs: {
        rootResourceId: hex(`${urn}/`, 10),
        executionArn: `arn:${partition}:execute-api:${region}:${accountId}:${id}`,
      },
    };
  },
  "aws:lambda/function:Function": (at) => {
    const state = named("lambda", "function:")(at);
    const { partition, region } = at.place;
    const arn = String(state.outputs.arn);
    return {
      id: state.id,
      outputs: {
        ...state.outputs,
        invokeArn: `arn:${partition}:apigateway:${region}:lambda:path/2015-03-31/functions/${arn}/invocations`,
        qualifiedArn: `${arn}:$LATEST`,
        version: "$LATEST",
      },
    };
  },
  "aws:lambda/invocation:Invocation": ({ urn }) => ({
    id: hex(urn, 32),
    outputs: { result: JSON.stringify({ version: "1.0" }) },
  }),
  "aws:glue/job:Job": named("glue", "job/"),
  "aws:glue/catalogDatabase:CatalogDatabase": (at) => {
    const state = named("glue", "database/")(at);
    return {
      id: `${at.place.accountId}:${state.id}`,
      outputs: { ...state.outputs, catalogId: at.place.accountId },
    };
  },
  "aws:glue/catalogTable:CatalogTable": ({ inputs, name, place: { partition, region, accountId } }) => {
    const own = text(inputs, "name", name);
    const path = `${text(inputs, "databaseName", "")}/${own}`;
    return {
      id: `${accountId}:${path.replace("/", ":")}`,
      outputs: {
        name: own,
        catalogId: accountId,
        arn: `arn:${partition}:glue:${region}:${accountId}:table/${path}`,
      },
    };
  },
  "aws:glue/connection:Connection": (at) => {
    const state = named("glue", "connection/")(at);
    return {
      id: `${at.place.accountId}:${state.id}`,
      outputs: { ...state.outputs, catalogId: at.place.accountId },
    };
  },
  "aws:glue/securityConfiguration:SecurityConfiguration": ({ inputs, name }) => {
    const own = text(inputs, "name", name);
    return { id: own, outputs: { name: own } };
  },
  "aws:dynamodb/table:Table": named("dynamodb", "table/"),
  "aws:sfn/stateMachine:StateMachine": namedByArn("states", "stateMachine:"),
  "aws:scheduler/schedule:Schedule": (at) => {
    const state = named("scheduler", `schedule/${text(at.inputs, "groupName", "default")}/`)(at);
    return { ...state, id: `${text(at.inputs, "groupName", "default")}/${state.id}` };
  },
  "aws:scheduler/scheduleGroup:ScheduleGroup": named("scheduler", "schedule-group/"),
  "aws:cloudformation/stack:Stack": ({ inputs, name, urn, place: { partition, region, accountId } }) => {
    const own = text(inputs, "name", name);
    return {
      id: `arn:${partition}:cloudformation:${region}:${accountId}:stack/${own}/${uuid(urn)}`,
      outputs: { name: own, outputs: {} },
    };
  },
  "aws:redshiftserverless/namespace:Namespace": ({
    inputs,
    name,
    urn,
    place: { partition, region, accountId },
  }) => {
    const own = text(inputs, "namespaceName", name);
    const namespaceId = uuid(urn);
    return {
      id: own,
      outputs: {
        namespaceName: own,
        namespaceId,
        arn: `arn:${partition}:redshift-serverless:${region}:${accountId}:namespace/${namespaceId}`,
        adminPasswordSecretArn: `arn:${partition}:secretsmanager:${region}:${accountId}:secret:redshift!${own}-admin-${hex(urn, 6)}`,
      },
    };
  },
  "aws:redshiftserverless/workgroup:Workgroup": ({
    inputs,
    name,
    urn,
    place: { partition, region, accountId },
  }) => {
    const own = text(inputs, "workgroupName", name);
    const workgroupId = uuid(urn);
    const address = `${own}.${accountId}.${region}.redshift-serverless.amazonaws.com`;
    return {
      id: own,
      outputs: {
        workgroupName: own,
        workgroupId,
        arn: `arn:${partition}:redshift-serverless:${region}:${accountId}:workgroup/${workgroupId}`,
        endpoints: [{ address, port: 5439, vpcEndpoints: [] }],
        port: 5439,
      },
    };
  },
  "aws:ec2/securityGroup:SecurityGroup": ec2("security-group", "sg"),
  "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": ec2("security-group", "sg"),
  "aws:ec2/vpcEndpoint:VpcEndpoint": ec2("vpc-endpoint", "vpce", ({ inputs }) => ({
    prefixListId: `pl-${hex(text(inputs, "serviceName", ""), 8)}`,
  })),
  "aws:ec2/flowLog:FlowLog": ec2("vpc-flow-log", "fl"),
  "aws:ec2/vpcPeeringConnection:VpcPeeringConnection": ec2("vpc-peering-connection", "pcx"),
  // A component of a plugin: the parts of its VPC that this program reads, over three zones.
  "awsx:ec2:Vpc": ({ urn, place: { region } }) => {
    const subnets = ["a", "b", "c"].map((zone) => ({
      id: `subnet-${hex(`${urn}${zone}`, 17)}`,
      availabilityZone: `${region}${zone}`,
    }));
    return {
      id: "",
      outputs: {
        vpcId: `vpc-${hex(urn, 17)}`,
        isolatedSubnetIds: subnets.map(({ id }) => id),
        isolatedSubnets: subnets,
        routeTables: ["a", "b", "c"].map((zone) => ({ id: `rtb-${hex(`${urn}${zone}`, 17)}` })),
      },
    };
  },
};

/** What AWS would compute for a new resource; types that nothing reads from have an id alone. */
export function computedState(
  type: string,
  name: string,
  inputs: Inputs,
  place: Place,
  urn: string,
): ComputedState {
  return byType[type]?.({ inputs, name, urn, place }) ?? { id: `${name}-${hex(urn, 8)}`, outputs: {} };
}

/** A data source has no offline value. The SDK takes an error's text from `details`, as gRPC's errors have it. */
class UnknownDataSourceError extends Error {
  readonly details: string;

  constructor(token: string) {
    super(`data source ${token} has no offline value; add one to infra/graph/values.ts`);
    this.details = this.message;
  }
}

/** The answer to a data source. @throws Error for one that has no offline answer, rather than an empty one */
export function invokeResult(token: string, inputs: Inputs, place: Place): Record<string, unknown> {
  const { partition, accountId, region } = place;
  switch (token) {
    case "aws:index/getPartition:getPartition":
      return { id: partition, partition, dnsSuffix: "amazonaws.com", reverseDnsPrefix: "com.amazonaws" };
    case "aws:index/getCallerIdentity:getCallerIdentity":
      return {
        id: accountId,
        accountId,
        arn: `arn:${partition}:iam::${accountId}:user/offline`,
        userId: "offline",
      };
    case "aws:index/getRegion:getRegion":
      return { id: region, region, name: region };
    case "aws:ec2/getPrefixList:getPrefixList":
      return { id: `pl-${hex(text(inputs, "name", ""), 8)}`, ...inputs };
    case "aws:ec2/getSubnet:getSubnet":
      return { ...inputs, availabilityZone: `${region}a`, cidrBlock: "10.1.0.0/20" };
    default:
      throw new UnknownDataSourceError(token);
  }
}
