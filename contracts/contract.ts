import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { parseDocument } from "yaml";
import { z } from "zod";
import { logSourceSchema } from "./logFormats.ts";
import { allowedTypes, type ColumnType, parseColumnType } from "./types.ts";

export type { ColumnType } from "./types.ts";
export { glueType, icebergType, redshiftType } from "./types.ts";

/** Says everything that is wrong with one or more contracts, one line a problem. */
export class ContractError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(
      `${problems.length === 1 ? "a contract is" : "contracts are"} not valid:\n  ${problems.join("\n  ")}`,
    );
    this.name = "ContractError";
    this.problems = problems;
  }
}

const zones = ["source", "staging", "curated"] as const;
const transforms = ["identity", "year", "month", "day"] as const;

const customProperty = z.looseObject({ property: z.string().min(1), value: z.unknown() });
const customProperties = z.array(customProperty).default([]);

// Only the parts of ODCS that something here reads; the whole standard is checked against its JSON schema.
const propertySchema = z.looseObject({
  name: z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, "must be snake_case of at most 63 characters"),
  physicalType: z.string(),
  primaryKey: z.boolean().default(false),
  primaryKeyPosition: z.int().min(1).optional(),
  required: z.boolean().default(false),
  partitioned: z.boolean().default(false),
  partitionKeyPosition: z.int().min(1).optional(),
  classification: z.string().optional(),
  description: z.string().default(""),
  relationships: z.array(z.looseObject({ to: z.string() })).default([]),
  customProperties,
});

const documentSchema = z.looseObject({
  apiVersion: z.string().regex(/^v3\.\d+\.\d+$/, "must be v3.x.y (Open Data Contract Standard 3)"),
  kind: z.literal("DataContract"),
  name: z.string().regex(/^[a-z][a-z0-9_]{0,50}$/, "must be snake_case of at most 51 characters"),
  version: z.string().regex(/^\d+\.\d+\.\d+$/, "must be MAJOR.MINOR.PATCH"),
  team: z.looseObject({ name: z.string().min(1) }),
  description: z.looseObject({ purpose: z.string().min(1) }),
  slaProperties: z
    .array(z.looseObject({ property: z.string(), value: z.unknown(), unit: z.string().optional() }))
    .default([]),
  customProperties,
  schema: z
    .array(
      z.looseObject({
        name: z.string(),
        description: z.string().default(""),
        properties: z.array(propertySchema).min(1, "must list at least one column"),
      }),
    )
    .length(1, "must describe exactly one table"),
});

const csvDialect = z.strictObject({
  delimiter: z.string().length(1).default(","),
  quote: z.string().length(1).default('"'),
  encoding: z.string().default("UTF-8"),
  header: z.boolean().default(true),
  nullValues: z.array(z.string()).default([""]),
  decimalSeparator: z.enum([".", ","]).default("."),
  thousandsSeparator: z.string().max(1).optional(),
  maxLineBytes: z.int().min(1).optional(),
});

const sourceSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("mysql"),
    table: z.string().min(1),
    watermark: z.string().min(1),
    partitionColumn: z.string().min(1),
    reconcile: z.boolean().default(false),
    overlapMinutes: z.number().min(0).optional(),
  }),
  z.strictObject({
    kind: z.literal("dynamodb"),
    table: z.string().min(1),
    explode: z.string().min(1).optional(),
    position: z.string().min(1).optional(),
  }),
  z.strictObject({
    kind: z.literal("csv"),
    prefix: z.string().min(1),
    optionalColumns: z.array(z.string()).optional(),
    dialect: csvDialect.default(() => csvDialect.parse({})),
  }),
  logSourceSchema,
  z.strictObject({
    kind: z.literal("kinesis"),
    stream: z.string().min(1),
    sessionGapMinutes: z.number().positive(),
    lateMinutes: z.number().positive(),
    deduplicationHours: z.number().positive(),
    clockAheadMinutes: z.number().min(0),
    clockBehindDays: z.number().positive(),
    maxRecordBytes: z.int().min(1),
    ownHosts: z.array(z.string()).default([]),
  }),
]);

const warehouseSchema = z.strictObject({
  table: z.string().regex(/^[a-z][a-z0-9_]{0,50}$/, "must be snake_case of at most 51 characters"),
  load: z.enum(["merge", "replace"]),
  by: z.string().min(1).optional(),
});

