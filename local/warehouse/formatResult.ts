import { formatTable, type TableOptions } from "../terminal/table.ts";
import type { Result } from "./warehouse.ts";

const numeric = new Set(["int2", "int4", "int8", "float4", "float8", "numeric"]);

/** A result as a table for people: numbers to the right by the type of their column, the number of rows below. */
export function formatResult({ columns, rows }: Result, options: TableOptions = {}): string {
  const titles = columns.map(
    ({ name, type }) => ({ title: name, align: numeric.has(type) ? "right" : "left" }) as const,
  );
  const count = `(${rows.length} ${rows.length === 1 ? "row" : "rows"})`;
  return columns.length === 0
    ? count
    : `${formatTable(titles, rows, { none: "NULL", ...options })}\n${count}`;
}
