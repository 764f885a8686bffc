import { Cancelled } from "./errors.ts";

/**
 * Runs the jobs, at most `limit` at a time (0: all at once), and gives their results in order. When one fails,
 * the others are cancelled through their signal and no further one starts; the first failure is thrown after all
 * have settled.
 */
export async function runAll<T>(
  jobs: readonly ((signal: AbortSignal) => Promise<T>)[],
  limit: number,
  signal: AbortSignal,
): Promise<T[]> {
  const siblings = new AbortController();
  const joined = AbortSignal.any([signal, siblings.signal]);
  const results: T[] = [];
  let failure: { error: unknown } | undefined;
  const queue = jobs.entries();
  const worker = async () => {
    // All workers draw from the one iterator, so each job runs once.
    for (const [index, job] of queue) {
      if (failure) return;
      try {
        results[index] = await job(joined);
      } catch (error) {
        failure ??= { error };
        siblings.abort(new Cancelled("a branch or iteration beside it failed"));
      }
    }
  };
  const width = limit === 0 ? jobs.length : Math.min(limit, jobs.length);
  await Promise.all(Array.from({ length: width }, worker));
  if (failure) throw failure.error;
  return results;
}
