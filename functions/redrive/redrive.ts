/** Delivers again what landed in the failure destination of the stream's event source mapping. */
import type { KinesisStreamBatchResponse, KinesisStreamEvent, KinesisStreamRecord } from "aws-lambda";
import { z } from "zod";
import type { ObjectStore } from "../shared/objectStore.ts";

/** One object of the failure destination, and what came of it. */
export interface Redriven {
  readonly object: string;
  /** Records of the batch. */
  readonly records: number;
  readonly succeeded: number;
  /** Why records, or the object as a whole, failed again. */
  readonly error?: string;
  /** It had been delivered by an earlier redrive. */
  readonly already: boolean;
}

export interface RedriveReport {
  readonly objects: readonly Redriven[];
  readonly records: number;
  readonly succeeded: number;
  readonly failed: number;
}

export interface RedriveDeps {
  readonly store: ObjectStore;
  /** The function that failed on them. */
  readonly deliver: (event: KinesisStreamEvent) => Promise<KinesisStreamBatchResponse>;
}

/** Below it notes of finished redrives are kept, under the objects' own names. */
export const redrivenPrefix = "redriven/";

// Only what is needed to deliver them; the rest of a record passes through as it is.
const recordSchema = z.looseObject({
  eventSource: z.literal("aws:kinesis"),
  kinesis: z.looseObject({ sequenceNumber: z.string(), data: z.string() }),
});
const eventSchema = z.object({ Records: z.array(recordSchema).min(1) });
/** @see https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html */
const failureSchema = z.looseObject({ payload: z.union([z.string(), z.looseObject({})]) });

function eventOf(text: string): KinesisStreamEvent {
  const { payload } = failureSchema.parse(JSON.parse(text));
  const event: unknown = typeof payload === "string" ? JSON.parse(payload) : payload;
  eventSchema.parse(event);
  return event as KinesisStreamEvent;
}

/**
 * Delivers batches in the order in which they failed. One that succeeds is noted and never delivered again; of one
 * that fails in part the rest is tried once more with the next redrive, and what it wrote is written over.
 */
export async function redrive(
  { store, deliver }: RedriveDeps,
  { bucket, prefix = "aws/lambda/" }: { readonly bucket: string; readonly prefix?: string },
): Promise<RedriveReport> {
  const objects: Redriven[] = [];
  for (const { key, version } of await store.list(bucket, prefix)) {
    const note = `${redrivenPrefix}${key}`;
    const object = `s3://${bucket}/${key}`;
    const noted = (await store.head(bucket, note)) ? await store.getText(bucket, note) : undefined;
    if (noted !== undefined) {
      const records = z.object({ records: z.number() }).parse(JSON.parse(noted)).records;
      objects.push({ object, records, succeeded: records, already: true });
      continue;
    }
    const done = await redriveOne(deliver, object, await store.getText(bucket, key));
    objects.push(done);
    if (done.error === undefined) {
      await store.putText(bucket, note, JSON.stringify({ records: done.records, version }));
    }
  }
  const sum = (count: (one: Redriven) => number): number =>
    objects.reduce((total, one) => total + count(one), 0);
  const records = sum((one) => one.records);
  const succeeded = sum((one) => one.succeeded);
  return { objects, records, succeeded, failed: records - succeeded };
}

async function redriveOne(deliver: RedriveDeps["deliver"], object: string, text: string): Promise<Redriven> {
  let records: KinesisStreamRecord[] = [];
  try {
    records = eventOf(text).Records;
    const { batchItemFailures } = await deliver({ Records: records });
    const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    const first = records.findIndex(({ kinesis }) => failed.has(kinesis.sequenceNumber));
    if (first < 0) return { object, records: records.length, succeeded: records.length, already: false };
    const at = records[first]?.kinesis.sequenceNumber;
    const error = `the function still fails at sequence number ${at}; its log says why`;
    return { object, records: records.length, succeeded: first, error, already: false };
  } catch (error) {
    const why =
      error instanceof z.ZodError ? `no record of a failed batch: ${z.prettifyError(error)}` : String(error);
    return { object, records: records.length, succeeded: 0, error: why, already: false };
  }
}

/** The report as lines of text. */
export function formatReport({ objects, records, succeeded, failed }: RedriveReport): string {
  if (objects.length === 0) return "nothing to redrive: the failure destination is empty\n";
  const lines = objects.map(({ object, records: all, succeeded: good, error, already }) => {
    const what = already ? "delivered before" : error === undefined ? "delivered" : "FAILED";
    return `${what.padEnd(16)} ${good}/${all} records  ${object}${error === undefined ? "" : `\n    ${error}`}`;
  });
  return `${lines.join("\n")}\n${succeeded} of ${records} records delivered, ${failed} failed\n`;
}
