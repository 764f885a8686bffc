import { existsSync } from "node:fs";
import path from "node:path";
import type { Contract } from "../../contracts/contract.ts";
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
  /** A step of a run, which reads the run's plan and says what it did. @default true */
  readonly step?: false;
  /** The kind of source that it extracts; datasets with a recipe it hands to that. */
  readonly extracts?: NonNullable<Contract["source"]>["kind"];
  /** Areas that it lists and reads, beside its code and its contracts. */
  readonly reads: Areas;
  /** Areas where it looks whether something is there, and reads nothing. */
  readonly lists?: Areas;
  /** Areas of whose objects something else tells the names, as a catalog does: it reads them and lists nothing. */
  readonly opens?: Areas;
  /** Areas whose objects it reads by version, never as they are now: S3 asks another right for that. */
  readonly readsVersions?: Areas;
  /** Areas in which it makes and removes files, as Spark does when it writes. */
  readonly writes: Areas;
  /** Areas into which it puts single objects, beside its metrics. */
  readonly puts?: Areas;
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

/** Where Iceberg keeps the tables of a zone. */
export const tables = "tables/";

/** What the steps of a run say of themselves, and what tables were before it. */
export const runs = "runs/";

/** What recipes clean, and what they left. */
export const recipes = "recipes/";

/** Where the clickstream job notes how far it has read; nothing else writes or expires what is there. */
export const checkpoints = "checkpoints/clickstream/";

/** The batch jobs, in the order of the workflow. */
export const jobs = {
  migrate: {
    module: "migrate",
    description: "Makes and evolves the Iceberg tables from the contracts",
    urgent: true,
    step: false,
    reads: {},
    writes: { staging: [tables], curated: [tables] },
    tables: { staging: "make", curated: "make" },
    arguments: [],
    concurrency: 1,
  },
  extractMysql: {
    module: "extract_mysql",
    description: "MySQL tables into landing batches",
    extracts: "mysql",
    reads: {},
    writes: { landing: ["batches/"] },
    tables: {},
    arguments: ["mysql"],
    concurrency: 1,
  },
  extractDynamodb: {
    module: "extract_dynamodb",
    description: "DynamoDB exports into landing batches",
    extracts: "dynamodb",
    reads: { landing: ["dynamodb-exports/"] },
    writes: { landing: ["batches/"] },
    tables: {},
    arguments: [],
    concurrency: 1,
  },
  csvToParquet: {
    module: "csv_to_parquet",
    description: "CSV drops into landing batches",
    extracts: "csv",
    reads: {},
    readsVersions: { landing: ["drops/"] },
    writes: { landing: ["batches/"] },
    tables: {},
    arguments: [],
    concurrency: 1,
  },
  stageRecipes: {
    module: "stage_recipes",
    description: "Recipe inputs of a replay or a backfill",
    reads: { landing: ["batches/"] },
    writes: { landing: [recipes] },
    tables: {},
    arguments: [],
    concurrency: 1,
  },
  clean: {
    module: "clean",
    description: "Types, conforms and deduplicates; rejects go to quarantine",
    reads: { landing: ["batches/", recipes] },
    opens: { staging: [tables], curated: [tables] },
    writes: { staging: ["candidates/"], quarantine: ["records/"] },
    tables: { staging: "read", curated: "read" },
    arguments: [],
    concurrency: 1,
  },
  quality: {
    module: "quality",
    description: "Judges a batch by the contracts' rules before it is published",
    reads: { staging: ["candidates/", runs] },
    opens: { staging: [tables], curated: [tables] },
    writes: {},
    tables: { staging: "read", curated: "read" },
    arguments: [],
    concurrency: 1,
  },
  publish: {
    module: "publish",
    description: "Merges a batch into the tables",
    // Before it changes anything it looks whether an earlier try has noted what tables were.
    reads: { staging: ["candidates/"] },
    lists: { staging: [runs] },
    writes: { staging: [tables], curated: [tables] },
    tables: { staging: "change", curated: "change" },
    arguments: [],
    concurrency: 1,
  },
  curate: {
    module: "curate",
    description: "Order history and category revenue from what changed",
    reads: {},
    opens: { staging: [tables] },
    writes: { curated: [tables] },
    tables: { staging: "read", curated: "change" },
    arguments: ["geo-database"],
    concurrency: 1,
  },
  export: {
    module: "export",
    description: "Changed rows as plain Parquet for the warehouse, customers' segments for API events",
    reads: { curated: ["lookups/"] },
    opens: { staging: [tables] },
    // The last exported snapshot of a table is tagged, which is a commit.
    writes: { curated: ["exports/", tables] },
    puts: { curated: ["lookups/"] },
    tables: { staging: "read", curated: "change" },
    arguments: [],
    concurrency: 1,
  },
  maintain: {
    module: "maintain",
    description: "Old snapshots and orphan files deleted, small files compacted, once a day",
    urgent: true,
    reads: { staging: [tables], curated: [tables] },
    writes: { staging: [tables], curated: [tables] },
    tables: { staging: "change", curated: "change" },
    arguments: [],
    concurrency: 1,
  },
  rollback: {
    module: "rollback",
    description: "Tables back to what they were before a failed batch",
    urgent: true,
    reads: { staging: [runs] },
    writes: { staging: [tables], curated: [tables] },
    tables: { staging: "change", curated: "change" },
    arguments: [],
    concurrency: 1,
  },
  clickstream: {
    module: "clickstream",
    description: "Clickstream into events, sessions and behaviour, as it comes",
    // What it wrote is noted beside the plans, where planning looks.
    step: false,
    reads: { landing: ["plans/streams/"] },
    writes: { staging: [checkpoints], curated: [tables], quarantine: ["records/"] },
    puts: { landing: ["plans/streams/"] },
    tables: { curated: "change" },
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
