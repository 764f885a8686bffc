import { expect } from "chai";

import { readCases } from "./testing/cases.ts";
import { execute } from "./testing/harness.ts";

describe("Amazon States Language, the shared cases", () => {
  for (const [topic, cases] of readCases()) {
    describe(topic, () => {
      for (const { name, definition, input, expected } of cases) {
        it(name, async () => {
          const { result } = await execute(definition, input);
          if (expected.status === "SUCCEEDED") expect(result).to.deep.equal(expected);
          else expect(result).to.include(expected);
        });
      }
    });
  }
});
