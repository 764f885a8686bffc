import { readdir } from "node:fs/promises";
import path from "node:path";
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
} from "hyparquet";

/** A column of the table that a COPY fills: its name and PostgreSQL's name of its type. */
export interface TargetColumn {
  readonly name: string;
  readonly type: string;
}

type SchemaElement = FileMetaData["schema"][number];

/** COPY cannot load a file, as it could not in Redshift. */
export class CopyError extends Error {
  override readonly name = "CopyError";
}

/** Local files that `s3://bucket/prefix` means: every object whose key starts with the prefix, ordered by key. */
export async function filesOf(lake: string, uri: string): Promise<string[]> {
  const match = /^s3:\/\/([a-z0-9.-]+)\/(.+)$/.exec(uri);
  if (!match?.[1] || !match[2]) throw new CopyError(`COPY: '${uri}' is no s3://bucket/prefix`);
  const bucket = path.join(lake, match[1]);
  const prefix = match[2];
  const folder = path.join(bucket, prefix.slice(0, prefix.lastIndexOf("/") + 1));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new CopyError(`COPY: the prefix ${uri} does not exist (${why})`, { cause: error });
  });
  // Spectrum, which reads columnar files for COPY, passes over markers such as _SUCCESS and hidden files.
  const files = entries
    .filter((entry) => entry.isFile() && !/^[._#]|~$/.test(entry.name))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => path.relative(bucket, file).split(path.sep).join("/").startsWith(prefix))
    .toSorted();
  if (files.length === 0) throw new CopyError(`COPY: there is no file under ${uri}`);
  return files;
}

/** The type that a Parquet column loads into; Redshift converts none into another. */
function loadsInto(element: SchemaElement): string {
  const { type, converted_type: converted, logical_type: logical } = element;
  if (converted === "DECIMAL" || logical?.type === "DECIMAL")
    return `numeric(${element.precision},${element.scale ?? 0})`;
  if (converted === "UTF8" || logical?.type === "STRING") return "text";
  if (converted === "DATE" || logical?.type === "DATE") return "date";
  if (
    type === "INT96" ||
    converted === "TIMESTAMP_MICROS" ||
    converted === "TIMESTAMP_MILLIS" ||
    logical?.type === "TIMESTAMP"
  ) {
    return "timestamp without time zone";
  }
  if (converted === "INT_16") return "smallint";
  if (type === "INT32" && (converted === undefined || converted === "INT_32")) return "integer";
  if (type === "INT64" && (converted === undefined || converted === "INT_64")) return "bigint";
  if (type === "DOUBLE") return "double precision";
  if (type === "FLOAT") return "real";
  if (type === "BOOLEAN") return "boolean";
  return `${type} ${converted ?? logical?.type ?? ""}`.trim();
}

const accepts = (column: TargetColumn): string => (/^character/.test(column.type) ? "text" : column.type);

/** Redshift fills columns by position: count, order and types must be the table's. */
function checkColumns(
  file: string,
  elements: readonly SchemaElement[],
  columns: readonly TargetColumn[],
): void {
  const names = elements.map(({ name }) => name);
  if (elements.length !== columns.length) {
    throw new CopyError(
      `COPY ${file}: the file has ${elements.length} columns, the table ${columns.length}: ` +
        `${names.join(", ")} against ${columns.map(({ name }) => name).join(", ")}`,
    );
  }
  const problems = columns.flatMap((column, index) => {
    const element = elements[index];
    if (!element) return [];
    if (element.name !== column.name)
      return [`column ${index + 1} is '${element.name}' where '${column.name}' is expected`];
    const type = element.num_children ? "a nested type" : loadsInto(element);
    return type === accepts(column)
      ? []
      : [`column '${column.name}' is ${type} where ${column.type} is expected`];
  });
  if (problems.length > 0) throw new CopyError(`COPY ${file}: ${problems.join("; ")}`);
}

const floorDiv = (value: bigint, by: bigint): bigint => (value - (((value % by) + by) % by)) / by;

function timestampText(micros: bigint): string {
  const seconds = floorDiv(micros, 1_000_000n);
  const fraction = String(micros - seconds * 1_000_000n).padStart(6, "0");
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, -5).replace("T", " ")}.${fraction}`;
}

/** Digits of a decimal from its unscaled integer, exact at any size. */
export function decimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, "0");
  const sign = unscaled < 0n ? "-" : "";
  return scale === 0 ? `${sign}${digits}` : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** The integer that the bytes hold, two's complement, most significant byte first. */
const signed = (bytes: Uint8Array): bigint =>
  bytes.length === 0
    ? 0n
    : BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString("hex")}`));

