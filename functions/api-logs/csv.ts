/**
 * Records of a CSV, read with csv-parse a block of whole lines at a time. A block that is sound, which nearly all are,
 * is parsed at once. csv-parse alone would let one stray quote swallow what follows; a block that is not sound is
 * read again line by line, so that the bad line is refused and the next one is not.
 */
import { isUtf8 } from "node:buffer";
import type { InfoRecord } from "csv-parse";
import { CsvError, parse } from "csv-parse/sync";
import { readable } from "./lines.ts";

/** One record of a CSV, or a line that is none. */
export type CsvRecord =
  /** `position` is the line on which the record ends, from 1. */
  | { readonly position: number; readonly values: readonly string[] }
  | { readonly position: number; readonly reason: string; readonly detail: string; readonly raw: string };

/** The file's header is not what the contract says. */
export class HeaderError extends Error {
  override readonly name = "HeaderError";
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const quote = 0x22;
/** Bytes after which a block is read line by line, though a quote in it is still open. */
const longestBlock = 4 << 20;
/** Lines that one record may span, when a block is read line by line. */
const longestSpan = 64;
const keptOfLong = 65_536;

const options = { relax_column_count: true, skip_empty_lines: true } as const;

/** Every usual line end becomes a line feed, also within quotes: csv-parse slows down by half on several. */
function withLineFeeds(bytes: Buffer): Buffer {
  if (!bytes.includes(carriageReturn)) return bytes;
  const clean = Buffer.allocUnsafe(bytes.length);
  let to = 0;
  for (let from = 0; from < bytes.length; from += 1) {
    const byte = bytes[from] ?? 0;
    if (byte !== carriageReturn) clean[to++] = byte;
    else if (bytes[from + 1] !== lineFeed) clean[to++] = lineFeed;
  }
  return clean.subarray(0, to);
}

function count(bytes: Buffer, byte: number): number {
  let found = 0;
  for (let at = bytes.indexOf(byte); at >= 0; at = bytes.indexOf(byte, at + 1)) found += 1;
  return found;
}

/** What csv-parse gives with `info`; its types do not say so. */
interface Placed {
  readonly record: string[];
  readonly info: InfoRecord;
}

/** Lines of a block, the last one with or without its end, and the bytes of the longest. */
function measure(bytes: Buffer): { lines: number; longest: number } {
  let lines = 0;
  let longest = 0;
  let from = 0;
  while (from < bytes.length) {
    const end = bytes.indexOf(lineFeed, from);
    const to = end < 0 ? bytes.length : end;
    lines += 1;
    longest = Math.max(longest, to - from);
    from = to + 1;
  }
  return { lines, longest };
}

/** The records of a sound block; undefined when csv-parse refuses it. */
function parseBlock(block: Buffer, before: number, lines: number): CsvRecord[] | undefined {
  try {
    const rows: string[][] = parse(block, options);
    if (rows.length === lines) return rows.map((values, index) => ({ position: before + index + 1, values }));
    // Some record spans lines, or a line is empty: then its place has to be asked for.
    const placed: unknown = parse(block, { ...options, info: true });
    return (placed as Placed[]).map(({ record, info }) => ({
      position: before + info.lines,
      values: record,
    }));
  } catch (error) {
    if (error instanceof CsvError) return undefined;
    throw error;
  }
}

const reasonOf = (error: CsvError): string => (error.code.includes("QUOTE") ? "UNBALANCED_QUOTE" : "BAD_CSV");

/** One record of some lines, or why they are none. */
function parseOne(
  text: Buffer,
  maxBytes: number,
): { values: string[] } | { reason: string; detail: string } | undefined {
  if (text.length > maxBytes)
    return { reason: "RECORD_TOO_LONG", detail: `the line has over ${maxBytes} bytes` };
  if (!isUtf8(text)) return { reason: "BAD_ENCODING", detail: "the line is no UTF-8" };
  try {
    const [values, ...more]: string[][] = parse(text, options);
    if (!values) return undefined;
    return more.length === 0
      ? { values }
      : { reason: "UNBALANCED_QUOTE", detail: "a quote joins two records" };
  } catch (error) {
    if (error instanceof CsvError) return { reason: reasonOf(error), detail: error.message };
    throw error;
  }
}

/** A block line by line. @returns its records, and how many of its last bytes belong to a record that goes on */
function parseLines(
  block: Buffer,
  before: number,
  last: boolean,
  maxBytes: number,
): { records: CsvRecord[]; rest: number } {
  const records: CsvRecord[] = [];
  let position = before;
  let from = 0;
  while (from < block.length) {
    let quotes = 0;
    let to = from;
    let span = 0;
    do {
      const end = block.indexOf(lineFeed, to);
      const next = end < 0 ? block.length : end + 1;
      quotes += count(block.subarray(to, next), quote);
      to = next;
      span += 1;
    } while (quotes % 2 === 1 && to < block.length && span < longestSpan);
    const open = quotes % 2 === 1;
    if (open && !last && span < longestSpan) return { records, rest: block.length - from };
    let read = open ? undefined : parseOne(block.subarray(from, to), maxBytes);
    if (open || (span > 1 && read && "reason" in read)) {
      // The quote was a stray one: only its line is refused.
      const end = block.indexOf(lineFeed, from);
      to = end < 0 ? block.length : end + 1;
      span = 1;
      read =
        to - from > maxBytes
          ? { reason: "RECORD_TOO_LONG", detail: `the line has over ${maxBytes} bytes` }
          : { reason: "UNBALANCED_QUOTE", detail: "a quote is never closed" };
    }
    position += span;
    if (read) {
      const raw = block.subarray(from, to).subarray(0, keptOfLong);
      records.push(
        "values" in read ? { position, ...read } : { position, ...read, raw: readable(raw).trimEnd() },
      );
    }
    from = to;
  }
  return { records, rest: 0 };
}

/** Where the last line ends at which no quote is open; 0 when there is none. */
function soundEnd(bytes: Buffer, quotes: number): number {
  let end = bytes.lastIndexOf(lineFeed) + 1;
  let open = (quotes - count(bytes.subarray(end), quote)) % 2;
  while (end > 0 && open === 1) {
    const before = end > 1 ? bytes.lastIndexOf(lineFeed, end - 2) + 1 : 0;
    open = (open + count(bytes.subarray(before, end), quote)) % 2;
    end = before;
  }
  return end;
}

/** Values in the order of the contract's columns; a record of another length than the header is refused. */
function ordered(records: readonly CsvRecord[], order: readonly number[], width: number): CsvRecord[] {
  const asIs = order.every((at, index) => at === index);
  return records.map((record) => {
    if (!("values" in record)) return record;
    const { position, values } = record;
    if (values.length !== width) {
      const reason = values.length < width ? "TRUNCATED_LINE" : "TOO_MANY_FIELDS";
      const detail = `${values.length} values where the header has ${width}`;
      return { position, reason, detail, raw: values.join(",").slice(0, keptOfLong) };
    }
    return asIs ? record : { position, values: order.map((at) => values[at] ?? "") };
  });
}

/**
 * The records of a CSV with a header, whose columns may come in any order and be more than are asked for. Any line
 * end will do, and they may be mixed; a byte-order mark is left out. No more than a block is in memory.
 * @param columns names in the header; values are given in this order
 * @param maxBytes longer lines are refused
 * @throws HeaderError when a column is missing
 */
export async function* csvRecords(
  chunks: AsyncIterable<Uint8Array>,
  columns: readonly string[],
  maxBytes: number,
): AsyncGenerator<CsvRecord[]> {
  let pending: Buffer = Buffer.alloc(0);
  let position = 0;
  let order: number[] | undefined;
  let width = 0;

  function* take(block: Buffer, last: boolean): Generator<CsvRecord[], number> {
    const { lines, longest } = measure(block);
    let rest = 0;
    let records = longest <= maxBytes && isUtf8(block) ? parseBlock(block, position, lines) : undefined;
    if (!records) ({ records, rest } = parseLines(block, position, last, maxBytes));
    position += lines - (rest > 0 ? count(block.subarray(block.length - rest), lineFeed) : 0);
    if (!order) {
      const first = records.shift();
      if (!first) return rest;
      const header = "values" in first ? first.values.map((name) => name.trim()) : [first.raw];
      const missing = columns.filter((column) => !header.includes(column));
      if (missing.length > 0) {
        throw new HeaderError(
          `the header lacks ${missing.join(", ")}; it is: ${header.join(",").slice(0, 500)}`,
        );
      }
      order = columns.map((column) => header.indexOf(column));
      width = header.length;
    }
    if (records.length > 0) yield ordered(records, order, width);
    return rest;
  }

  let heldBack = false;
  let begun = false;
  for await (const chunk of chunks) {
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (!begun && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
    begun = true;
    // A carriage return at the end waits for the line feed that may follow.
    if (heldBack) bytes = Buffer.concat([Buffer.from("\r"), bytes]);
    heldBack = bytes.at(-1) === carriageReturn;
    if (heldBack) bytes = bytes.subarray(0, -1);
    const clean = withLineFeeds(bytes);
    pending = pending.length === 0 ? Buffer.from(clean) : Buffer.concat([pending, clean]);
    const end = soundEnd(pending, count(pending, quote));
    if (end > 0) {
      const rest = yield* take(pending.subarray(0, end), false);
      pending = pending.subarray(end - rest);
    } else if (pending.length > longestBlock) {
      const whole = pending.lastIndexOf(lineFeed) + 1;
      if (whole > 0) {
        const rest = yield* take(pending.subarray(0, whole), true);
        pending = pending.subarray(whole - rest);
      } else {
        // A line without an end: its beginning is kept, so that it can be recognised, and the rest passes by.
        pending = Buffer.concat([pending.subarray(0, maxBytes + 1)]);
      }
    }
  }
  if (pending.length > 0) yield* take(pending, true);
}
