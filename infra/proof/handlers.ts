/** The Lambda functions' handlers, run with the SDK's own clients; a middleware notes every call. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { NoSuchKey, NotFound, S3Client } from "@aws-sdk/client-s3";
import type { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import { createHandler as createAbort } from "../../functions/abort/handler.ts";
import { createHandler as createCommit } from "../../functions/commit/handler.ts";
import { DynamodbTables } from "../../functions/plan/dynamodbTables.ts";
import { loadSourceContracts } from "../../functions/shared/contracts.ts";
import { pull } from "../../functions/partner-pull/pull.ts";
import { createHandler as createPlan, type PlanAnswer } from "../../functions/plan/handler.ts";
import { renderLoad } from "../../functions/render-load/handler.ts";
import { Ledger } from "../../functions/shared/ledger.ts";
import { jsonLogger } from "../../functions/shared/logger.ts";
import { S3ObjectStore } from "../../functions/shared/objectStore.ts";
import { readSecret } from "../../functions/shared/secrets.ts";
import { createHandler as createVerdict } from "../../functions/verdict/handler.ts";
import { startDynamodb } from "../../local/adapters/dynamodbServer.ts";
import { contractsOf } from "../../local/deployment.ts";
import { readLoadTemplates } from "../../warehouse/load.ts";
import { migrateLake } from "../deployment/migrate-lake/handler.ts";
import { redshiftData } from "../deployment/migrate-warehouse/handler.ts";
import { publishRecipe } from "../deployment/publish-recipe/handler.ts";
import type { ApiRequest } from "../deployment/signed.ts";
import type { Call, Stack } from "./calls.ts";

interface Bucketed {
  readonly Bucket: string;
  readonly Key?: string;
  readonly Prefix?: string;
  readonly Body?: string;
}

/** What an operation of S3 asks IAM for. A read by version would be another action; the handlers make none. */
const s3Actions: Readonly<Record<string, string>> = {
  GetObjectCommand: "s3:GetObject",
  HeadObjectCommand: "s3:GetObject",
  PutObjectCommand: "s3:PutObject",
  ListObjectVersionsCommand: "s3:ListBucketVersions",
};

/** A function with its role's clients; what they ask for is noted, and answered from memory and a local server. */
class Recorded {
  readonly calls: Call[] = [];
  /** The role of the function that runs at the moment. */
  role = "";
  readonly stack: Stack;
  readonly objects: Map<string, { text: string; time: Date }>;

  constructor(stack: Stack) {
    this.stack = stack;
    this.objects = new Map();
  }

  note(action: string, resource: string, context: Call["context"] = {}): void {
    this.calls.push({ role: this.role, action, resource, context });
  }

  useKey(service: string, ...operations: readonly string[]): void {
    for (const operation of operations) {
      this.note(`kms:${operation}`, this.stack.dataKey, { "kms:ViaService": this.stack.viaService(service) });
    }
  }

