/** The request model of POST /events, made from the contract. */
import type { Contract } from "../../contracts/contract.ts";
import type { LogFormat, RawField } from "../../contracts/logFormats.ts";
import { logSourceOf } from "../api-logs/transform.ts";

/** The subset of JSON Schema draft 4 that API Gateway takes for a model, as far as it is used here. */
export interface RequestModel {
  readonly $schema: "http://json-schema.org/draft-04/schema#";
  readonly title: string;
  readonly type: "object";
  readonly properties: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly required: readonly string[];
  readonly additionalProperties: false;
}

/** The table's column that a field ends up in, whose bounds hold for it. */
const columnOf: Readonly<Partial<Record<RawField, string>>> = {
  event_id: "event_id",
  service: "service",
  method: "method",
  target: "path",
  protocol: "protocol",
  status: "status",
  duration: "duration_ms",
  request_bytes: "request_bytes",
  response_bytes: "response_bytes",
  message: "message",
};

const whole: readonly RawField[] = ["status", "request_bytes", "response_bytes"];

/** What the contract says of a column's least and greatest value. */
function boundsOf(
  { document }: Contract,
  column: string | undefined,
): { minimum?: number; maximum?: number } {
  const { schema } = document as {
    schema: { properties: { name: string; logicalTypeOptions?: { minimum?: number; maximum?: number } }[] }[];
  };
  const { minimum, maximum } =
    schema[0]?.properties.find(({ name }) => name === column)?.logicalTypeOptions ?? {};
  return { ...(minimum !== undefined && { minimum }), ...(maximum !== undefined && { maximum }) };
}

function propertyOf(contract: Contract, field: RawField): Record<string, unknown> {
  const name = columnOf[field];
  const column = contract.columns.find((candidate) => candidate.name === name);
  const about = column ? { description: column.description } : {};
  if (field === "time")
    return {
      type: ["string", "number"],
      maxLength: 64,
      description: "ISO 8601, or milliseconds since 1970",
    };
  if (whole.includes(field)) return { type: "integer", ...boundsOf(contract, name), ...about };
  if (field === "duration") return { type: "number", ...boundsOf(contract, name), ...about };
  const { type } = column ?? {};
  const length =
    type?.kind === "varchar" || type?.kind === "char" ? { maxLength: type.length } : { maxLength: 8192 };
  return { type: "string", ...(field === "event_id" && { minLength: 1 }), ...length, ...about };
}

/** The format that the API takes: JSON, as on the stream. @throws Error when the contract has none */
export function apiFormat(contract: Contract): LogFormat {
  const format = logSourceOf(contract).formats.find(({ syntax }) => syntax === "json");
  if (!format) throw new Error(`${contract.file}: the API takes JSON, and no format has syntax json`);
  return format;
}

/**
 * The model by which API Gateway validates the body of POST /events. What it lets through can still be refused later:
 * it checks types and lengths, not whether a time is plausible.
 */
export function requestModel(contract: Contract): RequestModel {
  const { fields, requiredFields } = apiFormat(contract);
  const named = Object.entries(fields) as [RawField, string | string[]][];
  const nameOf = (origin: string | string[]): string => (Array.isArray(origin) ? (origin[0] ?? "") : origin);
  return {
    $schema: "http://json-schema.org/draft-04/schema#",
    title: contract.name,
    type: "object",
    properties: Object.fromEntries(
      named.map(([field, origin]) => [nameOf(origin), propertyOf(contract, field)]),
    ),
    required: named.filter(([field]) => requiredFields.includes(field)).map(([, origin]) => nameOf(origin)),
    additionalProperties: false,
  };
}
