import { Html, html } from "./html.ts";
import { instant, section } from "./parts.ts";
import { balanceSection } from "./sections/balance.ts";
import { behaviourSection } from "./sections/behaviour.ts";
import { businessSection } from "./sections/business.ts";
import { detailsSection } from "./sections/details.ts";
import { fraudSection } from "./sections/fraud.ts";
import { ordersSection } from "./sections/orders.ts";
import { qualitySection } from "./sections/quality.ts";
import { headlines, runSection, tiles } from "./sections/run.ts";
import { stylesheet } from "./style.ts";
import type { ReportData } from "./types.ts";

/**
 * The report of a run as one HTML page that needs no network and no script: styles and drawings are inside, light
 * and dark follow the reader's system, paper is light. The same data gives the same page, byte for byte.
 * @throws when an amount is not a plain decimal.
 */
export function renderReport(data: ReportData): string {
  const { run } = data;
  const sections = [
    runSection(data),
    balanceSection(data),
    qualitySection(data),
    businessSection(data),
    ordersSection(data),
    behaviourSection(data),
    fraudSection(data),
    detailsSection(data),
  ].filter((each) => each !== undefined);
  const links = sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${headlines[run.status]} – SecureCart ETL, batch ${run.batchId}</title>
<style>${new Html(stylesheet)}</style>
</head>
<body>
<header>
<p class="brand">SecureCart ETL</p>
<h1><span class="state ${run.status}"></span>${headlines[run.status]}</h1>
<p class="facts">Batch ${run.batchId}, ${run.mode}, started ${instant(run.started)}</p>
${tiles(data)}
<nav aria-label="Sections"><ul>${links}</ul></nav>
</header>
<main>
${sections.map(section)}
</main>
<footer>Amounts and counts are exact; figures inside the drawings are rounded. The data of this page is in report.json beside it.</footer>
</body>
</html>
`;
  return page.markup;
}
