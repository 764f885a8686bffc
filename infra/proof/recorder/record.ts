/** Runs the pipeline on this machine and notes every file operation of every job, and every call to AWS that it makes. */
import { spawnSync } from "node:child_process";
import { appendFile, cp, mkdir, readdir, readFile, utimes } from "node:fs/promises";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { putRecords } from "../../../local/clickstream.ts";
import { type ContractSet, contractsOf } from "../../../local/deployment.ts";
import { SparkDriver } from "../../../local/spark.ts";
import { defaultArguments } from "../../../local/tasks.ts";
import { Laptop, secondStep, temporaryFolder } from "../../../local/testing/harness.ts";
import { buckets } from "../../../local/workspace.ts";
import { type Seen, startWire, type WireRequest } from "../wire.ts";

/** What a job did to a part of a bucket: zone → operation → patterns, all in order. */
export type FileOperations = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

/** What each job did. */
export interface Recording {
  readonly files: Readonly<Record<string, FileOperations>>;
  /** Calls to other services than S3, as IAM names them; resources as the recorder named them (`names`). */
  readonly calls: Readonly<Record<string, readonly Pick<Seen, "action" | "resource">[]>>;
  /** What Iceberg deletes when a write into a table fails half way. */
  readonly failedWrite: FileOperations;
}

/** What the jobs are given in the place of the stack's names. */
export const names = {
  quarantineDatabase: "quarantine",
  topic: "arn:aws:sns:us-east-1:000000000000:fraud-alerts",
  secret: "mysql",
} as const;

interface Span {
  readonly job: string;
  readonly from: number;
  readonly to: number;
}

/** The part of a bucket that a key lies in, without what differs from run to run: `batches/…`. */
export function patternOf(key: string): string {
  const parts = key.split("/");
  const name = parts.at(-1) ?? "";
  if (parts.length === 1) return name;
  // An Iceberg table: its pointer and its metadata files say which operation of the catalog stands behind.
  if (parts[0] === "tables" && parts.length > 4) {
    const kind = parts[3] === "metadata" ? "metadata" : "data";
    if (name === "version-hint.text" || name === "v1.metadata.json") return `tables/…/metadata/${name}`;
    return `tables/…/${kind}/${/^v\d+\.metadata\.json$/.test(name) ? "v….metadata.json" : "…"}`;
  }
  // Models and alerts have rights of their own, and so has the progress of a stream.
  const deep = parts[0] === "fraud" || key.startsWith("plans/streams");
  return deep && parts.length > 1 ? `${parts[0]}/${parts[1]}/…` : `${parts[0]}/…`;
}

/**
 * SecureCart's contracts with other words for a column of a staging and of a curated table, which a migration writes
 * down, and with patience for transactions: of the few that come later too many are defective for their gate.
 */
async function reworded(): Promise<ContractSet> {
  const own = await contractsOf(undefined);
  const bundle = JSON.parse(own.bundle) as {
    contracts: {
      name: string;
      schema: { properties: { description?: string }[] }[];
      customProperties?: { property: string; value: unknown }[];
    }[];
  };
  for (const { name, schema, customProperties = [] } of bundle.contracts) {
    for (const each of customProperties) if (each.property === "maxFailedShare") each.value = 1;
    const first = schema[0]?.properties[0];
    if (first && ["orders", "order_history"].includes(name)) first.description = "In other words";
  }
  return { ...own, bundle: JSON.stringify(bundle) };
}

/** What the services answer, in place of which nothing runs here. */
function answered(action: string, { body }: WireRequest): { status: number; body: string } {
  const json = (answer: object) => ({ status: 200, body: JSON.stringify(answer) });
  switch (action) {
    case "glue:GetTable": {
      const PartitionKeys = ["dataset", "batch"].map((Name) => ({ Name, Type: "string" }));
      return json({ Table: { Name: "records", PartitionKeys, StorageDescriptor: { Columns: [] } } });
    }
    case "glue:BatchCreatePartition":
      return json({ Errors: [] });
    case "secretsmanager:GetSecretValue":
      return json({ SecretString: JSON.stringify({ username: "u", password: "p" }) });
    case "xray:PutTraceSegments":
      return json({ UnprocessedTraceSegments: [] });
    case "sns:Publish":
      return {
        status: 200,
        body: "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>",
      };
    default:
      throw new Error(
        `a job called ${action}, which nothing answers here: ${body.toString("utf8").slice(0, 200)}`,
      );
  }
}