const contractExtras = z.object({
  zone: z.enum(zones).optional(),
  feeds: z.string().min(1).optional(),
  precedence: z.int().min(1).optional(),
  source: sourceSchema.optional(),
  recipe: z.string().min(1).optional(),
  versionColumn: z.string().min(1).optional(),
  eventTime: z.string().min(1).optional(),
  maxFailedShare: z.number().min(0).max(1).optional(),
  warehouse: warehouseSchema.optional(),
  writer: z.enum(["batch", "stream"]).optional(),
  summaries: z.array(z.object({ dimension: z.string(), measure: z.string() })).default([]),
  storage: z.enum(["iceberg", "parquet"]).optional(),
});

/** What is done to a value so that it tells nothing about a person: cut, hashed with a key, or freed of what does. */
const protections = ["truncate", "hash", "redact"] as const;

const format = z.union([
  z.string().min(1),
  z.object({ pattern: z.string().min(1), zone: z.string().min(1) }),
]);
const columnExtras = z.object({
  sourceName: z.string().min(1).optional(),
  formats: z.array(format).min(1).optional(),
  conform: z
    .strictObject({
      case: z.enum(["lower", "upper"]).optional(),
      reference: z.enum(["regions", "currencies"]).optional(),
      default: z.union([z.string(), z.number(), z.boolean()]).optional(),
    })
    .optional(),
  partitionTransform: z.enum(transforms).optional(),
  hashExcept: z.array(z.string()).optional(),
  protect: z.enum(protections).optional(),
});

export type Document = Readonly<Record<string, unknown>>;
export type Source = z.infer<typeof sourceSchema>;

/** One column of a dataset. */
export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  /** The type as the contract writes it. */
  readonly physicalType: string;
  readonly required: boolean;
  /** Position in the primary key from 1, when it is part of it. */
  readonly keyPosition?: number;
  readonly partition?: { readonly position: number; readonly transform: (typeof transforms)[number] };
  /** Personal data: left out of what BI may read. */
  readonly personal: boolean;
  readonly description: string;
  /** Name of the column at the source, when it differs. */
  readonly sourceName: string;
  readonly conform: {
    readonly case?: string;
    readonly reference?: string;
    readonly default?: string | number | boolean;
  };
  readonly relationships: readonly { readonly table: string; readonly column: string }[];
  /** The column is made here: a hash of the record without these columns. */
  readonly hashExcept?: readonly string[];
  readonly protect?: (typeof protections)[number];
}

/** One dataset: the typed view of an ODCS document. */
export interface Contract {
  readonly file: string;
  readonly name: string;
  readonly version: string;
  readonly owner: string;
  readonly description: string;
  /** By default curated with a warehouse table, else staging. */
  readonly zone: (typeof zones)[number];
  /** Iceberg unless `parquet`: plain files that are only added to, and a table that the deployment makes. */
  readonly storage?: "iceberg" | "parquet";
  /** The table this dataset is merged into, when it is only a source. */
  readonly feeds?: string;
  readonly precedence?: number;
  readonly source?: Source;
  readonly recipe?: string;
  readonly versionColumn?: string;
  readonly eventTime?: string;
  readonly maxFailedShare?: number;
  readonly warehouse?: { readonly table: string; readonly load: "merge" | "replace"; readonly by?: string };
  /** Who writes the table: the workflow's runs (the default) or the streaming job beside them. */
  readonly writer?: "batch" | "stream";
  /** Sums of `measure` by `dimension` that a run prints. */
  readonly summaries: readonly { readonly dimension: string; readonly measure: string }[];
  readonly columns: readonly Column[];
  /** Names of the primary key's columns in order; empty when there is none. */
  readonly key: readonly string[];
  /** Names of the partition columns in order. */
  readonly partitions: readonly string[];
  /** The document as it was read, for consumers of the whole standard. */
  readonly document: Document;
}

type Property = z.infer<typeof propertySchema>;

/** Turns a list of custom properties into an object; one given twice, or one that nothing reads, is a problem. */
function extras(
  list: z.infer<typeof customProperties>,
  known: readonly string[],
  where: string,
  problems: string[],
): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const { property, value } of list) {
    if (property in found) problems.push(`${where}: custom property '${property}' is given twice; keep one`);
    // A misspelt name would otherwise quietly do nothing.
    if (!known.includes(property)) {
      problems.push(`${where}: custom property '${property}' is unknown; known here are ${known.join(", ")}`);
    }
    found[property] = value;
  }
  return found;
}

