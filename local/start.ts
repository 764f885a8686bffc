/** `npm start`: one run of the deployed workflow on this machine, from its sources to its report. */
import { createHash, randomUUID } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { contractsBundle, contractsDir } from "../contracts/bundle.ts";
import { type Contract, contractOf } from "../contracts/contract.ts";
import { createHandler as createAbort } from "../functions/abort/handler.ts";
import { readMetrics, totalsOf } from "../functions/shared/metrics.ts";
import { SqlRunner } from "../warehouse/dataApi.ts";
import { migrate } from "../warehouse/migrate.ts";
import type { Json } from "../workflow/asl.ts";
import { renderDefinition } from "../workflow/definition.ts";
import { ExecutionAborted } from "./asl/errors.ts";
import { type ExecutionResult, runStateMachine } from "./asl/run.ts";
import { figuresOf } from "./figures.ts";
import type { QualityResult, ReportData, RunInfo } from "./report/types.ts";
import { generateSample, loadSample, type SampleOptions } from "./sampleData.ts";
import { type Services, startServices } from "./services.ts";
import { StepTracker } from "./steps.ts";
import { defaultArguments, localNames, taskHandlers } from "./tasks.ts";
import { Progress } from "./terminal/progress.ts";
import { printSummary } from "./terminal/summary.ts";
import { buckets, UserError, Workspace } from "./workspace.ts";

