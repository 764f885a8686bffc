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

function revenueFigure(
  id: string,
  dimension: string,
  currency: string,
  unordered: readonly RevenueRow[],
): Html {
  const rows = descending(unordered, (row) => row.net);
  const sum = (part: (row: RevenueRow) => string): string => sumDecimals(rows.map(part));
  const columns = [
    { title: dimension },
    ...["Gross", "Discount", "Returned", "Net", "Orders", "Units"].map((title) => ({ title, numeric })),
  ];
  const units = rows.reduce((total, row) => total + row.units, 0);
  // One order may hold several categories, so orders cannot be added up.
  const total = [
    "All",
    sum((r) => r.gross),
    sum((r) => r.discount),
    sum((r) => r.returned),
    sum((r) => r.net),
    "",
    formatCount(units),
  ];
  const cells = rows.map((row) => [
    row.label,
    row.gross,
    row.discount,
    row.returned,
    row.net,
    formatCount(row.orders),
    formatCount(row.units),
  ]);
  return barFigure(
    {
      id,
      title: `Revenue by ${dimension.toLowerCase()}, ${currency}`,
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
    table(`Revenue by ${dimension.toLowerCase()}, ${currency}`, columns, cells, total),
  );
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

function revenueByDay(byDay: readonly DayRevenue[], currency: string): Html {
  const days = everyDay(byDay.map((row) => row.day));
  const categories = new Map<string, Map<string, string>>();
  for (const { day, category, net } of byDay) {
    const values = categories.get(category) ?? new Map<string, string>();
    values.set(day, sumDecimals([values.get(day) ?? "0", net]));
    categories.set(category, values);
  }
  const named = [...categories].map(([name, values]) => ({
    name,
    values,
    total: sumDecimals([...values.values()]),
  }));
  const series = descending(named, (each) => each.total);
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
    const halves = [
      byCategory.length > 0 && revenueFigure("revenue-category", "Category", currency, byCategory),
      byRegion.length > 0 && revenueFigure("revenue-region", "Region", currency, byRegion),
    ];
    content.push(html`<div class="pair">${halves}</div>`);
    if (byDay.length > 0) content.push(revenueByDay(byDay, currency));
  }
  const filled = summaries.filter((summary) => summary.rows.length > 0);
  if (filled.length > 0) content.push(html`<div class="pair">${filled.map(summaryFigure)}</div>`);
  return { id: "business", title: "Business figures", gist: gist(revenue, filled), content };
}
