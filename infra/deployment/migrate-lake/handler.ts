import { z } from "zod";
import { type ApiCall, lambdaApi } from "../signed.ts";
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
  const { JobRunId: runId } = started.parse(await glue("StartJobRun", { JobName: job }));
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
}

export const handler = (input: unknown): Promise<{ runId: string }> => migrateLake(input, lambdaApi());
