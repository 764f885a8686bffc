import { z } from "zod";
import { awsDeps, type Deps, lazily, parseEvent } from "../shared/context.ts";
import { imbalances, readMetrics, runFolder, totalsOf } from "../shared/metrics.ts";
import { ObjectNotFoundError } from "../shared/objectStore.ts";

const eventSchema = z.looseObject({ batchId: z.string().min(1) });
export type VerdictEvent = z.input<typeof eventSchema>;

export interface VerdictAnswer {
  readonly verdict: "PASS" | "FAIL";
  /** Why the load must not happen; empty for PASS. */
  readonly reasons: readonly string[];
}

const qualitySchema = z.looseObject({
  verdict: z.enum(["PASS", "FAIL"]),
  reasons: z.array(z.string()).default([]),
});

/** Decides whether a batch may be published: its quality gate passed and no record is unaccounted for. */
export function createHandler(deps: Deps): (event: VerdictEvent) => Promise<VerdictAnswer> {
  return async (event) => {
    const { batchId } = parseEvent(eventSchema, event, "the verdict step's event");
    const reasons = [...(await qualityReasons(deps, batchId)), ...(await balanceReasons(deps, batchId))];
    const answer: VerdictAnswer = { verdict: reasons.length === 0 ? "PASS" : "FAIL", reasons };
    deps.log.info("verdict", { batch_id: batchId, function: "verdict", ...answer });
    return answer;
  };
}

async function qualityReasons({ store, buckets }: Deps, batchId: string): Promise<string[]> {
  const key = `${runFolder(batchId)}quality.json`;
  const where = `s3://${buckets.staging}/${key}`;
  let text: string;
  try {
    text = await store.getText(buckets.staging, key);
  } catch (error) {
    if (!(error instanceof ObjectNotFoundError)) throw error;
    return [
      `the quality job left no result at ${where}; look at its log, then replay the batch from "quality"`,
    ];
  }
  const parsed = qualitySchema.safeParse(parseJson(text));
  if (!parsed.success)
    return [`the quality result at ${where} cannot be read: ${z.prettifyError(parsed.error)}`];
  const { verdict, reasons } = parsed.data;
  if (verdict === "PASS") return [];
  return reasons.length > 0 ? reasons : [`the quality job failed the batch without a reason; see ${where}`];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function balanceReasons({ store, buckets }: Deps, batchId: string): Promise<string[]> {
  let totals: ReturnType<typeof totalsOf>;
  try {
    totals = totalsOf(await readMetrics(store, buckets.staging, batchId));
  } catch (error) {
    return [
      `the metrics of the batch cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    ];
  }
  if (totals.size === 0) {
    const where = `s3://${buckets.staging}/${runFolder(batchId)}`;
    return [`no step left counts of records in ${where}, so nothing shows that none was lost`];
  }
  return imbalances(totals);
}

export const handler = lazily(() => createHandler(awsDeps()));
