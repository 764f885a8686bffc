import { formatCount, formatShare } from "../../terminal/format.ts";
import { barFigure } from "../bars.ts";
import { colour } from "../chart.ts";
import { type Html, html } from "../html.ts";
import { plural, type Section, table } from "../parts.ts";
import type { QualityResult, ReportData } from "../types.ts";

const numeric = true;

function gist(results: readonly QualityResult[]): string {
  if (results.length === 0) return "No quality rule was evaluated.";
  const stopping = results.filter((result) => !result.passed && result.severity === "error").length;
  const warnings = results.filter((result) => !result.passed && result.severity === "warning").length;
  const rules = plural(results.length, "quality rule");
  if (stopping > 0) return `${stopping} of ${rules} failed and stopped the load.`;
  if (warnings > 0) return `${rules} evaluated; ${warnings} failed as a warning, none stopped the load.`;
  const all = results.length === 1 ? "The one quality rule" : `All ${rules}`;
  return `${all} passed.`;
}

const severity = ({ passed, severity }: QualityResult): number => (passed ? 2 : severity === "error" ? 0 : 1);

/** Failures first, then by how close a rule came to its limit. */
function byConcern(a: QualityResult, b: QualityResult): number {
  return severity(a) - severity(b) || b.share - a.share || a.dataset.localeCompare(b.dataset, "en");
}

const place = ({ dataset, column }: QualityResult): string =>
  column === undefined ? dataset : `${dataset}.${column}`;

function verdict({ passed, severity }: QualityResult): Html {
  if (passed) return html`<span class="ok">passed</span>`;
  return severity === "error"
    ? html`<strong class="bad">failed</strong>`
    : html`<strong class="warn">warning</strong>`;
}

const mostBars = 20;

function failuresFigure(results: readonly QualityResult[]): Html | undefined {
  const found = results.filter((result) => result.failedRows > 0).slice(0, mostBars);
  if (found.length === 0) return undefined;
  const bars = found.map((result) => {
    const { passed, severity, share, threshold, rule } = result;
    const index = passed ? 0 : severity === "warning" ? 1 : 2;
    const parts = [0, 0, 0].map((_, part) => (part === index ? share : 0));
    return {
      label: `${place(result)} · ${rule}`,
      parts,
      end: `${formatShare(share)}, limit ${formatShare(threshold)}`,
      limit: threshold,
    };
  });
  return barFigure(
    {
      id: "quality-shares",
      title: "Rules that found something: share of failed rows against the limit",
      description:
        "One bar for each rule with failed rows, and a line where its limit is; figures in the table below.",
      legend: [
        { label: "within the limit", colour: colour.main },
        { label: "warning", colour: colour.caution },
        { label: "stops the load", colour: colour.bad },
        { label: "limit", colour: colour.ink, mark: "line" },
      ],
    },
    bars,
    { colours: [colour.main, colour.caution, colour.bad], tick: formatShare, endWidth: 170 },
  );
}

/** Quality: what the rules of the contracts found. */
export function qualitySection(data: ReportData): Section {
  const results = [...data.quality].sort(byConcern);
  const rows = results.map((result) => [
    place(result),
    result.rule,
    result.severity,
    ...(result.found === undefined
      ? [
          verdict(result),
          formatCount(result.failedRows),
          formatShare(result.share),
          formatShare(result.threshold),
        ]
      : [html`${verdict(result)}: ${result.found}`, "", "", ""]),
  ]);
  const columns = [
    { title: "Dataset and column" },
    { title: "Rule" },
    { title: "Severity" },
    { title: "Result" },
    { title: "Failed rows", numeric },
    { title: "Share", numeric },
    { title: "Limit", numeric },
  ];
  const content = results.length > 0 && [failuresFigure(results), table("Quality rules", columns, rows)];
  return { id: "quality", title: "Quality", gist: gist(results), content };
}
