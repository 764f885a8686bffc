import { expect } from "chai";
import fc from "fast-check";
import { exportWindows } from "./exportWindows.ts";

const hour = 3600;
const limits = { minimumSeconds: 15 * 60, maximumSeconds: 24 * hour };
const at = (text: string): Date => new Date(`2026-${text}Z`);
const earliest = at("01-26T00:00:00");

const spans = (last: Date | undefined, latest: Date): string[] =>
  exportWindows(last, { earliest, latest }, limits).map(
    ({ type, from, to }) => `${type} ${from?.toISOString() ?? "-"} ${to.toISOString()}`,
  );

describe("export windows", () => {
  it("begins with a full export, at a whole second", () => {
    expect(spans(undefined, at("03-01T12:00:00.750"))).to.deep.equal([
      "FULL_EXPORT - 2026-03-01T12:00:00.000Z",
    ]);
  });

  it("begins anew when the last export is out of reach", () => {
    expect(spans(at("01-25T23:59:59"), at("03-01T12:00:00"))).to.deep.equal([
      "FULL_EXPORT - 2026-03-01T12:00:00.000Z",
    ]);
  });

  it("waits until the shortest window is over", () => {
    expect(spans(at("03-01T12:00:00"), at("03-01T12:14:59.999"))).to.deep.equal([]);
    expect(spans(at("03-01T12:00:00"), at("03-01T12:15:00"))).to.deep.equal([
      "INCREMENTAL_EXPORT 2026-03-01T12:00:00.000Z 2026-03-01T12:15:00.000Z",
    ]);
  });

  it("covers a longer gap by several windows and leaves a rest that is too short", () => {
    expect(spans(at("03-01T00:00:00"), at("03-03T00:10:00"))).to.deep.equal([
      "INCREMENTAL_EXPORT 2026-03-01T00:00:00.000Z 2026-03-02T00:00:00.000Z",
      "INCREMENTAL_EXPORT 2026-03-02T00:00:00.000Z 2026-03-03T00:00:00.000Z",
    ]);
  });

  it("refuses limits that no window meets", () => {
    const limits = { minimumSeconds: 60, maximumSeconds: 59 };
    expect(() => exportWindows(undefined, { earliest, latest: earliest }, limits)).to.throw(
      "60 to 59 seconds",
    );
  });

  it("never leaves a gap, never overlaps, keeps the limits, whatever the times of the runs", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 0, max: 100_000 }),
        fc.array(fc.integer({ min: 0, max: 50 * 24 * hour * 1000 }), { minLength: 1, maxLength: 20 }),
        (minimumSeconds, extra, pauses) => {
          const limits = { minimumSeconds, maximumSeconds: minimumSeconds + extra };
          let latest = Date.UTC(2026, 0, 1);
          let last: Date | undefined;
          for (const pause of pauses) {
            latest += pause;
            const reach = new Date(latest - 35 * 24 * hour * 1000);
            const windows = exportWindows(last, { earliest: reach, latest: new Date(latest) }, limits);
            for (const { type, from, to } of windows) {
              if (type === "FULL_EXPORT") {
                // Only where there is nothing to continue from.
                if (windows.length !== 1 || (last && last >= reach)) return false;
              } else {
                if (from.getTime() !== last?.getTime()) return false;
                const seconds = (to.getTime() - from.getTime()) / 1000;
                if (seconds < minimumSeconds || seconds > limits.maximumSeconds) return false;
              }
              if (to.getTime() > latest || to.getTime() % 1000 !== 0) return false;
              last = to;
            }
            // What is left over is shorter than a window, or a second that is not over.
            if (!last || Math.floor((latest - last.getTime()) / 1000) >= minimumSeconds) return false;
          }
          return true;
        },
      ),
    );
  });
});
