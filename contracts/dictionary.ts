// Writes docs/data-dictionary.md from the contracts: npm run contracts:dictionary
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { contractsDir, loadAll } from "./bundle.ts";
import type { Column, Contract } from "./contract.ts";

/** Where the dictionary is kept; a test holds it to what `dictionaryOf` gives. */
export const dictionaryFile = path.join(contractsDir, "../docs/data-dictionary.md");

const code = (text: string): string => `\`${text}\``;
/** Text for a cell of a Markdown table. */
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ").trim();

function keyOf({ keyPosition, partition }: Column): string {
  const marks = [
    keyPosition === undefined ? undefined : `key ${keyPosition}`,
    partition &&
      `partition ${partition.position}${partition.transform === "identity" ? "" : ` (${partition.transform})`}`,
  ];
  return marks.filter((mark) => mark !== undefined).join(", ");
}

function rowOf(column: Column): string {
  const { name, physicalType, required, personal, protect, description, sourceName, relationships } = column;
  const references = relationships.map(({ table, column: other }) => `→ ${code(`${table}.${other}`)}`);
  const cells = [
    code(name) + (personal ? " **personal**" : ""),
    physicalType,
    required ? "yes" : "",
    keyOf(column),
    sourceName === name ? "" : code(sourceName),
    [description, ...(protect ? [`(protected: ${protect})`] : []), ...references].join(" "),
  ];
  return `| ${cells.map(cell).join(" | ")} |`;
}

/** Where rows come from, in words. */
function originOf(
  { name, source, feeds, precedence, recipe, writer }: Contract,
  sources: readonly Contract[],
): string[] {
  const lines: string[] = [];
  if (source?.kind === "mysql") {
    lines.push(`from the MySQL table ${code(source.table)}, what changed by ${code(source.watermark)}`);
  }
  if (source?.kind === "dynamodb") {
    const list = source.explode === undefined ? "" : `, one row per element of ${code(source.explode)}`;
    lines.push(`from exports of the DynamoDB table ${code(source.table)}${list}`);
  }
  if (source?.kind === "csv") lines.push(`from CSV drops below ${code(source.prefix)}`);
  if (source?.kind === "logs") {
    const formats = source.formats.map(({ name: format, prefix }) => `${format} (${code(prefix)})`);
    lines.push(`from the event stream and from drops: ${formats.join(", ")}`);
  }
  if (source?.kind === "kinesis") lines.push(`from the Kinesis stream ${code(source.stream)}`);
  if (recipe !== undefined) lines.push(`prepared by the recipe ${code(`recipes/${recipe}.json`)}`);
  if (writer === "stream") lines.push("written by the streaming job");
  if (feeds !== undefined) lines.push(`merged into ${code(feeds)} with precedence ${precedence ?? 1}`);
  const feeding = sources.filter((one) => one.feeds === name);
  if (feeding.length > 0) lines.push(`merged from ${feeding.map((one) => code(one.name)).join(" and ")}`);
  return lines.length > 0 ? lines : ["computed from other tables"];
}

function placeOf({ zone, name, storage, warehouse }: Contract): string {
  if (zone === "source") return "no table of its own";
  const lake = `lake: ${code(`${zone}.${name}`)}${storage === "parquet" ? ", plain Parquet" : ""}`;
  if (!warehouse) return `${lake}; not in the warehouse`;
  const how = warehouse.load === "merge" ? "merged by key" : `replaced by ${code(warehouse.by ?? "")}`;
  return `${lake}; warehouse: ${code(`stage.${warehouse.table}`)}, read as ${code(`mart.${warehouse.table}`)} (${how})`;
}

function sectionOf(contract: Contract, all: readonly Contract[]): string {
  const { name, version, owner, description, columns } = contract;
  return [
    `### ${name}`,
    "",
    cell(description),
    "",
    `- Contract: [\`contracts/${path.basename(contract.file)}\`](../contracts/${path.basename(contract.file)}) ${version}, owner ${owner}`,
    `- Origin: ${originOf(contract, all).join("; ")}`,
    `- Place: ${placeOf(contract)}`,
    "",
    "| Column | Type | Required | Key, partition | At the source | Meaning |",
    "| --- | --- | --- | --- | --- | --- |",
    ...columns.map(rowOf),
  ].join("\n");
}

const zones = [
  { zone: "curated", title: "Curated tables", about: "What BI and the next jobs read." },
  { zone: "staging", title: "Staging tables", about: "Typed, conformed and deduplicated; one row per key." },
  {
    zone: "source",
    title: "Sources of other tables",
    about: "What a source delivers, where two of them feed one table.",
  },
] as const;

const introduction = `# Data dictionary

Generated from \`contracts/*.yaml\` by \`npm run contracts:dictionary\`; change the contracts, not this
file. **personal** marks personal data: it stays in the lake and in the warehouse's schema \`stage\`, and is in no view
that \`bi_reader\` may read. Times are UTC unless a column says otherwise.

Tables with a source have six more columns: \`source_system\` (dataset), \`source_object\` (file, item or table),
\`source_position\` (line or surrogate key), \`version_at\`, \`batch_id\` and \`row_hash\`; computed tables and the
warehouse's tables have \`version_at\` and \`batch_id\`.`;

/**
 * The data dictionary of some contracts, as Markdown.
 * @param contracts all of them: what feeds a table is said there too
 */
export function dictionaryOf(contracts: readonly Contract[]): string {
  const byName = contracts.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const parts = zones.map(({ zone, title, about }) => {
    const sections = byName.filter((contract) => contract.zone === zone).map((one) => sectionOf(one, byName));
    return [`## ${title}`, about, ...sections].join("\n\n");
  });
  return `${[introduction, ...parts].join("\n\n")}\n`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await writeFile(dictionaryFile, dictionaryOf(await loadAll([contractsDir])));
}
