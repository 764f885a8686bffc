/** API event logs on a laptop: the deployed function over local adapters, driven as Lambda drives it on AWS. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Context, KinesisStreamRecord } from "aws-lambda";
import { z } from "zod";
import type { Contract } from "../contracts/contract.ts";
import type { ApiLogs } from "../functions/api-logs/app.ts";
import type { LogSink } from "../functions/shared/logger.ts";
import type { DirectoryStore } from "./adapters/directoryStore.ts";
import { ensureTable, type LocalDynamodb } from "./adapters/dynamodbServer.ts";
import { EventSourceMapping, isAfter } from "./adapters/eventSourceMapping.ts";
import { geoDatabase } from "./adapters/geoDatabase.ts";
import type { DatasetBalance, RefusedObject } from "./report/types.ts";
import { buckets, isErrno, messageOf, type Workspace } from "./workspace.ts";

/** The stream and its contract. */
export const apiEvents = "api_events";

const processedTable = "securecart-local-processed";
const checkpointKey = `checkpoints/${apiEvents}.json`;
/** As the deployed mapping has it (infra/pipeline/ingestion.ts). */
const mappingOptions = { batchSize: 1000, maximumRetryAttempts: 5, bisect: true };

/** What Lambda tells a function about its invocation. */
export const lambdaContext: Context = {
  callbackWaitsForEmptyEventLoop: false,
  functionName: "api-logs",
  functionVersion: "$LATEST",
  invokedFunctionArn: "arn:aws:lambda:local:000000000000:function:api-logs",
  memoryLimitInMB: "1024",
  awsRequestId: "local",
  logGroupName: "local",
  logStreamName: "local",
  // For so long an object that a killed run was at counts as being processed.
  getRemainingTimeInMillis: () => 10_000,
  done: () => {},
  fail: () => {},
  succeed: () => {},
};

/** What the function is made of here. */
export interface ApiLogsServices {
  readonly store: DirectoryStore;
  readonly dynamodb: LocalDynamodb;
  /** Takes a line that the function logs. */
  readonly logged: LogSink;
}

/** How far stream and drops have been read, as the mapping and EventBridge know it on AWS. */
const checkpointSchema = z.object({
  /** Last sequence number read, by shard. */
  sequences: z.record(z.string(), z.string()).default({}),
  /** Version that was processed, by key. */
  objects: z.record(z.string(), z.string()).default({}),
});
type Checkpoint = z.infer<typeof checkpointSchema>;

/** A record as GetRecords gives it, and its shard. */
const recordSchema = z.object({
  ShardId: z.string().default("shardId-000000000000"),
  SequenceNumber: z.string().regex(/^\d+$/),
  ApproximateArrivalTimestamp: z.coerce.number(),
  PartitionKey: z.string(),
  Data: z.string(),
});

/** The key of the hashes that stand for people: made once for a workspace, and readable by its owner alone. */
async function hashKey({ root }: Workspace): Promise<string> {
  const file = path.join(root, "secrets", "hash-key");
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
  const key = randomBytes(32).toString("hex");
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(file, key, { mode: 0o600 });
  return key;
}

