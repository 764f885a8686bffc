/** A workspace with its services running: opened once, it can run the pipeline many times. */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import type { LogSink } from "../functions/shared/logger.ts";
import type { Json } from "../workflow/asl.ts";
import { apiEvents, readApiLogs } from "./apiLogs.ts";
import { readStream } from "./clickstream.ts";
import { type ContractSet, deploy } from "./deployment.ts";
import { execute } from "./execution.ts";
import { type Dropped, dropInput } from "./input.ts";
import { recover } from "./recovery.ts";
import type { DatasetBalance, ReportData } from "./report/types.ts";
import { reportOf } from "./reportData.ts";
import { generateSample, loadSample, type SampleOptions, sampleParameters } from "./sampleData.ts";
import { type Services, servicesFor, startServices } from "./services.ts";
import type { Progress } from "./terminal/progress.ts";
import { UserError, Workspace } from "./workspace.ts";

export interface RunOptions {
  readonly contracts: ContractSet;
  /** Of SecureCart's own run, which fills a fresh workspace with the sample. */
  readonly sample: SampleOptions;
  /** The contract's file and a file, or a folder of files, to drop for it. */
  readonly contract?: string;
  readonly input?: string;
  /** The workflow's input, as EventBridge or a person gives it. */
  readonly workflowInput: Json;
  /** Replays the last batch from this step. */
  readonly from?: string;
  /** Looks for rows deleted at the sources now, not only once a day. */
  readonly reconcile?: boolean;
}

/** How a run ended. */
export type Outcome =
  | { readonly status: "INTERRUPTED" }
  /** `logs` says where API events went, when there were new ones though the workflow found nothing. */
  | { readonly status: "NOTHING_NEW" | "BUSY"; readonly reason: string; readonly logs?: DatasetBalance }
  /** `html` is absent when the report could not be written. */
  | { readonly status: "SUCCEEDED" | "FAILED"; readonly data: ReportData; readonly html?: string };

/** What a run needs of whoever asks for it. */
export interface Console {
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

const plannedNothing = z.looseObject({ status: z.enum(["NOTHING_NEW", "BUSY"]), reason: z.string() });

export class Session {
  readonly workspace: Workspace;
  readonly services: Services;
  readonly #unlock: () => Promise<void>;

  private constructor(workspace: Workspace, services: Services, unlock: () => Promise<void>) {
    this.workspace = workspace;
    this.services = services;
    this.#unlock = unlock;
  }

  /** Takes the folder and starts the services; Spark may still be starting when this returns. */
  static async open(out: string): Promise<Session> {
    const workspace = new Workspace(out);
    const unlock = await workspace.lock();
    try {
      return new Session(workspace, await startServices(workspace), unlock);
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  /** Stops the services and gives the folder back; with `force` without waiting for anything that runs. */
  async close(force = false): Promise<void> {
    await this.services.close(force);
    await this.#unlock();
  }

  /**
   * Runs the pipeline once. After an interruption it returns when no job runs any more and the tables are back.
   * @throws UserError, DriverError when the run could not even begin
   */
  async run(options: RunOptions, console: Console): Promise<Outcome> {
    const { signal, progress } = console;
    const services = this.#servicesFor(options);
    // Ending a job makes it fail, and its failure must not be taken for an end of the work it did.
    let cancelled: Promise<unknown> = Promise.resolve();
    const cancel = (): void => {
      cancelled = services.spark.request("cancel").catch(() => {}); // a driver that is gone runs nothing
    };
    signal.addEventListener("abort", cancel, { once: true });
    let dropped: Dropped | undefined;
    let outcome: Outcome = { status: "INTERRUPTED" };
    try {
      dropped = await this.#prepare(services, options, console);
      const logs = readsStreams(options) ? await this.#readStreams(services, options, progress) : undefined;
      signal.throwIfAborted();
      outcome = await this.#runWorkflow(services, options, console, logs);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      signal.removeEventListener("abort", cancel);
      if (outcome.status !== "SUCCEEDED" && outcome.status !== "NOTHING_NEW") await dropped?.withdraw();
    }
    if (outcome.status === "INTERRUPTED") {
      await cancelled;
      await recover(services, this.workspace, progress);
    }
    return outcome;
  }

  #servicesFor({ contracts, reconcile }: RunOptions): Services {
    const user = contracts.own ? undefined : contracts.contracts[0]?.name;
    const services = user === undefined ? this.services : servicesFor(this.services, user);
    return reconcile ? { ...services, planDeps: { ...services.planDeps, reconcileHours: 0 } } : services;
  }

  /** Everything that has to be there before the workflow starts. */
  async #prepare(
    services: Services,
    { contracts, sample, contract, input }: RunOptions,
    { progress, signal }: Console,
  ): Promise<Dropped | undefined> {
    const { workspace } = this;
    const setUp = progress.step("start Spark and the sources");
    await Promise.all([services.spark.ready(), contracts.own && generateSample(workspace, sample)]);
    setUp.end({ status: "SUCCEEDED" });
    signal.throwIfAborted();
    const prepare = progress.step("tables and sources");
    await recover(services, workspace, progress);
    await Promise.all([
      contracts.own && loadSample(workspace, services),
      deploy(workspace, services, contracts),
    ]);
    signal.throwIfAborted();
    const dropped =
      input !== undefined && contract !== undefined
        ? await dropInput(workspace, contracts, input, contract)
        : undefined;
    prepare.end({ status: "SUCCEEDED" });
    return dropped;
  }

