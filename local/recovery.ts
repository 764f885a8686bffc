/** Takes back what runs did that never ended: killed, or interrupted. */
import { createHandler as createAbort } from "../functions/abort/handler.ts";
import type { Services } from "./services.ts";
import { defaultArguments } from "./tasks.ts";
import type { Progress } from "./terminal/progress.ts";
import { buckets, type Workspace } from "./workspace.ts";

/**
 * Brings the tables of unended runs back to what they were, and releases the lease. The workspace is locked and no job
 * runs, so whatever still counts as running is not. A run whose rollback failed is the next workflow's affair.
 */
export async function recover(services: Services, workspace: Workspace, progress: Progress): Promise<void> {
  const { ledger, planDeps, spark } = services;
  const abort = createAbort(planDeps);
  const lease = await ledger.lease();
  const batches = await ledger.batches();
  for (const batch of batches.filter(({ state }) => state === "RUNNING")) {
    progress.note(`batch ${batch.batch_id} did not end; its tables go back to what they were before it`);
    const args = {
      ...defaultArguments(workspace.sources),
      "--batch-id": batch.batch_id,
      "--plan": `s3://${buckets.landing}/${batch.plan_key}`,
    };
    await spark.runJob("rollback", Object.entries(args).flat());
    await abort({
      execution: { id: batch.run, startTime: batch.started_at },
      batchId: batch.batch_id,
      published: true, // or not: who can tell
      error: "Interrupted",
      cause: "the process that ran the batch ended before the batch did",
    });
  }
  if (lease) await ledger.releaseLease(lease.owner);
}
