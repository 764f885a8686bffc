import { expect } from "chai";
import { exampleReport, failedReport, nothingNewReport, userReport } from "../report/testdata/example.ts";
import { formatBytes, formatCount, formatDuration, formatShare } from "./format.ts";
import { type Output, coloured, paintFor } from "./style.ts";
import { formatSummary, printSummary } from "./summary.ts";
import { formatTable } from "./table.ts";
import { displayWidth, oneLine, truncate } from "./width.ts";

class Sink implements Output {
  text = "";
  readonly isTTY: boolean;
  readonly columns: number;
  constructor(isTTY: boolean, columns = 80) {
    this.isTTY = isTTY;
    this.columns = columns;
  }
  write(text: string): void {
    this.text += text;
  }
}

describe("terminal: figures", () => {
  it("durations", () => {
    const cases: [number, string][] = [
      [0, "0 s"],
      [-5, "0 s"],
      [20.4, "20 ms"],
      [99.6, "0.1 s"],
      [349, "0.3 s"],
      [12_345, "12.3 s"],
      [59_949, "59.9 s"],
      [59_950, "1 min 00 s"],
      [185_000, "3 min 05 s"],
      [3_599_499, "59 min 59 s"],
      [3_600_000, "1 h 00 min"],
      [7_380_000, "2 h 03 min"],
    ];
    for (const [milliseconds, text] of cases) expect(formatDuration(milliseconds)).to.equal(text);
  });

  it("bytes", () => {
    const cases: [number, string][] = [
      [0, "0 B"],
      [999, "999 B"],
      [1_000, "1.0 kB"],
      [1_549, "1.5 kB"],
      [999_949, "999.9 kB"],
      [999_950, "1.0 MB"],
      [5e15, "5.0 PB"],
      [5e18, "5000.0 PB"],
    ];
    for (const [bytes, text] of cases) expect(formatBytes(bytes)).to.equal(text);
  });

  it("counts and shares, which never call almost all everything", () => {
    expect(formatCount(23_914)).to.equal("23,914");
    expect(formatCount(9_007_199_254_740_993n)).to.equal("9,007,199,254,740,993");
    const cases: [number, string][] = [
      [0, "0 %"],
      [0.00004, "<0.01 %"],
      [0.0046, "0.46 %"],
      [0.8936, "89.4 %"],
      [9_993 / 9_994, "99.99 %"],
      [0.99996, ">99.99 %"],
      [1, "100 %"],
    ];
    for (const [share, text] of cases) expect(formatShare(share)).to.equal(text);
  });
});

describe("terminal: widths", () => {
  it("counts the columns a terminal uses", () => {
    const cases: [string, number][] = [
      ["abc", 3],
      ["日本語", 6],
      ["e\u0301", 1],
      ["👩‍👩‍👧", 2],
      ["🇯🇵", 2],
      ["ｱ", 1],
      ["Ａ", 2],
      ["한국", 4],
      ["Ωß", 2],
      ["❤️", 2],
    ];
    for (const [text, width] of cases) expect(displayWidth(text), text).to.equal(width);
  });

  it("cuts between characters, never inside one", () => {
    expect(truncate("abcdef", 6)).to.equal("abcdef");
    expect(truncate("abcdefg", 6)).to.equal("abcde…");
    expect(truncate("日本語", 4)).to.equal("日…");
    expect(truncate("👩‍👩‍👧x👩‍👩‍👧", 4)).to.equal("👩‍👩‍👧x…");
    expect(truncate("abc", 0)).to.equal("");
  });

  it("makes control characters visible", () => {
    expect(oneLine("a\nb\tc\r\u001b[31md\u202e")).to.equal("a↵b c\\u001b[31md\\u202e");
  });
});

