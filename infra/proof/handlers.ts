/**
 * The Lambda functions' own handlers, run with the environment that the stack gives them and with their own clients, all
 * pointed at a recording server before an emulator. What answers in place of the emulator is said where it is set up.
 *
 * What this does not prove: that AWS asks for what the emulator was asked for and for no more.
 */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { CreateTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import {
  CreateDatabaseCommand,
  CreateTableCommand as CreateGlueTable,
  GlueClient,
} from "@aws-sdk/client-glue";
import {
  CreateBucketCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import type { Context, KinesisStreamBatchResponse } from "aws-lambda";
import { z } from "zod";
import type { DropResult } from "../../functions/api-logs/drop.ts";
import { segmentsPrefix } from "../../functions/api-logs/segments.ts";
import type { PlanAnswer } from "../../functions/plan/handler.ts";
import { readSecret } from "../../functions/shared/secrets.ts";
import { streamRecord } from "../../functions/testing/kinesis.ts";
import { geoDatabase } from "../../local/adapters/geoDatabase.ts";
import { contractsOf } from "../../local/deployment.ts";
import { startMinistack } from "../../local/testing/ministack.ts";
import { logPrefixes } from "../pipeline/ingestion.ts";
import type { Call, Stack } from "./calls.ts";
import { type Answer, type Seen, startWire, type WireRequest } from "./wire.ts";

const zones = ["landing", "staging", "curated", "quarantine", "artifacts"] as const;
type Zone = (typeof zones)[number];

const json = (body: object): Answer => ({ status: 200, body: JSON.stringify(body) });

/** The functions' surroundings, in which every call is noted as the running function's. */
class Bench {
  readonly calls: Call[] = [];
  /** The role of the function that runs. */
  role = "";
  /** Answers to what the emulator does not know, by IAM's action. */
  readonly answers = new Map<string, (request: WireRequest) => Answer | Promise<Answer>>();
  readonly stack: Stack;
  readonly #closing: (() => Promise<unknown>)[] = [];
  readonly #environment = { ...process.env };
  readonly #fetch = globalThis.fetch;
  readonly #emulator: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: { accessKeyId: string; secretAccessKey: string };
  };
  readonly #s3: S3Client;

  private constructor(stack: Stack, upstream: string) {
    this.stack = stack;
    this.#emulator = {
      endpoint: upstream,
      region: stack.graph.place.region,
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
    };
    this.#s3 = new S3Client({ ...this.#emulator, forcePathStyle: true });
  }

  static async start(stack: Stack): Promise<Bench> {
    const ministack = await startMinistack();
    const bench = new Bench(stack, ministack.url);
    bench.#closing.push(() => ministack.stop());
    try {
      await bench.#prepare(ministack.url);
    } catch (error) {
      await bench.close();
      throw error;
    }
    return bench;
  }

  async #prepare(upstream: string): Promise<void> {
    const wire = await startWire({
      upstream,
      place: this.stack.graph.place,
      seen: (call) => this.#note(call),
      answer: (action, request) => this.answers.get(action)?.(request),
    });
    this.#closing.unshift(() => wire.close());
    // The layer "AWS Parameters and Secrets Lambda Extension" signs with the function's role:
    // https://docs.aws.amazon.com/secretsmanager/latest/userguide/retrieving-secrets_lambda.html
    const extension = createServer((request, response) => {
      const id = new URL(request.url ?? "/", "http://localhost").searchParams.get("secretId") ?? "";
      this.#note({ action: "secretsmanager:GetSecretValue", resource: id, context: {} });
      const text = JSON.stringify({ username: "u", password: "the text of a secret, 32 characters or more" });
      response.end(JSON.stringify({ SecretString: text }));
    });
    extension.listen(0, "localhost");
    await once(extension, "listening");
    this.#closing.unshift(async () => {
      extension.closeAllConnections();
      extension.close();
      await once(extension, "close");
    });
    Object.assign(process.env, {
      AWS_ENDPOINT_URL: wire.url,
      AWS_REGION: this.stack.graph.place.region,
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
      AWS_SESSION_TOKEN: "test",
      PARAMETERS_SECRETS_EXTENSION_HTTP_PORT: String((extension.address() as AddressInfo).port),
      POWERTOOLS_LOG_LEVEL: "SILENT",
      POWERTOOLS_METRICS_DISABLED: "true",
      POWERTOOLS_TRACE_ENABLED: "false",
      GEO_DATABASE: geoDatabase,
    });
    // Functions that sign requests themselves name AWS' own hosts.
    globalThis.fetch = (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input);
      return /\.amazonaws\.com(\.cn)?$/.test(url.hostname)
        ? this.#fetch(new URL(`${url.pathname}${url.search}`, wire.url), init)
        : this.#fetch(input, init);
    };
    await this.#fill();
  }

  /** Buckets, tables and catalog under the stack's names, made by nobody whose calls are noted. */
  async #fill(): Promise<void> {
    for (const zone of zones) {
      const Bucket = this.stack.bucket(zone);
      await this.#s3.send(new CreateBucketCommand({ Bucket }));
      await this.#s3.send(
        new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Enabled" } }),
      );
    }
    const dynamodb = new DynamoDBClient(this.#emulator);
    const tables = { ledger: ["pk", "sk"], processed: ["id"] };
    for (const [table, keys] of Object.entries(tables)) {
      await dynamodb.send(
        new CreateTableCommand({
          TableName: `${this.stack.name}-${table}`,
          BillingMode: "PAY_PER_REQUEST",
          KeySchema: keys.map((AttributeName, index) => ({
            AttributeName,
            KeyType: index === 0 ? "HASH" : "RANGE",
          })),
          AttributeDefinitions: keys.map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
        }),
      );
    }
    dynamodb.destroy();
    const glue = new GlueClient(this.#emulator);
    for (const [zone, Name] of [
      ["curated", "api_events"],
      ["quarantine", "records"],
    ] as const) {
      const DatabaseName = `${this.stack.name.replaceAll("-", "_")}_${zone}`;
      await glue.send(new CreateDatabaseCommand({ DatabaseInput: { Name: DatabaseName } }));
      const StorageDescriptor = { Columns: [], Location: `s3://${this.stack.bucket(zone)}/` };
      await glue.send(new CreateGlueTable({ DatabaseName, TableInput: { Name, StorageDescriptor } }));
    }
    glue.destroy();
  }

  /** @returns the object's version */
  async put(zone: Zone, Key: string, Body: string): Promise<string> {
    const { VersionId } = await this.#s3.send(
      new PutObjectCommand({ Bucket: this.stack.bucket(zone), Key, Body }),
    );
    if (VersionId === undefined) throw new Error(`the emulator kept no version of ${Key}`);
    return VersionId;
  }

  #note({ action, resource: seen, context }: Seen): void {
    const { stack, role } = this;
    const resource = seen.startsWith("workgroup:")
      ? stack.arnOf("aws:redshiftserverless/workgroup:Workgroup")
      : seen;
    const add = (more: Omit<Call, "role">): void => void this.calls.push({ role, ...more });
    // A statement is its sender's, whose id the policy compares with its own.
    const owner = { "redshift-data:statement-owner-iam-userid": `${stack.roleId(role)}:session` };
    add({
      action,
      resource,
      context: action.startsWith("redshift-data:") && resource === "*" ? owner : context,
    });
    const [service = "", operation = ""] = action.split(":");
    // What the services do with the caller's rights where the data lies encrypted:
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
    // https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    const uses =
      service === "s3" && operation.startsWith("GetObject")
        ? "Decrypt"
        : action === "s3:PutObject"
          ? "GenerateDataKey"
          : service === "dynamodb" && operation !== "DescribeContinuousBackups"
            ? "Decrypt"
            : service === "secretsmanager"
              ? "Decrypt"
              : undefined;
    const key = service === "secretsmanager" ? stack.keyOfSecret(resource) : stack.dataKey;
    if (uses === undefined || key === undefined) return;
    add({ action: `kms:${uses}`, resource: key, context: { "kms:ViaService": stack.viaService(service) } });
  }

  /** Runs a function as the stack has configured it. @param name without the stack's */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const { environment } = this.stack.named(
      "aws:lambda/function:Function",
      `${this.stack.name}-${name}`,
    ).inputs;
    const variables = (environment as { variables?: Record<string, string> } | undefined)?.variables ?? {};
    // The trust store of Lambda's own image is not on this machine.
    const { NODE_EXTRA_CA_CERTS: _, ...own } = variables;
    Object.assign(process.env, own);
    this.role = name;
    try {
      return await work();
    } finally {
      for (const variable of Object.keys(own)) delete process.env[variable];
      this.role = "";
    }
  }

  /** What the stack passes a function at deployment. */
  deploymentInput(name: string): Record<string, unknown> {
    const found = this.stack
      .ofType("aws:lambda/invocation:Invocation")
      .find((each) => each.name === `${this.stack.name}-${name}`);
    if (!found) throw new Error(`the stack invokes nothing called ${name}`);
    return JSON.parse(String(found.inputs.input)) as Record<string, unknown>;
  }

  async close(): Promise<void> {
    globalThis.fetch = this.#fetch;
    for (const name of Object.keys(process.env)) if (!(name in this.#environment)) delete process.env[name];
    Object.assign(process.env, this.#environment);
    this.#s3.destroy();
    for (const close of this.#closing) await close();
  }
}

/** Runs every function of the stack and notes what each asks AWS for. */
export async function handlerCalls(stack: Stack): Promise<readonly Call[]> {
  const bench = await Bench.start(stack);
  try {
    await workflowFunctions(bench);
    await partnerPull(bench);
    await apiLogs(bench);
    await keepRunning(bench);
    await migrateLake(bench);
    await publishRecipes(bench);
    await migrateWarehouse(bench);
  } finally {
    await bench.close();
  }
  return bench.calls;
}

const runMetrics = (step: string, more: object = {}): string =>
  JSON.stringify({
    step,
    started_at: "2026-01-01T00:00:00Z",
    ended_at: "2026-01-01T00:00:01Z",
    datasets: {},
    ...more,
  });

/**
 * The five functions of the workflow: a batch from its plan to its commit, its replay, a backfill, a failure. MySQL's
 * answers are made up here, after its secret was read as the function reads it. Point-in-time recovery is not the emulator's.
 */
async function workflowFunctions(bench: Bench): Promise<void> {
  const { stack } = bench;
  const [plans, { awsPlanDeps }, { awsDeps }, verdict, renderLoad, commit, abort] = await Promise.all([
    import("../../functions/plan/handler.ts"),
    import("../../functions/plan/deps.ts"),
    import("../../functions/shared/context.ts"),
    import("../../functions/verdict/handler.ts"),
    import("../../functions/render-load/handler.ts"),
    import("../../functions/commit/handler.ts"),
    import("../../functions/abort/handler.ts"),
  ]);
  bench.answers.set("dynamodb:DescribeContinuousBackups", () => {
    const seconds = Date.now() / 1000;
    return json({
      ContinuousBackupsDescription: {
        ContinuousBackupsStatus: "ENABLED",
        PointInTimeRecoveryDescription: {
          PointInTimeRecoveryStatus: "ENABLED",
          EarliestRestorableDateTime: seconds - 86_400,
          LatestRestorableDateTime: seconds - 300,
        },
      },
    });
  });
  await bench.put("artifacts", "contracts.json", (await contractsOf(undefined)).bundle);
  await bench.put("landing", "drops/transactions/a.csv", "x");
  let executions = 0;
  const execution = () => ({
    id: `${stack.arn("states", `execution:${stack.name}`)}:${executions}`,
    startTime: new Date(Date.now() + executions * 1000).toISOString(),
  });
  const plan = (input: unknown = {}): Promise<PlanAnswer> =>
    bench.run("plan", () => {
      executions += 1;
      const database = {
        now: async () => {
          await readSecret(process.env.MYSQL_SECRET_ID ?? "");
          return new Date();
        },
        hasChanges: async () => true,
      };
      return plans.createHandler({ ...awsPlanDeps(), log: quiet, database })({
        execution: execution(),
        input,
      });
    });

  const first = await plan();
  if (first.status !== "PLANNED") throw new Error(`nothing was planned: ${JSON.stringify(first)}`);
  const { batchId, planKey } = first;
  const started = execution();
  await bench.put("staging", `runs/${batchId}/clean.json`, runMetrics("clean"));
  await bench.put(
    "staging",
    `runs/${batchId}/quality.json`,
    runMetrics("quality", { verdict: "PASS", reasons: [], rules: [] }),
  );
  await bench.put("staging", `runs/${batchId}/export.json`, runMetrics("export"));
  await bench.run("verdict", () => verdict.createHandler({ ...awsDeps(), log: quiet })({ batchId }));
  await bench.run("render-load", () => renderLoad.handler({ batchId }));
  await bench.run("commit", () =>
    commit.createHandler({ ...awsDeps(), log: quiet })({ execution: started, batchId, planKey }),
  );
  // The first plan found no progress of the stream, this one does.
  const progress = JSON.stringify({ changed_at: new Date().toISOString() });
  await bench.put("landing", "plans/streams/clickstream.json", progress);
  const second = await plan();
  if (second.status !== "PLANNED") throw new Error(`nothing was planned: ${JSON.stringify(second)}`);
  await bench.run("abort", () =>
    abort.createHandler({ ...awsDeps(), log: quiet })({ execution: execution(), batchId: second.batchId }),
  );
  const replay = await plan({ replay: { batch_id: batchId, from: "clean" } });
  if (replay.status !== "PLANNED") throw new Error(`the replay was not planned: ${JSON.stringify(replay)}`);
  await bench.run("abort", () =>
    abort.createHandler({ ...awsDeps(), log: quiet })({
      execution: execution(),
      batchId,
      error: "Boom",
      cause: "it broke",
      rollbackFailed: true,
    }),
  );
  // The next plan finds tables half published, asks for a rollback, and goes on when that was done.
  const half = await plan();
  if (half.status !== "ROLL_BACK") throw new Error(`no rollback was asked for: ${JSON.stringify(half)}`);
  const going = await bench.run("plan", () =>
    plans.createHandler({
      ...awsPlanDeps(),
      log: quiet,
      database: { now: async () => new Date(), hasChanges: async () => false },
    })({
      execution: execution(),
      input: { backfill: { from: "2026-01-01", to: "2026-01-02" } },
      rolledBack: half.planKey,
    }),
  );
  if (going.status === "BUSY") throw new Error(`the backfill found a run: ${JSON.stringify(going)}`);
}

/** A log that nobody reads: the calls are what counts. */
const quiet = {
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => quiet,
};

/** A pull whose partner is made up here. */
async function partnerPull(bench: Bench): Promise<void> {
  const { handler } = await import("../../functions/partner-pull/handler.ts");
  await bench.run("partner-pull", async () => {
    const partner = new URL(process.env.PARTNER_URL ?? "");
    const outer = globalThis.fetch;
    globalThis.fetch = async (input, init) => {
      const { hostname } = new URL(input instanceof Request ? input.url : input);
      if (hostname !== partner.hostname) return outer(input, init);
      return new Response(JSON.stringify({ data: [{ campaign_id: "c" }], next_cursor: null }));
    };
    try {
      const { records } = await handler({});
      if (records !== 1) throw new Error(`the pull brought ${records} records, not the one that was there`);
    } finally {
      globalThis.fetch = outer;
    }
  });
}

/** Stream and drops: good and refused records, an object announced twice, one that is gone; then what was given up. */
async function apiLogs(bench: Bench): Promise<void> {
  const [{ handler }, { handler: redrive }] = await Promise.all([
    import("../../functions/api-logs/handler.ts"),
    import("../../functions/redrive/handler.ts"),
  ]);
  const context = { getRemainingTimeInMillis: () => 60_000 } as Context;
  const event = (id: string): string =>
    JSON.stringify({
      request_id: id,
      timestamp: new Date().toISOString(),
      client_ip: "8.8.8.8",
      method: "GET",
      path: "/v1/orders/4711",
      status: 200,
      customer_id: `C${id}`,
    });
  // "C1" and "C2" are of different digits: the segments of one are there, those of the other are not.
  for (const digit of "01234567") await bench.put("curated", `${segmentsPrefix}${digit}.json`, "{}");
  const batch = {
    Records: [...Array.from({ length: 8 }, (_, index) => event(String(index))), "no event"].map(
      (text, index) => streamRecord(index, text, Date.now()),
    ),
  };
  const key = "drops/api-logs/json/a.json";
  const version = await bench.put("landing", key, `${event("d")}\n`);
  const announced = (object: string, versionId: string) => ({
    detail: {
      bucket: { name: bench.stack.bucket("landing") },
      object: { key: object, etag: "e", "version-id": versionId },
    },
  });
  await bench.run("api-logs", async () => {
    const answer = (await handler(batch, context)) as KinesisStreamBatchResponse;
    if (answer.batchItemFailures.length > 0) throw new Error("records of the stream failed");
    const dropped = (await handler(announced(key, version), context)) as DropResult;
    if (dropped.counts.accepted !== 1) throw new Error(`the drop was not read: ${JSON.stringify(dropped)}`);
    await handler(announced(key, version), context);
    // One object of each other format, whose line is none of it: it is read, and refused.
    const contract = (await contractsOf(undefined)).contracts.find(({ name }) => name === "api_events");
    for (const prefix of contract ? logPrefixes(contract) : []) {
      await handler(announced(`${prefix}b`, await bench.put("landing", `${prefix}b`, "x\n")), context);
    }
    // What fails is forgotten again, so that the next announcement is no repetition.
    const failed = await handler(announced("drops/api-logs/json/gone.json", version), context).then(
      () => false,
      () => true,
    );
    if (!failed) throw new Error("an object that is not there was read");
  });
  const given = JSON.stringify({ payload: JSON.stringify(batch) });
  await bench.put("quarantine", "aws/lambda/kept.json", given);
  await bench.run("redrive", async () => {
    const healed = await redrive({}, context);
    if (healed.failed > 0 || healed.succeeded === 0)
      throw new Error(`nothing was redriven: ${JSON.stringify(healed)}`);
    // Again: the note says that it was.
    await redrive({}, context);
  });
}

const target = z.object({ JobName: z.string() });

/** A deployment's restart of the streaming job, while one run of it is active. Glue's runs are made up here. */
async function keepRunning(bench: Bench): Promise<void> {
  const { handler } = await import("../deployment/keep-running/handler.ts");
  let active = true;
  bench.answers.set("glue:GetJobRuns", () =>
    json({ JobRuns: active ? [{ Id: "jr_1", JobRunState: "RUNNING" }] : [] }),
  );
  bench.answers.set("glue:BatchStopJobRun", () => {
    active = false;
    return json({});
  });
  bench.answers.set("glue:StartJobRun", ({ body }) => {
    target.parse(JSON.parse(body.toString("utf8")));
    return json({ JobRunId: "jr_2" });
  });
  const { runId } = await bench.run("keep-running", () => handler(bench.deploymentInput("restart-stream")));
  if (runId !== "jr_2") throw new Error("the streaming job was not started anew");
}

/** The run of the lake's migration at a deployment. Glue's runs are made up here. */
async function migrateLake(bench: Bench): Promise<void> {
  const { handler } = await import("../deployment/migrate-lake/handler.ts");
  bench.answers.set("glue:GetJobRun", () => json({ JobRun: { JobRunState: "SUCCEEDED" } }));
  await bench.run("migrate-lake", () => handler(bench.deploymentInput("migrate-lake")));
}

/** Both recipes as a deployment publishes them. DataBrew is made up here. */
async function publishRecipes(bench: Bench): Promise<void> {
  const { handler } = await import("../deployment/publish-recipe/handler.ts");
  bench.answers.set("databrew:PublishRecipe", () => json({ Name: "r" }));
  bench.answers.set("databrew:DescribeRecipe", () => json({ Name: "r", RecipeVersion: "1.0" }));
  for (const dataset of ["campaigns", "inventory"]) {
    await bench.run("publish-recipe", () => handler(bench.deploymentInput(`${dataset}-publish`)));
  }
}

/** The whole migration of a warehouse in which nothing is yet: the Data API, made up here, runs all and finds nothing. */
async function migrateWarehouse(bench: Bench): Promise<void> {
  const { handler } = await import("../deployment/migrate-warehouse/handler.ts");
  for (const operation of ["BatchExecuteStatement", "ExecuteStatement"]) {
    bench.answers.set(`redshift-data:${operation}`, () => json({ Id: "1" }));
  }
  bench.answers.set("redshift-data:DescribeStatement", () => json({ Id: "1", Status: "FINISHED" }));
  bench.answers.set("redshift-data:GetStatementResult", () => json({ Records: [] }));
  const { statements } = await bench.run("migrate-warehouse", () =>
    handler(bench.deploymentInput("migrate-warehouse")),
  );
  if (statements === 0) throw new Error("the migration ran no statement");
}
