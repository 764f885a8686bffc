import { S3Client } from "@aws-sdk/client-s3";
import type { Context, KinesisStreamEvent } from "aws-lambda";
import { z } from "zod";
import { onAws } from "../api-logs/handler.ts";
import { parseEvent, required } from "../shared/context.ts";
import { S3ObjectStore } from "../shared/objectStore.ts";
import { type RedriveReport, redrive } from "./redrive.ts";

const eventSchema = z.strictObject({ bucket: z.string().min(1).optional(), prefix: z.string().optional() });

/**
 * Redrives a failure destination on AWS: `{}`, or `{"bucket": …, "prefix": …}` for another than QUARANTINE_BUCKET. It
 * runs the API-log function in its own process and needs that function's environment and rights, and s3:GetObject,
 * s3:PutObject and s3:ListBucketVersions on the failure destination.
 */
export const handler = async (event: unknown, context?: Context): Promise<RedriveReport> => {
  const { bucket = required("QUARANTINE_BUCKET"), prefix } = parseEvent(
    eventSchema,
    event,
    "the redrive's event",
  );
  const app = await onAws();
  const deliver = async (batch: KinesisStreamEvent) => (await app.stream(batch, context)).response;
  const store = new S3ObjectStore(new S3Client({}));
  return redrive({ store, deliver }, { bucket, ...(prefix !== undefined && { prefix }) });
};
