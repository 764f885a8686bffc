import { type Fragment, type Html, html } from "./html.ts";

/** A column of a table; numbers stand right-aligned with digits of equal width. */
export interface Column {
  readonly title: string;
  readonly numeric?: boolean;
}

/** One cell, or a cell with a class of the stylesheet. */
export type Cell = Fragment;

/**
 * A table that scrolls sideways when it is too wide for the page.
 * @param total closing row, set apart from the others
 */
export function table(
  caption: string,
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  total?: readonly Cell[],
): Html {
  const kind = (index: number): string => (columns[index]?.numeric ? "number" : "text");
  const cell = (value: Cell, index: number): Html =>
    index === 0
      ? html`<th scope="row" class="${kind(index)}">${value}</th>`
      : html`<td class="${kind(index)}">${value}</td>`;
  const line = (cells: readonly Cell[]): Html => html`<tr>${cells.map(cell)}</tr>\n`;
  const head = columns.map(
    (column, index) => html`<th scope="col" class="${kind(index)}">${column.title}</th>`,
  );
  return html`<div class="table" tabindex="0" role="group" aria-label="${caption}"><table>
<caption>${caption}</caption>
<thead><tr>${head}</tr></thead>
<tbody>
${rows.map(line)}</tbody>
${total && html`<tfoot>${line(total)}</tfoot>`}
</table></div>
`;
}

/** Something that only some readers want: closed on the screen, open on paper. */
export function folded(label: string, content: Fragment): Html {
  return html`<details><summary>${label}</summary>${content}</details>`;
}

/** A part of the page: its heading, one sentence that says what matters, and the evidence. */
export interface Section {
  readonly id: string;
  readonly title: string;
  readonly gist: string;
  readonly content: Fragment;
}

export function section({ id, title, gist, content }: Section): Html {
  return html`<section id="${id}" aria-labelledby="${id}-heading">
<h2 id="${id}-heading">${title}</h2>
<p class="gist">${gist}</p>
${content}
</section>
`;
}

const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });

/** A number short enough for an axis or a tile: 2254695.12 → "2.25M". For reading at a glance, not exact. */
export function shortNumber(value: number): string {
  return compact.format(value);
}

/** "1 dataset", "3 datasets". */
export function plural(count: number, noun: string, text = String(count)): string {
  return `${text} ${noun}${count === 1 ? "" : "s"}`;
}

/** An instant for people: "2026-08-02 14:05:09 UTC"; a text that is no instant is kept as it is. */
export function instant(iso: string): string {
  const time = Date.parse(iso);
  return Number.isNaN(time) ? iso : `${new Date(time).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