const utf8 = new TextDecoder("utf-8", { fatal: true });

const parsers = {
  timestampFromMilliseconds: (millis: bigint) => timestampText(millis * 1000n),
  timestampFromMicroseconds: timestampText,
  timestampFromNanoseconds: (nanos: bigint) => timestampText(floorDiv(nanos, 1000n)),
  dateFromDays: (days: number) => new Date(days * 86_400_000).toISOString().slice(0, 10),
  stringFromBytes: (bytes: Uint8Array) => utf8.decode(bytes),
};

const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** One value in the text format of PostgreSQL's COPY. */
function field(value: unknown, scale: number | undefined): string {
  if (value === null || value === undefined) return "\\N";
  if (scale !== undefined) {
    if (value instanceof Uint8Array) return decimalText(signed(value), scale);
    if (typeof value === "bigint" || typeof value === "number") return decimalText(BigInt(value), scale);
    throw new Error(`a decimal is stored as ${typeof value}`);
  }
  if (typeof value === "string")
    return value.replace(/[\\\n\r\t]/g, (character) => escapes[character] ?? character);
  return String(value);
}

/** Lines of one row group; the reader's own decimals go through floating point, so it is told they are plain numbers. */
async function readRowGroups(
  file: AsyncBuffer,
  metadata: FileMetaData,
  scales: (number | undefined)[],
): Promise<string[]> {
  const plain: FileMetaData = {
    ...metadata,
    schema: metadata.schema.map((element, index) => {
      if (index === 0 || scales[index - 1] === undefined) return element;
      const { converted_type: _converted, logical_type: _logical, ...rest } = element;
      return rest;
    }),
  };
  const parts: string[] = [];
  let start = 0;
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows);
    let lines = "";
    const onComplete = (rows: unknown[][]): void => {
      for (const row of rows)
        lines += `${scales.map((scale, index) => field(row[index], scale)).join("\t")}\n`;
    };
    await parquetRead({
      file,
      metadata: plain,
      rowStart: start,
      rowEnd: end,
      utf8: false,
      parsers,
      rowFormat: "array",
      onComplete,
    });
    parts.push(lines);
    start = end;
  }
  return parts;
}

/**
 * The rows of Parquet files in the text format of PostgreSQL's COPY; timestamps in UTC, decimals exact.
 * @throws CopyError when a file is no Parquet or its columns are not the table's
 */
export async function copyText(files: readonly string[], columns: readonly TargetColumn[]): Promise<Blob> {
  const parts: string[] = [];
  for (const name of files) {
    const file = await asyncBufferFromFile(name);
    try {
      const metadata = await parquetMetadataAsync(file);
      const elements = metadata.schema.slice(1);
      checkColumns(name, elements, columns);
      const scales = elements.map((element) =>
        element.converted_type === "DECIMAL" || element.logical_type?.type === "DECIMAL"
          ? (element.scale ?? 0)
          : undefined,
      );
      parts.push(...(await readRowGroups(file, metadata, scales)));
    } catch (error) {
      if (error instanceof CopyError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new CopyError(`COPY ${name}: it cannot be read as Parquet (${why})`, { cause: error });
    }
  }
  return new Blob(parts);
}
