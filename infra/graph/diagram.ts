import type { Graph, GraphResource } from "./offline.ts";

/** Parts that nearly every other depends on; drawn as boxes, their arrows left out. */
const everywhere = new Set(["Encryption", "Boundary", "Access", "AccountBaseline"]);

const typeName = (type: string): string => type.split(":").at(-1) ?? type;

/** The part of the pipeline that a resource belongs to: the child of EtlPipeline above it. */
function partOf(resource: GraphResource, byUrn: ReadonlyMap<string, GraphResource>): string | undefined {
  const parent = byUrn.get(resource.parent ?? "");
  if (!parent) return undefined;
  return parent.type.endsWith(":EtlPipeline") && !resource.custom
    ? typeName(resource.type)
    : partOf(parent, byUrn);
}

/**
 * A Mermaid flowchart of the pipeline's parts with what each is made of, and an arrow from each part to those that need
 * something of it.
 */
export function toDiagram(graph: Graph): string {
  const byUrn = new Map(graph.resources.map((resource) => [resource.urn, resource]));
  const counts = new Map<string, Map<string, number>>();
  const arrows = new Set<string>();
  for (const resource of graph.resources) {
    const part = partOf(resource, byUrn);
    if (part === undefined) continue;
    const kinds = counts.get(part) ?? new Map<string, number>();
    counts.set(part, kinds);
    // Roles, rules and settings belong to what they are for; a diagram names what a person would look for.
    const kind = shown[resource.type];
    if (kind !== undefined) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    for (const urn of resource.dependencies) {
      const needed = byUrn.get(urn);
      const from = needed && partOf(needed, byUrn);
      if (from !== undefined && from !== part && !everywhere.has(from)) arrows.add(`  ${from} --> ${part}`);
    }
  }
  const boxes = [...counts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([part, kinds]) => {
      const lines = [...kinds]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([kind, count]) => `${count} ${kind}`);
      return `  ${part}["<b>${part}</b>${lines.map((line) => `<br/>${line}`).join("")}"]`;
    });
  return `${["flowchart LR", ...boxes, ...[...arrows].toSorted()].join("\n")}\n`;
}

const shown: Readonly<Record<string, string>> = {
  "aws:cloudformation/stack:Stack": "DataBrew stacks",
  "aws:cloudwatch/dashboard:Dashboard": "dashboard",
  "aws:cloudwatch/metricAlarm:MetricAlarm": "alarms",
  "aws:dynamodb/table:Table": "DynamoDB table",
  "aws:ec2/vpcEndpoint:VpcEndpoint": "VPC endpoints",
  "aws:emrserverless/application:Application": "EMR Serverless application",
  "aws:glue/catalogDatabase:CatalogDatabase": "Glue databases",
  "aws:glue/connection:Connection": "Glue connections",
  "aws:glue/job:Job": "Glue jobs",
  "aws:iam/policy:Policy": "IAM policies",
  "aws:kms/key:Key": "KMS keys",
  "aws:lambda/function:Function": "Lambda functions",
  "aws:redshiftserverless/workgroup:Workgroup": "Redshift workgroup",
  "aws:s3/bucket:Bucket": "S3 buckets",
  "aws:scheduler/schedule:Schedule": "schedule",
  "aws:sfn/stateMachine:StateMachine": "state machine",
  "awsx:ec2:Vpc": "VPC",
};