/** The function over the lake's folders and the local DynamoDB; everything else of it is what is deployed. */
export async function composeApiLogs(
  { store, dynamodb, logged }: ApiLogsServices,
  workspace: Workspace,
  contract: Contract,
): Promise<ApiLogs> {
  // Loaded when they are needed: other commands, and runs with nothing new, start without them.
  const [{ apiLogs }, { DynamoDBPersistenceLayer }, { geography }, { protectorOf }, { LakeSegments }] =
    await Promise.all([
      import("../functions/api-logs/app.ts"),
      import("@aws-lambda-powertools/idempotency/dynamodb"),
      import("../functions/api-logs/enrich.ts"),
      import("../functions/api-logs/protect.ts"),
      import("../functions/api-logs/segments.ts"),
    ]);
  const { jsonLogger } = await import("../functions/shared/logger.ts");
  await ensureTable(dynamodb.plain, processedTable, "id");
  const log = jsonLogger(logged, { service: "api-logs" });
  return apiLogs({
    contract,
    targets: {
      curatedBucket: buckets.curated,
      quarantineBucket: buckets.quarantine,
      curatedDatabase: "lake",
      quarantineDatabase: "lake",
    },
    store,
    // No catalog has to be told: readers of a folder find its partitions by their names.
    partitions: { register: async () => {} },
    segments: new LakeSegments(store, buckets.curated),
    place: await geography(geoDatabase),
    protector: protectorOf(await hashKey(workspace)),
    idempotency: new DynamoDBPersistenceLayer({ tableName: processedTable, awsSdkV3Client: dynamodb.plain }),
    logger: {
      info: log.info,
      warn: log.warn,
      error: (message, { name, message: why }) => log.error(message, { error: `${name}: ${why}` }),
    },
    // What is measured on AWS is in the run's report here.
    metrics: { addMetric: () => {}, publishStoredMetrics: () => {} },
    now: () => new Date(),
  });
}

/** Names of the stream's files. */
async function streamFiles({ lake }: Workspace): Promise<string[]> {
  const names = await readdir(path.join(lake, buckets.landing, "streams", apiEvents)).catch(
    (error: unknown) => {
      if (isErrno(error, "ENOENT")) return [];
      throw error;
    },
  );
  return names.filter((name) => name.endsWith(".jsonl"));
}

/**
 * Records of the stream that were not read yet, by shard and in their order.
 *
 * A folder is not listed at one moment: of two files that land meanwhile, the later may be seen alone, and whoever reads
 * on after it never sees the earlier. So it is listed twice. The second listing has all that landed before anything in
 * the first; a shard's records after that are left to the next run.
 */
export async function newRecords(
  workspace: Workspace,
  sequences: Checkpoint["sequences"],
  list = streamFiles,
): Promise<Map<string, KinesisStreamRecord[]>> {
  const landed = new Set(await list(workspace));
  const folder = path.join(workspace.lake, buckets.landing, "streams", apiEvents);
  const shards = new Map<string, { landed: boolean; record: KinesisStreamRecord }[]>();
  for (const file of (await list(workspace)).sort()) {
    const lines = (await readFile(path.join(folder, file), "utf8")).split("\n");
    for (const line of lines.filter((text) => text !== "")) {
      const record = recordSchema.parse(JSON.parse(line));
      const read = sequences[record.ShardId];
      if (read !== undefined && !isAfter(record.SequenceNumber, read)) continue;
      const shard = shards.get(record.ShardId) ?? [];
      shard.push({ landed: landed.has(file), record: kinesisRecord(record) });
      shards.set(record.ShardId, shard);
    }
  }
  const found = new Map<string, KinesisStreamRecord[]>();
  for (const [shard, records] of shards) {
    const kept = records.slice(0, records.findLastIndex((one) => one.landed) + 1);
    if (kept.length > 0)
      found.set(
        shard,
        kept.map(({ record }) => record),
      );
  }
  return found;
}

/** A record as Lambda's mapping gives it to a function. */
function kinesisRecord(record: z.infer<typeof recordSchema>): KinesisStreamRecord {
  const { ShardId, SequenceNumber, ApproximateArrivalTimestamp, PartitionKey, Data } = record;
  return {
    awsRegion: "local",
    eventID: `${ShardId}:${SequenceNumber}`,
    eventName: "aws:kinesis:record",
    eventSource: "aws:kinesis",
    eventSourceARN: `arn:aws:kinesis:local:000000000000:stream/${apiEvents}`,
    eventVersion: "1.0",
    invokeIdentityArn: "arn:aws:iam::000000000000:role/api-logs",
    kinesis: {
      approximateArrivalTimestamp: ApproximateArrivalTimestamp,
      data: Data,
      kinesisSchemaVersion: "1.0",
      partitionKey: PartitionKey,
      sequenceNumber: SequenceNumber,
    },
  };
}

