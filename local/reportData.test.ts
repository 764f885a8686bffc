import { expect } from "chai";
import type { Step } from "./report/types.ts";
import { withSegments } from "./reportData.ts";
import type { Services } from "./services.ts";

const step: Step = {
  name: "score fraud",
  started: "2026-01-01T00:00:00.000Z",
  ended: "2026-01-01T00:00:09.000Z",
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
    const { segments } = await withSegments({ store: storeOf(JSON.stringify(trace)) }, "b1", step);
    expect(segments?.map(({ name, rowsOut }) => [name, rowsOut])).to.deep.equal([
      ["queue wait", undefined],
      ["read", 12],
      ["score", undefined],
    ]);
    const lengths = segments?.map(({ started, ended }) => Date.parse(ended ?? "") - Date.parse(started));
    expect(lengths).to.deep.equal([1000, 6000, 1000]);
  });

  it("leaves a step as it is when its job left no trace", async () => {
    expect(await withSegments({ store: storeOf(undefined) }, "b1", step)).to.equal(step);
  });
});
