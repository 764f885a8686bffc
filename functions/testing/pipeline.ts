import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DirectoryStore } from "../../local/adapters/directoryStore.ts";
import { LocalDynamodbExports } from "../../local/adapters/dynamodbExport.ts";
import { startDynamodb } from "../../local/adapters/dynamodbServer.ts";
import { createHandler as createAbort } from "../abort/handler.ts";
import { createHandler as createCommit } from "../commit/handler.ts";
import type { PlanDeps } from "../plan/deps.ts";
import { createHandler as createPlan, type PlanAnswer } from "../plan/handler.ts";
import { Ledger } from "../shared/ledger.ts";
import { jsonLogger } from "../shared/logger.ts";
import { type Execution, type Plan, readPlan } from "../shared/plan.ts";
import { createHandler as createVerdict } from "../verdict/handler.ts";

const buckets = { landing: "test-landing", staging: "test-staging", artifacts: "test-artifacts" };

/** An answer that must be a plan. @throws Error with the answer when it is none */
export function planned(answer: PlanAnswer): Extract<PlanAnswer, { status: "PLANNED" }> {
  if (answer.status !== "PLANNED") throw new Error(`expected a plan, got ${JSON.stringify(answer)}`);
  return answer;
}

/** An ODCS document of a dataset with a source, just valid. */
export function sourceDocument(name: string, source: object, recipe?: string): object {
  const column = (column: string, extra: object = {}) => ({
    name: column,
    physicalType: "varchar(40)",
    ...extra,
  });
  return {
    apiVersion: "v3.1.0",
    kind: "DataContract",
    name,
    version: "1.0.0",
    team: { name: "test" },
    description: { purpose: "test" },
    customProperties: [
      { property: "zone", value: "staging" },
      { property: "source", value: source },
      ...(recipe === undefined ? [] : [{ property: "recipe", value: recipe }]),
    ],
    schema: [
      {
        name,
        properties: [
          column("id", { primaryKey: true, primaryKeyPosition: 1, required: true }),
          column("updated_at", { physicalType: "timestamp" }),
        ],
      },
    ],
  };
}

/** The sources of most tests: a table, two datasets of one DynamoDB table, two kinds of drops. */
export const documents = [
  sourceDocument("customers", {
    kind: "mysql",
    table: "customers",
    watermark: "updated_at",
    partitionColumn: "id",
    reconcile: true,
  }),
  sourceDocument("mobile_orders", { kind: "dynamodb", table: "orders" }),
  sourceDocument("mobile_items", { kind: "dynamodb", table: "orders", explode: "items" }),
  sourceDocument("transactions", { kind: "csv", prefix: "drops/transactions/" }),
  sourceDocument("campaigns", { kind: "csv", prefix: "drops/campaigns/" }, "campaigns"),
];

/**
 * The workflow's handlers over a real ledger (dynalite, over the wire), a lake in a temporary directory, a clock
 * that tests set, and a database that changed when tests say so.
 */
export class TestPipeline {
  /** The present, for every part. */
  time = new Date("2026-03-01T12:00:00.000Z");
  /** When the table "customers" changed last. */
  customersChanged = new Date("2026-03-01T08:00:00.000Z");
  readonly ledger: Ledger;
  readonly store: DirectoryStore;
  readonly deps: PlanDeps;
  readonly logLines: string[] = [];
  readonly #root: string;
  readonly #stop: () => Promise<void>;
  #executions = 0;

  private constructor(root: string, server: Awaited<ReturnType<typeof startDynamodb>>) {
    this.#root = root;
    this.#stop = server.close;
    this.store = new DirectoryStore(path.join(root, "lake"));
    this.ledger = new Ledger(server.client, server.ledgerTable, "test");
    this.deps = {
      store: this.store,
      ledger: this.ledger,
      buckets,
      log: jsonLogger((_, line) => this.logLines.push(line)),
      now: () => this.time,
      leaseMinutes: 60,
      database: {
        now: async () => this.time,
        hasChanges: async (_table, _column, since) => this.customersChanged > since,
      },
      tables: new LocalDynamodbExports(path.join(root, "sources"), this.store, 60, () => this.time),
      windowLimits: { minimumSeconds: 60, maximumSeconds: 24 * 3600 },
      reconcileHours: 24,
    };
  }