/** Leaves a copy of each data file beside it, which no table knows, as a write of some weeks ago would have. */
async function leaveOrphans(tables: string): Promise<void> {
  const files = (await readdir(tables, { recursive: true })).filter((name) => name.endsWith(".parquet"));
  if (files.length === 0) throw new Error(`${tables} has no data files`);
  const past = new Date(Date.now() - 30 * 24 * 3600 * 1000);
  for (const file of files) {
    const orphan = path.join(tables, path.dirname(file), `orphan-${path.basename(file)}`);
    await cp(path.join(tables, file), orphan);
    await utimes(orphan, past, past);
  }
}

/** Runs every job at least once, one after the other, each operation noted with its job. */
export async function record(): Promise<Recording> {
  const { folder, remove } = await temporaryFolder();
  const file = path.join(folder, "operations.tsv");
  const classes = path.join(folder, "classes");
  const lake = path.join(folder, "out", "lake");
  await mkdir(classes, { recursive: true });
  const compiled = spawnSync("python", [path.join(import.meta.dirname, "compile.py"), classes], {
    encoding: "utf8",
  });
  if (compiled.status !== 0)
    throw new Error(`the recording file system does not compile: ${compiled.stderr}`);
  const seen: { readonly call: Seen; readonly at: number }[] = [];
  const wire = await startWire({
    upstream: "http://nowhere.invalid",
    place: { partition: "aws", region: "us-east-1", accountId: "000000000000" },
    seen: (call) => void seen.push({ call, at: Date.now() }),
    answer: answered,
  });
  const inherited = { ...process.env };
  Object.assign(process.env, {
    SECURECART_RECORD: file,
    SECURECART_LOCAL_FILE_SYSTEM: "securecart.RecordingFileSystem",
    SECURECART_JARS: `${process.env.SECURECART_JARS ?? ""},${classes}`,
    PYTHONPATH: `${import.meta.dirname}:${process.env.PYTHONPATH ?? ""}`,
    AWS_ENDPOINT_URL: wire.url,
    AWS_DEFAULT_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
  });

  const spans: Span[] = [];
  const { runJob } = SparkDriver.prototype;
  let last: Promise<void> = Promise.resolve();
  /** Runs work of a job alone, so that each operation is one job's. */
  const alone = (job: string, work: () => Promise<unknown>): Promise<void> => {
    const turn = last.then(async () => {
      // Operations are told apart by their millisecond, so what is before and after must not share one with the job.
      await setTimeout(10);
      const from = Date.now();
      try {
        await work();
      } finally {
        spans.push({ job, from, to: Date.now() });
        await setTimeout(10);
      }
    });
    last = turn.catch(() => {});
    return turn;
  };
  let broken: string | undefined;
  SparkDriver.prototype.runJob = function (job, argv) {
    // What is given to every job is taken by those that know it. The stream's upkeep comes with every batch.
    const own = [
      "--quarantine-db",
      names.quarantineDatabase,
      "--alert-topic",
      names.topic,
      "--compact-every",
      "1",
    ];
    return alone(job, async () => {
      await runJob.call(this, job, [...argv, ...own]);
      if (job === broken) throw new Error("made to fail");
    });
  };
  const laptop = await Laptop.open(path.join(folder, "out"));
  try {
    const { services, workspace } = laptop.session;
    const { spark } = services;
    const asOnAws = (...argv: string[]) => spark.request("run_job", { module: "as_on_aws", argv });
    await asOnAws();
    const { run } = await laptop.succeed();
    await laptop.succeed({ workflowInput: { replay: { batch_id: run.batchId, from: "recipes" } } });

    await spark.request("sample_labels", {
      table: "staging.lake.transactions",
      prefix: `s3://${buckets.landing}/fraud-labels/`,
    });
    // The second training compares with the first one's model.
    for (const seed of ["1", "2"]) {
      const training = {
        ...defaultArguments(workspace.sources),
        "--batch-id": `train-${seed}`,
        "--seed": seed,
      };
      await spark.runJob("fraud_train", Object.entries(training).flat());
    }

    // New data, of which the first run fails after it has published: its tables go back.
    secondStep(workspace.sample, new Date());
    const sample = (...parts: string[]): string => path.join(workspace.sample, ...parts);
    await cp(sample("step-2/drops/transactions"), laptop.landing("drops/transactions"), { recursive: true });
    await spark.request("change_sources", { script: sample("sources/mysql/changes-2.sql") });
    const changes = await readFile(sample("sources/dynamodb/changes-2.jsonl"), "utf8");
    await appendFile(sample("sources/dynamodb/orders.jsonl"), changes);
    const clicks = laptop.landing("streams/clickstream");
    const [some] = (await readdir(clicks)).filter((name) => name.endsWith(".jsonl"));
    if (some === undefined) throw new Error(`${clicks} has no records`);
    await putRecords(workspace, "clickstream", "again", await readFile(path.join(clicks, some), "utf8"));
    const contracts = await reworded();
    broken = "curate";
    const why = await laptop.fail({ contracts });
    if (!why.includes("made to fail")) throw new Error(`the run failed for another reason: ${why}`);
    broken = undefined;
    await laptop.succeed({ contracts, reconcile: true });
    await leaveOrphans(path.join(lake, buckets.curated, "tables"));
    const upkeep = {
      ...defaultArguments(workspace.sources),
      "--plan": `s3://${buckets.landing}/plans/${run.batchId}.json`,
      "--batch-id": run.batchId,
    };
    await spark.runJob("maintain", Object.entries(upkeep).flat());
    await alone("failed-write", () => asOnAws("curated.lake.order_history"));
  } finally {
    SparkDriver.prototype.runJob = runJob;
    await laptop.session.close();
    for (const name of Object.keys(process.env)) if (!(name in inherited)) delete process.env[name];
    Object.assign(process.env, inherited);
    await wire.close();
  }
  const jobAt = (time: number): string | undefined =>
    spans.find(({ from, to }) => time >= from && time <= to)?.job;
  const zones = new Map<string, string>(Object.entries(buckets).map(([zone, bucket]) => [bucket, zone]));
  const found = new Map<string, Map<string, Map<string, Set<string>>>>();
  for (const line of (await readFile(file, "utf8")).trim().split("\n")) {
    const [time = "", operation = "", at = ""] = line.split("\t");
    const job = jobAt(Number(time));
    const [bucket = "", ...key] = path.relative(lake, at).split("/");
    const zone = zones.get(bucket);
    if (job === undefined || zone === undefined) continue;
    const byZone = found.get(job) ?? new Map<string, Map<string, Set<string>>>();
    found.set(job, byZone);
    const byOperation = byZone.get(zone) ?? new Map<string, Set<string>>();
    byZone.set(zone, byOperation);
    const patterns = byOperation.get(operation) ?? new Set<string>();
    byOperation.set(operation, patterns);
    patterns.add(patternOf(key.join("/")));
  }
  const calls = new Map<string, Map<string, Pick<Seen, "action" | "resource">>>();
  for (const { call, at } of seen) {
    const job = jobAt(at);
    if (job === undefined) throw new Error(`${call.action} was called while no job ran`);
    const own = calls.get(job) ?? new Map<string, Pick<Seen, "action" | "resource">>();
    calls.set(job, own);
    const { action, resource } = call;
    own.set(`${action} ${resource}`, { action, resource });
  }
  await remove();
  const { "failed-write": failedWrite = {}, ...files } = sorted(found, (zone) =>
    sorted(zone, (operation) => sorted(operation, (set) => [...set].sort())),
  );
  return {
    files,
    calls: sorted(calls, (own) => Object.values(sorted(own, (call) => call))),
    failedWrite,
  };
}

function sorted<T, R>(map: ReadonlyMap<string, T>, value: (each: T) => R): Record<string, R> {
  return Object.fromEntries(
    [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, each]): [string, R] => [name, value(each)]),
  );
}
