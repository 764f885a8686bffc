import { formatCount } from "../../terminal/format.ts";
import { plural, type Section, table } from "../parts.ts";
import type { ReportData } from "../types.ts";

const numeric = true;

/** Fraud risk: how many transactions are to be reviewed, by whose judgement, and the highest with their reasons. */
export function fraudSection({ fraud }: ReportData): Section | undefined {
  if (!fraud) return undefined;
  const { decisions, alerts, highest } = fraud;
  const sum = (counted: typeof decisions): number =>
    counted.reduce((total, { transactions }) => total + transactions, 0);
  const all = sum(decisions);
  if (all === 0) return undefined;
  const review = sum(decisions.filter(({ decision }) => decision === "review"));
  const ruled = decisions.some(({ method }) => method === "rules");
  const origin = ruled ? " Scores of the method rules are judgement and no probability." : "";
  return {
    id: "fraud",
    title: "Fraud risk",
    gist: `${formatCount(review)} of ${plural(all, "transaction", formatCount(all))} to review, ${plural(alerts, "alert")}.${origin}`,
    content: [
      table(
        "Decisions",
        [{ title: "Method" }, { title: "Decision" }, { title: "Transactions", numeric }],
        decisions.map(({ method, decision, transactions }) => [method, decision, formatCount(transactions)]),
        ["total", "", formatCount(all)],
      ),
      table(
        "Highest risks",
        [{ title: "Transaction" }, { title: "Score", numeric }, { title: "Reasons" }],
        highest.map(({ transaction, score, reasons }) => [transaction, score.toFixed(3), reasons]),
      ),
    ],
  };
}
