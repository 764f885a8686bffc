import { formatCount } from "../../terminal/format.ts";
import { html } from "../html.ts";
import { plural, type Section, table } from "../parts.ts";
import type { ReportData } from "../types.ts";

const number = /^[+-]?\d+(\.\d+)?$/;

/** Order history: the first page of the table, without personal data. */
export function ordersSection({ orderHistory }: ReportData): Section | undefined {
  if (!orderHistory) return undefined;
  const { columns, rows, totalRows, omitted } = orderHistory;
  const titled = columns.map((title, index) => {
    const values = rows.map((row) => row[index] ?? null).filter((value) => value !== null);
    return { title, numeric: values.length > 0 && values.every((value) => number.test(value)) };
  });
  const left = omitted.length > 0 ? ` Left out as personal data: ${omitted.join(", ")}.` : "";
  const gist =
    rows.length === 0
      ? "The order history has no rows."
      : `The first ${plural(rows.length, "row", formatCount(rows.length))} of ${formatCount(totalRows)}.${left}`;
  const cells = rows.map((row) => columns.map((_, index) => row[index] ?? html`<span class="none">–</span>`));
  return {
    id: "orders",
    title: "Order history",
    gist,
    content: rows.length > 0 && table("Order history", titled, cells),
  };
}
