/** For tests: a workspace in a temporary folder whose services stay open over many runs, and questions to its tables. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Writable } from "node:stream";
import { expect } from "chai";
import { type Plan, readPlan } from "../../functions/shared/plan.ts";
import type { Json } from "../../workflow/asl.ts";
import { type ContractSet, contractsOf } from "../deployment.ts";
import type { ReportData } from "../report/types.ts";
import { type Outcome, type RunOptions, Session } from "../session.ts";
import { Progress } from "../terminal/progress.ts";
import { buckets } from "../workspace.ts";

const root = path.resolve(import.meta.dirname, "../..");

/** A sample small enough for tests; every kind of defect that they look at occurs in it. */
export const scale = 0.02;

/**
 * Columns that say by which batch and from which file a row came: they differ when the same rows are brought by
 * another batch. Every comparison of tables leaves them out, and no other.
 */
export const technicalColumns = [
  "source_system",
  "source_object",
  "source_position",
  "version_at",
  "batch_id",
  "row_hash",
] as const;

export interface Ended {
  readonly outcome: Outcome;
  /** What the terminal showed. */
  readonly shown: string;
}

/** A temporary folder, removed by `remove`. */
export async function temporaryFolder(): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), "securecart-"));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** A workspace that runs the pipeline again and again on one Spark driver. */
export class Laptop {
  readonly session: Session;

  private constructor(session: Session) {
    this.session = session;
  }

  static async open(out: string): Promise<Laptop> {
    return new Laptop(await Session.open(out));
  }

  /** A folder of the local landing bucket. */
  landing(...parts: string[]): string {
    return path.join(this.session.workspace.lake, buckets.landing, ...parts);
  }

  async run(
    options: Partial<Pick<RunOptions, "contract" | "input" | "from" | "reconcile">> & {
      workflowInput?: Json;
      contracts?: ContractSet;
      signal?: AbortSignal;
      onOutput?: (shown: string) => void;
    } = {},
  ): Promise<Ended> {
    const {
      signal = new AbortController().signal,
      contracts,
      onOutput,
      workflowInput = {},
      ...rest
    } = options;
    let shown = "";
    const output = new Writable({
      write(chunk, _encoding, done) {
        shown += String(chunk);
        onOutput?.(shown);
        done();
      },
    });
    const progress = new Progress({ output, environment: {} });
    try {
      const run = {
        ...rest,
        workflowInput,
        contracts: contracts ?? (await contractsOf(options.contract)),
        sample: { seed: 42, scale },
      };
      return { outcome: await this.session.run(run, { progress, signal }), shown };
    } finally {
      progress.stop();
    }
  }

  /** Runs and expects success. */
  async succeed(options: Parameters<Laptop["run"]>[0] = {}): Promise<ReportData> {
    const { outcome, shown } = await this.run(options);
    if (outcome.status !== "SUCCEEDED") {
      const why = outcome.status === "FAILED" ? outcome.data.run.error?.cause : JSON.stringify(outcome);
      const log = await readFile(this.session.workspace.log, "utf8");
      const end = log.trim().split("\n").slice(-15).join("\n");
      throw new Error(`the run ended ${outcome.status}: ${why}\n${shown}\nThe end of Spark's log:\n${end}`);
    }
    return outcome.data;
  }

  /** Runs and expects the failure of the workflow. @returns its cause */
  async fail(options: Parameters<Laptop["run"]>[0] = {}): Promise<string> {
    const { outcome, shown } = await this.run(options);
    if (outcome.status !== "FAILED") throw new Error(`the run ended ${outcome.status}\n${shown}`);
    expect(outcome.data.run.error?.remedy).to.include(this.session.workspace.log);
    return outcome.data.run.error?.cause ?? "";
  }

  plan(data: ReportData): Promise<Plan> {
    return readPlan(this.session.services.store, buckets.landing, `plans/${data.run.batchId}.json`);
  }

  async mart(sql: string): Promise<readonly (readonly (string | null)[])[]> {
    return (await this.session.services.warehouse.query(sql, { as: "owner" })).rows;
  }

  /** Runs Spark SQL. @returns the last statement's rows, values as text */
  async lake(...sql: string[]): Promise<(string | null)[][]> {
    const { rows } = await this.#probe("--sql", ...sql);
    return rows as (string | null)[][];
  }

  /** SHA-256 over the sorted business columns of every table, lake and mart. */
  async digests({ contracts }: ContractSet): Promise<Record<string, string>> {
    const tables = contracts
      .filter(({ zone, storage, warehouse }) => storage !== "parquet" && (zone !== "source" || warehouse))
      .map(({ zone, name }) => `${zone === "source" ? "staging" : zone}.lake.${name}`);
    const lake = await this.#probe("--digests", ...tables, "--without", ...technicalColumns);
    const found = lake as Record<string, string>;
    for (const { warehouse } of contracts) {
      if (warehouse) found[`mart.${warehouse.table}`] = await this.#martDigest(warehouse.table);
    }
    return found;
  }

  async #martDigest(table: string): Promise<string> {
    const { columns, rows } = await this.session.services.warehouse.query(`SELECT * FROM mart.${table}`, {
      as: "owner",
    });
    const kept = columns.flatMap(({ name }, index) =>
      technicalColumns.some((technical) => technical === name) ? [] : [index],
    );
    const lines = rows.map((row) => JSON.stringify(kept.map((index) => row[index]))).sort();
    return createHash("sha256").update(lines.join("\n")).digest("hex");
  }

  async #probe(...args: string[]): Promise<Record<string, unknown>> {
    const out = path.join(this.session.workspace.scratch, "probe.json");
    await this.session.services.spark.request("run_job", {
      module: "testing.lake_probe",
      argv: ["--out", out, ...args],
    });
    return JSON.parse(await readFile(out, "utf8")) as Record<string, unknown>;
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

/** Does work while this process takes it to be yesterday; Java, Python and files keep to the present. */
export async function yesterday<T>(work: () => Promise<T>): Promise<T> {
  const Present = Date;
  const then = (): number => Present.now() - 24 * 3600 * 1000;
  globalThis.Date = new Proxy(Present, {
    construct: (target, given, self) =>
      Reflect.construct(target, given.length === 0 ? [then()] : given, self),
    get: (target, key, self) => (key === "now" ? then : Reflect.get(target, key, self)),
  });
  try {
    return await work();
  } finally {
    globalThis.Date = Present;
  }
}

/** How a command ended. */
export interface Exit {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const cli = ["--import", "tsx", path.join(root, "local/cli.ts")];

/** Runs a command of the CLI as `npm start` does, in the environment that the set-up made for the tests. */
export function command(...args: string[]): Exit {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...cli, ...args], {
    cwd: root,
    encoding: "utf8",
  });
  return { code: status, stdout, stderr };
}

/** A command that runs while the test goes on. */
export function background(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [...cli, ...args], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const exit = new Promise<Exit>((resolve) => {
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  /** Ctrl-C, as a terminal has it: the signal goes to every process of the group, the driver's too. */
  const interrupt = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGINT");
  };
  return { child, exit, interrupt, output: () => stdout + stderr };
}

/** Runs the sample's generator for what happens at the sources after the first run. */
export function secondStep(sample: string, at: Date): void {
  const args = ["-m", "local.sample", "--out", sample, "--step", "2", "--at", at.toISOString()];
  const { status, stderr } = spawnSync("python", args, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`the second step could not be generated: ${stderr}`);
}

/** Resolves when the condition holds. @throws Error after the time is over */
export async function until(condition: () => boolean | Promise<boolean>, seconds: number): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`what was waited for did not happen in ${seconds} seconds`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
