/** Takes back what runs did that never ended: killed, or interrupted. */
import path from "node:path";
import { createHandler as createAbort } from "../functions/abort/handler.ts";
import type { Batch } from "../functions/shared/ledger.ts";
import { runFolder } from "../functions/shared/metrics.ts";
import type { Services } from "./services.ts";
import { defaultArguments } from "./tasks.ts";
import type { Progress } from "./terminal/progress.ts";
import { buckets, type Workspace } from "./workspace.ts";

/**
 * Brings the tables of unended runs, and of a last run whose rollback failed, back to what they were, and releases
 * the lease. The workspace is locked and
 * no job runs, so whatever still counts as running is not.
 */
export async function recover(services: Services, workspace: Workspace, progress: Progress): Promise<void> {
  const { ledger, planDeps, spark } = services;
  const abort = createAbort(planDeps);
  const lease = await ledger.lease();
  const batches = await ledger.batches();
  const [last] = [...batches].sort((a, b) => (b.ended_at ?? "").localeCompare(a.ended_at ?? ""));
  for (const batch of batches) {
    const unended = batch.state === "RUNNING";
    if (!unended && !(batch === last && (await isHalfPublished(services, batch)))) continue;
    progress.note(`batch ${batch.batch_id} did not end; its tables go back to what they were before it`);
    const args = {
      ...defaultArguments(workspace.sources),
      "--batch-id": batch.batch_id,
      "--plan": `s3://${buckets.landing}/${batch.plan_key}`,
    };
    await spark.runJob("rollback", Object.entries(args).flat());
    if (!unended) continue;
    await abort({
      execution: { id: batch.run, startTime: batch.started_at },
      batchId: batch.batch_id,
      error: "Interrupted",
      cause: "the process that ran the batch ended before the batch did",
    });
  }
  if (lease) await ledger.releaseLease(lease.owner);
}

/** True for a batch that failed and whose rollback failed too, as when Spark itself had died. */
async function isHalfPublished({ store }: Services, batch: Batch): Promise<boolean> {
  if (batch.state !== "FAILED") return false;
  const folder = runFolder(batch.batch_id);
  const note = await store.head(buckets.staging, `${folder}before-${path.parse(batch.plan_key).name}.json`);
  const rollback = await store.head(buckets.staging, `${folder}rollback.json`);
  return note !== undefined && (rollback === undefined || rollback.lastModified < note.lastModified);
}
