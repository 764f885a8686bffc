/** What stands in for Lambda's event source mapping of a Kinesis stream: what it repeats, and in which pieces. */
import { randomUUID } from "node:crypto";
import type { KinesisStreamBatchResponse, KinesisStreamEvent, KinesisStreamRecord } from "aws-lambda";
import type { ObjectStore } from "../../functions/shared/objectStore.ts";

export interface MappingOptions {
  readonly batchSize: number;
  /** Retries of a batch, or of what is left of it, before it goes to the failure destination. */
  readonly maximumRetryAttempts: number;
  /** Splits a batch that failed in two; splitting takes no retry. */
  readonly bisect: boolean;
  /** The failure destination. */
  readonly failures: { readonly store: ObjectStore; readonly bucket: string };
  readonly now?: () => Date;
}

export type Invoke = (event: KinesisStreamEvent) => Promise<KinesisStreamBatchResponse>;

/** A batch that was given up, and the object that keeps its records. */
export interface GivenUp {
  readonly object: string;
  readonly records: number;
  /** The function's error; absent when it answered which records failed. */
  readonly error?: string;
}

/** Whether a sequence number, a decimal of any length, comes after another. */
export const isAfter = (sequence: string, other: string): boolean => BigInt(sequence) > BigInt(other);

interface Left {
  readonly records: readonly KinesisStreamRecord[];
  readonly error?: string;
}

/**
 * Delivers one shard's records as Lambda documents it: a batch is tried until it succeeds, is used up, or has been
 * given up; a partial answer moves the checkpoint to the lowest sequence number that failed; with bisect what is left
 * is split; what is given up is written to the failure destination with the whole event as payload.
 *
 * It waits between no attempts, and knows no maximum age, no payload limit and no parallel batches of a shard.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
 */
export class EventSourceMapping {
  readonly #options: MappingOptions;
  readonly #invoke: Invoke;
  /** How often the function was invoked. */
  invocations = 0;
  readonly givenUp: GivenUp[] = [];

  constructor(invoke: Invoke, options: MappingOptions) {
    this.#invoke = invoke;
    this.#options = options;
  }

  async deliver(records: readonly KinesisStreamRecord[]): Promise<void> {
    for (let from = 0; from < records.length; from += this.#options.batchSize) {
      await this.#batch(records.slice(from, from + this.#options.batchSize), 0);
    }
  }

  async #batch(records: readonly KinesisStreamRecord[], attempt: number): Promise<void> {
    const left = await this.#try(records);
    if (left.records.length === 0) return;
    if (this.#options.bisect && left.records.length > 1) {
      const half = Math.ceil(left.records.length / 2);
      await this.#batch(left.records.slice(0, half), attempt);
      await this.#batch(left.records.slice(half), attempt);
    } else if (attempt < this.#options.maximumRetryAttempts) await this.#batch(left.records, attempt + 1);
    else await this.#giveUp(left);
  }

  /** @returns the records that have to come again */
  async #try(records: readonly KinesisStreamRecord[]): Promise<Left> {
    this.invocations += 1;
    let response: KinesisStreamBatchResponse;
    try {
      response = await this.#invoke({ Records: [...records] });
    } catch (error) {
      // A function's error concerns the whole batch.
      return { records, error: error instanceof Error ? error.message : String(error) };
    }
    const failed = response.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
    const [first, ...more] = failed;
    if (first === undefined) return { records: [] };
    const lowest = more.reduce((least, one) => (isAfter(least, one) ? one : least), first);
    // An identifier that is none of the batch's fails all of it, as on AWS.
    if (!records.some(({ kinesis }) => kinesis.sequenceNumber === lowest)) return { records };
    return { records: records.filter(({ kinesis }) => !isAfter(lowest, kinesis.sequenceNumber)) };
  }

  /** @see https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html */
  async #giveUp({ records, error }: Left): Promise<void> {
    const { failures, now = () => new Date() } = this.#options;
    const { store, bucket } = failures;
    const [first] = records;
    const shardId = first?.eventID.split(":")[0] ?? "";
    const at = now().toISOString();
    const day = at.slice(0, 10).replaceAll("-", "/");
    const key = `aws/lambda/local-mapping/${shardId}/${day}/${at.slice(0, 19).replaceAll(":", ".")}-${randomUUID()}`;
    const document = {
      requestContext: {
        requestId: randomUUID(),
        functionArn: "arn:aws:lambda:local:000000000000:function:api-logs",
        condition: "RetryAttemptsExhausted",
        approximateInvokeCount: this.#options.maximumRetryAttempts + 1,
      },
      responseContext: {
        statusCode: 200,
        executedVersion: "$LATEST",
        functionError: error === undefined ? null : "Unhandled",
      },
      version: "1.0",
      timestamp: at,
      KinesisBatchInfo: {
        shardId,
        startSequenceNumber: first?.kinesis.sequenceNumber,
        endSequenceNumber: records.at(-1)?.kinesis.sequenceNumber,
        batchSize: records.length,
        streamArn: first?.eventSourceARN,
      },
      payload: JSON.stringify({ Records: records }),
    };
    await store.putText(bucket, key, JSON.stringify(document));
    this.givenUp.push({
      object: `s3://${bucket}/${key}`,
      records: records.length,
      ...(error !== undefined && { error }),
    });
  }
}
