/** The stack in the form of a Terraform plan, which checkov reads: Pulumi's AWS provider has Terraform's types and names. */
import type { Resource } from "../rule.ts";
import { isRecord } from "../reader.ts";

const snake = (text: string): string =>
  text
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replaceAll(/([A-Z])([A-Z][a-z])/g, "$1_$2")
    .toLowerCase();

/** Modules whose name is no part of Terraform's type, or another one is. */
const modules: Readonly<Record<string, string>> = {
  cloudwatch: "cloudwatch",
  ec2: "",
  vpc: "vpc",
};
const types: Readonly<Record<string, string>> = {
  "aws:cloudwatch/eventRule:EventRule": "aws_cloudwatch_event_rule",
  "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "aws_default_security_group",
  "aws:ec2/flowLog:FlowLog": "aws_flow_log",
  "aws:ec2/securityGroup:SecurityGroup": "aws_security_group",
  "aws:ec2/vpcEndpoint:VpcEndpoint": "aws_vpc_endpoint",
  "aws:s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
};

/** Terraform's type of a Pulumi type; undefined for what is not of the AWS provider. */
export function terraformType(type: string): string | undefined {
  const [provider, at = ""] = type.split(":");
  if (provider !== "aws") return undefined;
  const [module = "", name = ""] = at.split("/");
  return (
    types[type] ?? ["aws", modules[module] ?? module, snake(name)].filter((part) => part !== "").join("_")
  );
}

/** Properties that are maps in Terraform, too; every other object is a block, which is a list there. */
const maps = new Set([
  "tags",
  "variables",
  "parameters",
  "defaultArguments",
  "connectionProperties",
  "filterPolicy",
]);

function value(of: unknown, key = ""): unknown {
  if (Array.isArray(of)) return of.map((each) => (isRecord(each) ? block(each) : each));
  if (!isRecord(of)) return of;
  return maps.has(key) ? of : [block(of)];
}

const block = (of: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(of).map(([key, each]) => [snake(key), value(each, key)]));

/** A plan that creates all resources. */
export function terraformPlan(resources: readonly Resource[]): object {
  const planned = resources.flatMap(({ type: pulumiType, name, inputs }) => {
    const type = terraformType(pulumiType);
    if (type === undefined) return [];
    const address = `${type}.${name}`;
    return [{ address, mode: "managed", type, name, values: block(inputs) }];
  });
  return {
    format_version: "1.2",
    terraform_version: "1.9.0",
    planned_values: { root_module: { resources: planned } },
    resource_changes: planned.map(({ values, ...resource }) => ({
      ...resource,
      change: { actions: ["create"], before: null, after: values },
    })),
    configuration: { root_module: { resources: [] } },
  };
}
