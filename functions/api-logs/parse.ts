import type { LogFormat, RawField } from "../../contracts/logFormats.ts";
import { splitSpaced } from "./spaced.ts";

/** A record as it came: the texts of the fields that the format has, absent ones left out. */
export type Raw = { readonly [field in RawField]?: string };

/** A record that cannot be a row, and why. */
export class Rejected {
  readonly reason: string;
  readonly detail: string;
  constructor(reason: string, detail: string) {
    this.reason = reason;
    this.detail = detail;
  }
}

/** Reads one record; undefined for a line that is none, such as a comment. */
export type RecordReader = (line: string) => Raw | Rejected | undefined;

/** Reads the values of one record, in the order of the format's columns. */
export type ValuesReader = (values: readonly string[]) => Raw | Rejected;

/** "-" and nothing stand for "no value" in every format. */
const isAbsent = (value: string | undefined): value is undefined | "" | "-" =>
  value === undefined || value === "" || value === "-";

/** Times of the parts are added up; -1 says that a part did not happen. */
function addedUp(parts: readonly (string | undefined)[]): string | undefined {
  const known = parts.filter((part) => !isAbsent(part) && part !== "-1");
  if (known.length === 0) return undefined;
  const sum = known.reduce((total, part) => total + Number(part), 0);
  // The sum of 0.001 and 0.002 is no exact binary fraction.
  return Number.isFinite(sum) ? String(Math.round(sum * 1e9) / 1e9) : known.join(" ");
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % is what the client sent
  }
}

/** How the values of a record become fields, worked out once per format. */
export function valuesReader(format: LogFormat): ValuesReader {
  const columns = format.columns ?? [];
  const encoded = new Set(format.percentEncoded.map((name) => columns.indexOf(name)));
  const wanted = Object.entries(format.fields).map(([field, origin]) => ({
    field: field as RawField,
    at: [origin].flat().map((name) => columns.indexOf(name)),
  }));
  const needed = Math.max(...wanted.flatMap(({ at }) => at)) + 1;
  return (values) => {
    if (values.length < needed) {
      return new Rejected("TRUNCATED_LINE", `${values.length} values where ${format.name} has ${needed}`);
    }
    const raw: { [field in RawField]?: string } = {};
    for (const { field, at } of wanted) {
      const [only = 0] = at;
      let value = at.length === 1 ? values[only] : undefined;
      if (at.length > 1) {
        const parts = at.map((index) => values[index]);
        value = field === "duration" ? addedUp(parts) : parts.join(" ");
      } else if (field === "duration" && value === "-1") value = undefined;
      if (isAbsent(value)) continue;
      raw[field] = encoded.has(only) ? percentDecoded(value) : value;
    }
    return raw;
  };
}

/** A scalar of a JSON record as text; undefined for null and for what has parts. */
function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

function jsonReader(format: LogFormat): RecordReader {
  const wanted = Object.entries(format.fields).map(([field, origin]) => ({
    field: field as RawField,
    names: [origin].flat(),
  }));
  return (line) => {
    if (line.trim() === "") return undefined;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      return new Rejected("BAD_JSON", error instanceof Error ? error.message : String(error));
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return new Rejected("BAD_JSON", "the record is no JSON object");
    }
    const record = value as Readonly<Record<string, unknown>>;
    const raw: { [field in RawField]?: string } = {};
    for (const { field, names } of wanted) {
      const parts: string[] = [];
      for (const name of names) {
        const held = record[name];
        const text = textOf(held);
        if (text !== undefined) parts.push(text);
        else if (held !== undefined && held !== null) {
          return new Rejected(`BAD_TYPE_${field.toUpperCase()}`, `'${name}' is no text or number`);
        }
      }
      const text = parts.join(" ");
      if (!isAbsent(text)) raw[field] = text;
    }
    return raw;
  };
}

/**
 * The reader of a format's lines.
 * @throws Error for csv, whose records are not lines: see csv.ts
 */
export function recordReader(format: LogFormat): RecordReader {
  const { syntax, comment } = format;
  if (syntax === "csv")
    throw new Error(`${format.name}: records of a CSV may span lines; read it with csv.ts`);
  if (syntax === "json") return jsonReader(format);
  const read = valuesReader(format);
  return (line) => {
    if (line.trim() === "" || (comment !== undefined && line.startsWith(comment))) return undefined;
    const values = syntax === "tabbed" ? line.split("\t") : splitSpaced(line);
    return values ? read(values) : new Rejected("UNBALANCED_QUOTE", "a quote or bracket is never closed");
  };
}
