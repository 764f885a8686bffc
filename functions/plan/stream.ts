import { z } from "zod";
import type { SourceContract } from "../shared/contracts.ts";
import type { ObjectStore } from "../shared/objectStore.ts";
import type { Watermark } from "../shared/plan.ts";

/** What the streaming job notes of itself; more is in it than planning needs. */
const progressSchema = z.looseObject({ changed_at: z.iso.datetime({ precision: 3 }).nullable() });

/** Beside the plans, because planning may read there. */
export const progressKey = (stream: string): string => `plans/streams/${stream}.json`;

/**
 * The watermark of a stream whose job changed its tables since the last commit; undefined when it did not, or has
 * not run yet. Nothing is extracted for it: its tables are there, only export and load have work.
 */
export async function planStream(
  contract: SourceContract<"kinesis">,
  known: Watermark | undefined,
  bucket: string,
  store: ObjectStore,
): Promise<Watermark | undefined> {
  const key = progressKey(contract.name);
  if (!(await store.head(bucket, key))) return undefined;
  const progress = progressSchema.safeParse(JSON.parse(await store.getText(bucket, key)));
  if (!progress.success) {
    throw new Error(`s3://${bucket}/${key} is no progress of a stream: ${z.prettifyError(progress.error)}`);
  }
  const { changed_at: changed } = progress.data;
  return changed !== null && (known === undefined || changed > known.watermark)
    ? { watermark: changed }
    : undefined;
}
