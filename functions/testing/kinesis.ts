/** Lambda's event source mapping for Kinesis, driven by a test: what it repeats, and in which pieces. */
import type { KinesisStreamBatchResponse, KinesisStreamEvent, KinesisStreamRecord } from "aws-lambda";
import type { ObjectStore } from "../shared/objectStore.ts";

export const streamArn = "arn:aws:kinesis:eu-central-1:000000000000:stream/api-events";

/** Sequence numbers are long numbers that grow; they are compared as such. */
export const sequenceOf = (index: number): string =>
  String(49_590_338_271_490_256_608n * 10n ** 20n + BigInt(index));

/** A record as Lambda delivers it. @param arrived milliseconds since 1970 */
export function streamRecord(
  index: number,
  data: string | Uint8Array,
  arrived: number,
  shard = "shardId-000000000000",
): KinesisStreamRecord {
  const sequenceNumber = sequenceOf(index);
  return {
    awsRegion: "eu-central-1",
    eventID: `${shard}:${sequenceNumber}`,
    eventName: "aws:kinesis:record",
    eventSource: "aws:kinesis",
    eventSourceARN: streamArn,
    eventVersion: "1.0",
    invokeIdentityArn: "arn:aws:iam::000000000000:role/api-logs",
    kinesis: {
      approximateArrivalTimestamp: arrived / 1000,
      data: Buffer.from(data).toString("base64"),
      kinesisSchemaVersion: "1.0",
      partitionKey: "1",
      sequenceNumber,
    },
  };
}

export interface MappingOptions {
  readonly batchSize: number;
  /** Retries of a batch, or of what is left of it, before it goes to the failure destination. */
  readonly maximumRetryAttempts: number;
  /** Splits a batch that failed in two; splitting takes no retry. */
  readonly bisect: boolean;
  /** The failure destination. */
  readonly failures: { readonly store: ObjectStore; readonly bucket: string };
}

export type Invoke = (event: KinesisStreamEvent) => Promise<KinesisStreamBatchResponse>;

/**
 * Delivers one shard's records as Lambda documents it: a batch is tried until it succeeds, is used up, or has been
 * given up; a partial answer moves the checkpoint to the lowest sequence number that failed; with bisect what is left
 * is split; what is given up is written to the failure destination with the whole event as payload.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
 */
export class EventSourceMapping {
  readonly #options: MappingOptions;
  readonly #invoke: Invoke;
  #discarded = 0;
  /** How often the function was invoked. */
  invocations = 0;

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
    if (left.length === 0) return;
    if (this.#options.bisect && left.length > 1) {
      const half = Math.ceil(left.length / 2);
      await this.#batch(left.slice(0, half), attempt);
      await this.#batch(left.slice(half), attempt);
    } else if (attempt < this.#options.maximumRetryAttempts) await this.#batch(left, attempt + 1);
    else await this.#giveUp(left);
  }

  /** @returns the records that have to come again */
  async #try(records: readonly KinesisStreamRecord[]): Promise<readonly KinesisStreamRecord[]> {
    this.invocations += 1;
    let response: KinesisStreamBatchResponse;
    try {
      response = await this.#invoke({ Records: [...records] });
    } catch {
      return records; // a function's error concerns the whole batch
    }
    const failed = new Set(response.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    const first = records.findIndex(({ kinesis }) => failed.has(kinesis.sequenceNumber));
    return first < 0 ? [] : records.slice(first);
  }

  async #giveUp(records: readonly KinesisStreamRecord[]): Promise<void> {
    this.#discarded += 1;
    const { store, bucket } = this.#options.failures;
    const [first] = records;
    const shardId = first?.eventID.split(":")[0] ?? "";
    const key = `aws/lambda/0f1e2d3c-mapping/${shardId}/2026/03/01/2026-03-01T12.00.00-${this.#discarded}`;
    const document = {
      requestContext: {
        requestId: "r",
        functionArn: "f",
        condition: "RetryAttemptsExhausted",
        approximateInvokeCount: 1,
      },
      responseContext: { statusCode: 200, executedVersion: "$LATEST", functionError: "Unhandled" },
      version: "1.0",
      timestamp: "2026-03-01T12:00:00.000Z",
      KinesisBatchInfo: {
        shardId,
        startSequenceNumber: first?.kinesis.sequenceNumber,
        endSequenceNumber: records.at(-1)?.kinesis.sequenceNumber,
        batchSize: records.length,
        streamArn,
      },
      payload: JSON.stringify({ Records: records }),
    };
    await store.putText(bucket, key, JSON.stringify(document));
  }
}