  /** Starts the ledger and fills the sources: one item, one drop of transactions. */
  static async start(contracts: readonly object[] = documents): Promise<TestPipeline> {
    const root = await mkdtemp(path.join(tmpdir(), "securecart-"));
    const pipeline = new TestPipeline(root, await startDynamodb());
    await pipeline.store.putText(
      buckets.artifacts,
      "contracts.json",
      JSON.stringify({ contracts, reference: {} }),
    );
    await mkdir(path.join(root, "sources"), { recursive: true });
    await pipeline.changeOrders("2026-02-20T00:00:00.000001Z", "O1");
    await pipeline.drop("transactions/a.csv", "id\n1\n");
    return pipeline;
  }

  async stop(): Promise<void> {
    await this.#stop();
    await rm(this.#root, { recursive: true });
  }

  /** Appends a write to the change log of the DynamoDB table "orders". */
  async changeOrders(at: string, id: string): Promise<void> {
    const keys = { id: { S: id } };
    const line = JSON.stringify({ at, op: "PUT", keys, item: keys });
    await writeFile(path.join(this.#root, "sources/orders.jsonl"), `${line}\n`, { flag: "a" });
  }

  /** Drops a file below drops/, last modified now. */
  async drop(name: string, content: string): Promise<void> {
    await this.store.putText(buckets.landing, `drops/${name}`, content);
    await utimes(this.store.pathOf(buckets.landing, `drops/${name}`), this.time, this.time);
  }

  /** Takes a dropped file away. */
  async withdraw(name: string): Promise<void> {
    await rm(this.store.pathOf(buckets.landing, `drops/${name}`));
  }

  passMinutes(minutes: number): void {
    this.time = new Date(this.time.getTime() + minutes * 60_000);
  }

  /** A new execution of the workflow, started now. */
  execution(): Execution {
    this.#executions += 1;
    const id = `arn:aws:states:local:000000000000:execution:test:${this.#executions}`;
    return { id, startTime: this.time.toISOString() };
  }

  plan(execution: Execution, input: unknown = {}, rolledBack = ""): Promise<PlanAnswer> {
    return createPlan(this.deps)({ execution, input, rolledBack });
  }

  verdict(batchId: string) {
    return createVerdict(this.deps)({ batchId });
  }

  commit(execution: Execution, answer: PlanAnswer) {
    const { batchId, planKey } = planned(answer);
    return createCommit(this.deps)({ execution, batchId, planKey });
  }

  abort(
    execution: Execution,
    batchId?: string,
    more: { rollbackFailed?: boolean; published?: boolean } = {},
  ) {
    const error = { error: "Boom", cause: "clean: it broke", ...more };
    return createAbort(this.deps)({ execution, ...(batchId !== undefined && { batchId }), ...error });
  }

  /** Plans what is new, lands a file for each dataset, and commits. */
  async run(): Promise<Plan> {
    const execution = this.execution();
    const answer = await this.plan(execution);
    const plan = await this.planOf(answer);
    for (const { path: folder } of plan.landing) {
      await this.store.putText(buckets.landing, this.landed(folder), "rows");
    }
    await this.commit(execution, answer);
    return plan;
  }

  /** Removes what a plan landed of one dataset, as the bucket's lifecycle does in time. */
  async expire(plan: Plan, dataset: string): Promise<void> {
    const folder = plan.landing.find((one) => one.dataset === dataset);
    if (!folder) throw new Error(`the plan has no landing folder of ${dataset}`);
    await rm(this.store.pathOf(buckets.landing, this.landed(folder.path)));
  }

  private landed(folder: string): string {
    return `${folder.replace(`s3://${buckets.landing}/`, "")}part-0.parquet`;
  }

  planOf(answer: PlanAnswer): Promise<Plan> {
    return readPlan(this.store, buckets.landing, planned(answer).planKey);
  }

  /** Writes what a job leaves in the run's folder. */
  async putRunFile(batchId: string, name: string, content: object | string): Promise<void> {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    await this.store.putText(buckets.staging, `runs/${batchId}/${name}`, text);
  }
}