  s3(): S3Client {
    const client = new S3Client({ region: "local", credentials: { accessKeyId: "a", secretAccessKey: "b" } });
    client.middlewareStack.add(
      (_, context) => async (args) => {
        const command = String(context.commandName);
        const input = args.input as unknown as Bucketed;
        const action = s3Actions[command];
        if (action === undefined) throw new Error(`the recorder does not know ${command}`);
        const bucket = `arn:aws:s3:::${input.Bucket}`;
        const list = command === "ListObjectVersionsCommand";
        this.note(
          action,
          list ? bucket : `${bucket}/${input.Key}`,
          list ? { "s3:prefix": input.Prefix ?? "" } : {},
        );
        if (!list) this.useKey("s3", action === "s3:PutObject" ? "GenerateDataKey" : "Decrypt");
        return { output: this.#answer(command, input) as never, response: {} };
      },
      { step: "initialize" },
    );
    return client;
  }

  #answer(command: string, { Bucket, Key, Prefix, Body }: Bucketed): object {
    const id = `${Bucket}/${Key}`;
    if (command === "PutObjectCommand") {
      this.objects.set(id, { text: String(Body), time: new Date() });
      return {};
    }
    if (command === "ListObjectVersionsCommand") {
      const start = `${Bucket}/${Prefix ?? ""}`;
      const found = [...this.objects].filter(([each]) => each.startsWith(start));
      return {
        Versions: found.map(([each, { text, time }]) => ({
          Key: each.slice(Bucket.length + 1),
          IsLatest: true,
          Size: text.length,
          ETag: '"e"',
          VersionId: "1",
          LastModified: time,
        })),
      };
    }
    const found = this.objects.get(id);
    if (!found) {
      // S3 says "not found" only to those who may list.
      this.note("s3:ListBucket", `arn:aws:s3:::${Bucket}`, { "s3:prefix": Key ?? "" });
      const missing = { message: id, $metadata: {} };
      throw command === "HeadObjectCommand" ? new NotFound(missing) : new NoSuchKey(missing);
    }
    return { Body: { transformToString: async () => found.text }, ETag: '"e"', LastModified: found.time };
  }

  /** Notes a DynamoDB client's calls on the table that stands for the ledger. */
  watch(client: DynamoDBDocumentClient | DynamoDBClient, standIn: string, table: string): void {
    client.middlewareStack.add(
      (next, context) => async (args) => {
        const operation = String(context.commandName).replace(/Command$/, "");
        const iam: Record<string, string> = {
          Get: "GetItem",
          Put: "PutItem",
          Update: "UpdateItem",
          Delete: "DeleteItem",
          BatchGet: "BatchGetItem",
        };
        if (!JSON.stringify(args.input).includes(standIn)) throw new Error(`${operation} of another table`);
        this.note(`dynamodb:${iam[operation] ?? operation}`, this.stack.arn("dynamodb", `table/${table}`));
        this.useKey("dynamodb", "Decrypt");
        return next(args);
      },
      { step: "initialize" },
    );
  }
}

