import { formatCount } from "../../terminal/format.ts";
import { barFigure } from "../bars.ts";
import { colour } from "../chart.ts";
import { daysFigure } from "../days.ts";
import { approximate, sumDecimals } from "../decimal.ts";
import { type Html, html } from "../html.ts";
import { folded, plural, type Section, shortNumber, table } from "../parts.ts";
import type { DayRevenue, ReportData, Revenue, RevenueRow, Summary } from "../types.ts";

const numeric = true;

/** The rows ordered by a decimal, largest first. */
function descending<T>(rows: readonly T[], value: (row: T) => string): T[] {
  return [...rows].sort((a, b) => approximate(value(b)) - approximate(value(a)));
}

/** A chart and its table apart, so that two charts fit beside each other while the tables have the full width. */
function revenueBy(
  id: string,
  dimension: string,
  currency: string,
  unordered: readonly RevenueRow[],
): [Html, Html] {
  const rows = descending(unordered, (row) => row.net);
  const title = `Revenue by ${dimension.toLowerCase()}, ${currency}`;
  const figure = barFigure(
    {
      id,
      title,
      description: `Gross revenue of each ${dimension.toLowerCase()}, split into net, returned and discount; figures in the table below.`,
      size: "half",
      legend: [
        { label: "net", colour: colour.main },
        { label: "returned", colour: colour.caution },
        { label: "discount", colour: colour.neutral },
      ],
    },
    rows.map((row) => ({
      label: row.label,
      parts: [row.net, row.returned, row.discount].map(approximate),
      end: `${shortNumber(approximate(row.net))} net`,
    })),
    { colours: [colour.main, colour.caution, colour.neutral], tick: shortNumber },
  );
  const columns = [
    { title: dimension },
    ...["Gross", "Discount", "Returned", "Net", "Orders", "Units"].map((heading) => ({
      title: heading,
      numeric,
    })),
  ];
  const amounts = ["gross", "discount", "returned", "net"] as const;
  const cells = rows.map((row) => [
    row.label,
    ...amounts.map((part) => row[part]),
    formatCount(row.orders),
    formatCount(row.units),
  ]);
  const units = rows.reduce((sum, row) => sum + row.units, 0);
  // An order may hold several categories, so orders cannot be added up.
  const total = [
    "All",
    ...amounts.map((part) => sumDecimals(rows.map((row) => row[part]))),
    "",
    formatCount(units),
  ];
  return [figure, table(title, columns, cells, total)];
}

/** Every day from the first to the last, so that a day without sales is a gap in sales and not in time. */
export function everyDay(days: readonly string[]): string[] {
  const sorted = [...days].sort();
  const [first, last] = [sorted[0], sorted.at(-1)];
  if (first === undefined || last === undefined) return [];
  const all: string[] = [];
  for (
    let time = Date.parse(`${first}T00:00:00Z`);
    time <= Date.parse(`${last}T00:00:00Z`);
    time += 86_400_000
  ) {
    all.push(new Date(time).toISOString().slice(0, 10));
  }
  return all;
}

interface CategoryDays {
  readonly name: string;
  readonly total: string;
  /** Net by day; a day without sales is left out. */
  readonly values: ReadonlyMap<string, string>;
}

/** More panels than this are no overview any more. */
const mostPanels = 12;

function categoryDays(name: string, rows: readonly DayRevenue[]): CategoryDays {
  const values = new Map<string, string>();
  for (const { day, net } of rows) values.set(day, sumDecimals([values.get(day) ?? "0", net]));
  return { name, values, total: sumDecimals(rows.map((row) => row.net)) };
}

/** The days of each category, largest first; what goes beyond the panels is added up in the last one. */
function daysByCategory(byDay: readonly DayRevenue[]): CategoryDays[] {
  const names = [...new Set(byDay.map((row) => row.category))];
  const all = names.map((name) =>
    categoryDays(
      name,
      byDay.filter((row) => row.category === name),
    ),
  );
  const ordered = descending(all, (each) => each.total);
  if (ordered.length <= mostPanels) return ordered;
  const shown = ordered.slice(0, mostPanels - 1);
  const apart = new Set(shown.map((each) => each.name));
  const others = byDay.filter((row) => !apart.has(row.category));
  return [...shown, categoryDays(`${ordered.length - shown.length} others`, others)];
}

