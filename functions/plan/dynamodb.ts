import type { SourceContract } from "../shared/contracts.ts";
import type { DynamodbExtract, TableExport, Watermark } from "../shared/plan.ts";
import { type ExportWindow, exportWindows, type Restorable, type WindowLimits } from "./exportWindows.ts";

/** What planning asks about tables that are read from their exports. */
export interface ExportableTables {
  /** ARN of a table that contracts know by its short name. @throws Error when it is not configured */
  arn(table: string): string;
  restorable(table: string): Promise<Restorable>;
  /** Whether an item changed in [from, to); true where that cannot be known without exporting. */
  hasChanges(table: string, from: Date, to: Date): Promise<boolean>;
}

/** `20260102T030405Z`, for names. */
const compact = (instant: Date): string => instant.toISOString().replaceAll(/[-:]|\.\d+/g, "");

/** The exports to read for one dataset, or undefined when no window is due or nothing changed. */
export async function planDynamodb(
  contract: SourceContract<"dynamodb">,
  watermark: Watermark | undefined,
  batchId: string,
  restorable: Restorable,
  tables: ExportableTables,
  limits: WindowLimits,
): Promise<{ extract: DynamodbExtract; watermark: Watermark } | undefined> {
  const { table } = contract.source;
  const last = watermark && new Date(watermark.watermark);
  const windows = exportWindows(last, restorable, limits);
  const first = windows[0];
  const end = windows.at(-1)?.to;
  if (!first || !end) return undefined;
  if (first.from && !(await tables.hasChanges(table, first.from, end))) return undefined;
  const arn = tables.arn(table);
  const request = (window: ExportWindow): TableExport => {
    // Named after the window, not the dataset: datasets that read the same table then share the export.
    const kind = window.type === "FULL_EXPORT" ? "full" : `incremental-${compact(window.from)}`;
    const id = `${table}-${kind}-${compact(window.to)}`;
    return {
      id,
      type: window.type,
      table,
      table_arn: arn,
      prefix: `dynamodb-exports/batch=${batchId}/${id}`,
      from: window.from?.toISOString() ?? null,
      to: window.to.toISOString(),
    };
  };
  return {
    extract: {
      dataset: contract.name,
      kind: "dynamodb",
      exports: windows.map(request),
      reconcile: first.type === "FULL_EXPORT" && watermark !== undefined,
    },
    watermark: { watermark: end.toISOString() },
  };
}
