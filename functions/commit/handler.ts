import { z } from "zod";
import { awsDeps, type Deps, lazily, parseEvent } from "../shared/context.ts";
import type { Batch } from "../shared/ledger.ts";
import { readMetrics, runFolder, totalsOf } from "../shared/metrics.ts";
import { executionSchema, type Plan, readPlan } from "../shared/plan.ts";

const eventSchema = z.looseObject({
  execution: executionSchema,
  batchId: z.string().min(1),
  /** In the landing bucket. */
  planKey: z.string().min(1),
});
export type CommitEvent = z.input<typeof eventSchema>;

export interface CommitAnswer {
  readonly status: "COMMITTED";
  /** True when an event came during the run: more work is waiting. */
  readonly pending: boolean;
  /** Of the run's summary, in the staging bucket. */
  readonly summaryKey: string;
}

/**
 * Ends a run whose data is in the tables: writes its summary, notes in the ledger what was processed, and gives the
 * lease back. Called again by the same execution it changes nothing more and answers the same.
 */
export function createHandler(deps: Deps): (event: CommitEvent) => Promise<CommitAnswer> {
  return async (event) => {
    const { execution, batchId, planKey } = parseEvent(eventSchema, event, "the commit step's event");
    const { ledger, store, buckets, now } = deps;
    const log = deps.log.with({ batch_id: batchId, function: "commit" });
    const summaryKey = `${runFolder(batchId)}summary.json`;
    const batch = await ledger.batch(batchId);
    if (!batch)
      throw new Error(`batch ${batchId} is not in the ledger; only a planned batch can be committed`);
    if (batch.state !== "SUCCEEDED" || batch.run !== execution.id) {
      // Whoever lost the lease must not move the watermarks of the run that took it over.
      await ledger.renewLease(execution.id, new Date(now().getTime() + deps.leaseMinutes * 60_000));
      const plan = await readPlan(store, buckets.landing, planKey);
      const summary = await summarise(deps, plan, batch, planKey);
      await store.putText(buckets.staging, summaryKey, JSON.stringify(summary, null, 1));
      for (const claim of plan.claims) {
        if (!(await ledger.claim(claim, batchId)))
          log.warn("object version was claimed by another batch", { claim });
      }
      for (const [dataset, mark] of Object.entries(plan.watermarks)) {
        if (!(await ledger.advanceWatermark(dataset, mark, batchId))) {
          log.warn("watermark stands further already", { dataset, mark });
        }
      }
      await ledger.succeedBatch(batch, summaryKey, now());
      log.info("committed", { claims: plan.claims.length, watermarks: plan.watermarks });
    }
    // The lease goes first: an event that found it taken has left its mark by now, a later one can take it.
    await ledger.releaseLease(execution.id);
    return { status: "COMMITTED", pending: await ledger.isPending(), summaryKey };
  };
}

/** What the run did: every step's metrics, and per dataset where its records went. */
async function summarise(
  deps: Deps,
  plan: Plan,
  batch: Batch,
  planKey: string,
): Promise<Record<string, unknown>> {
  const metrics = await readMetrics(deps.store, deps.buckets.staging, batch.batch_id);
  return {
    batch_id: batch.batch_id,
    mode: plan.mode,
    range: plan.range,
    plan_key: planKey,
    started_at: batch.started_at,
    ended_at: deps.now().toISOString(),
    datasets: Object.fromEntries(totalsOf(metrics)),
    steps: metrics,
  };
}

export const handler = lazily(() => createHandler(awsDeps()));
