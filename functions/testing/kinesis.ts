/** Records of a Kinesis stream, made by tests. */
import type { KinesisStreamRecord } from "aws-lambda";

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
