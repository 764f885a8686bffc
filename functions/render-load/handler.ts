import { S3Client } from "@aws-sdk/client-s3";
import { z } from "zod";
import { type Contract, contractOf } from "../../contracts/contract.ts";
import { maxBatch } from "../../warehouse/dataApi.ts";
import { type LoadTemplates, loadStatements, readLoadTemplates } from "../../warehouse/load.ts";
import { lazily, parseEvent, required } from "../shared/context.ts";
import { type ObjectStore, S3ObjectStore } from "../shared/objectStore.ts";

/** What the export job wrote of a batch. */
const exportMetrics = z.object({
  datasets: z.record(z.string(), z.looseObject({ rows: z.int().min(0), path: z.string() })),
});
const bundle = z.object({ contracts: z.array(z.looseObject({ name: z.string() })) });
const input = z.object({ batchId: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/) });

export interface Load {
  /** The table, or the tables joined by "+". */
  readonly table: string;
  readonly rows: number;
  /** To be run in one transaction. */
  readonly statements: readonly string[];
}

/**
 * Puts the loads of tables together into as few transactions as the Data API's limit of statements allows: all tables of
 * one transaction show a batch, or none does. A day's batch fits into one, a first load of all tables takes two.
 */
export function together(loads: readonly Load[]): Load[] {
  const packed: Load[] = [];
  for (const load of loads) {
    const last = packed.at(-1);
    if (!last || last.statements.length + load.statements.length > maxBatch) {
      packed.push(load);
      continue;
    }
    packed[packed.length - 1] = {
      table: `${last.table}+${load.table}`,
      rows: last.rows + load.rows,
      statements: [...last.statements, ...load.statements],
    };
  }
  return packed;
}

export interface RenderLoadParts {
  readonly store: Pick<ObjectStore, "getText">;
  /** Names of the buckets. */
  readonly staging: string;
  readonly artifacts: string;
  readonly templates: LoadTemplates;
}

function parsed<T>(schema: z.ZodType<T>, what: string, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${what} is no JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const result = schema.safeParse(value);
  if (!result.success) throw new Error(`${what} is not what was expected: ${z.prettifyError(result.error)}`);
  return result.data;
}

/**
 * The loads of a batch: the SQL for every table of which the export job wrote rows, in as few transactions as fit.
 * @param event `{batchId}`
 * @throws Error when the export's metrics or the contracts are missing or name a table without a contract
 */
export async function renderLoad(event: unknown, parts: RenderLoadParts): Promise<{ loads: Load[] }> {
  const { batchId } = parseEvent(input, event, "the input of render-load");
  const { store, staging, artifacts, templates } = parts;
  const key = `runs/${batchId}/export.json`;
  const [metrics, contracts] = await Promise.all([
    store.getText(staging, key).then((text) => parsed(exportMetrics, `s3://${staging}/${key}`, text)),
    store.getText(artifacts, "contracts.json").then((text) => {
      const what = `s3://${artifacts}/contracts.json`;
      return parsed(bundle, what, text).contracts.map((document) =>
        contractOf(`${what}: ${document.name}`, document),
      );
    }),
  ]);
  const byTable = new Map<string, Contract>();
  for (const contract of contracts) if (contract.warehouse) byTable.set(contract.warehouse.table, contract);
  const loads = Object.entries(metrics.datasets)
    .filter(([, { rows }]) => rows > 0)
    .map(([table, { rows, path }]) => {
      const contract = byTable.get(table);
      if (!contract) {
        throw new Error(
          `s3://${staging}/${key}: no contract has the warehouse table '${table}'; there are ${[...byTable.keys()].join(", ")}`,
        );
      }
      return { table, rows, statements: loadStatements(contract, path, templates) };
    });
  return { loads: together(loads) };
}

/** The Lambda function. Environment: STAGING_BUCKET, ARTIFACTS_BUCKET; its bundle carries warehouse/load/*.sql as load/. */
export const handler = lazily((): ((event: unknown) => Promise<{ loads: Load[] }>) => {
  const store = new S3ObjectStore(new S3Client({}));
  const buckets = { staging: required("STAGING_BUCKET"), artifacts: required("ARTIFACTS_BUCKET") };
  const templates = readLoadTemplates();
  return async (event) => renderLoad(event, { store, ...buckets, templates: await templates });
});
