import { expect } from "chai";
import { Progress } from "./progress.ts";
import type { Output } from "./style.ts";
import { displayWidth } from "./width.ts";

class Sink implements Output {
  text = "";
  readonly isTTY: boolean;
  readonly columns = 60;
  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }
  write(text: string): void {
    this.text += text;
  }
}

/** What a terminal shows after the text: knows the few sequences that the display uses. */
function screen(text: string): string[] {
  const rows: string[] = [""];
  let row = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  for (const [token] of text.matchAll(/\u001b\[(\d*)([AJm])|\r|\n|[^\u001b\r\n]+/g)) {
    if (token === "\n") {
      row += 1;
      rows[row] ??= "";
    } else if (token.endsWith("A") && token.startsWith("\u001b")) row -= Number(token.slice(2, -1));
    else if (token === "\u001b[0J") rows.splice(row, rows.length, "");
    else if (!token.startsWith("\u001b") && token !== "\r") rows[row] += token;
  }
  return rows.filter((line) => line !== "");
}

describe("terminal: progress", () => {
  let now = 0;
  let display: Progress;
  const open = (output: Output, environment: Record<string, string> = {}): Progress => {
    now = 0;
    display = new Progress({ output, environment, clock: () => now, nameWidth: 16 });
    return display;
  };
  afterEach(() => display.stop());

  it("appends one line for each step where output is no terminal", () => {
    const sink = new Sink(false);
    const progress = open(sink);
    const extract = progress.step("Extract");
    const csv = progress.step("csv_to_parquet");
    now = 2_500;
    csv.update({ attempt: 2 });
    csv.end({ status: "SUCCEEDED", rows: 10_520 });
    progress.warn("one object was refused");
    now = 4_000;
    extract.end({ status: "FAILED", detail: "no space\non disk" });
    extract.end({ status: "SUCCEEDED" });
    progress.step("Load").end({ status: "SUCCEEDED", took: 1234 });
    progress.step("Rollback").end({ status: "SKIPPED", detail: "nothing was published" });
    expect(sink.text.split("\n")).to.deep.equal([
      "✓ csv_to_parquet          2.5 s      10,520 rows  attempt 2",
      "! one object was refused",
      "✗ Extract                 4.0 s                   failed, no space↵on disk",
      "✓ Load                    1.2 s",
      "- Rollback                                        skipped, nothing was published",
      "",
    ]);
  });

  it("says in a log every fifteen seconds that a step is still running", () => {
    const sink = new Sink(false);
    const progress = open(sink);
    progress.step("Clean").update({ rows: 1_000 });
    for (now = 0; now <= 31_000; now += 1_000) progress.tick();
    expect(sink.text.split("\n")).to.deep.equal([
      "… Clean                  15.0 s       1,000 rows  still running",
      "… Clean                  30.0 s       1,000 rows  still running",
      "",
    ]);
  });

  it("rewrites running steps in place on a terminal and leaves ended ones above", () => {
    const sink = new Sink(true);
    const progress = open(sink, { NO_COLOR: "1" });
    const extract = progress.step("Extract");
    const csv = progress.step("csv_to_parquet");
    now = 1_000;
    progress.tick();
    expect(screen(sink.text)).to.deep.equal([
      "⠙ Extract                 1.0 s",
      "⠙ csv_to_parquet          1.0 s",
    ]);
    csv.update({ rows: 7 });
    progress.note("hello");
    csv.end({ status: "SUCCEEDED" });
    now = 2_000;
    progress.tick();
    expect(screen(sink.text)).to.deep.equal([
      "hello",
      "✓ csv_to_parquet          1.0 s           7 rows",
      "⠹ Extract                 2.0 s",
    ]);
    extract.end({ status: "SUCCEEDED" });
    progress.stop();
    expect(screen(sink.text)).to.deep.equal([
      "hello",
      "✓ csv_to_parquet          1.0 s           7 rows",
      "✓ Extract                 2.0 s",
    ]);
  });

  it("keeps a running line within the terminal, so that redrawing erases all of it", () => {
    const sink = new Sink(true);
    const progress = open(sink, { NO_COLOR: "1" });
    progress.step("Extract").update({ detail: "x".repeat(100) });
    progress.tick();
    expect(displayWidth(screen(sink.text)[0] ?? "")).to.equal(59);
  });

  it("shows what was still running when the run stops", () => {
    const sink = new Sink(false);
    const progress = open(sink);
    progress.step("Load");
    now = 1_200;
    progress.stop();
    progress.stop();
    expect(sink.text).to.equal("! Load                    1.2 s                   aborted\n");
  });

  it("treats the terminal of a CI as a log", () => {
    const sink = new Sink(true);
    const progress = open(sink, { CI: "true", NO_COLOR: "1" });
    progress.step("Plan").end({ status: "SUCCEEDED" });
    expect(sink.text).to.equal("✓ Plan                      0 s\n");
  });
});
