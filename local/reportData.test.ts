import { expect } from "chai";
import { timelineFigure } from "./report/timeline.ts";
import type { RunInfo, Step } from "./report/types.ts";
import { withSegments } from "./reportData.ts";
import type { Services } from "./services.ts";

const end = "2026-01-01T00:00:09.000Z";
const step: Step = {
  name: "score fraud",
  started: "2026-01-01T00:00:00.000Z",
  ended: end,
  status: "SUCCEEDED",
  attempts: 1,
};

/** A store that holds one text under every key, or nothing. */
const storeOf = (text: string | undefined): Services["store"] =>
  ({
    head: async () => (text === undefined ? undefined : { size: text.length }),
    getText: async () => text,
  }) as unknown as Services["store"];

describe("trace in the report", () => {
  it("draws the job's subsegments as parts of its step, a slow read as the longest", async () => {
    const start = Date.parse(step.started) / 1000;
    const part = (name: string, from: number, to: number, rows?: number) => ({
      name,
      start_time: start + from,
      end_time: start + to,
      annotations: rows === undefined ? {} : { rows },
    });
    const trace = [{ subsegments: [part("queue_wait", 0, 1), part("read", 1, 7, 12), part("score", 7, 8)] }];
    const drawn = await withSegments({ store: storeOf(JSON.stringify(trace)) }, "b1", step);
    const { segments } = drawn;
    expect(segments?.map(({ name, rowsOut }) => [name, rowsOut])).to.deep.equal([
      ["queue wait", undefined],
      ["read", 12],
      ["score", undefined],
    ]);
    const lengths = segments?.map(({ started, ended }) => Date.parse(ended ?? "") - Date.parse(started));
    expect(lengths).to.deep.equal([1000, 6000, 1000]);
    const run: RunInfo = {
      batchId: "b1",
      mode: "incremental",
      status: "SUCCEEDED",
      started: step.started,
      ended: end,
    };
    const about = { id: "timeline", title: "Timeline", description: "Steps over time" };
    const { markup } = timelineFigure(about, run, [drawn]);
    const bars = [...markup.matchAll(/<path d="M([\d.]+) [\d.]+L([\d.]+) [^>]*fill="var\(--main-mid\)"/g)];
    const widths = bars.map(([, from, to]) => Number(to) - Number(from));
    expect(widths).to.have.length(3);
    // Bars have round corners of 2, which their straight edge leaves out.
    expect(
      ((widths[1] ?? 0) + 4) / ((widths[0] ?? 0) + 4),
      "a read of 6 seconds to a wait of 1",
    ).to.be.closeTo(6, 0.05);
    expect(markup).to.include("6.0 s  ·  12 rows");
  });

  it("leaves a step as it is when its job left no trace", async () => {
    expect(await withSegments({ store: storeOf(undefined) }, "b1", step)).to.equal(step);
  });
});