describe("terminal: formatTable", () => {
  it("aligns numbers to the right and by what is shown", () => {
    const table = formatTable(
      ["id", "name", "sales"],
      [
        [1, "日本", "741718.4233"],
        [22, "café", null],
        [333n, "x", "-1.5"],
      ],
    );
    expect(table.split("\n")).to.deep.equal([
      " id  name        sales",
      "───  ────  ───────────",
      "  1  日本  741718.4233",
      " 22  café            –",
      "333  x            -1.5",
    ]);
  });

  it("prints exact decimals, dates and truth values as they are", () => {
    const rows = [["12345678901234567.8901", new Date("2026-08-01T00:00:00Z"), true]];
    const table = formatTable(["a", "b", "c"], rows);
    expect(table.split("\n")[2]).to.equal("12345678901234567.8901  2026-08-01T00:00:00.000Z  true");
  });

  it("takes the room from texts and keeps every number whole", () => {
    const rows = [
      ["a very long description of a thing", "123456789.1234"],
      ["短い説明がここにあります", "2"],
    ];
    const lines = formatTable(["what", "amount"], rows, { maxWidth: 30 }).split("\n");
    expect(lines.map(displayWidth)).to.deep.equal([30, 30, 30, 30]);
    expect(lines[2]).to.equal("a very long d…  123456789.1234");
    expect(lines[3]).to.match(/^短い説明がこ… +2$/);
  });

  it("turns on its side what does not fit", () => {
    const table = formatTable(["id", "amount", "note"], [[1, "123456789.1234", "a long note that is cut"]], {
      maxWidth: 22,
    });
    expect(table.split("\n")).to.deep.equal([
      "row 1",
      "id      1",
      "amount  123456789.1234",
      "note    a long note t…",
    ]);
  });

  it("needs no rows and no columns", () => {
    expect(formatTable(["a", "bb"], [])).to.equal("a  bb\n─  ──");
    expect(formatTable([], [[1]])).to.equal("");
  });

  it("lets no value leave its line or colour the terminal", () => {
    const table = formatTable(["a"], [["x\ny\u001b[2J"]], { paint: coloured });
    expect(table.split("\n")).to.have.length(3);
    expect(table).not.to.include("\u001b[2J");
    expect(table.startsWith("\u001b[1ma\u001b[22m")).to.equal(true);
  });
});

describe("terminal: colours", () => {
  const paints = (isTTY: boolean, environment: Record<string, string>): boolean =>
    paintFor(new Sink(isTTY), environment)("red", "x") !== "x";

  it("follow the terminal, NO_COLOR, FORCE_COLOR and TERM", () => {
    expect(paints(true, {})).to.equal(true);
    expect(paints(false, {})).to.equal(false);
    expect(paints(true, { NO_COLOR: "1" })).to.equal(false);
    expect(paints(true, { NO_COLOR: "" })).to.equal(true);
    expect(paints(false, { FORCE_COLOR: "1" })).to.equal(true);
    expect(paints(true, { FORCE_COLOR: "1", NO_COLOR: "1" })).to.equal(false);
    expect(paints(true, { TERM: "dumb" })).to.equal(false);
  });
});

describe("terminal: summary", () => {
  it("shows where the records of each dataset went, by reason, and the totals", () => {
    const lines = formatSummary(exampleReport()).split("\n");
    expect(lines[0]).to.equal("Run succeeded (batch 20260802T140509Z-3f9c, incremental, 52.0 s)");
    expect(lines).to.include.members([
      "Dataset                       Read  Loaded  Deduplicated  Quarantined",
      "orders                      24,423  20,000         4,122          301",
      "  older_version                                    2,204",
      "  INVALID_VALUE_REGION                                            112",
      "total                       72,503  64,785         6,996          722",
    ]);
    expect(lines.filter((line) => line.startsWith("! WARNING"))).to.have.length(3);
    expect(lines.join("\n")).not.to.include("already_loaded");
  });

  it("is loud about records that are unaccounted for", () => {
    const datasets = [
      { name: "orders", read: 10, loaded: 8, deduplicated: {}, quarantined: {}, refused: [] },
    ];
    const summary = formatSummary({ ...userReport(), datasets });
    expect(summary).to.include("! WARNING  orders: of 10 records read, 2 are unaccounted for.");
  });

  it("prints a user's figures to the last digit", () => {
    const summary = formatSummary(userReport());
    expect(summary).to.include("Technology       836154.0330");
    expect(summary).to.include("West     725457.8245");
  });

  it("says why a run failed and what to do", () => {
    const summary = formatSummary(failedReport());
    expect(summary).to.include("Run failed in Extract (");
    expect(summary).to.include("Why: drops/transactions/2026-08-01.csv: line 3,118");
    expect(summary).to.include("What to do: Send the file again");
  });

  it("ends with the report and what to try next", () => {
    const summary = formatSummary(nothingNewReport(), {
      report: "out/report.html",
      next: ["npm run query", "npm test"],
    });
    expect(summary).to.match(/^Nothing new: the tables are as they were/);
    expect(summary).to.match(/\nReport: out\/report\.html\nTry next:\n {2}npm run query\n {2}npm test\n$/);
  });

  it("fits a terminal, and is never cut when piped", () => {
    const datasets = [
      { name: "a".repeat(90), read: 1, loaded: 1, deduplicated: {}, quarantined: {}, refused: [] },
    ];
    const [terminal, pipe] = [new Sink(true, 70), new Sink(false)];
    for (const output of [terminal, pipe]) {
      printSummary({ ...userReport(), summaries: [], datasets }, { output, environment: { NO_COLOR: "1" } });
    }
    expect(Math.max(...terminal.text.split("\n").slice(1).map(displayWidth))).to.equal(70);
    expect(pipe.text).to.include("a".repeat(90));
  });
});
