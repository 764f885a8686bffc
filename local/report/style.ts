/** The page's stylesheet. Colours are variables by meaning; the drawings use the same ones (chart.ts). */
const light = `
  --page: #ffffff; --panel: #f6f7f9; --ink: #1b2027; --muted: #5b6470; --line: #e2e5ea;
  --main: #2f62c9; --main-mid: #93b1e6; --main-soft: #2f62c91f; --neutral: #a3adbb; --caution: #d9791f; --bad: #c22f3c; --ok: #23754a;
  --caution-text: #9a4f08; --bad-panel: #fdf1f2; --caution-panel: #fdf5ec;`;

const dark = `
  --page: #11151a; --panel: #191e25; --ink: #e5e8ec; --muted: #9ba5b2; --line: #2b323b;
  --main: #6d9bf5; --main-mid: #3f5f9c; --main-soft: #6d9bf52b; --neutral: #647083; --caution: #e8a04c; --bad: #f27078; --ok: #62c290;
  --caution-text: #eeb26b; --bad-panel: #2a181b; --caution-panel: #2a2117;`;

export const stylesheet = `
:root { color-scheme: light dark; ${light} }
@media (prefers-color-scheme: dark) { :root { ${dark} } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  -webkit-text-size-adjust: 100%;
}
header, main, footer { max-width: 1144px; margin: 0 auto; padding: 0 32px; }
header { padding-top: 56px; }
.brand { color: var(--muted); margin: 0 0 8px; }
h1 { font-size: 32px; line-height: 1.2; font-weight: 600; letter-spacing: -0.015em; margin: 0 0 8px; }
h2 { font-size: 22px; line-height: 1.3; font-weight: 600; letter-spacing: -0.01em; margin: 0 0 6px; }
h3 { font-size: 15px; font-weight: 600; margin: 32px 0 12px; }
p { margin: 0 0 12px; }
code, pre { font: 0.9em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
code.path { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 0 12px; }
a { color: inherit; text-decoration-color: var(--neutral); text-underline-offset: 3px; }
:focus-visible { outline: 2px solid var(--main); outline-offset: 2px; }
.facts { color: var(--muted); margin: 0; }
.state { display: inline-block; width: 12px; height: 12px; border-radius: 50%; margin-right: 12px; vertical-align: 4px; background: var(--ok); }
.state.FAILED { background: var(--bad); }
.state.NOTHING_NEW { background: var(--neutral); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 24px; padding: 0; margin: 0; }
nav { border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); padding: 12px 0; }
nav a { color: var(--muted); text-decoration: none; }
nav a:hover { color: var(--ink); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 24px; margin: 36px 0; }
.tiles dt { color: var(--muted); font-size: 13px; }
.tiles dd { margin: 2px 0 0; font-size: 24px; font-weight: 600; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; }
.tiles small { font-size: 13px; font-weight: 400; color: var(--muted); margin-left: 6px; letter-spacing: 0; }
section { padding: 56px 0 8px; }
section + section { border-top: 1px solid var(--line); margin-top: 32px; }
.gist { color: var(--muted); font-size: 17px; max-width: 46em; margin-bottom: 28px; }
.none { color: var(--muted); }
.notice { border-left: 3px solid var(--neutral); border-radius: 0 4px 4px 0; background: var(--panel); padding: 16px 20px; margin: 0 0 24px; }
.notice h3 { margin: 0 0 8px; }
.notice p:last-child, .notice ul:last-child { margin-bottom: 0; }
.notice ul { padding-left: 20px; margin: 0; }
.notice li { overflow-wrap: anywhere; }
.notice.bad { border-color: var(--bad); background: var(--bad-panel); }
.notice.caution { border-color: var(--caution); background: var(--caution-panel); }
.ok { color: var(--ok); }
.bad { color: var(--bad); }
.notice.bad { color: inherit; }
.warn { color: var(--caution-text); }
figure { margin: 0 0 40px; min-width: 0; }
figcaption { font-weight: 600; margin-bottom: 8px; }
.drawing { overflow-x: auto; }
.drawing svg { display: block; width: 100%; height: auto; }
.wide .drawing svg { min-width: 900px; }
.half .drawing svg { min-width: 420px; max-width: 560px; }
.drawing text { font-family: -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 0; margin: 0 0 12px; color: var(--muted); font-size: 13px; }
.legend li { display: flex; align-items: center; gap: 7px; }
.mark { flex: none; width: 11px; height: 11px; border-radius: 2px; background: var(--mark); }
.mark.line { width: 2px; height: 14px; border-radius: 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 460px), 1fr)); gap: 0 40px; }
.pair > * { min-width: 0; }
.table { overflow-x: auto; margin: 12px 0 24px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; line-height: 1.45; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: 7px 20px 7px 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); font-weight: 400; }
th:last-child, td:last-child { padding-right: 2px; }
thead th { color: var(--muted); white-space: nowrap; border-bottom-color: var(--neutral); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tfoot th, tfoot td { font-weight: 600; border-bottom: 0; border-top: 1px solid var(--neutral); }
.half table { font-size: 12.5px; }
.half th, .half td { padding-right: 12px; }
#orders th, #orders td { white-space: nowrap; padding-right: 14px; }
#orders th:first-child { position: sticky; left: 0; background: var(--page); }
details thead th { position: sticky; top: 0; background: var(--page); }
.number + .text { padding-left: 24px; }
details { margin: 8px 0 24px; }
summary { cursor: pointer; color: var(--muted); width: max-content; max-width: 100%; }
summary:hover { color: var(--ink); }
details .table { max-height: 480px; overflow: auto; }
details tbody th { white-space: nowrap; }
footer { color: var(--muted); font-size: 13px; padding-top: 40px; padding-bottom: 64px; }
@media (max-width: 640px) {
  header, main, footer { padding-left: 20px; padding-right: 20px; }
  header { padding-top: 32px; }
  h1 { font-size: 26px; }
  section { padding-top: 36px; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
@media print {
  :root { color-scheme: light; ${light} }
  @page { size: landscape; margin: 14mm; }
  body { font-size: 10.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  header, main, footer { max-width: none; padding-left: 0; padding-right: 0; }
  header { padding-top: 0; }
  nav, summary { display: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  section { padding-top: 20px; }
  section + section { margin-top: 20px; }
  h2, h3, figcaption, .gist, .legend { break-after: avoid; }
  .drawing, .notice, tr, .tiles { break-inside: avoid; }
  .drawing, .table, details .table { overflow: visible; max-height: none; }
  .wide .drawing svg, .half .drawing svg { min-width: 0; }
  .tiles { grid-template-columns: repeat(6, auto); }
  table { font-size: 8.5pt; }
  #orders table { font-size: 6.5pt; }
  #orders th, #orders td { padding-right: 6px; white-space: normal; overflow-wrap: anywhere; }
}
`;
