import { expect } from "chai";
import { renderReport } from "./render.ts";
import {
  exampleReport,
  failedReport,
  nothingNewReport,
  stillbornReport,
  userReport,
} from "./testdata/example.ts";
import type { ReportData, Step } from "./types.ts";

/** The page's text without drawings, as a reader of tables and sentences gets it. */
const text = (page: string): string =>
  page
    .replace(/<(style|svg)[\s\S]*?<\/\1>/g, " ")
    .replace(/<[^>]+>/g, " ")
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, "&")
    .replace(/\s+/g, " ");

const figures = (page: string): string[] =>
  [...page.matchAll(/<figure class="\w+" id="([^"]+)"/g)].map((match) => match[1] ?? "");

describe("report: a successful run", () => {
  const page = renderReport(exampleReport());

  it("is one page that needs nothing from anywhere", () => {
    expect(page).to.match(/^<!doctype html>/);
    expect(page).not.to.match(/<script|<link|<img|@import|src=/);
    const links = [...page.matchAll(/(?:href|url\()=?"?([^")]+)/g)].map((match) => match[1] ?? "");
    expect(links.filter((link) => !link.startsWith("#"))).to.deep.equal([]);
    const addresses = [...page.matchAll(/https?:\/\/[^"\s<]+/g)].map((match) => match[0]);
    expect(new Set(addresses)).to.deep.equal(
      new Set(["http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"]),
    );
  });

  it("tells its story in order", () => {
    const headings = [...page.matchAll(/<h2[^>]*>([^<]+)/g)].map((match) => match[1]);
    expect(headings).to.deep.equal([
      "What happened",
      "Was anything lost?",
      "Quality",
      "Business figures",
      "Order history",
      "Details",
    ]);
  });

  it("draws every chart, each with a title, a description and ids of its own", () => {
    expect(figures(page)).to.deep.equal([
      "timeline",
      "balance-shares",
      "balance-reasons",
      "quality-shares",
      "revenue-category",
      "revenue-region",
      "revenue-days",
      "storage-1",
    ]);
    expect(page.match(/<svg [^>]*role="img" aria-labelledby="[\w-]+-title"/g)).to.have.length(8);
    const ids = [...page.matchAll(/\bid="([^"]+)"/g)].map((match) => match[1]);
    expect(new Set(ids).size).to.equal(ids.length);
  });

  it("shows every drawn label in full", () => {
    const labels = [...page.matchAll(/<text [^>]*>([^<]*)/g)].map((match) => match[1] ?? "");
    expect(labels.filter((label) => label.includes("…") || label.includes("..."))).to.deep.equal([]);
    expect(labels).to.include("orders · INVALID_VALUE_REGION");
    expect(labels).to.include("24,423 read");
  });

  it("balances each dataset and all of them", () => {
    expect(text(page)).to.include(
      "Dataset Read Loaded Deduplicated Quarantined Balance orders 24,423 20,000 4,122 301 closes",
    );
    expect(text(page)).to.include("All 72,503 64,785 6,996 722 closes");
    expect(text(page)).to.include("Nothing was lost: of 72,503 records read, 89.4 % was loaded");
  });

  it("warns of refused objects and failed rules", () => {
    expect(text(page)).to.include("3 warnings");
    expect(text(page)).to.include("2026-08-01.csv.gz was not read (TRUNCATED_GZIP)");
    expect(text(page)).to.include("order_items.product_id failed 'refers to a product' in 512 rows");
    expect(text(page)).to.include("transactions failed 'freshness': the newest record is 49 h old");
  });

  it("names the columns that the order history leaves out", () => {
    expect(text(page)).to.include(
      "The first 50 rows of 20,000. Left out as personal data: customer_name, ip_address.",
    );
  });

  it("is the same byte for byte when rendered again", () => {
    expect(renderReport(exampleReport())).to.equal(page);
  });
});

describe("report: exact figures", () => {
  const huge = "12345678901234567.8901";
  const withSales = (rows: [string, string][]): ReportData => ({
    ...userReport(),
    summaries: [{ title: "Sales", dimension: "Category", measure: "Sales", rows }],
  });

  it("prints a user's figures to the last digit, largest first, with their exact sum", () => {
    const page = text(renderReport(userReport()));
    expect(page).to.include(
      "Technology 836154.0330 Furniture 741718.4233 Office Supplies 719047.0320 All 2296919.4883",
    );
    expect(page).to.include("West 725457.8245 East 678499.8680 Central 501239.8908 South 391721.9050");
  });

  it("never takes an amount through a float", () => {
    const page = text(
      renderReport(
        withSales([
          ["A", huge],
          ["B", "0.0002"],
          ["C", "-0.0001"],
        ]),
      ),
    );
    expect(page).to.include(`A ${huge} B 0.0002 C -0.0001 All 12345678901234567.8902`);
  });

  it("adds amounts of different precision", () => {
    const rows: [string, string][] = [
      ["A", "2"],
      ["B", "0.05"],
      ["C", "-3.125"],
    ];
    expect(text(renderReport(withSales(rows)))).to.include("A 2 B 0.05 C -3.125 All -1.075");
  });

  it("refuses an amount that is no decimal", () => {
    expect(() => renderReport(withSales([["A", "12,5"]]))).to.throw("'12,5' is not a plain decimal");
  });

  it("has a row for a day without sales and adds up what has no panel of its own", () => {
    const byDay = Array.from({ length: 14 }, (_, index) => ({
      day: "2026-02-27",
      category: `c${index}`,
      net: "0.1",
    }));
    byDay.push({ day: "2026-03-01", category: "c0", net: "0.2" });
    const page = text(
      renderReport({ ...userReport(), revenue: { currency: "USD", byCategory: [], byRegion: [], byDay } }),
    );
    expect(page).to.include("3 others");
    expect(page).to.match(/2026-02-27 (0\.1 ){11}0\.3 1\.4/);
    expect(page).to.match(/2026-02-28 (0 ){13}2026-03-01 0\.2/);
  });
});

describe("report: markup in the data", () => {
  const attack = `<img src=x onerror="alert(1)">'&</title></svg><script>`;

  it("is shown as text wherever it stands", () => {
    const example = exampleReport();
    const step: Step = { name: attack, started: example.run.started, status: "ABORTED", attempts: 1 };
    const page = renderReport({
      ...example,
      run: {
        ...example.run,
        batchId: attack,
        mode: attack,
        status: "FAILED",
        error: { step: attack, cause: attack, remedy: attack },
      },
      steps: [{ ...step, segments: [step] }],
      datasets: [
        {
          name: attack,
          read: 2,
          loaded: 0,
          deduplicated: { [attack]: 1 },
          quarantined: { [attack]: 1 },
          refused: [{ object: attack, reason: attack, detail: attack }],
        },
      ],
      quality: [
        {
          dataset: attack,
          rule: attack,
          column: attack,
          severity: "error",
          passed: false,
          failedRows: 1,
          share: 1,
          threshold: 0,
          found: attack,
        },
      ],
      revenue: {
        currency: attack,
        byCategory: [
          { label: attack, gross: "1", discount: "0", returned: "0", net: "1", orders: 1, units: 1 },
        ],
        byRegion: [],
        byDay: [{ day: "2026-01-01", category: attack, net: "1" }],
      },
      orderHistory: { columns: [attack], rows: [[attack]], totalRows: 1, omitted: [attack] },
      storage: [{ dataset: attack, csv: { bytes: 1, files: 1 }, parquet: { bytes: 1, files: 1 } }],
      tables: [{ layer: attack, table: attack, rows: 1 }],
      summaries: [{ title: attack, dimension: attack, measure: attack, rows: [[attack, "1"]] }],
    });
    expect(page).not.to.match(/<img|<script/);
    // Escaping loses nothing: the text is there, more than thirty times, and all elements are closed.
    expect(page.split("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;").length).to.be.greaterThan(30);
    expect(page.match(/<svg /g)).to.have.length(page.match(/<\/svg>/g)?.length ?? 0);
  });

  it("keeps control characters out of the page", () => {
    const example = exampleReport();
    const page = renderReport({ ...example, run: { ...example.run, mode: "a\u0000b\u001bc" } });
    expect(page).to.include("a\ufffdb\ufffdc");
  });
});

describe("report: runs that brought nothing", () => {
  it("says that nothing was new", () => {
    const page = renderReport(nothingNewReport());
    expect(text(page)).to.include(
      "No source had anything that was not loaded already, so every table is as it was; finding out took 0.6 s.",
    );
    expect(text(page)).to.include("No records were read.");
    expect(figures(page)).to.deep.equal(["timeline"]);
    expect(page).not.to.match(/NaN|undefined|Infinity|null/);
  });

  it("says why a run failed and what to do, and draws what there was", () => {
    const page = renderReport(failedReport());
    expect(text(page)).to.include("Run failed");
    expect(text(page)).to.include(
      "Why Extract failed drops/transactions/2026-08-01.csv: line 3,118 is longer than 10 MB (LINE_TOO_LONG)",
    );
    expect(text(page)).to.include("What to do: Send the file again with line breaks");
    expect(page).to.include(">7.2 s  ·  failed  ·  3 attempts</text>");
    // A step that never ended is drawn to the end of the run, 8.0 − 0.6 s.
    expect(page).to.include(">7.4 s  ·  aborted</text>");
    expect(text(page)).to.include("succeeded failed cut off when the run ended skipped part of a step");
    expect(page).not.to.match(/NaN|undefined|Infinity|null/);
  });

  it("renders a run that failed before its first step", () => {
    const page = renderReport(stillbornReport());
    expect(text(page)).to.include("The run failed before its first step");
    expect(text(page)).to.include("No step was started.");
    expect(figures(page)).to.deep.equal([]);
  });

  it("does not call records lost that were on their way when the run failed", () => {
    const datasets = [
      { name: "orders", read: 10, loaded: 0, deduplicated: {}, quarantined: {}, refused: [] },
    ];
    const page = text(renderReport({ ...failedReport(), datasets }));
    expect(page).to.include("10 records read, 10 of them still on their way");
    expect(page).not.to.match(/unaccounted|off by|lost or counted/);
  });

  it("is loud about a dataset whose balance does not close", () => {
    const datasets = [
      { name: "orders", read: 10, loaded: 8, deduplicated: {}, quarantined: {}, refused: [] },
    ];
    const page = text(renderReport({ ...userReport(), datasets }));
    expect(page).to.include("The balance of orders does not close");
    expect(page).to.include("orders: of 10 records read, 2 are unaccounted for.");
    expect(page).to.include("off by 2");
  });
});

describe("report: bars", () => {
  it("are as long as their shares", () => {
    const datasets = [
      {
        name: "orders",
        read: 100,
        loaded: 50,
        deduplicated: { exact_copy: 30 },
        quarantined: { BAD_JSON: 20 },
        refused: [],
      },
    ];
    const page = renderReport({ ...userReport(), datasets });
    const drawing = /<figure class="wide" id="balance-shares">[\s\S]*?<\/svg>/.exec(page)?.[0] ?? "";
    const length = (colour: string): number =>
      Number(
        new RegExp(`<path d="M[\\d.]+ [\\d.]+l([\\d.]+) 0[^"]*" fill="var\\(--${colour}\\)"`).exec(
          drawing,
        )?.[1],
      );
    const whole = length("main") + length("neutral") + length("caution");
    expect(length("main") / whole).to.be.closeTo(0.5, 0.001);
    expect(length("neutral") / whole).to.be.closeTo(0.3, 0.001);
    expect(length("caution") / whole).to.be.closeTo(0.2, 0.001);
  });
});
