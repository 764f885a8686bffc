import { formatCount, formatDuration } from "../../terminal/format.ts";
import { balanceOf, warningsOf } from "../balance.ts";
import { type Html, html } from "../html.ts";
import { folded, instant, plural, type Section, shortNumber, table } from "../parts.ts";
import { approximate, sumDecimals } from "../decimal.ts";
import { flatten, stepDuration, timelineFigure } from "../timeline.ts";
import type { ReportData, RunInfo, RunStatus } from "../types.ts";

export const headlines: Readonly<Record<RunStatus, string>> = {
  SUCCEEDED: "Run succeeded",
  FAILED: "Run failed",
  NOTHING_NEW: "Nothing new",
};

const elapsed = (run: RunInfo): string => formatDuration(Date.parse(run.ended) - Date.parse(run.started));

function gist(data: ReportData): string {
  const { run, steps } = data;
  if (run.status === "NOTHING_NEW") {
    return `No source had anything that was not loaded already, so every table is as it was; finding out took ${elapsed(run)}.`;
  }
  if (run.status === "FAILED") {
    const where = run.error?.step === undefined ? "before its first step" : `in the step ${run.error.step}`;
    return `The run failed ${where} after ${elapsed(run)}.`;
  }
  const balance = balanceOf(...data.datasets);
  const done = steps.filter((step) => step.status === "SUCCEEDED");
  const slowest = [...done].sort((a, b) => stepDuration(b, run) - stepDuration(a, run))[0];
  const longest = slowest
    ? `, the longest ${slowest.name} (${formatDuration(stepDuration(slowest, run))})`
    : "";
  const read = `${plural(balance.read, "record", formatCount(balance.read))} from ${plural(data.datasets.length, "dataset")}`;
  return `${plural(done.length, "step")} took ${elapsed(run)}${longest}, and brought in ${read}.`;
}

function tile(label: string, value: string, note = ""): Html {
  return html`<div><dt>${label}</dt><dd>${value}${note && html`<small>${note}</small>`}</dd></div>`;
}

/** The few figures that answer most questions. */
export function tiles(data: ReportData): Html {
  const balance = balanceOf(...data.datasets);
  const net = data.revenue?.byCategory.map((row) => row.net);
  return html`<dl class="tiles">
${tile("Duration", elapsed(data.run))}
${tile("Records read", formatCount(balance.read))}
${tile("Loaded", formatCount(balance.loaded))}
${tile("Deduplicated", formatCount(balance.deduplicated))}
${tile("Quarantined", formatCount(balance.quarantined))}
${data.revenue && net && net.length > 0 && tile("Net revenue", shortNumber(approximate(sumDecimals(net))), data.revenue.currency)}
</dl>
`;
}

function notices(data: ReportData): Html {
  const { error } = data.run;
  const warnings = warningsOf(data);
  return html`${
    error &&
    html`<div class="notice bad" role="alert"><h3>${error.step === undefined ? "Why it failed" : `Why ${error.step} failed`}</h3>
<pre>${error.cause}</pre><p><strong>What to do:</strong> ${error.remedy}</p></div>`
  }${
    warnings.length > 0 &&
    html`<div class="notice caution"><h3>${plural(warnings.length, "warning")}</h3><ul>${warnings.map((text) => html`<li>${text}</li>`)}</ul></div>`
  }`;
}

/** What happened: the outcome, what to look at, and when each step ran. */
export function runSection(data: ReportData): Section {
  const { run, steps } = data;
  const rows = flatten(steps).map((step) => [
    html`<span style="padding-left:${step.depth * 1.25}em">${step.name}</span>`,
    step.status.toLowerCase(),
    instant(step.started),
    formatDuration(stepDuration(step, run)),
    step.attempts,
    step.rowsIn === undefined ? "–" : formatCount(step.rowsIn),
    step.rowsOut === undefined ? "–" : formatCount(step.rowsOut),
  ]);
  const columns = [
    { title: "Step" },
    { title: "Status" },
    { title: "Started" },
    { title: "Took", numeric: true },
    { title: "Attempts", numeric: true },
    { title: "Rows in", numeric: true },
    { title: "Rows out", numeric: true },
  ];
  const timeline =
    steps.length === 0
      ? html`<p class="none">No step was started.</p>`
      : timelineFigure(
          {
            id: "timeline",
            title: "Time since the start of the run, by step",
            description: `${plural(steps.length, "step")} as bars over ${elapsed(run)}; the table below has the same figures.`,
          },
          run,
          steps,
          folded("The same as a table", table("Steps", columns, rows)),
        );
  return { id: "run", title: "What happened", gist: gist(data), content: [notices(data), timeline] };
}