/** Runs every function of the stack and notes what each asks AWS for. */
export async function handlerCalls(stack: Stack): Promise<readonly Call[]> {
  const recorded = new Recorded(stack);
  const { calls } = recorded;
  const server = await startDynamodb();
  recorded.watch(server.client, server.ledgerTable, `${stack.name}-ledger`);
  const secretServer = createServer((request, response) => {
    // The extension signs with the function's role: https://docs.aws.amazon.com/secretsmanager/latest/userguide/retrieving-secrets_lambda.html
    const id = new URL(request.url ?? "/", "http://localhost").searchParams.get("secretId") ?? "";
    recorded.note("secretsmanager:GetSecretValue", id);
    response.end(JSON.stringify({ SecretString: JSON.stringify({ username: "u", password: "p" }) }));
  });
  await new Promise<void>((resolve) => secretServer.listen(0, "localhost", resolve));
  const secretPort = (secretServer.address() as AddressInfo).port;
  try {
    const plain = new DynamoDBClient({
      region: "local",
      credentials: { accessKeyId: "a", secretAccessKey: "b" },
    });
    const variables = variablesOf(stack, "plan");
    const arns = JSON.parse(variables.DYNAMODB_TABLE_ARNS ?? "{}") as Record<string, string>;
    plain.middlewareStack.add(
      (_, context) => async (args) => {
        const { TableName = "" } = args.input as { TableName?: string };
        recorded.note(`dynamodb:${String(context.commandName).replace(/Command$/, "")}`, TableName);
        const now = Date.now();
        const recovery = {
          PointInTimeRecoveryStatus: "ENABLED",
          EarliestRestorableDateTime: new Date(now - 86_400_000),
          LatestRestorableDateTime: new Date(now - 300_000),
        };
        const output = { ContinuousBackupsDescription: { PointInTimeRecoveryDescription: recovery } };
        return { output: output as never, response: {} };
      },
      { step: "initialize" },
    );
    let time = new Date();
    const deps = {
      store: new S3ObjectStore(recorded.s3()),
      ledger: new Ledger(server.client, server.ledgerTable, "prod"),
      buckets: {
        landing: stack.bucket("landing"),
        staging: stack.bucket("staging"),
        artifacts: stack.bucket("artifacts"),
      },
      log: jsonLogger(() => {}),
      now: () => time,
      leaseMinutes: 60,
      database: {
        now: async () => {
          await readSecret(variables.MYSQL_SECRET_ID ?? "", secretPort);
          return time;
        },
        hasChanges: async () => true,
      },
      tables: new DynamodbTables(plain, arns),
      windowLimits: { minimumSeconds: 60, maximumSeconds: 86_400 },
      reconcileHours: 24,
    };
    const put = (zone: "landing" | "staging" | "artifacts", key: string, text: string): void => {
      recorded.objects.set(`${deps.buckets[zone]}/${key}`, { text, time: new Date(time.getTime() - 60_000) });
    };
    put("artifacts", "contracts.json", (await contractsOf(undefined)).bundle);
    put("landing", "drops/transactions/a.csv", "x");
    const templates = await readLoadTemplates();
    let executions = 0;
    const execution = () => ({
      id: `${stack.arn("states", `execution:${stack.name}`)}:${executions}`,
      startTime: time.toISOString(),
    });
    const plan = async (input: unknown = {}): Promise<PlanAnswer> => {
      recorded.role = "plan";
      executions += 1;
      return createPlan(deps)({ execution: execution(), input });
    };
    const metrics = (step: string, more: object = {}): string =>
      JSON.stringify({
        step,
        started_at: "2026-01-01T00:00:00Z",
        ended_at: "2026-01-01T00:00:01Z",
        datasets: {},
        ...more,
      });

    const first = await plan();
    if (first.status !== "PLANNED") throw new Error(`nothing was planned: ${JSON.stringify(first)}`);
    const { batchId, planKey } = first;
    await plan({
      detail: { bucket: { name: deps.buckets.landing }, object: { key: "drops/transactions/b.csv" } },
    }).catch(
      () => undefined, // an event in another form is refused; what it asked for until then counts all the same
    );
    executions = 1;
    put("staging", `runs/${batchId}/clean.json`, metrics("clean"));
    put(
      "staging",
      `runs/${batchId}/quality.json`,
      metrics("quality", { verdict: "PASS", reasons: [], rules: [] }),
    );
    put("staging", `runs/${batchId}/export.json`, metrics("export", { datasets: {} }));
    recorded.role = "verdict";
    await createVerdict(deps)({ execution: execution(), batchId, planKey });
    recorded.role = "render-load";
    await renderLoad(
      { batchId },
      { store: deps.store, staging: deps.buckets.staging, artifacts: deps.buckets.artifacts, templates },
    );
    recorded.role = "commit";
    await createCommit(deps)({ execution: execution(), batchId, planKey });
    time = new Date(time.getTime() + 3_600_000);
    await plan({ replay: { batch_id: batchId, from: "clean" } });
    recorded.role = "abort";
    await createAbort(deps)({ execution: execution(), batchId, error: "Boom", cause: "it broke" });
    const { length } = calls;
    await plan({ backfill: { from: "2026-01-01", to: "2026-01-02" } }).catch(() => undefined);
    if (calls.length === length) throw new Error("the backfill asked for nothing");
    recorded.role = "partner-pull";
    const partner = variablesOf(stack, "partner-pull");
    const contract = (await loadSourceContracts(deps.store, deps.buckets.artifacts)).find(
      ({ name }) => name === partner.PARTNER_DATASET,
    );
    if (!contract)
      throw new Error(`there is no contract of the partner's dataset ${partner.PARTNER_DATASET}`);
    const page = { data: [{ campaign_id: "c" }], next_cursor: null };
    await pull({
      ...deps,
      contract,
      client: {
        url: partner.PARTNER_URL ?? "",
        token: await readSecret(partner.PARTNER_TOKEN_SECRET_ID ?? "", secretPort),
        fetch: async () => new Response(JSON.stringify(page)),
        sleep: async () => {},
      },
      landing: deps.buckets.landing,
      begin: partner.PARTNER_BEGIN ?? "",
      overlapMinutes: 0,
    });
    await deploymentCalls(recorded);
  } finally {
    await server.close();
    await new Promise((resolve) => secretServer.close(resolve));
  }
  return calls;
}

