/** Runs the pipeline on this machine and notes every file operation of every job. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { SparkDriver } from "../../../local/spark.ts";
import { Laptop, temporaryFolder } from "../../../local/testing/harness.ts";
import { buckets } from "../../../local/workspace.ts";

/** What a job did to a part of a bucket: `{job: {zone: {operation: [patterns]}}}`, all in order. */
export type Recording = Readonly<
  Record<string, Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>>
>;

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
  // Models and alerts have rights of their own.
  return parts[0] === "fraud" && parts.length > 2 ? `${parts[0]}/${parts[1]}/…` : `${parts[0]}/…`;
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
  process.env.SECURECART_RECORD = file;
  process.env.SECURECART_LOCAL_FILE_SYSTEM = "securecart.RecordingFileSystem";
  process.env.SECURECART_JARS = `${process.env.SECURECART_JARS ?? ""},${classes}`;
  process.env.PYTHONPATH = `${import.meta.dirname}:${process.env.PYTHONPATH ?? ""}`;

  const spans: Span[] = [];
  const calls: { job: string; argv: readonly string[] }[] = [];
  const { runJob } = SparkDriver.prototype;
  let last: Promise<void> = Promise.resolve();
  let driver: SparkDriver | undefined;
  // Jobs that would run side by side run one after the other, so that each operation is one job's.
  SparkDriver.prototype.runJob = function (job, argv) {
    driver = this;
    calls.push({ job, argv });
    const turn = last.then(async () => {
      const from = Date.now();
      try {
        await runJob.call(this, job, argv);
      } finally {
        spans.push({ job, from, to: Date.now() });
      }
    });
    last = turn.catch(() => {});
    return turn;
  };
  const laptop = await Laptop.open(path.join(folder, "out"));
  try {
    const { run } = await laptop.succeed();
    await laptop.succeed({ workflowInput: { replay: { batch_id: run.batchId, from: "recipes" } } });
    const publish = calls.findLast(({ job }) => job === "publish");
    if (!publish || !driver) throw new Error("no job published anything");
    await driver.runJob("rollback", publish.argv);
  } finally {
    SparkDriver.prototype.runJob = runJob;
    await laptop.session.close();
  }
  const zones = new Map<string, string>(Object.entries(buckets).map(([zone, bucket]) => [bucket, zone]));
  const found = new Map<string, Map<string, Map<string, Set<string>>>>();
  for (const line of readFileSync(file, "utf8").trim().split("\n")) {
    const [time = "", operation = "", at = ""] = line.split("\t");
    const span = spans.find(({ from, to }) => Number(time) >= from && Number(time) <= to);
    const [bucket = "", ...key] = path.relative(lake, at).split("/");
    const zone = zones.get(bucket);
    if (!span || zone === undefined) continue;
    const byZone = found.get(span.job) ?? new Map<string, Map<string, Set<string>>>();
    found.set(span.job, byZone);
    const byOperation = byZone.get(zone) ?? new Map<string, Set<string>>();
    byZone.set(zone, byOperation);
    const patterns = byOperation.get(operation) ?? new Set<string>();
    byOperation.set(operation, patterns);
    patterns.add(patternOf(key.join("/")));
  }
  await remove();
  return sorted(found, (zone) => sorted(zone, (operation) => sorted(operation, (set) => [...set].sort())));
}

function sorted<T, R>(map: ReadonlyMap<string, T>, value: (each: T) => R): Record<string, R> {
  return Object.fromEntries(
    [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, each]): [string, R] => [name, value(each)]),
  );
}
