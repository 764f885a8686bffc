import { existsSync } from "node:fs";
import path from "node:path";
import { root } from "../package/artifacts.ts";
import type { Zone } from "./lake.ts";

/** Kinesis streams, by what they carry. */
export const streamNames = ["clickstream", "apiEvents"] as const;
export type StreamName = (typeof streamNames)[number];

/** Prefixes by bucket. */
export type Areas = Partial<Readonly<Record<Zone, readonly string[]>>>;

/** What one Spark job is and what it may touch; everything else about it is the same for all. */
export interface JobSpec {
  /** Module of the Python package `jobs/securecart`. */
  readonly module: string;
  readonly description: string;
  /** Areas it reads beside its code, its contracts and its plan. */
  readonly reads: Areas;
  /** Areas whose objects it reads by version, never as they are now: S3 asks another right for that. */
  readonly readsVersions?: Areas;
  /** Areas it writes beside its metrics. */
  readonly writes: Areas;
  /** Zones whose tables it reads, changes or makes; each includes the ones before. */
  readonly tables: Partial<Readonly<Record<"staging" | "curated", "read" | "change" | "make">>>;
  /** Arguments beside those that every job takes. */
  readonly arguments: readonly ("geo-database" | "mysql")[];
  /** Runs at the same time, at most. */
  readonly concurrency: number;
  /** Somebody waits for it: it starts at once, also where the others wait for spare capacity. @default false */
  readonly urgent?: boolean;
  /** The Kinesis stream that it reads for ever; a job without one ends when its work is done. */
  readonly stream?: StreamName;
}

const tables = ["tables/"];

/** Where the clickstream job notes how far it has read; nothing else writes or expires what is there. */
export const checkpoints = "checkpoints/clickstream/";

/** The batch jobs, in the order of the workflow. */
export const jobs = {
  migrate: {
    module: "migrate",
    description: "Makes and evolves the Iceberg tables from the contracts",
    urgent: true,
    reads: {},
    writes: { staging: tables, curated: tables },
    tables: { staging: "make", curated: "make" },
    arguments: [],
    concurrency: 1,
  },
  extractMysql: {
    module: "extract_mysql",
    description: "MySQL tables into landing batches",
    reads: {},
    writes: { landing: ["batches/", "recipes/"] },
    tables: {},
    arguments: ["mysql"],
    concurrency: 1,
  },
  extractDynamodb: {
    module: "extract_dynamodb",
    description: "DynamoDB exports into landing batches",
    reads: { landing: ["dynamodb-exports/"] },
    writes: { landing: ["batches/", "recipes/"] },
    tables: {},
    arguments: [],
    concurrency: 1,
  },
  csvToParquet: {
    module: "csv_to_parquet",
    description: "CSV drops into landing batches",
    reads: {},
    readsVersions: { landing: ["drops/"] },
    writes: { landing: ["batches/", "recipes/"] },
    tables: {},
    arguments: [],
    concurrency: 1,
  },
  stageRecipes: {
    module: "stage_recipes",
    description: "Recipe inputs of a replay or a backfill",
    reads: { landing: ["batches/"] },
    writes: { landing: ["recipes/"] },
    tables: {},
    arguments: [],
    concurrency: 1,
  },
  clean: {
    module: "clean",
    description: "Types, conforms and deduplicates; rejects go to quarantine",
    reads: { landing: ["batches/", "recipes/"], staging: tables, curated: tables },
    writes: { staging: ["candidates/"], quarantine: ["records/"] },
    tables: { staging: "read", curated: "read" },
    arguments: [],
    concurrency: 1,
  },
  quality: {
    module: "quality",
    description: "Judges a batch by the contracts' rules before it is published",
    reads: { staging: [...tables, "candidates/"], curated: tables },
    writes: {},
    tables: { staging: "read", curated: "read" },
    arguments: [],
    concurrency: 1,
  },
  publish: {
    module: "publish",
    description: "Merges a batch into the tables",
    reads: { staging: ["candidates/"] },
    writes: { staging: tables, curated: tables },
    tables: { staging: "change", curated: "change" },
    arguments: [],
    concurrency: 1,
  },
  curate: {
    module: "curate",
    description: "Order history and category revenue from what changed",
    reads: { staging: tables },
    writes: { curated: tables },
    tables: { staging: "read", curated: "change" },
    arguments: ["geo-database"],
    concurrency: 1,
  },
  export: {
    module: "export",
    description: "Changed rows as plain Parquet for the warehouse, customers' segments for API events",
    reads: { staging: tables },
    // The last exported snapshot of a table is tagged, which is a commit.
    writes: { curated: ["exports/", "lookups/", ...tables] },
    tables: { staging: "read", curated: "change" },
    arguments: [],
    concurrency: 1,
  },
  rollback: {
    module: "rollback",
    description: "Tables back to what they were before a failed batch",
    urgent: true,
    reads: {},
    writes: { staging: tables, curated: tables },
    tables: { staging: "change", curated: "change" },
    arguments: [],
    concurrency: 1,
  },
  clickstream: {
    module: "clickstream",
    description: "Clickstream into events, sessions and behaviour, as it comes",
    reads: {},
    writes: {
      // What it wrote is noted beside the plans, where planning looks.
      landing: ["streams/", "plans/streams/"],
      staging: [...tables, checkpoints],
      curated: tables,
      quarantine: ["records/"],
    },
    tables: { staging: "change", curated: "change" },
    arguments: [],
    concurrency: 1,
    stream: "clickstream",
  },
} as const satisfies Readonly<Record<string, JobSpec>>;

export type JobName = keyof typeof jobs;
export const jobNames = Object.keys(jobs) as JobName[];

/** The Python package of the jobs. */
export const jobsPackage = path.join(root, "jobs/securecart");

/** The job's script; undefined while it is not written. */
export function scriptOf(name: JobName, packageDir = jobsPackage): string | undefined {
  const file = path.join(packageDir, `${jobs[name].module}.py`);
  return existsSync(file) ? file : undefined;
}
