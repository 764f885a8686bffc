import { z } from "zod";
import type { ObjectStore } from "./objectStore.ts";

const counts = z.record(z.string(), z.int().min(0));

const datasetMetrics = z.looseObject({
  read: z.int().min(0).optional(),
  loaded: z.int().min(0).optional(),
  /** Records by reason. */
  deduplicated: counts.default({}),
  /** Records by reason code. */
  quarantined: counts.default({}),
  /** Whole objects that were not read. */
  refused: z.array(z.looseObject({ object: z.string(), reason: z.string(), detail: z.string() })).default([]),
});
export type DatasetMetrics = z.infer<typeof datasetMetrics>;

const stepMetrics = z.looseObject({
  step: z.string(),
  started_at: z.string(),
  ended_at: z.string(),
  datasets: z.record(z.string(), datasetMetrics),
});
/** What a job says about its run, runs/<batch>/<job>.json in the staging bucket. */
export type StepMetrics = z.infer<typeof stepMetrics>;

/** Steps that records pass one after the other; the jobs of one entry run side by side. */
const stages = [["extract_mysql", "extract_dynamodb", "csv_to_parquet"], ["clean"], ["quality"]] as const;

/** Where the records of one dataset went, over all stages: `read = loaded + deduplicated + quarantined`. */
export interface DatasetTotals {
  readonly read: number;
  readonly loaded: number;
  readonly deduplicated: Readonly<Record<string, number>>;
  readonly quarantined: Readonly<Record<string, number>>;
  readonly refused: DatasetMetrics["refused"];
}

/** The folder of a run in the staging bucket. */
export const runFolder = (batchId: string): string => `runs/${batchId}/`;

/** The metrics of every step that wrote some, in the order in which the steps started. */
export async function readMetrics(
  store: ObjectStore,
  bucket: string,
  batchId: string,
): Promise<StepMetrics[]> {
  const folder = runFolder(batchId);
  const files = (await store.list(bucket, folder)).filter(({ key }) => {
    const name = key.slice(folder.length);
    return name.endsWith(".json") && !name.includes("/");
  });
  const metrics: StepMetrics[] = [];
  for (const { key } of files) {
    const value = parseFile(await store.getText(bucket, key), `s3://${bucket}/${key}`);
    // Other notes lie there too: the snapshots that a rollback returns to, the summary.
    if (typeof value !== "object" || value === null || !("step" in value)) continue;
    const parsed = stepMetrics.safeParse(value);
    if (!parsed.success) {
      throw new Error(`s3://${bucket}/${key} holds no valid metrics: ${z.prettifyError(parsed.error)}`);
    }
    metrics.push(parsed.data);
  }
  return metrics.sort((a, b) => a.started_at.localeCompare(b.started_at));
}

function parseFile(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${where} is no JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

const sum = (of: Readonly<Record<string, number>>): number =>
  Object.values(of).reduce((total, count) => total + count, 0);

function add(into: Record<string, number>, from: Readonly<Record<string, number>>): void {
  for (const [reason, count] of Object.entries(from)) into[reason] = (into[reason] ?? 0) + count;
}

/** Adds the stages up: read is what the first one read, loaded what the last one let through. */
export function totalsOf(metrics: readonly StepMetrics[]): Map<string, DatasetTotals> {
  const names = [...new Set(metrics.flatMap((step) => Object.keys(step.datasets)))].sort();
  const totals = new Map<string, DatasetTotals>();
  for (const name of names) {
    let read: number | undefined;
    let loaded = 0;
    const deduplicated: Record<string, number> = {};
    const quarantined: Record<string, number> = {};
    const refused: DatasetMetrics["refused"] = [];
    for (const stage of stages) {
      for (const step of metrics.filter((one) => stage.some((job) => job === one.step))) {
        const dataset = step.datasets[name];
        if (!dataset) continue;
        read ??= dataset.read;
        loaded = dataset.loaded ?? loaded;
        add(deduplicated, dataset.deduplicated);
        add(quarantined, dataset.quarantined);
        refused.push(...dataset.refused);
      }
    }
    // What was extracted and not cleaned has not been loaded.
    if (read !== undefined) totals.set(name, { read, loaded, deduplicated, quarantined, refused });
  }
  return totals;
}

/** One sentence for each dataset whose records do not add up; none when all do. */
export function imbalances(totals: ReadonlyMap<string, DatasetTotals>): string[] {
  return [...totals].flatMap(([name, { read, loaded, deduplicated, quarantined }]) => {
    const accounted = loaded + sum(deduplicated) + sum(quarantined);
    if (accounted === read) return [];
    const parts = `${loaded} loaded + ${sum(deduplicated)} deduplicated + ${sum(quarantined)} quarantined = ${accounted}`;
    const verdict = read > accounted ? `${read - accounted} were lost` : `${accounted - read} too many`;
    return [`${name}: ${read} records were read, but ${parts}: ${verdict}`];
  });
}
