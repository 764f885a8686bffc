/** Reads a Kinesis stream over the wire and delivers it to a function as Lambda's event source mapping does. */
import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
  ListShardsCommand,
} from "@aws-sdk/client-kinesis";
import type { KinesisStreamRecord } from "aws-lambda";
import type { EventSourceMapping } from "../adapters/eventSourceMapping.ts";

/**
 * Reads every shard from its beginning to where it ends now, a batch at a time.
 * @returns records read
 */
export async function pollStream(
  client: KinesisClient,
  stream: string,
  mapping: EventSourceMapping,
  batchSize: number,
): Promise<number> {
  const { Shards = [] } = await client.send(new ListShardsCommand({ StreamName: stream }));
  let read = 0;
  for (const { ShardId = "" } of Shards) {
    let { ShardIterator: iterator } = await client.send(
      new GetShardIteratorCommand({ StreamName: stream, ShardId, ShardIteratorType: "TRIM_HORIZON" }),
    );
    while (iterator !== undefined) {
      const {
        Records = [],
        NextShardIterator,
        MillisBehindLatest,
      } = await client.send(new GetRecordsCommand({ ShardIterator: iterator, Limit: batchSize }));
      const batch = Records.map((record): KinesisStreamRecord => {
        const { SequenceNumber = "", PartitionKey = "", Data = new Uint8Array() } = record;
        return {
          awsRegion: "us-east-1",
          eventID: `${ShardId}:${SequenceNumber}`,
          eventName: "aws:kinesis:record",
          eventSource: "aws:kinesis",
          eventSourceARN: `arn:aws:kinesis:us-east-1:000000000000:stream/${stream}`,
          eventVersion: "1.0",
          invokeIdentityArn: "arn:aws:iam::000000000000:role/api-logs",
          kinesis: {
            approximateArrivalTimestamp: (record.ApproximateArrivalTimestamp ?? new Date(0)).getTime() / 1000,
            data: Buffer.from(Data).toString("base64"),
            kinesisSchemaVersion: "1.0",
            partitionKey: PartitionKey,
            sequenceNumber: SequenceNumber,
          },
        };
      });
      read += batch.length;
      await mapping.deliver(batch);
      iterator = batch.length === 0 && (MillisBehindLatest ?? 0) === 0 ? undefined : NextShardIterator;
    }
  }
  return read;
}