/** Reads `value` by `schema`; what does not fit is added to `problems` with its path and the value that is there. */
function read<T>(
  schema: z.ZodType<T>,
  value: unknown,
  where: (at: PropertyKey[]) => string,
  problems: string[],
): T | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const actual = issue.path.reduce<unknown>(
      (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
      value,
    );
    const shown = actual === undefined ? "is missing" : `is ${JSON.stringify(actual)}`;
    problems.push(`${where(issue.path)} ${shown}: ${issue.message}`);
  }
  return undefined;
}

/** `schema[0].properties[3].name` is said with the column's name where it has one. */
function place(file: string, document: unknown): (at: PropertyKey[]) => string {
  return (at) => {
    if (at[0] === "schema" && at[2] === "properties" && typeof at[3] === "number") {
      const properties = at.slice(0, 4).reduce<unknown>((inner, key) => {
        return typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined;
      }, document);
      const name =
        typeof properties === "object" && properties !== null ? Reflect.get(properties, "name") : undefined;
      const column = typeof name === "string" ? `'${name}'` : `number ${at[3] + 1}`;
      return `${file}: column ${column}: ${at.slice(4).join(".")}`;
    }
    return `${file}: ${at.join(".")}`;
  };
}

function relationship(to: string): { table: string; column: string } | undefined {
  const match = /^([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)$/.exec(to);
  return match?.[1] && match[2] ? { table: match[1], column: match[2] } : undefined;
}

function parseColumn(file: string, property: Property, problems: string[]): Column | undefined {
  const where = `${file}: column '${property.name}'`;
  const type = parseColumnType(property.physicalType);
  if (!type) {
    problems.push(`${where}: physicalType '${property.physicalType}' is unknown; allowed: ${allowedTypes}`);
  }
  const raw = extras(property.customProperties, Object.keys(columnExtras.shape), where, problems);
  const extra = read(columnExtras, raw, (at) => `${where}: ${at.join(".")}`, problems);
  if (property.primaryKey && property.primaryKeyPosition === undefined) {
    problems.push(`${where}: primaryKey has no primaryKeyPosition; number the key's columns from 1`);
  }
  if (!property.primaryKey && property.primaryKeyPosition !== undefined) {
    problems.push(`${where}: primaryKeyPosition without primaryKey: true`);
  }
  if (property.primaryKey && !property.required) {
    problems.push(`${where}: a column of the primary key must be required: true`);
  }
  if (property.partitioned && property.partitionKeyPosition === undefined) {
    problems.push(`${where}: partitioned has no partitionKeyPosition; number the partition columns from 1`);
  }
  const transform = extra?.partitionTransform ?? "identity";
  if (!property.partitioned && extra?.partitionTransform) {
    problems.push(`${where}: partitionTransform '${transform}' without partitioned: true`);
  }
  if (
    property.partitioned &&
    transform !== "identity" &&
    type &&
    type.kind !== "date" &&
    type.kind !== "timestamp"
  ) {
    problems.push(
      `${where}: partitionTransform '${transform}' needs a date or timestamp, not ${property.physicalType}`,
    );
  }
  const relationships = property.relationships.flatMap(({ to }) => {
    const target = relationship(to);
    if (!target) problems.push(`${where}: relationship to '${to}' must be <table>.<column>`);
    return target ? [target] : [];
  });
  if (!type || !extra) return undefined;
  return {
    name: property.name,
    type,
    physicalType: property.physicalType,
    required: property.required,
    ...(property.primaryKeyPosition !== undefined && { keyPosition: property.primaryKeyPosition }),
    ...(property.partitionKeyPosition !== undefined && {
      partition: { position: property.partitionKeyPosition, transform },
    }),
    personal: property.classification === "personal",
    description: property.description,
    sourceName: extra.sourceName ?? property.name,
    conform: definedOnly(extra.conform ?? {}),
    relationships,
    ...(extra.hashExcept && { hashExcept: extra.hashExcept }),
    ...(extra.protect && { protect: extra.protect }),
  };
}

/** Drops keys whose value is undefined, so that an absent key and an undefined one are the same thing. */
function definedOnly<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

/** Names of the columns by position; positions must be 1..n, each once. */
function ordered(
  file: string,
  what: string,
  entries: { name: string; position: number }[],
  problems: string[],
): string[] {
  const sorted = entries.toSorted((a, b) => a.position - b.position);
  sorted.forEach(({ name, position }, index) => {
    if (position !== index + 1) {
      problems.push(
        `${file}: column '${name}': ${what} ${position} where ${index + 1} is expected; number them 1, 2, … without gaps`,
      );
    }
  });
  return sorted.map(({ name }) => name);
}

/** Rules between the parts of one contract. */
function checkWithin(contract: Omit<Contract, "document">, problems: string[]): void {
  const { file, name, columns } = contract;
  const names = columns.map((column) => column.name);
  const known = (property: string, column: string | undefined): Column | undefined => {
    const found = columns.find((candidate) => candidate.name === column);
    if (column !== undefined && !found) {
      problems.push(`${file}: ${property} '${column}' is not a column; the columns are ${names.join(", ")}`);
    }
    return found;
  };
  known("versionColumn", contract.versionColumn);
  known("eventTime", contract.eventTime);
  if (contract.source?.kind === "mysql") {
    known("source.watermark", contract.source.watermark);
    known("source.partitionColumn", contract.source.partitionColumn);
  }
  if (contract.source?.kind === "dynamodb" && contract.source.position !== undefined) {
    known("source.position", contract.source.position);
  }
  if (contract.zone === "source" && !contract.feeds) {
    problems.push(`${file}: zone 'source' needs feeds: the name of the table '${name}' is merged into`);
  }
  if (contract.feeds && contract.precedence === undefined) {
    problems.push(
      `${file}: feeds '${contract.feeds}' needs precedence (1 wins over 2 when two sources hold the same version)`,
    );
  }
  if (contract.key.length === 0) {
    problems.push(
      `${file}: there is no primary key; mark the columns that identify a record with primaryKey and primaryKeyPosition, or, ` +
        "where there are none, add a char(64) key column with the custom property hashExcept: [<columns that do not count>]",
    );
  }
  for (const column of columns) {
    for (const except of column.hashExcept ?? []) known(`hashExcept of '${column.name}':`, except);
    if (column.hashExcept && column.physicalType !== "char(64)") {
      problems.push(
        `${file}: column '${column.name}': hashExcept makes a SHA-256 in hex; its physicalType must be char(64), not ${column.physicalType}`,
      );
    }
  }
  for (const { dimension, measure } of contract.summaries) {
    known("summaries: dimension", dimension);
    const found = known("summaries: measure", measure);
    if (found && !["decimal", "int", "bigint", "smallint"].includes(found.type.kind)) {
      problems.push(
        `${file}: summaries: measure '${measure}' is ${found.physicalType}; exact sums need a decimal or an integer`,
      );
    }
  }
  const { warehouse } = contract;
  if (contract.storage === "parquet") {
    if (warehouse) {
      problems.push(`${file}: a table of storage 'parquet' is not exported; leave its warehouse out`);
    }
    for (const { name: column, partition, type, personal, protect } of columns) {
      if (personal && !protect) {
        problems.push(
          `${file}: column '${column}' is personal and plain Parquet is read by many; say how it is protected: ${protections.join(", ")}`,
        );
      }
      if (partition && partition.transform !== "identity") {
        problems.push(`${file}: column '${column}': storage 'parquet' knows no partitionTransform`);
      }
      if (type.kind === "decimal") {
        problems.push(`${file}: column '${column}': storage 'parquet' has no decimals; use double or bigint`);
      }
    }
  }
  if (!warehouse) return;
  if (contract.zone === "source") {
    problems.push(
      `${file}: warehouse is for tables; a dataset of zone 'source' has none (set it on '${contract.feeds ?? "the table"}')`,
    );
  }
  if (warehouse.load === "merge" && warehouse.by !== undefined) {
    problems.push(
      `${file}: warehouse.by '${warehouse.by}' has no meaning with load 'merge'; it belongs to load 'replace'`,
    );
  }
  if (warehouse.load === "replace" && warehouse.by === undefined) {
    problems.push(
      `${file}: warehouse.load 'replace' needs by: the column whose values (days) are replaced as a whole`,
    );
  }
  const by = known("warehouse.by", warehouse.by);
  if (by && !by.required) {
    problems.push(
      `${file}: warehouse.by '${by.name}' must be required: true, or its rows without a value are never replaced`,
    );
  }
  for (const column of columns) {
    if (["version_at", "batch_id", "_op"].includes(column.name)) {
      problems.push(
        `${file}: column '${column.name}' is added to every exported table; give the column another name`,
      );
    }
  }
}

/**
 * Reads one contract from its text.
 * @param file name said in messages
 * @throws ContractError with every problem of the contract at once
 */
export function parseContract(file: string, text: string): Contract {
  const yaml = parseDocument(text, { prettyErrors: true });
  if (yaml.errors.length > 0) {
    throw new ContractError(yaml.errors.map((error) => `${file}: not YAML: ${error.message.trim()}`));
  }
  return contractOf(file, yaml.toJS());
}

/**
 * The typed view of an ODCS document that was read elsewhere, for example from the bundle.
 * @param file name said in messages
 * @throws ContractError with every problem of the contract at once
 */
export function contractOf(file: string, document: unknown): Contract {
  const problems: string[] = [];
  const parsed = read(documentSchema, document, place(file, document), problems);
  const table = parsed?.schema[0];
  if (!parsed || !table) throw new ContractError(problems);
  const extra = read(
    contractExtras,
    extras(parsed.customProperties, Object.keys(contractExtras.shape), file, problems),
    (at) => `${file}: custom property '${at.join(".")}'`,
    problems,
  );
  if (table.name !== parsed.name) {
    problems.push(`${file}: schema name '${table.name}' differs from the contract's name '${parsed.name}'`);
  }
  const seen = new Set<string>();
  for (const { name } of table.properties) {
    if (seen.has(name)) problems.push(`${file}: column '${name}' is defined twice; remove one`);
    seen.add(name);
  }
  const columns = table.properties.flatMap((property) => parseColumn(file, property, problems) ?? []);
  const key = ordered(
    file,
    "primaryKeyPosition",
    columns.flatMap(({ name, keyPosition }) =>
      keyPosition === undefined ? [] : { name, position: keyPosition },
    ),
    problems,
  );
  const partitions = ordered(
    file,
    "partitionKeyPosition",
    columns.flatMap(({ name, partition }) => (partition ? { name, position: partition.position } : [])),
    problems,
  );
  // A column with a problem is absent from `columns`: references to it would only repeat that problem.
  if (!extra || columns.length < table.properties.length) throw new ContractError(problems);
  const contract: Omit<Contract, "document"> = {
    file,
    name: parsed.name,
    version: parsed.version,
    owner: parsed.team.name,
    description: parsed.description.purpose,
    ...definedOnly({ ...extra, warehouse: extra.warehouse && definedOnly(extra.warehouse) }),
    zone: extra.zone ?? (extra.warehouse ? "curated" : "staging"),
    columns,
    key,
    partitions,
  };
  checkWithin(contract, problems);
  if (problems.length > 0) throw new ContractError(problems);
  return { ...contract, document: document as Document };
}

/** Reads one contract file. @throws ContractError when it is not valid, Error when it cannot be read */
export async function loadContract(file: string): Promise<Contract> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`contract ${file} cannot be read (${why}); check the path and its permissions`, {
      cause: error,
    });
  }
  return parseContract(file, text);
}

/**
 * Reads every *.yaml of a directory, sorted by name.
 * @throws ContractError with the problems of all files at once
 */
export async function loadContracts(dir: string): Promise<Contract[]> {
  let names: string[];
  try {
    names = (await readdir(dir)).filter((name) => name.endsWith(".yaml")).toSorted();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `contracts directory ${dir} cannot be read (${why}); check the path and its permissions`,
      { cause: error },
    );
  }
  if (names.length === 0) throw new Error(`contracts directory ${dir} has no *.yaml file`);
  const results = await Promise.allSettled(names.map((name) => loadContract(path.join(dir, name))));
  const problems: string[] = [];
  const contracts: Contract[] = [];
  for (const result of results) {
    if (result.status === "fulfilled") contracts.push(result.value);
    else if (result.reason instanceof ContractError) problems.push(...result.reason.problems);
    else throw result.reason;
  }
  if (problems.length > 0) throw new ContractError(problems);
  return contracts;
}