export interface StartOptions extends SampleOptions {
  readonly out: string;
  /** A user's contract; the run then deals with its dataset alone. */
  readonly contract?: string;
  /** A file, or a folder of files, to drop for that contract. */
  readonly input?: string;
  /** The workflow's input, as EventBridge or a person gives it. */
  readonly workflowInput: Json;
  /** Replays the last batch from this step. */
  readonly from?: string;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The contracts of a run: SecureCart's own, or the user's alone. */
async function contractsOf({
  contract,
}: StartOptions): Promise<{ bundle: string; contracts: Contract[]; own: boolean }> {
  const own = contract === undefined || path.dirname(path.resolve(contract)) === contractsDir;
  const bundle = await contractsBundle([own ? contractsDir : contract]);
  const contracts = bundle.contracts.map((document) => contractOf(String(document.name), document));
  return { bundle: JSON.stringify(bundle), contracts, own };
}

/** Copies the input to where the contract's drops arrive, as S3 receives an upload. */
async function dropInput(
  workspace: Workspace,
  contracts: readonly Contract[],
  options: StartOptions,
): Promise<void> {
  const { input, contract: file } = options;
  if (input === undefined || file === undefined) return;
  const name = path.parse(file).name;
  const contract = contracts.find((one) => contracts.length === 1 || one.name === name);
  const source = contract?.source;
  if (source?.kind !== "csv") {
    throw new UserError(
      `${file} has no source of kind csv, so --input has nowhere to go; add customProperty source to it`,
    );
  }
  const files = await inputFiles(input);
  const target = path.join(workspace.lake, buckets.landing, source.prefix);
  await mkdir(target, { recursive: true });
  for (const from of files) {
    await copyFile(from, path.join(target, path.basename(from))).catch((error: unknown) => {
      throw new UserError(
        `${from} cannot be copied to ${target} (${messageOf(error)}); check permissions and free space`,
      );
    });
  }
}

async function inputFiles(input: string): Promise<string[]> {
  try {
    if (!(await stat(input)).isDirectory()) return [input];
    const entries = await readdir(input, { withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith("."));
    if (files.length === 0) throw new UserError(`--input ${input} is a folder without files`);
    return files.map((entry) => path.join(input, entry.name)).sort();
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      `--input ${input} cannot be read (${messageOf(error)}); check the path and its permissions`,
    );
  }
}

/** Puts into the artifacts bucket what a deployment puts there, and brings tables and warehouse to the contracts. */
async function deploy(
  workspace: Workspace,
  services: Services,
  bundle: string,
  contracts: Contract[],
): Promise<void> {
  const { store, spark, warehouse } = services;
  await store.putText(buckets.artifacts, "contracts.json", bundle);
  const recipes = path.resolve(import.meta.dirname, "../recipes");
  for (const name of (await readdir(recipes)).filter((file) => file.endsWith(".json"))) {
    await store.putText(
      buckets.artifacts,
      `recipes/${name}`,
      await readFile(path.join(recipes, name), "utf8"),
    );
  }
  const stamp = path.join(workspace.root, "deployed", createHash("sha256").update(bundle).digest("hex"));
  if (await stat(stamp).catch(() => undefined)) return;
  await Promise.all([
    spark.runJob("migrate", Object.entries(defaultArguments(workspace.sources)).flat()),
    migrate(new SqlRunner(warehouse.dataApi("owner")), contracts, { database: warehouse.database }),
  ]);
  await mkdir(path.dirname(stamp), { recursive: true });
  await writeFile(stamp, "");
}

/**
 * Ends runs that a killed process left behind: their tables go back to what they were, their lease is released.
 * The workspace is locked, so whatever still counts as running is not.
 */
async function recover(
  { ledger, planDeps, spark }: Services,
  sources: string,
  progress: Progress,
): Promise<void> {
  const abort = createAbort(planDeps);
  const lease = await ledger.lease();
  for (const batch of await ledger.batches()) {
    if (batch.state !== "RUNNING") continue;
    progress.note(`batch ${batch.batch_id} did not end; its tables go back to what they were before it`);
    await spark.runJob("rollback", [
      ...Object.entries(defaultArguments(sources)).flat(),
      "--batch-id",
      batch.batch_id,
    ]);
    await abort({
      execution: { id: batch.run, startTime: batch.started_at },
      batchId: batch.batch_id,
      error: "Interrupted",
      cause: "the process that ran the batch ended before the batch did",
    });
  }
  if (lease) await ledger.releaseLease(lease.owner);
}

const summaryFile = z.looseObject({
  rules: z
    .array(
      z.object({
        dataset: z.string(),
        rule: z.string(),
        passed: z.boolean(),
        severity: z.string(),
        metrics: z.record(z.string(), z.union([z.number(), z.string()])),
      }),
    )
    .default([]),
});

async function qualityOf({ store }: Services, batchId: string): Promise<QualityResult[]> {
  const key = `runs/${batchId}/quality.json`;
  if (!(await store.head(buckets.staging, key))) return [];
  const { rules } = summaryFile.parse(JSON.parse(await store.getText(buckets.staging, key)));
  return rules.map(({ dataset, rule, passed, severity, metrics }) => {
    const failedRows = Number(metrics.missing_foreign_keys ?? metrics.duplicate_row_groups ?? 0);
    const checked = Number(metrics.total_rows ?? 0);
    return {
      dataset,
      rule,
      severity: severity === "critical" ? "error" : "warning",
      passed,
      failedRows,
      share: checked > 0 ? failedRows / checked : 0,
      threshold: 0,
    };
  });
}

/** Rows that a step of the batch brought, from the metrics it left. */
function rowsFrom(
  { store }: Services,
  batchId: () => string | undefined,
): (state: string) => Promise<number | undefined> {
  const files: Readonly<Record<string, [job: string, counts: readonly string[]]>> = {
    ExtractMysql: ["extract_mysql", ["read"]],
    ExtractDynamodb: ["extract_dynamodb", ["read"]],
    CsvToParquet: ["csv_to_parquet", ["read"]],
    Clean: ["clean", ["loaded"]],
    Publish: ["publish", ["upserted", "deleted"]],
    Curate: ["curate", ["affected"]],
    Export: ["export", ["rows"]],
  };
  return async (state) => {
    const [job, counts] = files[state] ?? [];
    const batch = batchId();
    if (!job || !counts || !batch) return undefined;
    const metrics = (await readMetrics(store, buckets.staging, batch)).find(({ step }) => step === job);
    const datasets = Object.values(metrics?.datasets ?? {});
    return datasets.reduce(
      (sum, one) => sum + counts.reduce((part, name) => part + Number(one[name] ?? 0), 0),
      0,
    );
  };
}

interface Ended {
  readonly result: ExecutionResult | { status: "ABORTED"; error: string; cause: string };
  readonly batchId: string | undefined;
  readonly tracker: StepTracker;
  readonly started: string;
}

/** Executes the definition; Ctrl-C ends the running jobs and takes back what they did. */
async function execute(
  services: Services,
  workspace: Workspace,
  contracts: readonly Contract[],
  input: Json,
  progress: Progress,
  signal: AbortSignal,
): Promise<Ended> {
  const recipes = contracts.filter(({ recipe }) => recipe).map(({ name }) => name);
  const tasks = await taskHandlers(services, workspace.sources);
  let batchId: string | undefined;
  const tracker = new StepTracker(
    progress,
    rowsFrom(services, () => batchId),
  );
  const started = new Date().toISOString();
  const cancel = () => void services.spark.request("cancel").catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  let result: Ended["result"];
  try {
    result = await runStateMachine(renderDefinition(localNames(recipes)), input, {
      tasks,
      signal,
      executionName: randomUUID(),
      machineName: "securecart-local",
      longestWait: 1,
      onEvent: (event) => {
        if (event.type === "TaskSucceeded" && event.state === "Plan") batchId = planned(event.result);
        tracker.onEvent(event);
      },
    });
  } catch (error) {
    if (!(error instanceof ExecutionAborted)) throw error;
    result = { status: "ABORTED", error: "Interrupted", cause: "the run was interrupted" };
  } finally {
    signal.removeEventListener("abort", cancel);
  }
  await tracker.finish(Date.now());
  if (result.status === "ABORTED") await recover(services, workspace.sources, progress);
  return { result, batchId, tracker, started };
}

/** The batch that the planning step named; its answer arrives in the Lambda service's envelope. */
function planned(result: Json): string | undefined {
  const answer = z
    .object({ Payload: z.looseObject({ status: z.string(), batchId: z.string() }) })
    .parse(result).Payload;
  return answer.status === "PLANNED" ? answer.batchId : undefined;
}

const statusSchema = z.looseObject({ status: z.string(), reason: z.string().optional() });

async function reportOf(
  workspace: Workspace,
  services: Services,
  contracts: readonly Contract[],
  options: StartOptions,
  { result, batchId, tracker, started }: Ended,
): Promise<ReportData> {
  const failed = result.status !== "SUCCEEDED";
  const remedy =
    "The tables are as they were before the run. Correct what the message names and run npm start again; " +
    `the quarantine is in ${path.join(workspace.lake, buckets.quarantine)}, Spark's log in ${workspace.log}.`;
  const run: RunInfo = {
    batchId: batchId ?? "-",
    status: failed ? "FAILED" : batchId ? "SUCCEEDED" : "NOTHING_NEW",
    ...(failed && {
      error: { ...(tracker.failure && { step: tracker.failure.step }), cause: result.cause, remedy },
    }),
    started,
    ended: new Date().toISOString(),
    mode: modeOf(options),
    ...(options.contract === undefined && { seed: options.seed }),
  };
  const metrics = batchId ? await readMetrics(services.store, buckets.staging, batchId) : [];
  const datasets = [...totalsOf(metrics)].map(([name, totals]) => ({ name, ...totals }));
  return {
    version: 1,
    run,
    steps: tracker.steps.map(({ state: _, ...step }) => step),
    datasets,
    quality: batchId ? await qualityOf(services, batchId) : [],
    ...(await figuresOf(workspace, services, contracts)),
  };
}

function modeOf({ workflowInput, contract }: StartOptions): string {
  const input = z
    .looseObject({
      backfill: z.object({ from: z.string(), to: z.string() }).optional(),
      replay: z.object({ batch_id: z.string(), from: z.string() }).optional(),
    })
    .safeParse(workflowInput).data;
  if (input?.backfill) return `backfill ${input.backfill.from}..${input.backfill.to}`;
  if (input?.replay) return `replay of ${input.replay.batch_id} from ${input.replay.from}`;
  return contract ? `incremental, contract ${path.basename(contract)}` : "incremental";
}

/** The workflow's input: as given, or a replay of the last batch that has a plan. */
async function inputOf({ ledger }: Services, { workflowInput, from }: StartOptions): Promise<Json> {
  if (from === undefined) return workflowInput;
  const last = (await ledger.batches()).at(-1);
  if (!last) throw new UserError("--from replays the last batch, but there is none yet: run npm start first");
  return { replay: { batch_id: last.batch_id, from } };
}

/** Runs the pipeline once. @returns the exit code: 0 succeeded or nothing new, 1 failed, 130 interrupted */
export async function start(options: StartOptions): Promise<number> {
  const { bundle, contracts, own } = await contractsOf(options);
  if (options.input !== undefined) await inputFiles(options.input);
  const workspace = new Workspace(options.out);
  const unlock = await workspace.lock();
  const progress = new Progress();
  const interrupted = new AbortController();
  const interrupt = () => {
    if (interrupted.signal.aborted) process.exit(130); // a second Ctrl-C does not wait; the next run recovers
    progress.note("interrupted: ending the running step and taking back what it did …");
    interrupted.abort();
  };
  process.on("SIGINT", interrupt);
  let services: Services | undefined;
  try {
    const setUp = progress.step("start Spark and the sources");
    const sampled = own ? generateSample(workspace, options) : Promise.resolve();
    sampled.catch(() => {}); // awaited below, once there is something to close
    services = await startServices(workspace);
    await sampled;
    await services.spark.ready();
    setUp.end({ status: "SUCCEEDED" });
    const prepare = progress.step("tables and sources");
    await recover(services, workspace.sources, progress);
    if (own)
      await Promise.all([loadSample(workspace, services), deploy(workspace, services, bundle, contracts)]);
    else await deploy(workspace, services, bundle, contracts);
    await dropInput(workspace, contracts, options);
    prepare.end({ status: "SUCCEEDED" });

    const input = await inputOf(services, options);
    const ended = await execute(services, workspace, contracts, input, progress, interrupted.signal);
    if (ended.result.status === "ABORTED") {
      progress.stop();
      process.stderr.write(
        "interrupted. The tables are as they were before the run; npm start begins it again.\n",
      );
      return 130;
    }
    if (ended.result.status === "SUCCEEDED" && ended.batchId === undefined) {
      progress.stop();
      const { status, reason } = statusSchema.parse(ended.result.output);
      process.stdout.write(
        `${status === "BUSY" ? "busy" : "nothing new"}: ${reason ?? "no work was found"}\n`,
      );
      return 0;
    }
    const reporting = progress.step("report");
    const data = await reportOf(workspace, services, contracts, options, ended);
    const { writeReport } = await import("./report/files.ts");
    const files = await writeReport(data, path.join(workspace.reports, data.run.batchId));
    await writeFile(path.join(workspace.reports, "latest"), data.run.batchId);
    reporting.end({ status: "SUCCEEDED" });
    progress.stop();
    const table = contracts.find((one) => one.warehouse)?.warehouse?.table ?? "order_history";
    printSummary(data, {
      report: path.relative(process.cwd(), files.html),
      next: [
        `npm run query -- "select * from mart.${own ? "category_revenue" : table} limit 10" --as bi_reader`,
      ],
    });
    return data.run.status === "FAILED" ? 1 : 0;
  } finally {
    progress.stop();
    process.off("SIGINT", interrupt);
    await services?.close(interrupted.signal.aborted);
    await unlock();
  }
}
