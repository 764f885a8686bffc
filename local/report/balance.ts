import type { DatasetBalance, ReportData } from "./types.ts";

/** The balance of one dataset, or of all together. */
export interface Balance {
  readonly read: number;
  readonly loaded: number;
  readonly deduplicated: number;
  readonly quarantined: number;
  /** read − loaded − deduplicated − quarantined: 0, unless records were lost (above) or made up (below). */
  readonly missing: number;
}

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

/** Adds up where the records of the datasets went. */
export function balanceOf(...datasets: readonly DatasetBalance[]): Balance {
  let [read, loaded, deduplicated, quarantined] = [0, 0, 0, 0];
  for (const dataset of datasets) {
    read += dataset.read;
    loaded += dataset.loaded;
    deduplicated += total(dataset.deduplicated);
    quarantined += total(dataset.quarantined);
  }
  return { read, loaded, deduplicated, quarantined, missing: read - loaded - deduplicated - quarantined };
}

/** Reasons with their counts, largest first; ties by name, so that the order is stable. */
export function byCount(counts: Readonly<Record<string, number>>): [reason: string, count: number][] {
  return Object.entries(counts).sort(([a, m], [b, n]) => n - m || a.localeCompare(b, "en"));
}

/** What somebody has to look at, one sentence each: unbalanced datasets, refused objects, failed quality rules. */
export function warningsOf(data: ReportData): string[] {
  const warnings: string[] = [];
  for (const dataset of data.datasets) {
    const { missing, read } = balanceOf(dataset);
    // A run that failed half way has records on their way; that is no loss.
    if (missing < 0 || (missing > 0 && data.run.status !== "FAILED")) {
      const what = missing > 0 ? `${missing} are unaccounted for` : `${-missing} too many came out`;
      warnings.push(`${dataset.name}: of ${read} records read, ${what}. Do not use this batch's tables.`);
    }
    for (const { object, reason, detail } of dataset.refused) {
      warnings.push(`${dataset.name}: ${object} was not read (${reason}): ${detail}`);
    }
  }
  for (const result of data.quality.filter((each) => !each.passed)) {
    const where = result.column === undefined ? result.dataset : `${result.dataset}.${result.column}`;
    const effect = result.severity === "error" ? "this stops the load" : "a warning, the load goes on";
    const found = result.found === undefined ? ` in ${result.failedRows} rows` : `: ${result.found}`;
    warnings.push(`${where} failed '${result.rule}'${found} (${effect}).`);
  }
  return warnings;
}
