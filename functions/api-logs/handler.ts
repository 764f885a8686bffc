import path from "node:path";
import { fileURLToPath } from "node:url";
import { DynamoDBPersistenceLayer } from "@aws-lambda-powertools/idempotency/dynamodb";
import { Logger } from "@aws-lambda-powertools/logger";
import { Metrics } from "@aws-lambda-powertools/metrics";
import { Tracer } from "@aws-lambda-powertools/tracer";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { GlueClient } from "@aws-sdk/client-glue";
import { S3Client } from "@aws-sdk/client-s3";
import type { Context } from "aws-lambda";
import { S3ByteStore } from "../shared/byteStore.ts";
import { required } from "../shared/context.ts";
import { loadSourceContracts } from "../shared/contracts.ts";
import { S3ObjectStore } from "../shared/objectStore.ts";
import { GluePartitions } from "../shared/partitions.ts";
import { readSecret } from "../shared/secrets.ts";
import { type ApiLogs, apiLogs } from "./app.ts";
import { geography } from "./enrich.ts";
import { protectorOf } from "./protect.ts";
import { LakeSegments } from "./segments.ts";

const serviceName = "api-logs";
const tracer = new Tracer({ serviceName });

/** Composes the function on AWS from its environment (README.md). */
export async function onAws(): Promise<ApiLogs> {
  const s3 = tracer.captureAWSv3Client(new S3Client({}));
  const objects = new S3ObjectStore(s3);
  const dynamodb = tracer.captureAWSv3Client(new DynamoDBClient({}));
  const dataset = process.env.DATASET ?? "api_events";
  const contracts = await loadSourceContracts(objects, required("ARTIFACTS_BUCKET"));
  const contract = contracts.find(({ name }) => name === dataset);
  if (!contract) throw new Error(`DATASET names '${dataset}', and no contract with a source has that name`);
  const beside = path.join(path.dirname(fileURLToPath(import.meta.url)), "geo-whois-asn-country.mmdb");
  return apiLogs({
    contract,
    targets: {
      curatedBucket: required("CURATED_BUCKET"),
      quarantineBucket: required("QUARANTINE_BUCKET"),
      curatedDatabase: required("CURATED_DATABASE"),
      quarantineDatabase: required("QUARANTINE_DATABASE"),
    },
    store: new S3ByteStore(s3),
    partitions: new GluePartitions(tracer.captureAWSv3Client(new GlueClient({}))),
    segments: new LakeSegments(objects, required("CURATED_BUCKET")),
    place: await geography(process.env.GEO_DATABASE ?? beside),
    protector: protectorOf(await readSecret(required("HASH_KEY_SECRET_ID"))),
    idempotency: new DynamoDBPersistenceLayer({
      tableName: required("IDEMPOTENCY_TABLE"),
      awsSdkV3Client: dynamodb,
    }),
    logger: new Logger({ serviceName }),
    metrics: new Metrics({ namespace: "SecureCart", serviceName, defaultDimensions: { dataset } }),
    now: () => new Date(),
  });
}

let app: Promise<ApiLogs> | undefined;

export const handler = async (event: unknown, context: Context) => {
  // A start that failed is tried again with the next event.
  app ??= onAws().catch((error: unknown) => {
    app = undefined;
    throw error;
  });
  return (await app).handle(event, context);
};
