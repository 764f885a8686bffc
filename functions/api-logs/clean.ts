import { createHash } from "node:crypto";
import type { LogFormat, LogSource } from "../../contracts/logFormats.ts";
import { type Address, parseAddress } from "./ip.ts";
import { type Raw, Rejected } from "./parse.ts";
import { parseTime } from "./times.ts";

/** Where a record came from and when. */
export interface Origin {
  /** Stream and shard, or the object's address. */
  readonly object: string;
  /** Sequence number of the stream's record; null of a drop. */
  readonly sequence: string | null;
  /** Line in the object or in the stream's record, from 1. */
  readonly position: number;
  /** Milliseconds since 1970. */
  readonly arrived: number;
}

/** A record whose values have their types. What is absent is null. */
export interface Cleaned {
  readonly eventId: string;
  /** Microseconds since 1970, UTC. */
  readonly occurredAt: number;
  readonly service: string | null;
  readonly method: string;
  /** As it was sent: ids and secrets are still in it. */
  readonly path: string;
  readonly query: string | null;
  readonly protocol: string | null;
  readonly status: number | null;
  readonly durationMs: number | null;
  readonly requestBytes: number | null;
  readonly responseBytes: number | null;
  readonly client: Address | null;
  readonly userAgent: string | null;
  readonly referrer: string | null;
  readonly customerId: string | null;
  readonly message: string | null;
}

/** Bytes of an id of an event or a customer. */
const longestId = 128;
const perMilli = { s: 1000, ms: 1, us: 0.001 } as const;
const unstorable = /\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Text that every reader takes: NUL and halves of surrogate pairs become the replacement character. */
export function storable(text: string): string {
  return text.replace(unstorable, "\ufffd");
}

const present = (text: string | undefined): string | null => (text === undefined ? null : storable(text));

/** METHOD target PROTOCOL; the target may hold blanks that a careless client sent. */
const requestLine = /^(\S+) (.+?)(?: (HTTP\/\d(?:\.\d)?))?$/;
const methodName = /^[A-Za-z][A-Za-z-]{0,15}$/;

interface Target {
  readonly path: string;
  readonly query: string | null;
}

/** Path and query of a request's target, which may be a whole address. */
function targetOf(target: string): Target {
  let rest = target;
  const scheme = rest.indexOf("://");
  if (scheme > 0 && scheme < 8) {
    const slash = rest.indexOf("/", scheme + 3);
    rest = slash < 0 ? "/" : rest.slice(slash);
  }
  const fragment = rest.indexOf("#");
  if (fragment >= 0) rest = rest.slice(0, fragment);
  const question = rest.indexOf("?");
  if (question < 0) return { path: rest === "" ? "/" : rest, query: null };
  return { path: rest.slice(0, question) || "/", query: rest.slice(question + 1) || null };
}

/** A whole number within bounds, null when absent, or why it is none. */
function whole(
  name: string,
  text: string | undefined,
  least: number,
  most: number,
): number | null | Rejected {
  if (text === undefined) return null;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || !/^-?\d+(?:\.0+)?$/.test(text)) {
    return new Rejected(`BAD_TYPE_${name}`, `'${text}' is no whole number`);
  }
  if (value < least) return new Rejected(`BELOW_MINIMUM_${name}`, `${text} is less than ${least}`);
  if (value > most) return new Rejected(`ABOVE_MAXIMUM_${name}`, `${text} is more than ${most}`);
  return value;
}

/** Gives records their types by the contract's formats. */
export function cleanerOf(
  source: LogSource,
  format: LogFormat,
): (raw: Raw, origin: Origin) => Cleaned | Rejected {
  const scale = perMilli[format.durationUnit];
  const past = source.pastDays * 86_400_000_000;
  const future = source.futureMinutes * 60_000_000;
  return (raw, origin) => {
    const { time } = raw;
    if (time === undefined) return new Rejected("MISSING_OCCURRED_AT", "there is no time");
    const occurredAt = parseTime(time);
    if (occurredAt === undefined) return new Rejected("BAD_TYPE_OCCURRED_AT", `'${time}' is no time`);
    const arrived = origin.arrived * 1000;
    if (occurredAt < arrived - past) {
      return new Rejected(
        "BELOW_MINIMUM_OCCURRED_AT",
        `'${time}' is over ${source.pastDays} days before its arrival`,
      );
    }
    if (occurredAt > arrived + future) {
      return new Rejected(
        "ABOVE_MAXIMUM_OCCURRED_AT",
        `'${time}' is over ${source.futureMinutes} minutes after its arrival`,
      );
    }

    const line = raw.request === undefined ? undefined : requestLine.exec(raw.request);
    if (raw.request !== undefined && !line) {
      return new Rejected("BAD_TYPE_REQUEST", "the request is no 'METHOD target PROTOCOL'");
    }
    const method = raw.method ?? line?.[1];
    if (method === undefined) return new Rejected("MISSING_METHOD", "there is no method");
    if (!methodName.test(method)) return new Rejected("BAD_TYPE_METHOD", "the method is no HTTP method");
    const target = raw.target ?? line?.[2];
    if (target === undefined) return new Rejected("MISSING_PATH", "there is no path");
    const { path, query } = targetOf(storable(target));

    const status = whole(
      "STATUS",
      raw.status === "0" || raw.status === "000" ? undefined : raw.status,
      100,
      599,
    );
    if (status instanceof Rejected) return status;
    const requestBytes = whole("REQUEST_BYTES", raw.request_bytes, 0, Number.MAX_SAFE_INTEGER);
    if (requestBytes instanceof Rejected) return requestBytes;
    const responseBytes = whole("RESPONSE_BYTES", raw.response_bytes, 0, Number.MAX_SAFE_INTEGER);
    if (responseBytes instanceof Rejected) return responseBytes;
    let durationMs: number | null = null;
    if (raw.duration !== undefined) {
      durationMs = Math.round(Number(raw.duration) * scale * 1000) / 1000;
      if (!Number.isFinite(durationMs)) {
        return new Rejected("BAD_TYPE_DURATION_MS", `'${raw.duration}' is no number`);
      }
      if (durationMs < 0) return new Rejected("BELOW_MINIMUM_DURATION_MS", `${raw.duration} is less than 0`);
    }
    for (const id of ["event_id", "customer_id"] as const) {
      // A longer one is no id, and as a key it would make the look-up of a whole batch fail.
      if (Buffer.byteLength(raw[id] ?? "") > longestId) {
        return new Rejected(`TOO_LONG_${id.toUpperCase()}`, `the id has over ${longestId} bytes`);
      }
    }
    return {
      eventId: raw.event_id === undefined ? idOf(origin) : storable(raw.event_id),
      occurredAt,
      service: present(raw.service),
      method: method.toUpperCase(),
      path,
      query: present(raw.query) ?? query,
      protocol: present(raw.protocol ?? line?.[3]),
      status,
      durationMs,
      requestBytes,
      responseBytes,
      client: raw.client_ip === undefined ? null : (parseAddress(raw.client_ip) ?? null),
      userAgent: present(raw.user_agent),
      referrer: present(raw.referrer),
      customerId: present(raw.customer_id),
      message: present(raw.message),
    };
  };
}

/** Id of a record that brought none: two equal lines of a log are two requests. */
function idOf({ object, sequence, position }: Origin): string {
  return createHash("sha256")
    .update(`${object}\n${sequence ?? ""}\n${position}`)
    .digest("hex");
}
