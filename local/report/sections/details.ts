import { formatBytes, formatCount } from "../../terminal/format.ts";
import { barFigure } from "../bars.ts";
import { colour } from "../chart.ts";
import { type Html, html } from "../html.ts";
import { instant, plural, type Section, table } from "../parts.ts";
import type { FileSet, ReportData, RunInfo, StorageComparison, TableCount } from "../types.ts";

const numeric = true;

function storageFigure({ dataset, csv, parquet, onePartition }: StorageComparison, index: number): Html {
  const reads: [label: string, format: "CSV" | "Parquet", files: FileSet][] = [
    ["All rows, CSV", "CSV", csv],
    ["All rows, Parquet", "Parquet", parquet],
  ];
  if (onePartition) {
    reads.push(
      [`${onePartition.filter}, CSV`, "CSV", onePartition.csv],
      [`${onePartition.filter}, Parquet`, "Parquet", onePartition.parquet],
    );
  }
  const columns = [
    { title: "Query on" },
    { title: "Bytes", numeric },
    { title: "Size", numeric },
    { title: "Files", numeric },
  ];
  const rows = reads.map(([label, , files]) => [
    label,
    formatCount(files.bytes),
    formatBytes(files.bytes),
    formatCount(files.files),
  ]);
  return barFigure(
    {
      id: `storage-${index + 1}`,
      title: `${dataset}: bytes read from CSV and from Parquet`,
      description:
        "Bytes that a query reads of each format, for all rows and for one partition; figures in the table below.",
      size: "half",
      legend: [
        { label: "CSV", colour: colour.neutral },
        { label: "Parquet", colour: colour.main },
      ],
    },
    reads.map(([label, format, files]) => ({
      label,
      parts: format === "CSV" ? [files.bytes, 0] : [0, files.bytes],
      end: `${formatBytes(files.bytes)}, ${plural(files.files, "file", formatCount(files.files))}`,
    })),
    { colours: [colour.neutral, colour.main], tick: formatBytes, endWidth: 150 },
    table(`Bytes read, ${dataset}`, columns, rows),
  );
}

function tableCounts(tables: readonly TableCount[]): Html | undefined {
  if (tables.length === 0) return undefined;
  const columns = [{ title: "Layer" }, { title: "Table" }, { title: "Rows", numeric }];
  const rows = tables.map((each) => [each.layer, html`<code>${each.table}</code>`, formatCount(each.rows)]);
  return html`<h3>Tables after the run</h3>${table("Rows by table", columns, rows)}`;
}

function runTable(run: RunInfo): Html {
  const facts = [
    ["Batch", html`<code>${run.batchId}</code>`],
    ["Status", run.status],
    ["Mode", run.mode],
    ["Started", instant(run.started)],
    ["Ended", instant(run.ended)],
    [
      "Seed of the sample data",
      run.seed === undefined ? "none: the data is not generated" : String(run.seed),
    ],
  ];
  return html`<h3>This run</h3>${table("Run", [{ title: "Property" }, { title: "Value" }], facts)}`;
}

function gist({ storage, tables }: ReportData): string {
  const first = storage.find((each) => each.csv.bytes > 0 && each.parquet.bytes > 0);
  const times = first ? (first.csv.bytes / first.parquet.bytes).toFixed(1) : "";
  const saved = first
    ? `As Parquet, ${first.dataset} takes ${formatBytes(first.parquet.bytes)} instead of ${formatBytes(first.csv.bytes)} (${times} : 1). `
    : "";
  const counted =
    tables.length === 0
      ? "No table was"
      : `${plural(tables.length, "table")} ${tables.length === 1 ? "was" : "were"}`;
  return `${saved}${counted} counted after the run.`;
}

/** Details: storage, row counts of all tables, and what the run was started with. */
export function detailsSection(data: ReportData): Section {
  const content = [
    data.storage.length > 0 && html`<div class="pair">${data.storage.map(storageFigure)}</div>`,
    html`<div class="pair">${[tableCounts(data.tables), runTable(data.run)].map((each) => each && html`<div>${each}</div>`)}</div>`,
  ];
  return { id: "details", title: "Details", gist: gist(data), content };
}
