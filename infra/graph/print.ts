import { type Graph, type GraphResource, sorted } from "./offline.ts";

/** Text of a graph as JSON: equal graphs give equal bytes. */
export function toJson(graph: Graph): string {
  return `${JSON.stringify(sorted(graph), null, 2)}\n`;
}

/** The AWS service of a type, for counting: `aws:s3/bucket:Bucket` → `s3`. */
function serviceOf(type: string): string {
  const [provider = "", path = ""] = type.split(":");
  return provider === "aws" ? (path.split("/")[0] ?? "") : provider;
}

const shortType = (type: string): string => {
  const parts = type.split(":");
  return parts[0] === "aws" ? `${serviceOf(type)}.${parts.at(-1)}` : (parts.at(-1) ?? type);
};

const marks = (resource: GraphResource): string =>
  [
    resource.protect && "protected",
    resource.retainOnDelete && "retained",
    resource.opaque && "children made by a plugin",
  ]
    .filter((mark) => mark !== false && mark !== undefined)
    .join(", ");

/** The tree of resources, the counts by service, and what is missing. */
export function toText(graph: Graph): string {
  const children = new Map<string, GraphResource[]>();
  for (const resource of graph.resources) {
    const parent = resource.parent ?? "";
    children.set(parent, [...(children.get(parent) ?? []), resource]);
  }
  const lines: string[] = [];
  const visit = (resource: GraphResource, indent: string): void => {
    const note = marks(resource);
    lines.push(`${indent}${shortType(resource.type)} ${resource.name}${note && ` (${note})`}`);
    const below = (children.get(resource.urn) ?? []).toSorted(
      (a, b) =>
        Number(a.custom) - Number(b.custom) ||
        a.type.localeCompare(b.type, "en") ||
        a.name.localeCompare(b.name, "en"),
    );
    for (const child of below) visit(child, `${indent}  `);
  };
  for (const top of children.get("") ?? []) visit(top, "");

  const counts = new Map<string, number>();
  const custom = graph.resources.filter((resource) => resource.custom);
  for (const { type } of custom) counts.set(serviceOf(type), (counts.get(serviceOf(type)) ?? 0) + 1);
  lines.push("", `${custom.length} resources in ${graph.resources.length - custom.length} components`);
  for (const [service, count] of [...counts].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))) {
    lines.push(`  ${String(count).padStart(4)}  ${service}`);
  }
  const missing = graph.outputs.missing;
  if (Array.isArray(missing) && missing.length > 0) {
    lines.push("", "not deployed, because the file is not there yet:");
    for (const { part, file } of missing as { part: string; file: string }[])
      lines.push(`  ${part} (${file})`);
  }
  return `${lines.join("\n")}\n`;
}

/** What a change of the program or its configuration adds, removes and changes. */
export function diffText(before: Graph, after: Graph): string {
  const old = new Map(before.resources.map((resource) => [resource.urn, resource]));
  const current = new Map(after.resources.map((resource) => [resource.urn, resource]));
  const label = ({ type, name }: GraphResource): string => `${shortType(type)} ${name}`;
  const lines: string[] = [];
  for (const resource of after.resources) if (!old.has(resource.urn)) lines.push(`+ ${label(resource)}`);
  for (const resource of before.resources) if (!current.has(resource.urn)) lines.push(`- ${label(resource)}`);
  for (const resource of after.resources) {
    const was = old.get(resource.urn);
    if (!was) continue;
    const keys = [...new Set([...Object.keys(was.inputs), ...Object.keys(resource.inputs)])].toSorted();
    const changed = keys.filter(
      (key) => JSON.stringify(sorted(was.inputs[key])) !== JSON.stringify(sorted(resource.inputs[key])),
    );
    const flags = (["protect", "retainOnDelete"] as const).filter((flag) => was[flag] !== resource[flag]);
    if (changed.length + flags.length > 0)
      lines.push(`~ ${label(resource)}: ${[...changed, ...flags].join(", ")}`);
  }
  return lines.length === 0 ? "no difference\n" : `${lines.join("\n")}\n`;
}
