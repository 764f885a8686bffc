/**
 * The deployed handler against a real stream, bucket, table and catalog over the wire (ministack).
 *
 * ministack's own event source mapping ignores ReportBatchItemFailures, bisecting, retries and the failure destination
 * of a Kinesis stream, so the mapping is played here (eventSourceMapping.ts); what this does not prove is that Lambda
 * itself cuts, repeats and gives up batches as its documentation says. Rights are not checked either.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { CreateTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import {
  CreateDatabaseCommand,
  CreateTableCommand as CreateGlueTable,
  GetPartitionsCommand,
  GlueClient,
} from "@aws-sdk/client-glue";
import {
  CreateStreamCommand,
  DescribeStreamSummaryCommand,
  KinesisClient,
  PutRecordsCommand,
} from "@aws-sdk/client-kinesis";
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import type { Context, KinesisStreamBatchResponse } from "aws-lambda";
import { expect } from "chai";
import { parquetReadObjects } from "hyparquet";
import { contractsBundle, contractsDir } from "../../contracts/bundle.ts";
import { EventSourceMapping, type Invoke } from "../../local/adapters/eventSourceMapping.ts";
import { geoDatabase } from "../../local/adapters/geoDatabase.ts";
import { pollStream } from "../../local/testing/kinesisPoller.ts";
import {
  isMinistackInstalled,
  type Ministack,
  ministackMissing,
  startMinistack,
} from "../../local/testing/ministack.ts";
import { S3ObjectStore } from "../shared/objectStore.ts";
import { segmentsPrefix } from "./segments.ts";

const stream = "api-events";
const buckets = { artifacts: "e-artifacts", curated: "e-curated", quarantine: "e-quarantine" } as const;
const batchSize = 25;

/** Stands for the layer "AWS Parameters and Secrets Lambda Extension". */
function startSecrets(): Promise<Server> {
  const server = createServer((_request, response) => {
    response.end(JSON.stringify({ SecretString: "a key of a test, at least 32 characters" }));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

describe("API logs: the deployed handler on emulated AWS services @slow", function () {
  this.timeout(180_000);
  let ministack: Ministack;
  let secrets: Server;
  let s3: S3Client;
  let kinesis: KinesisClient;
  let dynamodb: DynamoDBClient;
  let glue: GlueClient;
  const inherited = { ...process.env };

  before(async function () {
    if (!isMinistackInstalled()) {
      console.warn(ministackMissing("The API-log handler on an emulator"));
      this.skip();
    }
    [ministack, secrets] = await Promise.all([startMinistack(), startSecrets()]);
    Object.assign(process.env, {
      AWS_ENDPOINT_URL: ministack.url,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
      PARAMETERS_SECRETS_EXTENSION_HTTP_PORT: String((secrets.address() as AddressInfo).port),
      POWERTOOLS_LOG_LEVEL: "SILENT",
      POWERTOOLS_METRICS_DISABLED: "true",
      POWERTOOLS_TRACE_ENABLED: "false",
      ARTIFACTS_BUCKET: buckets.artifacts,
      CURATED_BUCKET: buckets.curated,
      QUARANTINE_BUCKET: buckets.quarantine,
      CURATED_DATABASE: "curated",
      QUARANTINE_DATABASE: "quarantine",
      IDEMPOTENCY_TABLE: "e-processed",
      HASH_KEY_SECRET_ID: "hash-key",
      GEO_DATABASE: geoDatabase,
    });
    s3 = new S3Client({});
    // The client's own transport is HTTP/2, which the emulator does not speak.
    kinesis = new KinesisClient({ requestHandler: s3.config.requestHandler });
    dynamodb = new DynamoDBClient({});
    glue = new GlueClient({});
    for (const Bucket of Object.values(buckets)) {
      await s3.send(new CreateBucketCommand({ Bucket }));
      await s3.send(
        new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Enabled" } }),
      );
    }
    const Body = JSON.stringify(await contractsBundle([contractsDir]));
    await s3.send(new PutObjectCommand({ Bucket: buckets.artifacts, Key: "contracts.json", Body }));
    for (const [database, table] of [
      ["curated", "api_events"],
      ["quarantine", "records"],
    ] as const) {
      await glue.send(new CreateDatabaseCommand({ DatabaseInput: { Name: database } }));
      const TableInput = { Name: table, StorageDescriptor: { Columns: [], Location: `s3://${database}/` } };
      await glue.send(new CreateGlueTable({ DatabaseName: database, TableInput }));
    }
    await createTable("e-processed", "id");
    await kinesis.send(new CreateStreamCommand({ StreamName: stream, ShardCount: 2 }));
    for (;;) {
      const { StreamDescriptionSummary: summary } = await kinesis.send(
        new DescribeStreamSummaryCommand({ StreamName: stream }),
      );
      if (summary?.StreamStatus === "ACTIVE") break;
    }
  });

  after(async () => {
    for (const name of Object.keys(process.env)) if (!(name in inherited)) delete process.env[name];
    Object.assign(process.env, inherited);
    for (const client of [s3, kinesis, dynamodb, glue]) client?.destroy();
    secrets?.close();
    await ministack?.stop();
  });

  async function createTable(TableName: string, key: string): Promise<void> {
    await dynamodb.send(
      new CreateTableCommand({
        TableName,
        BillingMode: "PAY_PER_REQUEST",
        KeySchema: [{ AttributeName: key, KeyType: "HASH" }],
        AttributeDefinitions: [{ AttributeName: key, AttributeType: "S" }],
      }),
    );
  }

  async function rowsBelow(Bucket: string, Prefix: string): Promise<Record<string, unknown>[]> {
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
    const rows: Record<string, unknown>[] = [];
    for (const { Key } of Contents) {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
      const bytes = await Body?.transformToByteArray();
      if (!bytes) throw new Error(`${Key} has no body`);
      const file = new Uint8Array(bytes).buffer;
      rows.push(...(await parquetReadObjects({ file })));
    }
    return rows;
  }

  it("takes every record once through failures, keeps poison in the failure destination, and redrive heals it", async () => {
    const sent = Array.from({ length: 240 }, (_, index) => {
      // Often more than one in a batch: the first of those that fail is what counts.
      const customer = index % 12 === 5 ? { customer_id: `C${index}` } : {};
      const good = JSON.stringify({
        request_id: `e${index}`,
        timestamp: new Date().toISOString(),
        client_ip: "8.8.8.8",
        method: "GET",
        path: "/v1/orders/4711",
        status: 200,
        message: `gr\u00fcn ${index}`,
        ...customer,
      });
      const kind = index % 40 === 3 ? "bad" : "customer_id" in customer ? "poison" : "good";
      return {
        kind,
        Data: Buffer.from(kind === "bad" ? good.slice(0, 30) : good),
        PartitionKey: `p${index}`,
      };
    });
    const count = (kind: string): number => sent.filter((one) => one.kind === kind).length;
    for (let from = 0; from < sent.length; from += 100) {
      const Records = sent.slice(from, from + 100).map(({ Data, PartitionKey }) => ({ Data, PartitionKey }));
      const answer = await kinesis.send(new PutRecordsCommand({ StreamName: stream, Records }));
      expect(answer.FailedRecordCount ?? 0).to.equal(0);
    }

    // The segments are no JSON: records of customers fail, whichever batch they are in.
    for (const digit of "0123456789abcdef") {
      const Key = `${segmentsPrefix}${digit}.json`;
      await s3.send(new PutObjectCommand({ Bucket: buckets.curated, Key, Body: "<html>" }));
    }
    // What the handler composes, but not kept by it: tests that follow in this process have other services.
    const { onAws } = await import("./handler.ts");
    const app = await onAws();
    const context = { getRemainingTimeInMillis: () => 60_000 } as Context;
    const partial: number[] = [];
    const deliver: Invoke = async (batch) => {
      const answer = (await app.handle(batch, context)) as KinesisStreamBatchResponse;
      partial.push(answer.batchItemFailures.length);
      return answer;
    };
    let calls = 0;
    const flaky: Invoke = async (batch) => {
      calls += 1;
      if (calls % 7 === 2) throw new Error("the function ran out of memory");
      const answer = await deliver(batch);
      if (calls % 7 === 5) throw new Error("the answer was lost after everything was written");
      return answer;
    };
    const store = new S3ObjectStore(s3);
    const failures = { store, bucket: buckets.quarantine };
    const mapping = new EventSourceMapping(flaky, {
      batchSize,
      maximumRetryAttempts: 3,
      bisect: true,
      failures,
    });
    expect(await pollStream(kinesis, stream, mapping, batchSize)).to.equal(sent.length);

    expect(partial.some((failed) => failed > 0)).to.equal(true);
    const kept = mapping.givenUp.reduce((sum, { records }) => sum + records, 0);
    expect(kept).to.equal(count("poison"));
    expect(await rowsBelow(buckets.curated, "logs/")).to.have.length(count("good"));
    expect(await rowsBelow(buckets.quarantine, "records/")).to.have.length(count("bad"));

    // Redrive while the cause is still there delivers nothing; after it is mended, everything; then nothing again.
    const { handler: redrive } = await import("../redrive/handler.ts");
    const blocked = await redrive({ bucket: buckets.quarantine }, context);
    expect([blocked.records, blocked.succeeded, blocked.failed]).to.deep.equal([kept, 0, kept]);
    for (const digit of "0123456789abcdef") {
      const Key = `${segmentsPrefix}${digit}.json`;
      await s3.send(new PutObjectCommand({ Bucket: buckets.curated, Key, Body: '{"C17":"premium"}' }));
    }
    const healed = await redrive({ bucket: buckets.quarantine }, context);
    expect([healed.records, healed.succeeded, healed.failed]).to.deep.equal([kept, kept, 0]);
    const again = await redrive({ bucket: buckets.quarantine }, context);
    expect(again.objects.every(({ already }) => already)).to.equal(true);

    const rows = await rowsBelow(buckets.curated, "logs/");
    expect(rows.length + (await rowsBelow(buckets.quarantine, "records/")).length).to.equal(sent.length);
    expect(new Set(rows.map(({ event_id }) => event_id)).size).to.equal(count("good") + count("poison"));
    const premium = rows.filter(({ customer_segment }) => customer_segment === "premium");
    expect(premium.map(({ event_id, message }) => [event_id, message])).to.deep.equal([
      ["e17", "gr\u00fcn 17"],
    ]);
    const known = await glue.send(
      new GetPartitionsCommand({ DatabaseName: "curated", TableName: "api_events" }),
    );
    expect(known.Partitions?.length).to.be.within(1, 2); // the hour may have changed meanwhile
  });
});
