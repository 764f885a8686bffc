import { expect } from "chai";

import { isMinistackInstalled, ministackMissing } from "../testing/ministack.ts";
import { type Case, readCases } from "./testing/cases.ts";
import { SecondEngine } from "./testing/secondEngine.ts";

/** Whether an execution ended as the case expects. */
function agrees({ expected }: Case, ended: Awaited<ReturnType<SecondEngine["run"]>>): boolean {
  try {
    if (expected.status === "SUCCEEDED") expect(ended).to.deep.include(expected);
    else expect(ended).to.include(expected);
    return true;
  } catch {
    return false;
  }
}

describe("Amazon States Language, the shared cases on a second engine @slow", () => {
  let engine: SecondEngine | undefined;

  before(async function () {
    if (!isMinistackInstalled()) {
      console.warn(ministackMissing("The shared cases on a second engine"));
      this.skip();
    }
    engine = await SecondEngine.start();
  });

  after(async () => engine?.stop());

  for (const [topic, cases] of readCases()) {
    for (const one of cases) {
      const title =
        one.secondEngine === undefined ? one.name : `${one.name} — it differs: ${one.secondEngine}`;
      it(`${topic}: ${title}`, async () => {
        if (!engine) throw new Error("the second engine did not start");
        const ended = await engine.run(one.definition, one.input);
        const shown = `it ended ${JSON.stringify(ended)}, the case expects ${JSON.stringify(one.expected)}`;
        if (one.secondEngine === undefined) expect(agrees(one, ended), shown).to.equal(true);
        else
          expect(agrees(one, ended), `no difference any more, remove the case's note: ${shown}`).to.equal(
            false,
          );
      });
    }
  }
});
