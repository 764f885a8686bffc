/** Files of logs dropped into the landing bucket. */
import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { Contract } from "../../contracts/contract.ts";
import type { LogFormat } from "../../contracts/logFormats.ts";
import type { ByteStore } from "../shared/byteStore.ts";
import type { Partitions } from "../shared/partitions.ts";
import type { Origin } from "./clean.ts";
import { csvRecords, HeaderError } from "./csv.ts";
import { linesOf } from "./lines.ts";
import { Rejected, recordReader, valuesReader } from "./parse.ts";
import { BatchObjects, type Targets } from "./tables.ts";
import { type Counts, checkBalance, noCounts, type Outcome, type Transform } from "./transform.ts";

/** An object that was dropped. */
export interface Drop {
  readonly bucket: string;
  readonly key: string;
  /** Version id; where the bucket keeps none, the etag. */
  readonly version: string;
  /** Given to S3 to read this version; absent where the bucket keeps none. */
  readonly versionId?: string;
}

/** What a drop came to. */
export interface DropResult {
  readonly object: string;
  readonly format: string;
  readonly counts: Counts;
  readonly objects: readonly string[];
  /** The object as a whole was not read: none of its records is anywhere. */
  readonly refused?: { readonly reason: string; readonly detail: string };
}

export interface DropDeps {
  readonly contract: Contract;
  readonly transform: Transform;
  readonly targets: Targets;
  readonly store: ByteStore;
  readonly partitions: Partitions;
}

const problems = {
  BAD_ENCODING: "the line is no UTF-8",
  RECORD_TOO_LONG: "the line is longer than maxRecordBytes",
} as const;

/** Bytes of a body, unpacked when they begin like a gzip file. */
async function* unpacked(body: Readable): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  const first = await chunks.next();
  if (first.done) return;
  const start: Uint8Array = first.value;
  async function* all(): AsyncGenerator<Uint8Array> {
    yield start;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
  }
  if (start[0] !== 0x1f || start[1] !== 0x8b) {
    yield* all();
    return;
  }
  const gunzip = createGunzip();
  const feeding = (async () => {
    try {
      for await (const chunk of all()) {
        if (!gunzip.write(chunk)) await new Promise((resolve) => gunzip.once("drain", resolve));
      }
      gunzip.end();
    } catch (error) {
      gunzip.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  })();
  yield* gunzip;
  await feeding;
}

const isBrokenGzip = (error: unknown): boolean =>
  error instanceof Error && "code" in error && /^Z_/.test(String(error.code));

/** The format whose folder an object is in. */
export function formatOf(formats: readonly LogFormat[], key: string): LogFormat | undefined {
  return formats.find(({ prefix }) => key.startsWith(prefix));
}

/**
 * Processes a dropped object as a stream: memory is the same for a megabyte and for a gigabyte. Its objects are named
 * by its address and version, and its rows are partitioned by the hour in which it was written, so that processing it
 * twice writes the same objects.
 */
export function dropHandler({ contract, transform, targets, store, partitions }: DropDeps) {
  const { formats, maxRecordBytes } = transform.source;

  async function* outcomesOf(format: LogFormat, body: Readable, at: Omit<Origin, "position">) {
    if (format.syntax === "csv") {
      const read = valuesReader(format);
      for await (const records of csvRecords(unpacked(body), format.columns ?? [], maxRecordBytes)) {
        yield records.map((record): Outcome => {
          const origin = { ...at, position: record.position };
          if ("reason" in record) {
            const why = new Rejected(record.reason, record.detail);
            return transform.outcome(format, why, origin, () => record.raw);
          }
          return transform.outcome(format, read(record.values), origin, () => record.values.join(","));
        });
      }
      return;
    }
    const read = recordReader(format);
    for await (const lines of linesOf(unpacked(body), maxRecordBytes)) {
      const outcomes: Outcome[] = [];
      for (const { position, text, problem } of lines) {
        const value = problem ? new Rejected(problem, problems[problem]) : read(text);
        if (value) outcomes.push(transform.outcome(format, value, { ...at, position }, () => text));
      }
      yield outcomes;
    }
  }

  return async ({ bucket, key, version, versionId }: Drop): Promise<DropResult> => {
    const object = `s3://${bucket}/${key}`;
    const format = formatOf(formats, key);
    if (!format) {
      const known = formats.map(({ prefix }) => prefix).join(", ");
      throw new Error(
        `${object} is below no format's prefix (${known}); drop it there, or add a format to ${contract.file}`,
      );
    }
    const { body, lastModified } = await store.open(bucket, key, versionId);
    const at = { object, sequence: null, arrived: lastModified };
    const name = `drop-${createHash("sha256").update(`${object}\n${version}`).digest("hex").slice(0, 32)}`;
    const counts = noCounts();
    const objects = new BatchObjects(contract, targets);
    try {
      for await (const outcomes of outcomesOf(format, body, at)) {
        await transform.add(outcomes, await transform.segmentsOf(outcomes), { objects, counts }, () => name);
      }
      checkBalance(counts);
      return { object, format: format.name, counts, objects: await objects.put(store, partitions) };
    } catch (error) {
      const reason = isBrokenGzip(error)
        ? "TRUNCATED_GZIP"
        : error instanceof HeaderError
          ? "MISSING_COLUMNS"
          : undefined;
      if (!reason) throw error;
      const detail = error instanceof Error ? error.message : String(error);
      return { object, format: format.name, counts: noCounts(), objects: [], refused: { reason, detail } };
    } finally {
      body.destroy();
      await objects.discard();
    }
  };
}
