import type { Defect, Rule } from "../rule.ts";
import { controls, docs, onResource } from "./checks.ts";

/** Types of this pack that take tags. */
export const taggableTypes: readonly string[] = [
  "aws:s3/bucket:Bucket",
  "aws:s3/bucketObjectv2:BucketObjectv2",
  "aws:cloudformation/stack:Stack",
  "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
  "aws:lambda/eventSourceMapping:EventSourceMapping",
  "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
  "aws:ec2/vpcPeeringConnection:VpcPeeringConnection",
  "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
  "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
  "aws:kms/key:Key",
  "aws:glue/job:Job",
  "aws:glue/crawler:Crawler",
  "aws:glue/connection:Connection",
  "aws:glue/catalogDatabase:CatalogDatabase",
  "aws:emrserverless/application:Application",
  "aws:lambda/function:Function",
  "aws:kinesis/stream:Stream",
  "aws:sfn/stateMachine:StateMachine",
  "aws:redshiftserverless/namespace:Namespace",
  "aws:redshiftserverless/workgroup:Workgroup",
  "aws:dynamodb/table:Table",
  "aws:rds/instance:Instance",
  "aws:rds/cluster:Cluster",
  "aws:secretsmanager/secret:Secret",
  "aws:sns/topic:Topic",
  "aws:sqs/queue:Queue",
  "aws:cloudwatch/logGroup:LogGroup",
  "aws:cloudwatch/metricAlarm:MetricAlarm",
  "aws:cloudwatch/eventRule:EventRule",
  "aws:scheduler/scheduleGroup:ScheduleGroup",
  "aws:apigateway/restApi:RestApi",
  "aws:apigateway/stage:Stage",
  "aws:ec2/vpc:Vpc",
  "aws:ec2/subnet:Subnet",
  "aws:ec2/routeTable:RouteTable",
  "aws:ec2/defaultRouteTable:DefaultRouteTable",
  "aws:ec2/securityGroup:SecurityGroup",
  "aws:ec2/vpcEndpoint:VpcEndpoint",
  "aws:ec2/flowLog:FlowLog",
  "aws:iam/role:Role",
  "aws:iam/policy:Policy",
  "aws:budgets/budget:Budget",
];

const names = (value: unknown): readonly string[] => [value].flat().map(String);

export const tagging: readonly Rule[] = [
  onResource(
    "required-tags",
    {
      category: "tagging",
      severity: "low",
      level: "mandatory",
      title: "A resource says what it belongs to, who owns it and who pays.",
      controls: controls("FSBP tagging"),
      remedy: "Set the provider's defaultTags.",
      link: `${docs}/tag-editor/latest/userguide/best-practices-and-strats.html`,
      types: taggableTypes,
      parameters: { tags: ["project", "environment", "owner", "cost-center", "managed-by"] },
    },
    (resource, stack) => {
      // Deployed states have the provider's default tags in tagsAll alone.
      const tags = resource.fields(resource.has("tags") ? "tags" : "tagsAll");
      return names(stack.parameter("tags")).flatMap((name): Defect[] =>
        tags?.keys.includes(name) && tags.text(name) !== undefined
          ? []
          : [{ detail: `Tag::${name}`, message: `the tag ${name} is missing` }],
      );
    },
  ),
  onResource(
    "environment-tag",
    {
      category: "tagging",
      severity: "low",
      level: "mandatory",
      title: "The environment's tag is one that is known.",
      controls: controls(),
      remedy: "Set the tag environment to one of the configured names.",
      link: `${docs}/tag-editor/latest/userguide/best-practices-and-strats.html`,
      types: taggableTypes,
      parameters: { environments: ["dev", "prod"] },
    },
    (resource, stack) => {
      const value = resource.text(resource.has("tags") ? "tags.environment" : "tagsAll.environment");
      return value === undefined || names(stack.parameter("environments")).includes(value)
        ? undefined
        : `the tag environment is ${value}`;
    },
  ),
];
