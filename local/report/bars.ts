import { colour, drawFigure, type Figure, figureWidth, labelText } from "./chart.ts";
import type { Fragment, Html } from "./html.ts";

export interface Bar {
  readonly label: string;
  /** One length for each series, in the axis' unit. */
  readonly parts: readonly number[];
  /** Printed behind the bar. */
  readonly end: string;
  /** A limit to compare the bar with. */
  readonly limit?: number;
}

export interface BarChartOptions {
  /** Colour of each part, in the order of `Bar.parts`. */
  readonly colours: readonly string[];
  /** Text of the axis' ticks. */
  readonly tick: (value: number) => string;
  /** The values are whole numbers, and so are the ticks. */
  readonly whole?: boolean;
  /** Where the axis ends; by default behind the longest bar. */
  readonly max?: number;
  /** Room for the text behind the bars, px. */
  readonly endWidth?: number;
}

const rowHeight = 30;
const axisHeight = 34;

/** Room for the longest label, px: DejaVu, the widest of the usual fonts, takes about 7.4 px a letter at 12 px. */
export function labelWidth(labels: readonly string[], most: number): number {
  return Math.min(most, Math.max(40, ...labels.map((label) => label.length * 7.4)));
}

/** Ticks are round numbers: "500.0 kB" is said as "500 kB". */
export function roundTick(text: string): string {
  return text.replace(".0 ", " ");
}

/** Horizontal stacked bars, first bar on top. */
export function barFigure(
  figure: Figure,
  bars: readonly Bar[],
  options: BarChartOptions,
  table?: Fragment,
): Html {
  const width = figureWidth[figure.size ?? "wide"];
  const left = labelWidth(
    bars.map((bar) => bar.label),
    width * 0.3,
  );
  const label = { show: true, position: "right", color: colour.ink, fontSize: 12, distance: 8 };
  const series: object[] = options.colours.map((color, index) => ({
    type: "bar",
    stack: "all",
    barWidth: 16,
    silent: true,
    itemStyle: { color },
    data: bars.map((bar) => bar.parts[index] ?? 0),
  }));
  // An invisible bar carries the text, so that it stands behind the whole stack and behind the limit's line.
  series.push({
    type: "bar",
    stack: "all",
    silent: true,
    itemStyle: { color: "transparent" },
    data: bars.map((bar) => ({
      value:
        bar.limit === undefined ? 0 : Math.max(0, bar.limit - bar.parts.reduce((sum, part) => sum + part, 0)),
      label: { ...label, formatter: () => bar.end },
    })),
  });
  series.push({
    type: "scatter",
    symbol: "rect",
    symbolSize: [2, 24],
    silent: true,
    itemStyle: { color: colour.ink },
    data: bars.flatMap((bar, index) => (bar.limit === undefined ? [] : [[bar.limit, index]])),
  });
  const option = {
    grid: { left: left + 12, right: options.endWidth ?? 90, top: 4, bottom: axisHeight - 4 },
    xAxis: {
      type: "value",
      minInterval: options.whole ? 1 : 0,
      ...(options.max === undefined ? {} : { max: options.max }),
      splitNumber: figure.size === "half" ? 3 : 5,
      axisLabel: {
        ...labelText,
        formatter: (value: number) => roundTick(options.tick(value)),
        hideOverlap: true,
      },
      splitLine: { lineStyle: { color: colour.line } },
    },
    yAxis: {
      type: "category",
      inverse: true,
      data: bars.map((bar) => bar.label),
      axisLabel: { ...labelText, color: colour.ink, width: left, overflow: "truncate", interval: 0 },
      axisLine: { show: false },
      axisTick: { show: false },
    },
    series,
  };
  return drawFigure(figure, bars.length * rowHeight + axisHeight, option, table);
}
