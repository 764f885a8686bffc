/** The clickstream on a laptop: its records are files in the landing bucket, read by the job that Glue runs. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { progressKey } from "../functions/plan/stream.ts";
import type { Services } from "./services.ts";
import { defaultArguments } from "./tasks.ts";
import type { Progress } from "./terminal/progress.ts";
import { buckets, isErrno, type Workspace } from "./workspace.ts";

/** The stream, its contract and its job. */
export const clickstream = "clickstream";
const records = `streams/${clickstream}`;

const counts = z.object({
  received: z.int(),
  accepted: z.int(),
  deduplicated: z.record(z.string(), z.int()),
  quarantined: z.record(z.string(), z.int()),
});
const progressSchema = z.object({
  batch_id: z.string(),
  started_at: z.string(),
  ended_at: z.string(),
  /** When the stream received the batch's oldest record. */
  first_arrived_at: z.string(),
  batch: counts,
  total: counts,
});
export type StreamProgress = z.infer<typeof progressSchema>;

/** What the streaming job says of its last batch; undefined before the first. */
export async function streamProgress(workspace: Workspace): Promise<StreamProgress | undefined> {
  try {
    const text = await readFile(path.join(workspace.lake, buckets.landing, progressKey(clickstream)), "utf8");
    return progressSchema.parse(JSON.parse(text));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Puts records (JSON lines as Kinesis' GetRecords gives them) into a stream, as a whole. */
export async function putRecords(
  workspace: Workspace,
  stream: string,
  file: string,
  lines: string,
): Promise<void> {
  const folder = path.join(workspace.lake, buckets.landing, "streams", stream);
  await mkdir(folder, { recursive: true });
  const part = path.join(folder, `.${file}.part`);
  await writeFile(part, lines);
  await rename(part, path.join(folder, `${file}.jsonl`));
}

/** Runs the streaming job: until all records are read, or with `windowSeconds` until its streams are stopped. */
export async function runStreamJob(
  { spark }: Services,
  workspace: Workspace,
  windowSeconds?: number,
): Promise<void> {
  await mkdir(path.join(workspace.lake, buckets.landing, records), { recursive: true });
  const how = windowSeconds === undefined ? ["--available-now"] : ["--window-seconds", `${windowSeconds}`];
  await spark.runJob(clickstream, [
    ...Object.entries(defaultArguments(workspace.sources)).flat(),
    ...["--stream-folder", `s3://${buckets.landing}/${records}`],
    ...["--checkpoint", `s3://${buckets.landing}/checkpoints/${clickstream}`],
    ...how,
  ]);
}

/** A step of a run: what the stream holds by now goes to its tables. */
export async function readStream(
  services: Services,
  workspace: Workspace,
  progress: Progress,
): Promise<void> {
  const before = await streamProgress(workspace);
  const step = progress.step("stream clickstream");
  try {
    await runStreamJob(services, workspace);
  } catch (error) {
    step.end({ status: "FAILED" });
    throw error;
  }
  const received = ((await streamProgress(workspace))?.total.received ?? 0) - (before?.total.received ?? 0);
  step.end({ status: "SUCCEEDED", rows: received });
}
