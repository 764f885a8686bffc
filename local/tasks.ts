/** The workflow's tasks on a laptop: which handler serves which resource of the definition. */
import path from "node:path";
import { z } from "zod";
import { createHandler as createAbort } from "../functions/abort/handler.ts";
import { createHandler as createCommit } from "../functions/commit/handler.ts";
import { createHandler as createPlan } from "../functions/plan/handler.ts";
import { renderLoad } from "../functions/render-load/handler.ts";
import { InvalidInputError } from "../functions/shared/context.ts";
import { createHandler as createVerdict } from "../functions/verdict/handler.ts";
import { readLoadTemplates } from "../warehouse/load.ts";
import type { Json } from "../workflow/asl.ts";
import type { WorkflowNames } from "../workflow/names.ts";
import { DynamodbError } from "./adapters/dynamodbExport.ts";
import { TaskError } from "./asl/errors.ts";
import type { TaskHandlers } from "./asl/tasks.ts";
import type { Services } from "./services.ts";
import { DriverError } from "./spark.ts";
import { DataApiError } from "./warehouse/warehouse.ts";
import { buckets } from "./workspace.ts";

const database = "lake";
const geoDatabase = path.resolve(
  import.meta.dirname,
  "../node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb",
);

/** The workflow's names on a laptop: a Glue job is called as its module, a function as its folder. */
export function localNames(recipes: readonly string[]): WorkflowNames {
  return {
    partition: "aws",
    functions: {
      plan: "plan",
      verdict: "verdict",
      renderLoad: "render-load",
      commit: "commit",
      abort: "abort",
    },
    jobs: {
      extractMysql: "extract_mysql",
      extractDynamodb: "extract_dynamodb",
      csvToParquet: "csv_to_parquet",
      stageRecipes: "stage_recipes",
      clean: "clean",
      quality: "quality",
      publish: "publish",
      curate: "curate",
      export: "export",
      maintain: "maintain",
      rollback: "rollback",
    },
    fraud: {
      applicationId: "local",
      executionRoleArn: "local",
      entryPoint: `s3://${buckets.artifacts}/fraud_score.py`,
      arguments: {},
      sparkSubmitParameters: "",
    },
    recipeJobs: Object.fromEntries(recipes.map((dataset) => [dataset, `recipe-${dataset}`])),
    landingBucket: buckets.landing,
    warehouse: { workgroup: "local", database: "postgres" },
  };
}

/** The arguments that a job has by default: on AWS they are set on the Glue job, here given with each run. */
export function defaultArguments(sources: string): Record<string, string> {
  return {
    "--contracts": `s3://${buckets.artifacts}/contracts.json`,
    ...Object.fromEntries(Object.entries(buckets).map(([zone, bucket]) => [`--${zone}`, bucket])),
    "--staging-db": database,
    "--curated-db": database,
    "--mysql-url": `jdbc:derby:${path.join(sources, "derby")}`,
    "--geo-database": geoDatabase,
    "--recipes": `s3://${buckets.artifacts}/recipes/`,
  };
}

/** What the runner needs of a run on EMR Serverless. */
const sparkRun = z.object({
  JobDriver: z.object({
    SparkSubmit: z.object({ EntryPoint: z.string(), EntryPointArguments: z.array(z.string()) }),
  }),
});

type Arguments = Record<string, unknown>;
const asObject = (args: Json): Arguments => args as Arguments;

/** Runs a handler so that its errors carry the names that the services give them on AWS. */
async function named<T>(prefix: string, work: () => Promise<T>): Promise<Json> {
  try {
    return (await work()) as Json;
  } catch (error) {
    if (error instanceof InvalidInputError) throw new TaskError(error.name, error.message);
    if (error instanceof DriverError) {
      // A job's own errors come back however often it is repeated.
      const permanent = error.type === "JobError" || error.type === "ContractError";
      throw new TaskError(permanent ? "JobError" : "States.TaskFailed", error.message);
    }
    if (error instanceof DataApiError || error instanceof DynamodbError) {
      throw new TaskError(`${prefix}.${error.name}`, error.message);
    }
    throw error;
  }
}

/** Handlers of every resource that the definition names. */
export async function taskHandlers(services: Services, sources: string): Promise<TaskHandlers> {
  const { spark, planDeps, warehouse, exports, store } = services;
  const templates = await readLoadTemplates();
  const plan = createPlan(planDeps);
  const verdict = createVerdict(planDeps);
  const commit = createCommit(planDeps);
  const abort = createAbort(planDeps);
  // The functions check their event themselves, as they do on AWS.
  const functions: Record<string, (event: never) => Promise<unknown>> = {
    plan,
    verdict,
    commit,
    abort,
    "render-load": (event: unknown) =>
      renderLoad(event, { store, staging: buckets.staging, artifacts: buckets.artifacts, templates }),
  };
  const runJob = (job: string, args: Record<string, string>): Promise<void> =>
    spark.runJob(job, Object.entries({ ...defaultArguments(sources), ...args }).flat());
  const dataApi = warehouse.dataApi("loader");
  const sdk = "arn:aws:states:::aws-sdk:";
  return {
    "arn:aws:states:::lambda:invoke": (args) =>
      named("Lambda", async () => {
        const { FunctionName, Payload } = asObject(args);
        const invoke = functions[String(FunctionName)];
        if (!invoke) throw new Error(`there is no function ${String(FunctionName)}`);
        return { StatusCode: 200, Payload: await invoke(Payload as never) };
      }),
    "arn:aws:states:::glue:startJobRun.sync": (args) =>
      named("Glue", async () => {
        const { JobName, Arguments } = asObject(args);
        await runJob(String(JobName), Arguments as Record<string, string>);
        return { JobName, JobRunState: "SUCCEEDED" };
      }),
    "arn:aws:states:::emr-serverless:startJobRun.sync": (args) =>
      named("EMRServerless", async () => {
        const { JobDriver } = sparkRun.parse(args);
        const { EntryPoint, EntryPointArguments } = JobDriver.SparkSubmit;
        const defaults = Object.entries(defaultArguments(sources)).flat();
        await spark.runJob(path.basename(EntryPoint, ".py"), [...defaults, ...EntryPointArguments]);
        return { State: "SUCCESS" };
      }),
    "arn:aws:states:::databrew:startJobRun.sync": (args) =>
      named("DataBrew", async () => {
        const { Name } = asObject(args);
        await runJob("recipe", { "--dataset": String(Name).replace(/^recipe-/, "") });
        return { Name, State: "SUCCEEDED" };
      }),
    // The folder is locked while a run has it: nobody can have asked for another one meanwhile.
    "arn:aws:states:::states:startExecution": () => {
      throw new TaskError("States.TaskFailed", "a laptop runs one execution at a time: run npm start again");
    },
    [`${sdk}redshiftdata:batchExecuteStatement`]: (args) =>
      named("RedshiftData", () => dataApi.batchExecuteStatement(args as never)),
    [`${sdk}redshiftdata:describeStatement`]: (args) =>
      named("RedshiftData", () => dataApi.describeStatement(args as never)),
    [`${sdk}dynamodb:exportTableToPointInTime`]: (args) =>
      named("DynamoDb", () => exports.exportTableToPointInTime(args)),
    [`${sdk}dynamodb:describeExport`]: (args) =>
      named("DynamoDb", () => exports.describeExport(args as never)),
  };
}
