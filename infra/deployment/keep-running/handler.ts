import { z } from "zod";
import { ApiError, type ApiCall, lambdaApi } from "../signed.ts";
import { wait } from "../wait.ts";

const event = z.object({
  job: z.string().min(1),
  /** Starts the job when no run of it is active. */
  start: z.boolean(),
  /** Ends a run that is active, and starts the job anew in its place: a run keeps the code that it began with. */
  restart: z.boolean().default(false),
});
const runs = z.object({
  JobRuns: z.array(z.object({ Id: z.string(), JobRunState: z.string() })).default([]),
});
const started = z.object({ JobRunId: z.string().min(1) });

const stoppable = new Set(["STARTING", "RUNNING", "WAITING"]);
const active = new Set([...stoppable, "STOPPING"]);

/**
 * Keeps a streaming job running: a schedule calls this, since nobody else starts such a job again when it ends, and a
 * deployment calls it to put new code in place. The new run goes on at the checkpoint of the old one.
 *
 * @returns the run that was started, if one was
 * @throws ApiError when Glue refuses
 */
export async function keepRunning(
  input: unknown,
  call: ApiCall,
  pause: (ms: number) => Promise<void> = wait,
): Promise<{ readonly runId?: string }> {
  const { job, start, restart } = event.parse(input);
  const glue = (operation: string, body: object): Promise<unknown> =>
    call({ service: "glue", method: "POST", path: "/", target: `AWSGlue.${operation}`, body });
  const activeRuns = async () => {
    // The newest come first, and a streaming job has one active run at most.
    const { JobRuns } = runs.parse(await glue("GetJobRuns", { JobName: job, MaxResults: 10 }));
    return JobRuns.filter(({ JobRunState }) => active.has(JobRunState));
  };
  const before = await activeRuns();
  if (before.length > 0 && !restart) return {};
  if (before.length === 0 && !start) return {};
  const toStop = before.filter(({ JobRunState }) => stoppable.has(JobRunState));
  if (toStop.length > 0)
    await glue("BatchStopJobRun", { JobName: job, JobRunIds: toStop.map(({ Id }) => Id) });
  while ((await activeRuns()).length > 0) await pause(10_000);
  try {
    return { runId: started.parse(await glue("StartJobRun", { JobName: job })).JobRunId };
  } catch (error) {
    // The schedule or another deployment was faster: the job runs, which is what was asked for.
    if (error instanceof ApiError && error.message.includes("ConcurrentRunsExceededException")) return {};
    throw error;
  }
}

export const handler = (input: unknown): Promise<{ readonly runId?: string }> =>
  keepRunning(input, lambdaApi());
