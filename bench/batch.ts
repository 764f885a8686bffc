/**
 * Compares, in one run on one machine: the CSV scan with other readers, CSV with Parquet for one region, and the steps
 * of a whole run with each other. Times are the best of several rounds in turn. Usage: npm run bench, or a part of it alone:
 * npm run bench -- scan | run.
 */
import { execFile, spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { DuckDBInstance } from "@duckdb/node-api";
import { parse } from "csv-parse";
import { readReport } from "../local/report/files.ts";

const rounds = 5;
const csvRecords = 200_000;
const root = path.dirname(import.meta.dirname);

interface Timing {
  readonly name: string;
  readonly records: number;
  readonly s: number;
}

/** The best seconds of each, taken in turn so that a busy moment meets all of them alike. */
async function best<Name extends string>(
  ways: Readonly<Record<Name, () => Promise<unknown>>>,
): Promise<Map<Name, number>> {
  const found = new Map<Name, number>();
  for (let round = 0; round < rounds; round++) {
    for (const name of Object.keys(ways) as Name[]) {
      const began = performance.now();
      await ways[name]();
      found.set(
        name,
        Math.min(found.get(name) ?? Number.POSITIVE_INFINITY, (performance.now() - began) / 1e3),
      );
    }
  }
  return found;
}

function print(title: string, rows: readonly Readonly<Record<string, string | number>>[]): void {
  const columns = Object.keys(rows[0] ?? {});
  process.stdout.write(
    `\n${title}\n\n| ${columns.join(" | ")} |\n|${columns.map(() => " --- |").join("")}\n`,
  );
  for (const row of rows) process.stdout.write(`| ${columns.map((name) => row[name]).join(" | ")} |\n`);
}

async function parsed(file: string): Promise<number> {
  let count = -1; // the header
  for await (const _ of createReadStream(file).pipe(parse())) count++;
  return count;
}

/** Readers of one file of payments, every seventh with a quoted note. */
async function compareScans(folder: string): Promise<void> {
  const file = path.join(folder, "payments.csv");
  const line = (n: number): string =>
    `T${n},SC${n % 20_000},2026-08-04T13:50:11+09:00,${n % 999}.95,EUR,card,captured,eu-north,1.128.20.250,` +
    `${n % 7 === 0 ? '"paid, in part"' : ""}\n`;
  const header = "id,order,time,amount,currency,method,status,region,address,note\n";
  await writeFile(file, header + Array.from({ length: csvRecords }, (_, n) => line(n)).join(""));
  const { size } = await stat(file);
  const { stdout } = await promisify(execFile)("python", ["bench/csv_scan.py", file, `${rounds}`], {
    cwd: root,
  });
  const timings = stdout
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text) as Timing);
  const node = await best({ "csv-parse (Node)": () => parsed(file) });
  for (const [name, s] of node) timings.push({ name, records: await parsed(file), s });
  const floor = timings.find(({ name }) => name.startsWith("csv module"))?.s ?? Number.NaN;
  print(
    `CSV: ${csvRecords} records, ${(size / 1e6).toFixed(1)} MB`,
    timings.map(({ name, records, s }) => ({
      Reader: name,
      "MB/s": (size / 1e6 / s).toFixed(0),
      "records/s": Math.round(records / s).toLocaleString("en"),
      "time to the csv module's": (s / floor).toFixed(2),
    })),
  );
}

async function sizeOf(files: readonly string[]): Promise<number> {
  return (await Promise.all(files.map((file) => stat(file)))).reduce((sum, { size }) => sum + size, 0);
}

const filesOf = async (folder: string, ending: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true }))
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(folder, name));

/** The drops as they came against the table's files of one region, both read by DuckDB. */
async function compareFormats(lake: string): Promise<void> {
  const drops = await filesOf(path.join(lake, "securecart-local-landing/drops/transactions"), ".csv");
  const table = path.join(lake, "securecart-local-staging/tables/lake/transactions/data");
  const parquet = await filesOf(path.join(table, "region=eu-north"), ".parquet");
  const instance = await DuckDBInstance.create(":memory:");
  const db = await instance.connect();
  const list = (files: readonly string[]): string => files.map((file) => `'${file}'`).join(", ");
  const csvQuery = `SELECT count(*) FROM read_csv([${list(drops)}], all_varchar = true, ignore_errors = true) WHERE Region = 'eu-north'`;
  const parquetQuery = `SELECT count(*), sum(amount) FROM read_parquet([${list(parquet)}])`;
  const seconds = await best({ CSV: () => db.run(csvQuery), Parquet: () => db.run(parquetQuery) });
  db.closeSync();
  const csv = { bytes: await sizeOf(drops), s: seconds.get("CSV") ?? Number.NaN };
  const stored = await sizeOf(await filesOf(table, ".parquet"));
  const opened = await sizeOf(parquet);
  const s = seconds.get("Parquet") ?? Number.NaN;
  print("Transactions of one region (eu-north)", [
    {
      Format: "CSV",
      "bytes stored": csv.bytes,
      "bytes opened": csv.bytes,
      ms: (csv.s * 1e3).toFixed(1),
      "to CSV": "1",
    },
    {
      Format: "Parquet",
      "bytes stored": stored,
      "bytes opened": opened,
      ms: (s * 1e3).toFixed(1),
      "to CSV": `stored ${(stored / csv.bytes).toFixed(2)}, opened ${(opened / csv.bytes).toFixed(2)}, time ${(s / csv.s).toFixed(2)}`,
    },
  ]);
}

function runPipeline(out: string): Promise<number> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn("tsx", ["local/cli.ts", "start", "--out", out], {
      cwd: root,
      stdio: ["ignore", "ignore", "inherit"],
    });
    child.on("error", reject);
    child.on("exit", (code) =>
      code === 0
        ? resolve((performance.now() - began) / 1e3)
        : reject(new Error(`the run ended with ${code}`)),
    );
  });
}

/** What share of a run each step takes; steps that run side by side overlap. */
async function compareSteps(out: string, wall: number): Promise<void> {
  const [report = ""] = await filesOf(path.join(out, "reports"), "report.json");
  const { steps } = await readReport(report);
  const rows = steps.flatMap(({ name, started, ended }) =>
    ended === undefined ? [] : [{ name, s: (Date.parse(ended) - Date.parse(started)) / 1e3 }],
  );
  print(
    `A whole run on the default sample: ${wall.toFixed(1)} s`,
    rows
      .filter(({ s }) => s >= 0.1)
      .map(({ name, s }) => ({
        Step: name,
        s: s.toFixed(1),
        "share of the run": `${((100 * s) / wall).toFixed(0)} %`,
      })),
  );
}

const folder = await mkdtemp(path.join(tmpdir(), "bench-"));
try {
  const part = process.argv[2];
  if (part !== "run") await compareScans(folder);
  if (part !== "scan") {
    const out = path.join(folder, "out");
    const wall = await runPipeline(out);
    await compareSteps(out, wall);
    await compareFormats(path.join(out, "lake"));
  }
} finally {
  await rm(folder, { recursive: true });
}
