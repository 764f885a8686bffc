/** A clean record becomes a row of the table: enriched, and protected as the contract's columns say. */
import type { Column, Contract } from "../../contracts/contract.ts";
import { remembered } from "./cache.ts";
import type { Cleaned, Origin } from "./clean.ts";
import { type Agent, agentOf, type Place, referrerHost } from "./enrich.ts";
import type { Address } from "./ip.ts";
import type { Value } from "./parquet.ts";
import { canonical, type Protector, redacted, redactedQuery, templatedPath, truncated } from "./protect.ts";

/** What enriching and protecting need. */
export interface RowTools {
  readonly place: (address: Address) => Place;
  readonly protector: Protector;
}

interface Facts {
  readonly record: Cleaned;
  readonly origin: Origin;
  readonly format: string;
  readonly place: Place;
  readonly agent: Agent;
  readonly segment: string | null;
}

/** Texts are cut to the column's bytes, never inside a character. */
export function cut(text: string, bytes: number): string {
  if (text.length * 3 <= bytes) return text;
  const encoded = Buffer.from(text, "utf8");
  if (encoded.length <= bytes) return text;
  let end = bytes;
  while (end > 0 && ((encoded[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return encoded.toString("utf8", 0, end);
}

/** What each column holds, before it is protected. */
const fillers: Readonly<Record<string, (facts: Facts) => Value | Address>> = {
  event_id: ({ record }) => record.eventId,
  occurred_at: ({ record }) => record.occurredAt,
  service: ({ record }) => record.service,
  method: ({ record }) => record.method,
  path: ({ record }) => templatedPath(record.path),
  query: ({ record }) => record.query,
  protocol: ({ record }) => record.protocol,
  status: ({ record }) => record.status,
  status_class: ({ record }) => (record.status === null ? null : `${Math.floor(record.status / 100)}xx`),
  duration_ms: ({ record }) => record.durationMs,
  request_bytes: ({ record }) => record.requestBytes,
  response_bytes: ({ record }) => record.responseBytes,
  client_network: ({ record }) => record.client,
  client_hash: ({ record }) => record.client,
  country: ({ place }) => place.country,
  network: ({ place }) => place.network,
  user_agent_family: ({ agent }) => agent.family,
  operating_system: ({ agent }) => agent.system,
  device_type: ({ agent }) => agent.device,
  referrer_host: ({ record }) => referrerHost(record.referrer),
  customer_hash: ({ record }) => record.customerId,
  customer_segment: ({ segment }) => segment,
  message: ({ record }) => record.message,
  source_format: ({ format }) => format,
  source_object: ({ origin }) => origin.object,
  source_sequence: ({ origin }) => origin.sequence,
  source_position: ({ origin }) => origin.position,
  arrived_at: ({ origin }) => origin.arrived * 1000,
};

/** What a column's value becomes, as its contract says. */
function protection({ name, protect }: Column, protector: Protector): (value: Value | Address) => Value {
  // One column's values do not make another's forgotten: there are more addresses than customers.
  const hash = remembered(protector.hash);
  const text = { hash, redact: name === "query" ? redactedQuery : redacted, truncate: undefined };
  const address = {
    hash: (bytes: Address) => hash(canonical(bytes)),
    truncate: truncated,
    redact: undefined,
  };
  const ofText = protect && text[protect];
  const ofAddress = protect ? address[protect] : canonical;
  return (value) => {
    if (typeof value === "object" && value !== null) {
      if (!ofAddress) throw new Error(`column '${name}': protect '${protect}' has no meaning for an address`);
      return ofAddress(value);
    }
    if (value === null || !protect) return value;
    if (!ofText || typeof value !== "string") {
      throw new Error(`column '${name}': protect '${protect}' has no meaning for ${typeof value}`);
    }
    return ofText(value);
  };
}

const unknownPlace: Place = { country: null, network: null };

/** Makes rows, values in the order of {@link storedColumns}. @throws Error when a column cannot be filled */
export function rowMaker(contract: Contract, tools: RowTools) {
  const columns = storedColumns(contract).map((column) => {
    const { name, type } = column;
    const fill = fillers[name];
    if (!fill)
      throw new Error(`${contract.file}: nothing fills the column '${name}'; see functions/api-logs/row.ts`);
    const protect = protection(column, tools.protector);
    if (type.kind !== "varchar" && type.kind !== "char") return (facts: Facts) => protect(fill(facts));
    const bytes = type.length;
    return (facts: Facts) => {
      const value = protect(fill(facts));
      return typeof value === "string" ? cut(value, bytes) : value;
    };
  });
  return (record: Cleaned, origin: Origin, format: string, segment: string | null): Value[] => {
    const facts: Facts = {
      record,
      origin,
      format,
      place: record.client === null ? unknownPlace : tools.place(record.client),
      agent: agentOf(record.userAgent),
      segment,
    };
    return columns.map((cell) => cell(facts));
  };
}

/** The columns that are in a file: those of the partition are in its folder's name. */
export function storedColumns(contract: Contract): Contract["columns"] {
  return contract.columns.filter(({ partition }) => !partition);
}
