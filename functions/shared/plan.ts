import { createHash } from "node:crypto";
import { z } from "zod";
import type { ObjectStore } from "./objectStore.ts";

/** The steps a run can be replayed from, in their order. */
export const steps = [
  "extract",
  "recipes",
  "clean",
  "quality",
  "publish",
  "curate",
  "export",
  "load",
] as const;
export type StepName = (typeof steps)[number];

/** ISO 8601 in UTC with milliseconds, as `Date.toISOString` writes it: such texts sort as the instants do. */
const timestamp = z.iso.datetime({ precision: 3 });
const day = z.iso.date();

const mysqlExtract = z.object({
  dataset: z.string(),
  kind: z.literal("mysql"),
  table: z.string(),
  watermark_column: z.string(),
  /** Rows with from < watermark_column ≤ to are read; null reads from the beginning. */
  from: timestamp.nullable(),
  to: timestamp,
  /** True when the keys of all rows are read as well, to find the rows deleted at the source. */
  reconcile: z.boolean(),
});

/** One export of a DynamoDB table; the datasets that read the same table share it. */
const tableExport = z.object({
  /** Unique in the plan. */
  id: z.string(),
  type: z.enum(["FULL_EXPORT", "INCREMENTAL_EXPORT"]),
  /** Name of the table in the contract. */
  table: z.string(),
  table_arn: z.string(),
  /** S3 prefix in the landing bucket that belongs to this export alone; AWSDynamoDB/<export id>/ lies below. */
  prefix: z.string(),
  /** Inclusive; null for a full export. */
  from: timestamp.nullable(),
  /** Exclusive; the point in time of a full export. Whole seconds. */
  to: timestamp,
});

const dynamodbExtract = z.object({
  dataset: z.string(),
  kind: z.literal("dynamodb"),
  /** One a window, oldest first. */
  exports: z.array(tableExport).min(1),
  /** True when a full export follows earlier ones: what it does not hold was deleted at the source. */
  reconcile: z.boolean(),
});

const sourceObject = z.object({
  bucket: z.string(),
  key: z.string(),
  version: z.string(),
  etag: z.string(),
  size: z.number(),
  last_modified: timestamp,
});

const csvExtract = z.object({ dataset: z.string(), kind: z.literal("csv"), objects: z.array(sourceObject) });

const watermark = z.object({ watermark: timestamp, reconciled_at: timestamp.optional() });

const landingFolder = z.object({ dataset: z.string(), path: z.string() });

export const planSchema = z.object({
  batch_id: z.string(),
  mode: z.enum(["incremental", "backfill", "replay"]),
  created_at: timestamp,
  /** Days of the event time, both included. */
  range: z.object({ from: day, to: day }).nullable(),
  extracts: z.array(z.discriminatedUnion("kind", [mysqlExtract, dynamodbExtract, csvExtract])),
  /** Datasets of this plan that a DataBrew recipe prepares. */
  recipes: z.array(z.string()),
  /** Landing folders to clean, oldest batch first. */
  landing: z.array(landingFolder),
  /**
   * Folders of committed batches that may hold what takes the place of a row that this plan's batch withdraws: an
   * older drop, or the other source, may have the same key. Empty for a backfill, which cleans them all.
   */
  history: z.array(landingFolder).default([]),
  /** Object versions that the commit step marks as processed. */
  claims: z.array(z.object({ bucket: z.string(), key: z.string(), version: z.string() })),
  /** The batch whose changes the warehouse got last: the export step starts from there. Null before the first. */
  loaded_batch: z.string().nullable(),
  /** How far each dataset has been read once this plan is committed. */
  watermarks: z.record(z.string(), watermark),
});

export type Plan = z.infer<typeof planSchema>;
export type Extract = Plan["extracts"][number];
export type MysqlExtract = z.infer<typeof mysqlExtract>;
export type DynamodbExtract = z.infer<typeof dynamodbExtract>;
export type CsvExtract = z.infer<typeof csvExtract>;
export type TableExport = z.infer<typeof tableExport>;
export type Watermark = z.infer<typeof watermark>;
export type LandingFolder = Plan["landing"][number];
export type ObjectClaim = Plan["claims"][number];

/** The execution of the workflow that a handler is called by. */
export const executionSchema = z.object({
  /** ARN of the execution; owner of the lease. */
  id: z.string().min(1),
  startTime: z.iso.datetime(),
});
export type Execution = z.infer<typeof executionSchema>;

export const batchIdPattern = /^\d{8}T\d{6}Z-[0-9a-f]{8}$/;

const shortHash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 8);

/** `20260102T030405Z-1a2b3c4d`: sorts by start, and is the same however often the execution's step is retried. */
export function batchIdOf(execution: Execution): string {
  const time = new Date(execution.startTime).toISOString().replace(/\.\d+Z$/, "Z");
  return `${time.replaceAll(/[-:]/g, "")}-${shortHash(execution.id)}`;
}

/** Where a batch's plan is, in the landing bucket. */
export function planKeyOf(batchId: string): string {
  return `plans/${batchId}.json`;
}

/** A replay's plan lies beside the batch's own, which stays as it was. */
export function replayKeyOf(batchId: string, execution: Execution): string {
  return `plans/${batchId}.replay-${batchIdOf(execution)}.json`;
}

/** @throws ObjectNotFoundError, or an Error that names the key and what is wrong with the plan there. */
export async function readPlan(store: ObjectStore, bucket: string, key: string): Promise<Plan> {
  const text = await store.getText(bucket, key);
  try {
    return planSchema.parse(JSON.parse(text));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new Error(`s3://${bucket}/${key} is no valid plan: ${why}`, { cause: error });
  }
}
