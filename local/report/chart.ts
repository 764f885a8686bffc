import { BarChart, CustomChart, LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, TitleComponent } from "echarts/components";
import { type EChartsCoreOption, init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { type Fragment, Html, html } from "./html.ts";

use([BarChart, CustomChart, LineChart, ScatterChart, GridComponent, TitleComponent, SVGRenderer]);

/** Colours by meaning. They are CSS variables, so that one drawing serves light, dark and print. */
export const colour = {
  ink: "var(--ink)",
  muted: "var(--muted)",
  line: "var(--line)",
  main: "var(--main)",
  mainMid: "var(--main-mid)",
  mainSoft: "var(--main-soft)",
  neutral: "var(--neutral)",
  caution: "var(--caution)",
  bad: "var(--bad)",
} as const;

export interface Figure {
  /** Unique on the page; prefix of every id inside the drawing. */
  readonly id: string;
  readonly title: string;
  /** What is to be seen, for those who do not see it. */
  readonly description: string;
  readonly legend?: readonly LegendEntry[];
  /** Narrow figures stand side by side where the page is wide enough. */
  readonly size?: "wide" | "half";
}

export interface LegendEntry {
  readonly label: string;
  readonly colour: string;
  /** A line marks a limit, a box a quantity. */
  readonly mark?: "box" | "line";
}

/** Inner width of a wide and of a half figure in CSS pixels; the stylesheet's page width fits them. */
export const figureWidth = { wide: 1080, half: 520 } as const;

/** Text of axes and labels; 12 px at the drawing's own size. */
export const labelText = { color: colour.muted, fontSize: 12 } as const;

/** Draws without a browser: an `<svg>` of the given height, scaled to its container by the stylesheet. */
function drawSvg(figure: Figure, height: number, option: EChartsCoreOption): Html {
  const width = figureWidth[figure.size ?? "wide"];
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption({ animation: false, ...option });
    const svg = chart
      .renderToSVGString()
      // Hover rules and data marks serve a script that this page does not have. Quotes in texts are escaped,
      // so these patterns match attributes only.
      .replace(/<style[^>]*>[\s\S]*?<\/style>/g, "")
      .replace(/ (?:ecmeta_\w+|class|pointer-events)="[^"]*"/g, "")
      .replace(/((?:\bid|href)="#?|url\(#)zr\d+-/g, `$1${figure.id}-`)
      .replace(/ style="font-size:(\d+)px;font-family:[^"]*"/g, ' font-size="$1"');
    const label = html`<title id="${figure.id}-title">${figure.title}</title><desc id="${figure.id}-desc">${figure.description}</desc>`;
    const attributes = html` role="img" aria-labelledby="${figure.id}-title" aria-describedby="${figure.id}-desc"`;
    return new Html(
      svg.replace(/^<svg width="\d+" height="\d+"([^>]*)>/, (_, rest: string) => {
        return `<svg${rest}${attributes.markup}>${label.markup}`;
      }),
    );
  } finally {
    chart.dispose();
  }
}

/**
 * A drawing with its caption and legend, followed by `table`: the same figures for readers and for machines.
 * @param height of the drawing in CSS pixels
 */
export function drawFigure(
  figure: Figure,
  height: number,
  option: EChartsCoreOption,
  table?: Fragment,
): Html {
  const entries = (figure.legend ?? []).map(
    (entry) =>
      html`<li><span class="mark ${entry.mark ?? "box"}" style="--mark:${entry.colour}"></span>${entry.label}</li>`,
  );
  return html`<figure class="${figure.size ?? "wide"}" id="${figure.id}">
<figcaption>${figure.title}</figcaption>
${entries.length > 0 && html`<ul class="legend">${entries}</ul>`}
<div class="drawing" tabindex="0" role="group" aria-label="${figure.title}">${drawSvg(figure, height, option)}</div>
${table}
</figure>
`;
}
