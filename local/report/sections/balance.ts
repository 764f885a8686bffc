import { formatCount, formatShare } from "../../terminal/format.ts";
import { type Balance, balanceOf, byCount } from "../balance.ts";
import { barFigure } from "../bars.ts";
import { colour } from "../chart.ts";
import { type Fragment, type Html, html } from "../html.ts";
import { plural, type Section, table } from "../parts.ts";
import type { DatasetBalance, ReportData, RunStatus } from "../types.ts";

const numeric = true;

function gist({ datasets, run }: ReportData): string {
  const sum = balanceOf(...datasets);
  const off = datasets.filter((dataset) => balanceOf(dataset).missing !== 0);
  if (datasets.length === 0 || (sum.read === 0 && off.length === 0)) return "No records were read.";
  if (run.status === "FAILED") {
    return `Counts up to the failure: ${formatCount(sum.read)} records read, ${formatCount(sum.missing)} of them still on their way.`;
  }
  if (off.length > 0) {
    return `The balance of ${off.map((dataset) => dataset.name).join(", ")} does not close: records were lost or counted twice.`;
  }
  const shares = `${formatShare(sum.loaded / sum.read)} was loaded, ${formatShare(sum.deduplicated / sum.read)} was a duplicate, ${formatShare(sum.quarantined / sum.read)} is in quarantine with its reason`;
  return `Nothing was lost: of ${plural(sum.read, "record", formatCount(sum.read))} read, ${shares}.`;
}

function verdict(missing: number, status: RunStatus): Html {
  if (missing === 0) return html`<span class="ok">closes</span>`;
  if (missing > 0 && status === "FAILED") return html`${formatCount(missing)} on their way`;
  return html`<strong class="bad">off by ${formatCount(missing)}</strong>`;
}

function cells(label: string, balance: Balance, status: RunStatus): Fragment[] {
  const { read, loaded, deduplicated, quarantined, missing } = balance;
  return [label, ...[read, loaded, deduplicated, quarantined].map(formatCount), verdict(missing, status)];
}

function balanceFigure(datasets: readonly DatasetBalance[], status: RunStatus): Html {
  const rows = datasets.map((dataset) => cells(dataset.name, balanceOf(dataset), status));
  const columns = [
    { title: "Dataset" },
    { title: "Read", numeric },
    { title: "Loaded", numeric },
    { title: "Deduplicated", numeric },
    { title: "Quarantined", numeric },
    { title: "Balance" },
  ];
  const total = cells("All", balanceOf(...datasets), status);
  const bars = datasets.map((dataset) => {
    const { read, loaded, deduplicated, quarantined } = balanceOf(dataset);
    const whole = Math.max(1, read);
    const parts = [loaded / whole, deduplicated / whole, quarantined / whole];
    return { label: dataset.name, parts, end: `${formatCount(read)} read` };
  });
  return barFigure(
    {
      id: "balance-shares",
      title: "Where the records of each dataset went, share of records read",
      description:
        "One bar for each dataset, split into loaded, deduplicated and quarantined; figures in the table below.",
      legend: [
        { label: "loaded", colour: colour.main },
        { label: "deduplicated", colour: colour.neutral },
        { label: "quarantined", colour: colour.caution },
      ],
    },
    bars,
    {
      colours: [colour.main, colour.neutral, colour.caution],
      tick: formatShare,
      // Bars of an unbalanced dataset may be longer than what was read.
      max: Math.max(1, ...bars.map((bar) => bar.parts.reduce((sum, part) => sum + part, 0))),
      endWidth: 120,
    },
    table("Records by dataset: read = loaded + deduplicated + quarantined", columns, rows, total),
  );
}

/** The most reasons that are drawn; the table has them all. */
const mostReasons = 24;

function reasonsFigure(datasets: readonly DatasetBalance[]): Html | undefined {
  const reasons = datasets
    .flatMap((dataset) => [
      ...byCount(dataset.deduplicated).map(([reason, count]) => ({
        dataset,
        reason,
        count,
        fate: "deduplicated",
      })),
      ...byCount(dataset.quarantined).map(([reason, count]) => ({
        dataset,
        reason,
        count,
        fate: "quarantined",
      })),
    ])
    .filter(({ count }) => count > 0);
  if (reasons.length === 0) return undefined;
  const largest = [...reasons].sort((a, b) => b.count - a.count).slice(0, mostReasons);
  const bars = largest.map(({ dataset, reason, count, fate }) => ({
    label: `${dataset.name} · ${reason}`,
    parts: fate === "deduplicated" ? [count, 0] : [0, count],
    end: formatCount(count),
  }));
  const rows = reasons.map(({ dataset, reason, count, fate }) => [
    dataset.name,
    fate,
    html`<code>${reason}</code>`,
    formatCount(count),
    formatShare(count / Math.max(1, dataset.read)),
  ]);
  const columns = [
    { title: "Dataset" },
    { title: "Fate" },
    { title: "Reason" },
    { title: "Records", numeric },
    { title: "Share of read", numeric },
  ];
  const shown = largest.length < reasons.length ? `, the ${largest.length} largest of ${reasons.length}` : "";
  return barFigure(
    {
      id: "balance-reasons",
      title: `Why records were set aside${shown}`,
      description: "One bar for each dataset and reason, by number of records; figures in the table below.",
      legend: [
        { label: "deduplicated", colour: colour.neutral },
        { label: "quarantined", colour: colour.caution },
      ],
    },
    bars,
    { colours: [colour.neutral, colour.caution], tick: formatCount, whole: true },
    table("Records set aside by reason", columns, rows),
  );
}

function refusedTable(datasets: readonly DatasetBalance[]): Html | undefined {
  const rows = datasets.flatMap((dataset) =>
    dataset.refused.map(({ object, reason, detail }) => [
      dataset.name,
      html`<code class="path">${object}</code>`,
      html`<code>${reason}</code>`,
      detail,
    ]),
  );
  if (rows.length === 0) return undefined;
  const columns = [
    { title: "Dataset" },
    { title: "Object" },
    { title: "Reason" },
    { title: "What was found" },
  ];
  return html`<h3>Objects that were not read</h3>${table("Refused objects", columns, rows)}`;
}

/** Was anything lost: the balance of every dataset, the reasons, and the objects that were refused. */
export function balanceSection(data: ReportData): Section {
  const { datasets } = data;
  const content =
    datasets.length === 0
      ? []
      : [balanceFigure(datasets, data.run.status), reasonsFigure(datasets), refusedTable(datasets)];
  return { id: "balance", title: "Was anything lost?", gist: gist(data), content };
}
