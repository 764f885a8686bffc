import { ofKind, type SourceContract } from "../shared/contracts.ts";
import type { Plan } from "../shared/plan.ts";
import { planCsv } from "./csv.ts";
import type { PlanDeps } from "./deps.ts";
import { planDynamodb } from "./dynamodb.ts";
import type { Restorable } from "./exportWindows.ts";
import { planMysql } from "./mysql.ts";
import { planStream } from "./stream.ts";

type Findings = Pick<Plan, "extracts" | "claims" | "watermarks">;

/** What is new at every source since the last commit: extracts, and what their commit notes in the ledger. */
export async function planIncremental(
  deps: PlanDeps,
  contracts: readonly SourceContract[],
  batchId: string,
): Promise<Findings> {
  const known = await deps.ledger.watermarks(contracts.map(({ name }) => name));
  const found: Findings = { extracts: [], claims: [], watermarks: {} };

  const mysql = ofKind(contracts, "mysql");
  if (mysql.length > 0) {
    const to = await deps.database.now();
    for (const contract of mysql) {
      const planned = await planMysql(
        contract,
        known.get(contract.name),
        to,
        deps.database,
        deps.reconcileHours,
      );
      if (!planned) continue;
      found.extracts.push(planned.extract);
      found.watermarks[contract.name] = planned.watermark;
    }
  }

  // Asked once a table, so that its datasets get the same windows and share the exports.
  const restorable = new Map<string, Restorable>();
  for (const contract of ofKind(contracts, "dynamodb")) {
    const { table } = contract.source;
    const span = restorable.get(table) ?? (await deps.tables.restorable(table));
    restorable.set(table, span);
    const mark = known.get(contract.name);
    const planned = await planDynamodb(contract, mark, batchId, span, deps.tables, deps.windowLimits);
    if (!planned) continue;
    found.extracts.push(planned.extract);
    found.watermarks[contract.name] = planned.watermark;
  }

  for (const contract of ofKind(contracts, "kinesis")) {
    const mark = await planStream(contract, known.get(contract.name), deps.buckets.landing, deps.store);
    if (mark) found.watermarks[contract.name] = mark;
  }

  for (const contract of ofKind(contracts, "csv")) {
    const extract = await planCsv(contract, deps.buckets.landing, deps.store, deps.ledger);
    if (!extract) continue;
    found.extracts.push(extract);
    found.claims.push(...extract.objects.map(({ bucket, key, version }) => ({ bucket, key, version })));
  }
  return found;
}