  /** Clickstream and API events side by side: one works in Spark, the other in this process. */
  async #readStreams(
    services: Services,
    { contracts }: RunOptions,
    progress: Progress,
  ): Promise<DatasetBalance | undefined> {
    const contract = contracts.contracts.find(({ name }) => name === apiEvents);
    const readLogs = async (): Promise<DatasetBalance | undefined> => {
      if (!contract) return undefined;
      const step = progress.step("API event logs");
      try {
        const logged: LogSink = (_level, line) => services.logged.push(line);
        const logs = await readApiLogs({ ...services, logged }, this.workspace, contract);
        step.end({ status: "SUCCEEDED", rows: logs?.read ?? 0 });
        return logs;
      } catch (error) {
        step.end({ status: "FAILED" });
        throw error;
      }
    };
    // Both end before anything goes on, for a failure of one closes what the other uses.
    const [clicks, logs] = await Promise.allSettled([
      readStream(services, this.workspace, progress),
      readLogs(),
    ]);
    if (clicks.status === "rejected") throw clicks.reason;
    if (logs.status === "rejected") throw logs.reason;
    return logs.value;
  }

  async #runWorkflow(
    services: Services,
    options: RunOptions,
    { progress, signal }: Console,
    logs: DatasetBalance | undefined,
  ): Promise<Outcome> {
    const { contracts } = options.contracts;
    const input = await inputOf(services, options);
    const ended = await execute(services, this.workspace, contracts, input, progress, signal);
    if (ended.result.status === "ABORTED") return { status: "INTERRUPTED" };
    if (ended.result.status === "SUCCEEDED" && ended.batchId === undefined) {
      return { ...plannedNothing.parse(ended.result.output), ...(logs && { logs }) };
    }
    const reporting = progress.step("report");
    const about = {
      mode: modeOf(input, options.contract),
      ...(options.contracts.own && { seed: (await sampleParameters(this.workspace)).seed }),
    };
    const data = await reportOf(this.workspace, services, contracts, about, ended, logs ? [logs] : []);
    const status = data.run.status === "FAILED" ? "FAILED" : "SUCCEEDED";
    try {
      const html = await this.#write(data);
      reporting.end({ status: "SUCCEEDED" });
      return { status, data, html };
    } catch (error) {
      if (status !== "FAILED") throw error;
      reporting.end({ status: "FAILED" });
      return { status, data };
    }
  }

  async #write(data: ReportData): Promise<string> {
    const { writeReport } = await import("./report/files.ts");
    const { html } = await writeReport(data, path.join(this.workspace.reports, data.run.batchId));
    await writeFile(path.join(this.workspace.reports, "latest"), data.run.batchId);
    return html;
  }
}

/** A run that looks for what is new looks at the streams too; a backfill or a replay deals with batches. */
function readsStreams({ contracts, from, workflowInput }: RunOptions): boolean {
  const { backfill, replay } = requested.safeParse(workflowInput).data ?? {};
  return contracts.own && from === undefined && !backfill && !replay;
}

const requested = z.looseObject({
  backfill: z.object({ from: z.string(), to: z.string() }).optional(),
  replay: z.object({ batch_id: z.string(), from: z.string() }).optional(),
});

/** How a run was asked for, in words. */
function modeOf(input: Json, contract: string | undefined): string {
  const { backfill, replay } = requested.safeParse(input).data ?? {};
  if (backfill) return `backfill ${backfill.from}..${backfill.to}`;
  if (replay) return `replay of ${replay.batch_id} from ${replay.from}`;
  return contract ? `incremental, contract ${path.basename(contract)}` : "incremental";
}

/** The workflow's input: as given, or a replay of the last batch. */
async function inputOf({ ledger }: Services, { workflowInput, from }: RunOptions): Promise<Json> {
  if (from === undefined) return workflowInput;
  const last = (await ledger.batches()).at(-1);
  if (!last) throw new UserError("--from replays the last batch, but there is none yet: run npm start first");
  return { replay: { batch_id: last.batch_id, from } };
}
