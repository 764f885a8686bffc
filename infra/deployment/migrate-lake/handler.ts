import { z } from "zod";
import { type ApiCall, ApiError, lambdaApi } from "../signed.ts";
import { wait } from "../wait.ts";

const event = z.object({ job: z.string().min(1) });
const started = z.object({ JobRunId: z.string().min(1) });
const run = z.object({
  JobRun: z.object({ JobRunState: z.string(), ErrorMessage: z.string().optional() }),
});

const failed = new Set(["FAILED", "STOPPED", "STOPPING", "TIMEOUT", "ERROR", "EXPIRED"]);

/**
 * Runs the job that makes and evolves the lake's tables, to its end.
 *
 * @param input `{job}`: the job's name; a deployment adds hashes of contracts and code, so that a change runs it again
 * @throws Error with the job's own message when it fails
 */
export async function migrateLake(
  input: unknown,
  call: ApiCall,
  pause: (ms: number) => Promise<void> = wait,
): Promise<{ runId: string }> {
  const { job } = event.parse(input);
  const glue = (operation: string, body: object): Promise<unknown> =>
    call({ service: "glue", method: "POST", path: "/", target: `AWSGlue.${operation}`, body });
  const runId = await start();
  for (;;) {
    const { JobRun } = run.parse(await glue("GetJobRun", { JobName: job, RunId: runId }));
    if (JobRun.JobRunState === "SUCCEEDED") return { runId };
    if (failed.has(JobRun.JobRunState)) {
      const why = JobRun.ErrorMessage ?? "no reason given";
      throw new Error(
        `job ${job}, run ${runId} ended ${JobRun.JobRunState}: ${why}; see its log, then deploy again`,
      );
    }
    await pause(10_000);
  }

  /** A run that goes on already, of a deployment that gave up waiting, had other code or contracts: it is waited for. */
  async function start(): Promise<string> {
    for (;;) {
      try {
        return started.parse(await glue("StartJobRun", { JobName: job })).JobRunId;
      } catch (error) {
        if (!(error instanceof ApiError && error.message.includes("ConcurrentRunsExceededException")))
          throw error;
        await pause(10_000);
      }
    }
  }
}

export const handler = (input: unknown): Promise<{ runId: string }> => migrateLake(input, lambdaApi());
