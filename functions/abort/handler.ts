import { z } from "zod";
import { awsDeps, type Deps, lazily, parseEvent } from "../shared/context.ts";
import { batchIdOf, executionSchema } from "../shared/plan.ts";

const eventSchema = z.looseObject({
  execution: executionSchema,
  /** Absent when planning itself failed. */
  batchId: z.string().min(1).optional(),
  /** The error's name and cause, as the workflow caught them. */
  error: z.string().default("Unknown"),
  cause: z.string().default(""),
  /** True when tables may be half published because their rollback failed. */
  rollbackFailed: z.boolean().default(false),
  /** True when the run had begun to publish: a load may have been half done. */
  published: z.boolean().default(false),
});
export type AbortEvent = z.input<typeof eventSchema>;

export interface AbortAnswer {
  readonly status: "ABORTED";
  readonly batchId: string;
  /** True when an event came during the run: more work is waiting. */
  readonly pending: boolean;
}

/** Ends a run that failed: notes why, and gives the lease back. Nothing it read counts as processed. */
export function createHandler(deps: Deps): (event: AbortEvent) => Promise<AbortAnswer> {
  return async (event) => {
    const { execution, error, cause, rollbackFailed, published, ...rest } = parseEvent(
      eventSchema,
      event,
      "the abort step's event",
    );
    const batchId = rest.batchId ?? batchIdOf(execution);
    const log = deps.log.with({ batch_id: batchId, function: "abort" });
    const batch = await deps.ledger.batch(batchId);
    // Another execution's run of the batch is not this one's to fail.
    if (batch?.run === execution.id && batch.state === "RUNNING") {
      // First, for a repeated call finds the batch failed. The next run begins with it.
      if (rollbackFailed) await deps.ledger.requireRollback(batch);
      await deps.ledger.failBatch(batchId, { error, cause, unsettled: published }, deps.now());
    }
    const released = await deps.ledger.releaseLease(execution.id);
    log.error("run failed", { error, cause, lease_released: released, rollback_failed: rollbackFailed });
    return { status: "ABORTED", batchId, pending: await deps.ledger.isPending() };
  };
}

export const handler = lazily(() => createHandler(awsDeps()));
