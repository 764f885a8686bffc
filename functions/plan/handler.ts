import { z } from "zod";
import { lazily, parseEvent } from "../shared/context.ts";
import type { Lease } from "../shared/ledger.ts";
import { batchIdOf, executionSchema, type Plan, type StepName, type TableExport } from "../shared/plan.ts";
import { awsPlanDeps, type PlanDeps } from "./deps.ts";
import { draftFor } from "./draft.ts";
import { parseInput, type RunRequest } from "./input.ts";

const eventSchema = z.object({
  execution: executionSchema,
  input: z.unknown(),
  /** The plan whose tables this execution has rolled back, as an earlier answer asked. */
  rolledBack: z.string().optional(),
});
/** `execution` identifies the workflow's execution, `input` is what it was started with. */
export type PlanEvent = z.input<typeof eventSchema>;

export type PlanAnswer =
  | {
      readonly status: "PLANNED";
      readonly batchId: string;
      /** In the landing bucket. */
      readonly planKey: string;
      readonly mode: Plan["mode"];
      /** The step to start with. */
      readonly from: StepName;
      readonly hasMysql: boolean;
      readonly hasDynamodb: boolean;
      readonly hasCsv: boolean;
      /** Exports to start before extracting, each once. */
      readonly exports: readonly TableExport[];
      readonly recipes: readonly string[];
      /** True in the first run of a day that loads: the tables' upkeep is due. */
      readonly maintain: boolean;
      /** The trace of this call, under which a later step can hang its own; absent where nothing is traced. */
      readonly traceHeader?: string;
    }
  /** An earlier run left tables half published: roll them back, then ask again with `rolledBack`. */
  | { readonly status: "ROLL_BACK"; readonly batchId: string; readonly planKey: string }
  | { readonly status: "NOTHING_NEW" | "BUSY"; readonly batchId: string; readonly reason: string };

/** Looks for work this often when events keep coming while nothing new is found. */
const looks = 3;

const minutesLater = (instant: Date, minutes: number): Date => new Date(instant.getTime() + minutes * 60_000);

/**
 * Decides what a run does: takes the pipeline's lease, finds what is new (or what a backfill or replay reads) and
 * writes the plan. Asked again by the same execution it answers for the same batch.
 */
export function createHandler(deps: PlanDeps): (event: PlanEvent) => Promise<PlanAnswer> {
  return async (event) => {
    const { execution, input, rolledBack } = parseEvent(eventSchema, event, "the planning step's event");
    const request = parseInput(input);
    const batchId = batchIdOf(execution);
    const log = deps.log.with({ batch_id: batchId, function: "plan" });
    let answer: PlanAnswer | undefined;
    for (let look = 1; look <= looks; look += 1) {
      if (request.kind === "incremental") await deps.ledger.markPending(deps.now());
      const lease = { owner: execution.id, batchId, expiresAt: minutesLater(deps.now(), deps.leaseMinutes) };
      const holder = await takeLease(deps, lease);
      if (holder) {
        const until = holder.expiresAt.toISOString();
        const reason = `batch ${holder.batchId} is running (${holder.owner}); its lease ends at ${until} at the latest`;
        log.info("busy", { holder: holder.batchId, request: request.kind });
        return { status: "BUSY", batchId, reason };
      }
      answer = await underLease(
        deps,
        execution.id,
        async () => (await rollbackFirst(deps, rolledBack)) ?? plan(deps, request, execution, batchId),
      );
      if (answer.status === "PLANNED" || answer.status === "ROLL_BACK") break;
      await deps.ledger.releaseLease(execution.id);
      // An event that came while this run was looking found it busy; nobody else would look for its object.
      if (request.kind !== "incremental" || !(await deps.ledger.isPending())) break;
    }
    if (!answer) throw new Error("no look for work was taken");
    log.info(answer.status.toLowerCase().replace("_", " "), { request, answer });
    return answer;
  };
}

/** Takes the lease; returns who holds it when that is somebody else. */
async function takeLease(deps: PlanDeps, lease: Lease): Promise<Lease | undefined> {
  const answer = await deps.ledger.acquireLease(lease, deps.now());
  if (!answer.acquired) return answer.holder;
  const dead = answer.expired;
  const unended = dead && (await deps.ledger.batch(dead.batchId));
  if (dead && unended?.state === "RUNNING") {
    const cause = `the run ${dead.owner} did not end by ${dead.expiresAt.toISOString()}, when its lease expired`;
    deps.log.warn("took over an expired lease", { batch_id: lease.batchId, expired_batch: dead.batchId });
    // It ran no further state, so nobody knows whether its tables are back.
    await deps.ledger.requireRollback(unended);
    await deps.ledger.failBatch(dead.batchId, { error: "LeaseExpired", cause, unsettled: true }, deps.now());
  }
  return undefined;
}

/** What has to be rolled back before anything is planned, and notes what the execution has just rolled back. */
async function rollbackFirst(deps: PlanDeps, done: string | undefined): Promise<PlanAnswer | undefined> {
  const pending = await deps.ledger.pendingRollback();
  if (!pending) return undefined;
  if (pending.plan_key !== done) {
    return { status: "ROLL_BACK", batchId: pending.batch_id, planKey: pending.plan_key };
  }
  await deps.ledger.clearRollback();
  return undefined;
}

/** A planning step that fails must not keep the next one waiting for the lease to expire. */
async function underLease<T>(deps: PlanDeps, owner: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await deps.ledger.releaseLease(owner);
    throw error;
  }
}

async function plan(
  deps: PlanDeps,
  request: RunRequest,
  execution: PlanEvent["execution"],
  batchId: string,
): Promise<PlanAnswer> {
  const draft = await draftFor(deps, request, execution);
  if (typeof draft === "string") return { status: "NOTHING_NEW", batchId, reason: draft };
  const { plan, planKey, from, landing } = draft;
  await deps.store.putText(deps.buckets.landing, planKey, JSON.stringify(plan, null, 1));
  await deps.ledger.startBatch(plan, planKey, execution.id, landing);
  const exports = plan.extracts.flatMap((extract) => (extract.kind === "dynamodb" ? extract.exports : []));
  const has = (kind: string): boolean => plan.extracts.some((extract) => extract.kind === kind);
  return {
    status: "PLANNED",
    batchId: plan.batch_id,
    planKey,
    mode: plan.mode,
    from,
    hasMysql: has("mysql"),
    hasDynamodb: has("dynamodb"),
    hasCsv: has("csv"),
    exports: [...new Map(exports.map((one) => [one.id, one])).values()],
    recipes: plan.recipes,
    // A run that did not get to it has committed nothing, so the next one sees the same.
    maintain: plan.loaded_batch !== null && dayOf(plan.loaded_batch) < dayOf(batchId),
    ...(process.env._X_AMZN_TRACE_ID && { traceHeader: process.env._X_AMZN_TRACE_ID }),
  };
}

/** The UTC day of a batch id, as `20260102`. */
const dayOf = (batchId: string): string => batchId.slice(0, 8);

export const handler = lazily(() => createHandler(awsPlanDeps()));
