/** Stand-ins for everything that the workflow calls, for tests of its paths. */
import { TaskError } from "../../local/asl/errors.ts";
import type { ExecutionEvent } from "../../local/asl/events.ts";
import { type ExecutionResult, runStateMachine } from "../../local/asl/run.ts";
import type { TaskHandlers } from "../../local/asl/tasks.ts";
import { VirtualClock } from "../../local/asl/testing/virtualClock.ts";
import type { Json } from "../asl.ts";
import { renderDefinition } from "../definition.ts";
import type { WorkflowNames } from "../names.ts";

const lambda = (name: string) => `arn:aws:lambda:eu-north-1:123456789012:function:securecart-${name}`;

export const names: WorkflowNames = {
  partition: "aws",
  functions: {
    plan: lambda("plan"),
    verdict: lambda("verdict"),
    renderLoad: lambda("render-load"),
    commit: lambda("commit"),
    abort: lambda("abort"),
  },
  jobs: {
    extractMysql: "securecart-extract-mysql",
    extractDynamodb: "securecart-extract-dynamodb",
    csvToParquet: "securecart-csv-to-parquet",
    stageRecipes: "securecart-stage-recipes",
    clean: "securecart-clean",
    quality: "securecart-quality",
    publish: "securecart-publish",
    curate: "securecart-curate",
    export: "securecart-export",
    maintain: "securecart-maintain",
    rollback: "securecart-rollback",
  },
  fraud: {
    applicationId: "00f000000000001",
    executionRoleArn: "arn:aws:iam::123456789012:role/securecart-fraud",
    entryPoint: "s3://securecart-artifacts/jobs/fraud_score.py",
    arguments: { "--landing": "securecart-landing" },
    sparkSubmitParameters: "--conf spark.executor.instances=2",
  },
  recipeJobs: { campaigns: "securecart-campaigns", inventory: "securecart-inventory" },
  landingBucket: "securecart-landing",
  exportKeyArn: "arn:aws:kms:eu-north-1:123456789012:key/1",
  warehouse: { workgroup: "securecart", database: "securecart" },
};

/** What a stand-in answers, or throws: a value, or a function of the number of earlier calls and the arguments. */
export type Answer = Json | ((earlierCalls: number, args: JsonRecord) => Json);
type JsonRecord = { [key: string]: Json };

export interface Call {
  /** `plan`, `securecart-clean`, `dynamodb:describeExport` … */
  name: string;
  args: JsonRecord;
}

export const planned = {
  status: "PLANNED",
  batchId: "20260102T030405Z-1a2b3c4d",
  planKey: "plans/20260102T030405Z-1a2b3c4d.json",
  mode: "incremental",
  from: "extract",
  hasMysql: true,
  hasDynamodb: true,
  hasCsv: true,
  exports: [tableExport("orders-full", "FULL_EXPORT")],
  recipes: ["campaigns"],
  maintain: false,
} satisfies Json;

/** An export of the plan. */
export function tableExport(id: string, type: "FULL_EXPORT" | "INCREMENTAL_EXPORT"): JsonRecord {
  return {
    id,
    type,
    table: "orders",
    table_arn: "arn:aws:dynamodb:eu-north-1:123456789012:table/orders",
    prefix: `dynamodb-exports/${id}`,
    from: type === "FULL_EXPORT" ? null : "2026-01-01T00:00:00.000Z",
    to: "2026-01-02T00:00:00.000Z",
  };
}

/** A run in which everything goes well. */
const happy: Record<string, Answer> = {
  plan: planned,
  verdict: { verdict: "PASS", reasons: [] },
  "render-load": {
    loads: [
      { table: "orders", rows: 3, statements: ["SELECT 1", "SELECT 2"] },
      { table: "products", rows: 0, statements: ["SELECT 3"] },
      { table: "customers", rows: 1, statements: ["SELECT 4"] },
    ],
  },
  commit: { status: "COMMITTED", pending: false, summaryKey: "runs/summary.json" },
  "start-next": { ExecutionArn: "arn:next" },
  abort: { status: "ABORTED" },
  "dynamodb:exportTableToPointInTime": (_, args) => ({
    ExportDescription: { ExportArn: `arn:${args.S3Prefix}` },
  }),
  "dynamodb:describeExport": { ExportDescription: { ExportStatus: "COMPLETED" } },
  "redshiftdata:batchExecuteStatement": (calls) => ({ Id: `statement-${calls}` }),
  "redshiftdata:describeStatement": { Status: "FINISHED" },
};

/** Fails the task that a stand-in answers. */
export function fail(error: string, cause: string): never {
  throw new TaskError(error, cause);
}

/** A stand-in that always fails. */
export function failing(error: string, cause = "it broke"): Answer {
  return () => fail(error, cause);
}

export interface WorkflowRun {
  result: ExecutionResult;
  calls: Call[];
  /** Names of the calls in order, repetitions included. */
  called: string[];
  events: ExecutionEvent[];
  clock: VirtualClock;
}

/** Runs the real definition with stand-ins that answer as `answers` says, and else as in a good run. */
export async function runWorkflow(
  answers: Record<string, Answer> = {},
  { input = {} as Json, redriveCount = 0, random = () => 0.5, minutesAJob = 0 } = {},
): Promise<WorkflowRun> {
  const calls: Call[] = [];
  const events: ExecutionEvent[] = [];
  const clock = new VirtualClock();
  const answer = async (name: string, args: JsonRecord): Promise<Json> => {
    const earlier = calls.filter((call) => call.name === name).length;
    calls.push({ name, args });
    const found = answers[name] ?? happy[name] ?? {};
    return typeof found === "function" ? found(earlier, args) : found;
  };
  const record = (value: Json | undefined): JsonRecord => {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
    throw new Error(`arguments are no object: ${JSON.stringify(value)}`);
  };
  const tasks: TaskHandlers = {
    "arn:aws:states:::lambda:invoke": async (args) => {
      const { FunctionName, Payload } = record(args);
      const name = String(FunctionName).replace(/.*securecart-/, "");
      return { StatusCode: 200, Payload: await answer(name, record(Payload)) };
    },
    "arn:aws:states:::glue:startJobRun.sync": async (args, { signal }) => {
      await clock.sleep(minutesAJob * 60_000, signal);
      return answer(String(record(args).JobName), record(args));
    },
    "arn:aws:states:::emr-serverless:startJobRun.sync": (args) => answer("score-fraud", record(args)),
    "arn:aws:states:::databrew:startJobRun.sync": (args) => answer(String(record(args).Name), record(args)),
    "arn:aws:states:::states:startExecution": (args) => answer("start-next", record(args)),
    "arn:aws:states:::aws-sdk:*": (args, { resource }) =>
      answer(resource.replace(/.*aws-sdk:/, ""), record(args)),
  };
  const result = await runStateMachine(renderDefinition(names), input, {
    tasks,
    clock,
    random,
    redriveCount,
    executionName: "test",
    onEvent: (event) => events.push(event),
  });
  return { result, calls, called: calls.map(({ name }) => name), events, clock };
}