function revenueByDay(byDay: readonly DayRevenue[], currency: string): Html {
  const days = everyDay(byDay.map((row) => row.day));
  const series = daysByCategory(byDay);
  const columns = [
    { title: "Day" },
    ...series.map(({ name }) => ({ title: name, numeric })),
    { title: "All", numeric },
  ];
  const rows = days.map((day) => {
    const values = series.map((each) => each.values.get(day) ?? "0");
    return [day, ...values, sumDecimals(values)];
  });
  return daysFigure(
    {
      id: "revenue-days",
      title: `Net revenue by day, ${currency}, one panel for each category on the same scale`,
      description: `${plural(series.length, "line chart")} over ${plural(days.length, "day")} from ${days[0]} to ${days.at(-1)}; figures in the table below.`,
    },
    days,
    series.map(({ name, values, total }) => ({
      name,
      total: shortNumber(approximate(total)),
      values: days.map((day) => approximate(values.get(day) ?? "0")),
    })),
    shortNumber,
    folded("The same as a table", table(`Net revenue by day, ${currency}`, columns, rows)),
  );
}

function summaryFigure(summary: Summary, index: number): Html {
  const rows = descending(summary.rows, ([, value]) => value);
  const columns = [{ title: summary.dimension }, { title: summary.measure, numeric }];
  const total = ["All", sumDecimals(rows.map(([, value]) => value))];
  return barFigure(
    {
      id: `summary-${index + 1}`,
      title: summary.title,
      description: `${summary.measure} of each ${summary.dimension}; figures in the table below.`,
      size: "half",
    },
    rows.map(([label, value]) => ({
      label,
      parts: [approximate(value)],
      end: shortNumber(approximate(value)),
    })),
    { colours: [colour.main], tick: shortNumber },
    table(summary.title, columns, rows, total),
  );
}

const hasRevenue = (revenue: Revenue | undefined): revenue is Revenue =>
  revenue !== undefined && revenue.byCategory.length + revenue.byRegion.length + revenue.byDay.length > 0;

function gist(revenue: Revenue | undefined, summaries: readonly Summary[]): string {
  const sentences: string[] = [];
  if (hasRevenue(revenue) && revenue.byCategory.length > 0) {
    const net = sumDecimals(revenue.byCategory.map((row) => row.net));
    const best = descending(revenue.byCategory, (row) => row.net)[0];
    const lead = best && revenue.byCategory.length > 1 ? `, led by ${best.label} with ${best.net}` : "";
    sentences.push(`Net revenue in the tables is ${net} ${revenue.currency}${lead}.`);
  }
  if (summaries.length > 0) {
    sentences.push(
      `The data brought in, by ${summaries.map((each) => each.dimension.toLowerCase()).join(" and by ")}.`,
    );
  }
  return (
    sentences.join(" ") || "No business figures: the tables this run knows are empty or were not reached."
  );
}

/** Business figures: revenue, and the summaries of a user's own data. */
export function businessSection({ revenue, summaries }: ReportData): Section {
  const content: Html[] = [];
  if (hasRevenue(revenue)) {
    const { byCategory, byRegion, byDay, currency } = revenue;
    const parts: [Html, Html][] = [];
    if (byCategory.length > 0) parts.push(revenueBy("revenue-category", "Category", currency, byCategory));
    if (byRegion.length > 0) parts.push(revenueBy("revenue-region", "Region", currency, byRegion));
    content.push(
      html`<div class="pair">${parts.map(([figure]) => figure)}</div>${parts.map(([, rows]) => rows)}`,
    );
    if (byDay.length > 0) content.push(revenueByDay(byDay, currency));
  }
  const filled = summaries.filter((summary) => summary.rows.length > 0);
  if (filled.length > 0) content.push(html`<div class="pair">${filled.map(summaryFigure)}</div>`);
  return { id: "business", title: "Business figures", gist: gist(revenue, filled), content };
}
