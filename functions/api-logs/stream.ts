/** Batches of the Kinesis stream. */
import { isUtf8 } from "node:buffer";
import { BatchProcessor, EventType, processPartialResponse } from "@aws-lambda-powertools/batch";
import type {
  Context,
  KinesisStreamBatchResponse,
  KinesisStreamEvent,
  KinesisStreamRecord,
} from "aws-lambda";
import type { Contract } from "../../contracts/contract.ts";
import type { ByteStore } from "../shared/byteStore.ts";
import type { Partitions } from "../shared/partitions.ts";
import { linesOf, readable } from "./lines.ts";
import { Rejected, recordReader } from "./parse.ts";
import { BatchObjects, type Targets } from "./tables.ts";
import { type Counts, checkBalance, noCounts, type Outcome, type Transform } from "./transform.ts";

export interface StreamDeps {
  readonly contract: Contract;
  readonly transform: Transform;
  readonly targets: Targets;
  readonly store: ByteStore;
  readonly partitions: Partitions;
}

/** What a batch came to. */
export interface StreamResult {
  readonly response: KinesisStreamBatchResponse;
  readonly counts: Counts;
  readonly objects: readonly string[];
  /** Why records failed: they come again. */
  readonly errors: readonly Error[];
}

interface ReadRecord {
  readonly outcomes: readonly Outcome[];
  readonly segments: ReadonlyMap<string, string>;
}

/** "shardId-000000000001:4959…" → shard; "arn:…:stream/name" → name. */
const shardOf = ({ eventID }: KinesisStreamRecord): string => eventID.slice(0, eventID.indexOf(":"));
const streamOf = ({ eventSourceARN }: KinesisStreamRecord): string =>
  eventSourceARN.slice(eventSourceARN.lastIndexOf("/") + 1);

/**
 * Processes a batch: one object of rows, and one of refused records, for each hour of arrival.
 *
 * What a record holds never fails the batch: it is a row or it is quarantined. What fails is what the function needs:
 * then the objects hold the records before the first failed one, and Lambda delivers the rest again. An object is
 * named by the shard and the first sequence number in it, so that whatever Lambda repeats, in whatever pieces, writes
 * over what it repeats.
 */
export function streamHandler(deps: StreamDeps) {
  const { transform } = deps;
  const found = transform.source.formats.find(({ syntax }) => syntax === "json");
  if (!found)
    throw new Error(`${deps.contract.file}: the stream carries JSON lines, and no format has syntax json`);
  const format = found;
  const read = recordReader(format);

  async function readOne(record: KinesisStreamRecord): Promise<ReadRecord> {
    const { kinesis } = record;
    const bytes = Buffer.from(kinesis.data, "base64");
    const origin = {
      object: `${streamOf(record)}/${shardOf(record)}`,
      sequence: kinesis.sequenceNumber,
      // Seconds, with a fraction; the stream's own clock, so that it is the same whenever the record comes again.
      arrived: Math.round(kinesis.approximateArrivalTimestamp * 1000),
    };
    const outcomes: Outcome[] = [];
    const { maxRecordBytes } = transform.source;
    if (bytes.length > maxRecordBytes) {
      const why = new Rejected(
        "RECORD_TOO_LONG",
        `${bytes.length} bytes where ${maxRecordBytes} are allowed`,
      );
      outcomes.push(transform.outcome(format, why, { ...origin, position: 1 }, () => readable(bytes)));
    } else {
      // One event, printed over several lines, is one record; otherwise each line is one.
      const whole = bytes.includes("\n") && isUtf8(bytes) ? read(bytes.toString("utf8")) : undefined;
      if (whole && !(whole instanceof Rejected)) {
        outcomes.push(transform.outcome(format, whole, { ...origin, position: 1 }, () => readable(bytes)));
        return { outcomes, segments: await transform.segmentsOf(outcomes) };
      }
      for await (const lines of linesOf([bytes], maxRecordBytes)) {
        for (const { position, text, problem } of lines) {
          const value = problem ? new Rejected(problem, "the line is no UTF-8") : read(text);
          if (value) outcomes.push(transform.outcome(format, value, { ...origin, position }, () => text));
        }
      }
      if (outcomes.length === 0) {
        const why = new Rejected("EMPTY_RECORD", "the stream's record holds no line");
        outcomes.push(transform.outcome(format, why, { ...origin, position: 1 }, () => readable(bytes)));
      }
    }
    return { outcomes, segments: await transform.segmentsOf(outcomes) };
  }

  return async (event: KinesisStreamEvent, context?: Context): Promise<StreamResult> => {
    const results = new Map<string, ReadRecord>();
    const processor = new BatchProcessor(EventType.KinesisDataStreams);
    const response = await processPartialResponse(
      event,
      async (record: KinesisStreamRecord) => {
        results.set(record.kinesis.sequenceNumber, await readOne(record));
      },
      processor,
      { throwOnFullBatchFailure: false, ...(context && { context }) },
    );
    const counts = noCounts();
    const objects = new BatchObjects(deps.contract, deps.targets);
    try {
      for (const record of event.Records) {
        const done = results.get(record.kinesis.sequenceNumber);
        if (!done) break; // the first that failed: it and what follows come again
        const nameOf = ({ sequence }: { readonly sequence: string | null }) =>
          `${shardOf(record)}-${sequence}`;
        await transform.add(done.outcomes, done.segments, { objects, counts }, nameOf);
      }
      checkBalance(counts);
      const written = await objects.put(deps.store, deps.partitions);
      return { response, counts, objects: written, errors: processor.errors };
    } finally {
      await objects.discard();
    }
  };
}
