import { expect } from "chai";
import { renderReport } from "../render.ts";
import { exampleReport } from "../testdata/example.ts";
import type { FraudRisk } from "../types.ts";

const risk: FraudRisk = {
  decisions: [
    { method: "model", decision: "pass", transactions: 1_200 },
    { method: "model", decision: "review", transactions: 34 },
  ],
  alerts: 1,
  highest: [{ transaction: "T1", score: 0.98765, reasons: "amount & <night>" }],
};
const page = (fraud: FraudRisk): string => renderReport({ ...exampleReport(), fraud });

describe("report: fraud risk", () => {
  it("counts what is to be reviewed and shows the highest risks with their reasons", () => {
    const shown = page(risk);
    expect(shown).to.include("34 of 1,234 transactions to review, 1 alert.");
    expect(shown).to.include("0.988").and.to.include("amount &amp; &lt;night&gt;");
    expect(shown).not.to.include("no probability");
  });

  it("says that scores of rules are no probabilities", () => {
    const decisions = risk.decisions.map((counted) => ({ ...counted, method: "rules" }));
    expect(page({ ...risk, decisions })).to.include("no probability");
  });

  it("is left out while nothing is scored", () => {
    expect(page({ ...risk, decisions: [] })).not.to.include('id="fraud"');
  });
});
