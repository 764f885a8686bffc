/** One execution of the workflow's definition, from its input to how it ended. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Contract } from "../contracts/contract.ts";
import { readMetrics } from "../functions/shared/metrics.ts";
import type { Json } from "../workflow/asl.ts";
import { renderDefinition } from "../workflow/definition.ts";
import { ExecutionAborted } from "./asl/errors.ts";
import { type ExecutionResult, runStateMachine } from "./asl/run.ts";
import type { Services } from "./services.ts";
import { StepTracker } from "./steps.ts";
import { localNames, taskHandlers } from "./tasks.ts";
import type { Progress } from "./terminal/progress.ts";
import { buckets, type Workspace } from "./workspace.ts";

/** An execution that ended, and what was seen of it. */
export interface Ended {
  readonly result: ExecutionResult | { status: "ABORTED"; error: string; cause: string };
  /** Absent when nothing was planned. */
  readonly batchId: string | undefined;
  readonly tracker: StepTracker;
  /** ISO 8601. */
  readonly started: string;
}

/** Executes the definition. When `signal` aborts, the running jobs are ended; it returns when they have. */
export async function execute(
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
  }
  await tracker.finish(Date.now());
  return { result, batchId, tracker, started };
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

/** The batch that the planning step named; its answer arrives in the Lambda service's envelope. */
function planned(result: Json): string | undefined {
  const answer = z
    .object({ Payload: z.looseObject({ status: z.string(), batchId: z.string() }) })
    .parse(result).Payload;
  return answer.status === "PLANNED" ? answer.batchId : undefined;
}
