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
  } else if (Array.isArray(missing)) {
    lines.push("", "every part of the pipeline is there: nothing waits for its file");
  }
  return `${lines.join("\n")}\n`;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const text = (value: unknown): string => JSON.stringify(sorted(value)) ?? "undefined";

/** A value that is written as JSON inside a text: a policy, an event pattern, a definition. */
function unfolded(value: unknown): unknown {
  if (typeof value !== "string" || !/^[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

const shortened = (value: unknown): string => {
  const whole = text(value);
  return whole.length > 60 ? `${whole.slice(0, 59)}…` : whole;
};

/** Where two values differ: paths that changed, and with `+` or `-` what was added or removed. */
function differences(before: unknown, after: unknown, path: string): string[] {
  const [was, is] = [unfolded(before), unfolded(after)];
  if (text(was) === text(is)) return [];
  if (was === undefined) return [`+${path} ${shortened(is)}`];
  if (is === undefined) return [`-${path}`];
  if (Array.isArray(was) && Array.isArray(is)) {
    const [old, current] = [new Set(was.map(text)), new Set(is.map(text))];
    const moved = [
      ...is.filter((each) => !old.has(text(each))).map((each) => `+${path}[] ${shortened(each)}`),
      ...was.filter((each) => !current.has(text(each))).map((each) => `-${path}[] ${shortened(each)}`),
    ];
    return moved.length > 0 ? moved : [path];
  }
  if (isRecord(was) && isRecord(is)) {
    return [...new Set([...Object.keys(was), ...Object.keys(is)])]
      .toSorted()
      .flatMap((key) => differences(was[key], is[key], path === "" ? key : `${path}.${key}`));
  }
  return [path];
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
    const changed = differences(was.inputs, resource.inputs, "");
    const flags = (["protect", "retainOnDelete"] as const).filter((flag) => was[flag] !== resource[flag]);
    if (changed.length + flags.length > 0)
      lines.push(`~ ${label(resource)}: ${[...changed, ...flags].join(", ")}`);
  }
  return lines.length === 0 ? "no difference\n" : `${lines.join("\n")}\n`;
}