/** The functions that a deployment invokes, with the very input that the stack gives them. */
async function deploymentCalls(recorded: Recorded): Promise<void> {
  const { stack } = recorded;
  const input = (name: string): Record<string, unknown> => {
    const found = stack
      .ofType("aws:lambda/invocation:Invocation")
      .find((each) => each.name === `${stack.name}-${name}`);
    return JSON.parse(String(found?.inputs.input)) as Record<string, unknown>;
  };
  recorded.role = "migrate-lake";
  const migration = input("migrate-lake");
  await migrateLake(migration, async ({ target = "" }: ApiRequest) => {
    recorded.note(target.replace("AWSGlue.", "glue:"), stack.arn("glue", `job/${String(migration.job)}`));
    return { JobRunId: "1", JobRun: { JobRunState: "SUCCEEDED" } };
  });

  recorded.role = "publish-recipe";
  for (const dataset of ["campaigns", "inventory"]) {
    const wanted = input(`${dataset}-publish`);
    await publishRecipe(wanted, async ({ method, path, query }: ApiRequest) => {
      const operation = method === "GET" ? "DescribeRecipe" : "PublishRecipe";
      recorded.note(`databrew:${operation}`, stack.arn("databrew", `recipe/${String(wanted.recipe)}`));
      return method === "GET"
        ? { Name: wanted.recipe, Steps: [], RecipeVersion: query?.recipeVersion ?? path }
        : {};
    }).catch(() => undefined); // the answers stand for no real recipe: what it asks for is what counts
  }

  recorded.role = "migrate-warehouse";
  const migrated = input("migrate-warehouse");
  const contracts = migrated.contracts as { bucket: string; key: string };
  recorded.note("s3:GetObject", `arn:aws:s3:::${contracts.bucket}/${contracts.key}`);
  recorded.useKey("s3", "Decrypt");
  const workgroup = stack.arnOf("aws:redshiftserverless/workgroup:Workgroup");
  const data = redshiftData(async ({ target = "" }: ApiRequest) => {
    const operation = target.replace("RedshiftData.", "");
    const own = operation === "DescribeStatement" || operation === "GetStatementResult";
    recorded.note(
      `redshift-data:${operation}`,
      own ? "*" : workgroup,
      own ? { "redshift-data:statement-owner-iam-userid": "AROAEXAMPLE:session" } : {},
    );
    // The Data API reads the secret with the caller's rights.
    if (!own) recorded.note("secretsmanager:GetSecretValue", String(migrated.secretArn));
    return { Id: "1", Status: "FINISHED", Records: [] };
  });
  const where = { WorkgroupName: "w", Database: "d", SecretArn: "s" };
  await data.batchExecuteStatement({ ...where, Sqls: ["SELECT 1"] });
  await data.executeStatement({ ...where, Sql: "SELECT 1" });
  await data.describeStatement({ Id: "1" });
  await data.getStatementResult({ Id: "1" });
}

/** Environment variables of a function as the stack renders them. */
function variablesOf(stack: Stack, name: string): Record<string, string> {
  const { environment } = stack.named("aws:lambda/function:Function", `${stack.name}-${name}`).inputs;
  return (environment as { variables?: Record<string, string> } | undefined)?.variables ?? {};
}
