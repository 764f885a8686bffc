import { isUtf8 } from "node:buffer";

/** One line of a stream of bytes, without its end. */
export interface Line {
  /** From 1. */
  readonly position: number;
  readonly text: string;
  /** Why the line is no text that can be read. */
  readonly problem?: "BAD_ENCODING" | "RECORD_TOO_LONG";
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
/** Bytes of an over-long line that are kept, so that it can be recognised. */
const keptOfLong = 65_536;

/** Text of bytes that may not be UTF-8: as it is when it is, else in base64 with a prefix that says so. */
export function readable(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer) ? buffer.toString("utf8") : `base64:${buffer.toString("base64")}`;
}

function lineOf(bytes: Buffer, position: number, knownUtf8: boolean): Line {
  if (knownUtf8 || isUtf8(bytes)) return { position, text: bytes.toString("utf8") };
  return { position, text: readable(bytes), problem: "BAD_ENCODING" };
}

/**
 * Cuts bytes into lines. Every usual end counts, even when they are mixed: line feed, carriage return, both. No more
 * than one chunk and one line is in memory, however long a line is. A byte-order mark is left out.
 * @param maxBytes longer lines are given with a problem and their first 64 KiB
 * @returns the lines of each chunk together, since a step of an async iterator costs more than a line
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Line[]> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  let position = 0;
  let tooLong = false;
  let afterReturn = false;
  let first = true;

  const keep = (part: Buffer): void => {
    if (part.length === 0) return;
    restBytes += part.length;
    if (restBytes <= maxBytes) {
      rest.push(part);
      return;
    }
    if (!tooLong) rest = [Buffer.concat([...rest, part]).subarray(0, keptOfLong)];
    tooLong = true;
  };
  const finish = (part: Buffer, knownUtf8: boolean): Line => {
    position += 1;
    if (rest.length === 0 && part.length <= maxBytes) return lineOf(part, position, knownUtf8);
    keep(part);
    const bytes = Buffer.concat(rest);
    const line: Line = tooLong
      ? { position, text: bytes.toString("utf8"), problem: "RECORD_TOO_LONG" }
      : lineOf(bytes, position, false);
    rest = [];
    restBytes = 0;
    tooLong = false;
    return line;
  };

  for await (const chunk of chunks) {
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (first && bytes.length >= 3) {
      if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
      first = false;
    }
    const lines: Line[] = [];
    // The whole chunk is looked at once: nearly always it is text, and then no line has to be.
    const knownUtf8 = isUtf8(bytes);
    const returns = bytes.includes(carriageReturn);
    let start = 0;
    if (afterReturn && bytes[0] === lineFeed) start = 1;
    if (bytes.length > 0) afterReturn = false;
    for (;;) {
      let end = bytes.indexOf(lineFeed, start);
      if (returns) {
        const other = bytes.indexOf(carriageReturn, start);
        if (other >= 0 && (end < 0 || other < end)) end = other;
      }
      if (end < 0) break;
      lines.push(finish(bytes.subarray(start, end), knownUtf8));
      start = end + 1;
      if (bytes[end] === carriageReturn) {
        if (start === bytes.length) afterReturn = true;
        else if (bytes[start] === lineFeed) start += 1;
      }
    }
    keep(Buffer.from(bytes.subarray(start)));
    if (lines.length > 0) yield lines;
  }
  if (rest.length > 0) yield [finish(Buffer.alloc(0), false)];
}