/** Adds up where the records went. */
class Balance {
  #received = 0;
  #accepted = 0;
  #duplicates = 0;
  readonly #quarantined: Record<string, number> = {};
  readonly refused: RefusedObject[] = [];

  add(counts: {
    readonly received: number;
    readonly accepted: number;
    readonly duplicates: number;
    readonly quarantined: Readonly<Record<string, number>>;
  }): void {
    this.#received += counts.received;
    this.#accepted += counts.accepted;
    this.#duplicates += counts.duplicates;
    for (const [reason, count] of Object.entries(counts.quarantined)) {
      this.#quarantined[reason] = (this.#quarantined[reason] ?? 0) + count;
    }
  }

  get read(): number {
    return this.#received;
  }

  /** As a dataset of the report; undefined when nothing came. */
  dataset(name: string): DatasetBalance | undefined {
    if (this.#received === 0 && this.refused.length === 0) return undefined;
    return {
      name,
      read: this.#received,
      loaded: this.#accepted,
      deduplicated: this.#duplicates > 0 ? { same_event: this.#duplicates } : {},
      quarantined: this.#quarantined,
      refused: this.refused,
    };
  }
}

/**
 * Reads what is new in the stream and among the drops. A batch that fails to the end goes to the failure destination,
 * from where `npm run redrive` brings it again; its records, and those of an object that was refused, are not among
 * the records read.
 * @returns where the records went; undefined when there was nothing new
 */
export async function readApiLogs(
  services: ApiLogsServices,
  workspace: Workspace,
  contract: Contract,
): Promise<DatasetBalance | undefined> {
  const { store } = services;
  const known = await store.head(buckets.landing, checkpointKey);
  const checkpoint = checkpointSchema.parse(
    known ? JSON.parse(await store.getText(buckets.landing, checkpointKey)) : {},
  );
  const shards = await newRecords(workspace, checkpoint.sequences);
  const { source } = contract;
  if (source?.kind !== "logs") throw new Error(`${contract.file}: its source is no logs`);
  const drops = [];
  for (const { prefix } of source.formats) drops.push(...(await store.list(buckets.landing, prefix)));
  const newDrops = drops.filter(({ key, version }) => checkpoint.objects[key] !== version);
  if (shards.size === 0 && newDrops.length === 0) return undefined;

  const app = await composeApiLogs(services, workspace, contract);
  const balance = new Balance();
  const note = () => store.putText(buckets.landing, checkpointKey, JSON.stringify(checkpoint));
  for (const [shard, records] of shards) {
    let why = "the function's log says why";
    const invoke = async (event: Parameters<ApiLogs["stream"]>[0]) => {
      const { response, counts, errors } = await app.stream(event, lambdaContext);
      balance.add(counts);
      why = errors.at(-1)?.message ?? why;
      return response;
    };
    const failures = { store, bucket: buckets.quarantine };
    const mapping = new EventSourceMapping(invoke, { ...mappingOptions, failures });
    await mapping.deliver(records);
    for (const { object, records: count, error } of mapping.givenUp) {
      const detail = `${count} records failed to the end (${error ?? why}); npm run redrive brings them again`;
      balance.refused.push({ object, reason: "FAILED_BATCH", detail });
    }
    checkpoint.sequences[shard] = records.at(-1)?.kinesis.sequenceNumber ?? "0";
    await note();
  }
  for (const { bucket, key, version } of newDrops) {
    try {
      const { counts, refused } = await app.drop({ bucket, key, version }, lambdaContext);
      balance.add(counts);
      if (refused) balance.refused.push({ object: `s3://${bucket}/${key}`, ...refused });
      checkpoint.objects[key] = version;
      await note();
    } catch (error) {
      // It is announced again with the next run, as Lambda tries it again.
      balance.refused.push({
        object: `s3://${bucket}/${key}`,
        reason: "UNREADABLE",
        detail: messageOf(error),
      });
    }
  }
  return balance.dataset(contract.name);
}
