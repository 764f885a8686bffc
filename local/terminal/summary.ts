import { balanceOf, byCount, warningsOf } from "../report/balance.ts";
import type { DatasetBalance, ReportData } from "../report/types.ts";
import { formatCount, formatDuration } from "./format.ts";
import { type Environment, type Output, type Paint, paintFor, plainText } from "./style.ts";
import { type CellValue, formatTable } from "./table.ts";
import { oneLine } from "./width.ts";

export interface SummaryOptions {
  /** Path of the HTML report; left out when none was written. */
  readonly report?: string;
  /** Commands worth trying next, as they are typed. */
  readonly next?: readonly string[];
  readonly paint?: Paint;
  /** Widest line; by default unlimited. */
  readonly maxWidth?: number;
}

const count = (value: number): string => (value === 0 ? "" : formatCount(value));

function datasetRows(dataset: DatasetBalance): CellValue[][] {
  const { read, loaded, deduplicated, quarantined } = balanceOf(dataset);
  return [
    [
      dataset.name,
      formatCount(read),
      formatCount(loaded),
      formatCount(deduplicated),
      formatCount(quarantined),
    ],
    ...byCount(dataset.deduplicated)
      .filter(([, records]) => records > 0)
      .map(([reason, records]) => [`  ${reason}`, "", "", count(records), ""]),
    ...byCount(dataset.quarantined)
      .filter(([, records]) => records > 0)
      .map(([reason, records]) => [`  ${reason}`, "", "", "", count(records)]),
  ];
}

function balanceTable(datasets: readonly DatasetBalance[], paint: Paint, maxWidth: number): string {
  const columns = [
    { title: "Dataset", align: "left" as const },
    ...["Read", "Loaded", "Deduplicated", "Quarantined"].map((title) => ({ title, align: "right" as const })),
  ];
  const sum = balanceOf(...datasets);
  const total = [sum.read, sum.loaded, sum.deduplicated, sum.quarantined].map(formatCount);
  const rows = [...datasets.flatMap(datasetRows), ...(datasets.length > 1 ? [["total", ...total]] : [])];
  const lines = formatTable(columns, rows, { paint, maxWidth, none: "" }).split("\n");
  const last = lines.pop() ?? "";
  return [...lines, datasets.length > 1 ? paint("bold", last) : last].join("\n");
}

function headline({ run }: ReportData, paint: Paint): string {
  const time = formatDuration(Date.parse(run.ended) - Date.parse(run.started));
  const batch = `batch ${oneLine(run.batchId)}, ${oneLine(run.mode)}, ${time}`;
  if (run.status === "FAILED") {
    const where = run.error?.step === undefined ? "" : ` in ${oneLine(run.error.step)}`;
    return `${paint("red", paint("bold", `Run failed${where}`))} (${batch})`;
  }
  if (run.status === "NOTHING_NEW")
    return `${paint("bold", "Nothing new")}: the tables are as they were (${batch})`;
  return `${paint("green", paint("bold", "Run succeeded"))} (${batch})`;
}

/** The figures of a user's own data, to the last digit. */
function summaries(data: ReportData, paint: Paint, maxWidth: number): string[] {
  return data.summaries.map(({ title, dimension, measure, rows }) => {
    const columns = [dimension, { title: measure, align: "right" as const }];
    return `${paint("bold", oneLine(title))}\n${formatTable(columns, rows, { paint, maxWidth })}`;
  });
}

/**
 * What a run did, for the terminal: outcome, where each dataset's records went and why, totals, warnings, where
 * the report lies and what to try next.
 * @returns lines joined by newlines, with a closing one
 */
export function formatSummary(data: ReportData, options: SummaryOptions = {}): string {
  const { paint = plainText, maxWidth = Number.POSITIVE_INFINITY } = options;
  const { error } = data.run;
  const parts = [headline(data, paint)];
  if (data.datasets.length > 0) parts.push(balanceTable(data.datasets, paint, maxWidth));
  parts.push(...summaries(data, paint, maxWidth));
  const warnings = warningsOf(data).map((text) => paint("yellow", `! WARNING  ${oneLine(text)}`));
  if (warnings.length > 0) parts.push(warnings.join("\n"));
  if (error) {
    const cause = error.cause.split("\n").map(oneLine).join("\n  ");
    parts.push(`${paint("red", "Why:")} ${cause}\n${paint("bold", "What to do:")} ${oneLine(error.remedy)}`);
  }
  const closing: string[] = [];
  if (options.report !== undefined) closing.push(`Report: ${options.report}`);
  if (options.next && options.next.length > 0) {
    closing.push("Try next:", ...options.next.map((command) => `  ${command}`));
  }
  if (closing.length > 0) parts.push(closing.join("\n"));
  return `${parts.join("\n\n")}\n`;
}

/** Prints {@link formatSummary} with the colours and the width of the output; piped output is never cut. */
export function printSummary(
  data: ReportData,
  options: Pick<SummaryOptions, "report" | "next"> & {
    readonly output?: Output;
    readonly environment?: Environment;
  } = {},
): void {
  const { output = process.stdout, environment = process.env, ...rest } = options;
  const width = output.isTTY === true && output.columns ? { maxWidth: output.columns } : {};
  output.write(formatSummary(data, { ...rest, ...width, paint: paintFor(output, environment) }));
}
