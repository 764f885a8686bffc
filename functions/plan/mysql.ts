import type { SourceContract } from "../shared/contracts.ts";
import type { MysqlExtract, Watermark } from "../shared/plan.ts";

/** What planning asks the source database. */
export interface SourceDatabase {
  /** The database's own clock, so that no other clock decides what a bound includes. */
  now(): Promise<Date>;
  /** Whether a row has `column` after `since`. */
  hasChanges(table: string, column: string, since: Date): Promise<boolean>;
}

const defaultOverlapMinutes = 10;

/** Minutes before the watermark that are read again, for rows whose transaction committed late. */
const overlapMinutes = ({ source }: SourceContract<"mysql">): number =>
  source.overlapMinutes ?? defaultOverlapMinutes;

/**
 * What to read of one table, or undefined when nothing changed since its watermark and no reconciliation is due.
 * The first extract reads everything, which reconciles as well.
 * @param to upper bound, from the database's clock
 */
export async function planMysql(
  contract: SourceContract<"mysql">,
  watermark: Watermark | undefined,
  to: Date,
  database: SourceDatabase,
  reconcileHours: number,
): Promise<{ extract: MysqlExtract; watermark: Watermark } | undefined> {
  const { table, watermark: column } = contract.source;
  const upper = to.toISOString();
  const extract = {
    dataset: contract.name,
    kind: "mysql" as const,
    table,
    watermark_column: column,
    to: upper,
  };
  if (!watermark) {
    return {
      extract: { ...extract, from: null, reconcile: false },
      watermark: { watermark: upper, reconciled_at: upper },
    };
  }
  const last = new Date(watermark.watermark);
  const reconciledAt = watermark.reconciled_at ?? watermark.watermark;
  const due = to.getTime() - Date.parse(reconciledAt) >= reconcileHours * 3_600_000;
  const reconcile = contract.source.reconcile && due;
  if (!reconcile && !(await database.hasChanges(table, column, last))) return undefined;
  const from = new Date(last.getTime() - overlapMinutes(contract) * 60_000).toISOString();
  return {
    extract: { ...extract, from, reconcile },
    watermark: { watermark: upper, reconciled_at: reconcile ? upper : reconciledAt },
  };
}
