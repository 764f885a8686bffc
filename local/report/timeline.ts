import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams } from "echarts";
import { formatCount, formatDuration } from "../terminal/format.ts";
import { labelWidth, roundTick } from "./bars.ts";
import { colour, drawFigure, type Figure, labelText } from "./chart.ts";
import type { Fragment, Html } from "./html.ts";
import type { RunInfo, Step, StepStatus } from "./types.ts";

/** A step or segment with how deep it is nested; steps are 0. */
export interface FlatStep extends Step {
  readonly depth: number;
}

/** Steps and their segments in one list, each directly behind what it is part of. */
export function flatten(steps: readonly Step[], depth = 0): FlatStep[] {
  return steps.flatMap((step) => [{ ...step, depth }, ...flatten(step.segments ?? [], depth + 1)]);
}

/** How long a step took in milliseconds; one that never ended counts until the end of the run. */
export function stepDuration(step: Step, run: RunInfo): number {
  if (step.status === "SKIPPED") return 0;
  return Math.max(0, Date.parse(step.ended ?? run.ended) - Date.parse(step.started));
}

/** "1,200 → 1,180 rows", as far as it is known; empty when nothing is. */
export function rowsText({ rowsIn, rowsOut }: Step): string {
  if (rowsIn !== undefined && rowsOut !== undefined && rowsIn !== rowsOut) {
    return `${formatCount(rowsIn)} → ${formatCount(rowsOut)} rows`;
  }
  const rows = rowsOut ?? rowsIn;
  return rows === undefined ? "" : `${formatCount(rows)} rows`;
}

function barText(step: FlatStep, run: RunInfo): string {
  if (step.status === "SKIPPED") return "skipped";
  const parts = [formatDuration(stepDuration(step, run))];
  if (step.status !== "SUCCEEDED") parts.push(step.status.toLowerCase());
  if (step.attempts > 1) parts.push(`${step.attempts} attempts`);
  const rows = rowsText(step);
  if (rows) parts.push(rows);
  return parts.join("  ·  ");
}

const statusColour: Readonly<Record<StepStatus, string>> = {
  SUCCEEDED: colour.main,
  FAILED: colour.bad,
  SKIPPED: colour.neutral,
  ABORTED: colour.caution,
};

/** More rows than this cannot be read in one drawing; the table has them all. */
const mostRows = 60;

/** Steps and segments as bars over the time since the run began. */
export function timelineFigure(
  figure: Omit<Figure, "legend">,
  run: RunInfo,
  steps: readonly Step[],
  table?: Fragment,
): Html {
  const all = flatten(steps);
  const rows = all.length <= mostRows ? all : all.filter((step) => step.depth === 0).slice(0, mostRows);
  const start = Math.min(Date.parse(run.started), ...rows.map((step) => Date.parse(step.started)));
  const end = Math.max(
    Date.parse(run.ended),
    ...rows.map((step) => Date.parse(step.started) + stepDuration(step, run)),
  );
  const indented = rows.map((step) => "\u2003".repeat(step.depth) + step.name);
  const left = labelWidth(indented, 260);
  const bar = (params: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) => {
    const step = rows[params.dataIndex];
    if (!step) return null;
    const [x = 0, y = 0] = api.coord([api.value(0), api.value(2)]);
    const [until = 0] = api.coord([api.value(1), api.value(2)]);
    const height = step.depth === 0 ? 14 : 8;
    // A step of a few milliseconds is still to be seen.
    const width = Math.max(2, until - x);
    const fill = step.depth > 0 && step.status === "SUCCEEDED" ? colour.mainMid : statusColour[step.status];
    return {
      type: "group" as const,
      children: [
        { type: "rect" as const, shape: { x, y: y - height / 2, width, height, r: 2 }, style: { fill } },
        {
          type: "text" as const,
          x: x + width + 8,
          y,
          style: {
            text: barText(step, run),
            fill: step.status === "FAILED" ? colour.bad : colour.muted,
            fontSize: 12,
            verticalAlign: "middle" as const,
          },
        },
      ],
    };
  };
  const option = {
    grid: { left: left + 16, right: 330, top: 4, bottom: 30 },
    xAxis: {
      type: "value",
      min: 0,
      max: Math.max(1, end - start),
      splitNumber: 5,
      axisLabel: {
        ...labelText,
        showMaxLabel: false,
        formatter: (milliseconds: number) => roundTick(formatDuration(milliseconds)),
      },
      splitLine: { lineStyle: { color: colour.line }, showMaxLine: false },
    },
    yAxis: {
      type: "category",
      inverse: true,
      data: indented,
      axisLabel: {
        ...labelText,
        color: colour.ink,
        align: "left",
        margin: left + 16,
        width: left,
        overflow: "truncate",
        interval: 0,
      },
      axisLine: { show: false },
      axisTick: { show: false },
    },
    series: [
      {
        type: "custom",
        silent: true,
        clip: false,
        renderItem: bar,
        encode: { x: [0, 1], y: 2 },
        data: rows.map((step, index) => {
          const from = Date.parse(step.started) - start;
          return [from, from + stepDuration(step, run), index];
        }),
      },
    ],
  };
  const seen = new Set(
    rows.filter((row) => row.depth === 0 || row.status !== "SUCCEEDED").map((row) => row.status),
  );
  const names: Readonly<Record<StepStatus, string>> = {
    SUCCEEDED: "succeeded",
    FAILED: "failed",
    SKIPPED: "skipped",
    ABORTED: "cut off when the run ended",
  };
  const legend = [...seen].map((status) => ({ label: names[status], colour: statusColour[status] }));
  if (rows.some((row) => row.depth > 0)) legend.push({ label: "part of a step", colour: colour.mainMid });
  return drawFigure({ ...figure, legend }, rows.length * 26 + 34, option, table);
}
