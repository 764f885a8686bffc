import { type Paint, plainText } from "./style.ts";
import { displayWidth, oneLine, pad, truncate } from "./width.ts";

export type CellValue = string | number | bigint | boolean | Date | null | undefined;

export interface TableColumn {
  readonly title: string;
  /** By default right when every value is a number, also one written as text. */
  readonly align?: "left" | "right";
}

export interface TableOptions {
  /** Widest line in columns of the terminal; by default unlimited. Too wide a table is turned on its side. */
  readonly maxWidth?: number;
  /** Emphasis of the heading; by default none. See paintFor. */
  readonly paint?: Paint;
  /** What stands for null; by default "–". */
  readonly none?: string;
}

const separator = "  ";
const number = /^[+-]?[\d,]*\d(?:\.\d+)?$/;

function cellText(value: CellValue, none: string): string {
  if (value === null || value === undefined) return none;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "invalid date" : value.toISOString();
  return oneLine(String(value));
}

function isNumeric(value: CellValue): boolean {
  return (
    typeof value === "number" ||
    typeof value === "bigint" ||
    (typeof value === "string" && number.test(value))
  );
}

interface Layout {
  readonly title: string;
  readonly align: "left" | "right";
  width: number;
}

const lineWidth = (layout: readonly Layout[]): number =>
  layout.reduce((sum, column) => sum + column.width, 0) + separator.length * Math.max(0, layout.length - 1);

/** A text column may be cut down to this; numbers are never cut, a cut number would be a wrong one. */
const leastText = 8;

/** Takes the space from the widest text column, one step after the other. False when there is not enough. */
function shrink(layout: readonly Layout[], maxWidth: number): boolean {
  for (let excess = lineWidth(layout) - maxWidth; excess > 0; excess--) {
    const texts = layout.filter((column) => column.align === "left" && column.width > leastText);
    const [first, ...others] = texts;
    if (!first) return false;
    const widest = others.reduce((most, column) => (column.width > most.width ? column : most), first);
    widest.width -= 1;
  }
  return true;
}

/** Every row as a block of "column  value" lines: for what is too wide to stand side by side. */
function sideways(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  paint: Paint,
  maxWidth: number,
): string {
  const titleWidth = Math.min(Math.max(...titles.map(displayWidth)), Math.max(1, Math.floor(maxWidth / 2)));
  const room = Math.max(1, maxWidth - titleWidth - separator.length);
  const blocks = rows.map((row, index) => {
    const lines = titles.map((title, column) => {
      const value = row[column] ?? "";
      // Numbers are kept whole here too.
      const shown = number.test(value) ? value : truncate(value, room);
      return `${pad(truncate(title, titleWidth), titleWidth)}${separator}${shown}`.trimEnd();
    });
    return [paint("bold", truncate(`row ${index + 1}`, maxWidth)), ...lines].join("\n");
  });
  return blocks.join("\n\n");
}

/**
 * A table in plain text: aligned by what a terminal shows rather than by characters, numbers to the right,
 * control characters of the values made visible. Values are printed as they are; exact decimals stay exact.
 * @returns lines joined by newlines, without a closing one
 */
export function formatTable(
  columns: readonly (string | TableColumn)[],
  rows: readonly (readonly CellValue[])[],
  options: TableOptions = {},
): string {
  const { maxWidth = Number.POSITIVE_INFINITY, paint = plainText, none = "–" } = options;
  if (columns.length === 0) return "";
  const texts = rows.map((row) => columns.map((_, index) => cellText(row[index], none)));
  const layout = columns.map((given, index): Layout => {
    const column = typeof given === "string" ? { title: given } : given;
    const values = rows.map((row) => row[index]).filter((value) => value !== null && value !== undefined);
    const numeric = values.length > 0 && values.every(isNumeric);
    const title = oneLine(column.title);
    const width = texts.reduce(
      (most, row) => Math.max(most, displayWidth(row[index] ?? "")),
      displayWidth(title),
    );
    return { title, align: column.align ?? (numeric ? "right" : "left"), width };
  });
  if (!shrink(layout, maxWidth)) {
    return sideways(
      layout.map((column) => column.title),
      texts,
      paint,
      maxWidth,
    );
  }
  const line = (cells: readonly string[]): string =>
    layout
      .map(({ width, align }, index) => pad(truncate(cells[index] ?? "", width), width, align))
      .join(separator)
      .trimEnd();
  const rule = layout.map(({ width }) => "─".repeat(width)).join(separator);
  return [
    paint("bold", line(layout.map((column) => column.title))),
    paint("dim", rule),
    ...texts.map(line),
  ].join("\n");
}
