/** What the workflow talks to on AWS, started on this machine: Spark, DynamoDB, the warehouse, the lake. */
import path from "node:path";
import type { PlanDeps } from "../functions/plan/deps.ts";
import type { SourceDatabase } from "../functions/plan/mysql.ts";
import { Ledger } from "../functions/shared/ledger.ts";
import { jsonLogger } from "../functions/shared/logger.ts";
import { DirectoryStore } from "./adapters/directoryStore.ts";
import { LocalDynamodbExports } from "./adapters/dynamodbExport.ts";
import { type LocalDynamodb, startDynamodb } from "./adapters/dynamodbServer.ts";
import { SparkDriver } from "./spark.ts";
import { Warehouse } from "./warehouse/warehouse.ts";
import { buckets, pipelineName, type Workspace } from "./workspace.ts";

/** Real exports span at least 15 minutes; here a change may be exported as soon as it is a second old. */
const minimumExportSeconds = 1;

/** The source database of a laptop, which lives in Spark's Java. */
class DerbyDatabase implements SourceDatabase {
  readonly #spark: SparkDriver;

  constructor(spark: SparkDriver) {
    this.#spark = spark;
  }

  async now(): Promise<Date> {
    return new Date(await this.#spark.request<string>("source_now"));
  }

  hasChanges(table: string, column: string, since: Date): Promise<boolean> {
    return this.#spark.request("source_has_changes", { table, column, since: since.toISOString() });
  }
}

export interface Services {
  readonly spark: SparkDriver;
  readonly store: DirectoryStore;
  readonly dynamodb: LocalDynamodb;
  readonly exports: LocalDynamodbExports;
  readonly warehouse: Warehouse;
  readonly ledger: Ledger;
  readonly planDeps: PlanDeps;
  /** Lines that the functions logged. */
  readonly logged: string[];
  /** Stops everything; with `force` without waiting for running jobs. */
  close(force?: boolean): Promise<void>;
}

/** Starts the services of a workspace, which must be locked. Spark may still be starting when this returns. */
export async function startServices(workspace: Workspace): Promise<Services> {
  const { lake, sources, scratch, log } = workspace;
  const spark = new SparkDriver({ lake, sources, scratch, log });
  const opened: { close(): Promise<void> }[] = [];
  const opening = async <T extends { close(): Promise<void> }>(service: Promise<T>): Promise<T> => {
    const started = await service;
    opened.push(started);
    return started;
  };
  try {
    const [dynamodb, warehouse] = await Promise.all([
      opening(startDynamodb(workspace.ledger)),
      opening(Warehouse.open({ dir: workspace.warehouse, lake })),
    ]);
    const store = new DirectoryStore(lake);
    const exports = new LocalDynamodbExports(
      path.join(workspace.sample, "sources/dynamodb"),
      store,
      minimumExportSeconds,
    );
    const ledger = new Ledger(dynamodb.client, dynamodb.ledgerTable, pipelineName);
    const logged: string[] = [];
    const planDeps: PlanDeps = {
      store,
      ledger,
      buckets,
      log: jsonLogger((_level, line) => logged.push(line)),
      now: () => new Date(),
      leaseMinutes: 360,
      database: new DerbyDatabase(spark),
      tables: exports,
      windowLimits: { minimumSeconds: minimumExportSeconds, maximumSeconds: 24 * 3600 },
      reconcileHours: Number(process.env.RECONCILE_HOURS ?? 24),
    };
    const close = async (force = false): Promise<void> => {
      await spark.stop(force);
      await Promise.all([dynamodb.close(), warehouse.close()]);
    };
    return { spark, store, dynamodb, exports, warehouse, ledger, planDeps, logged, close };
  } catch (error) {
    await spark.stop(true);
    for (const service of opened) await service.close();
    throw error;
  }
}

/**
 * The services with a ledger of its own for a user's contract: its batches, watermarks and claims are no business of
 * SecureCart's, and a backfill or a replay of one must not touch the other.
 */
export function servicesFor(services: Services, contract: string): Services {
  const { client, ledgerTable } = services.dynamodb;
  const ledger = new Ledger(client, ledgerTable, `${pipelineName}#${contract}`);
  return { ...services, ledger, planDeps: { ...services.planDeps, ledger } };
}
