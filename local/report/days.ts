import { colour, drawFigure, type Figure, figureWidth, labelText } from "./chart.ts";
import type { Fragment, Html } from "./html.ts";

export interface DaySeries {
  readonly name: string;
  /** Printed behind the name. */
  readonly total: string;
  /** One value for each of the days. */
  readonly values: readonly number[];
}

/** Panels in a row: as many as leave the fewest places empty, four when that is the same. */
function panelsInRow(count: number): number {
  if (count < 4) return Math.max(1, count);
  const empty = (columns: number): number => (columns - (count % columns)) % columns;
  return [4, 3, 5].reduce((best, columns) => (empty(columns) < empty(best) ? columns : best));
}

const panelHeight = 128;
const gap = 28;

/**
 * One small panel for each series, all with the same scales, so that their sizes compare. A dozen lines in one
 * panel would cross so often that none could be followed.
 */
export function daysFigure(
  figure: Figure,
  days: readonly string[],
  series: readonly DaySeries[],
  tick: (value: number) => string,
  table?: Fragment,
): Html {
  const axisWidth = 52;
  const columns = panelsInRow(series.length);
  const width = (figureWidth.wide - axisWidth - gap * (columns - 1)) / columns;
  const values = series.flatMap((each) => each.values);
  const [max, min] = [Math.max(0, ...values), Math.min(0, ...values)];
  const place = (index: number): { left: number; top: number } => ({
    left: axisWidth + (index % columns) * (width + gap),
    top: 10 + Math.floor(index / columns) * (panelHeight + 64),
  });
  const isEdge = (index: number): boolean => index === 0 || index === days.length - 1;
  const option = {
    title: series.map((each, index) => ({
      text: `${each.name}  ${each.total}`,
      left: place(index).left,
      top: place(index).top,
      padding: 0,
      textStyle: { color: colour.ink, fontSize: 12, fontWeight: "normal", width, overflow: "truncate" },
    })),
    grid: series.map((_, index) => {
      const { left, top } = place(index);
      return { left, top: top + 26, width, height: panelHeight };
    }),
    xAxis: series.map((_, index) => ({
      gridIndex: index,
      type: "category",
      boundaryGap: false,
      data: days,
      axisLine: { lineStyle: { color: colour.line } },
      axisTick: { show: false },
      axisLabel: {
        ...labelText,
        fontSize: 11,
        interval: isEdge,
        alignMinLabel: "left",
        alignMaxLabel: "right",
        formatter: (day: string) => day.slice(5),
      },
    })),
    yAxis: series.map((_, index) => ({
      gridIndex: index,
      type: "value",
      max,
      min,
      splitNumber: 3,
      // The end of the scale is a measured value, not a round one: it gets no tick of its own.
      axisLabel: {
        ...labelText,
        fontSize: 11,
        show: index % columns === 0,
        showMaxLabel: false,
        showMinLabel: min === 0,
        formatter: tick,
      },
      splitLine: { lineStyle: { color: colour.line }, showMaxLine: false },
    })),
    series: series.map((each, index) => ({
      type: "line",
      xAxisIndex: index,
      yAxisIndex: index,
      data: each.values,
      // A single day is a point, not a line.
      showSymbol: days.length === 1,
      silent: true,
      itemStyle: { color: colour.main },
      lineStyle: { color: colour.main, width: 1.5 },
      areaStyle: { color: colour.mainSoft },
    })),
  };
  const height = Math.ceil(series.length / columns) * (panelHeight + 64);
  return drawFigure(figure, height, option, table);
}
