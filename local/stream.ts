/** `npm run stream`: the clickstream job kept running against a generator, with what it does shown live. */
import { setTimeout as sleep } from "node:timers/promises";
import { ClickGenerator } from "./clickGenerator.ts";
import { clickstream, putRecords, runStreamJob, type StreamProgress, streamProgress } from "./clickstream.ts";
import { contractsOf, deploy } from "./deployment.ts";
import { recover } from "./recovery.ts";
import { Session } from "./session.ts";
import { formatCount } from "./terminal/format.ts";
import { Progress } from "./terminal/progress.ts";
import type { Workspace } from "./workspace.ts";

export interface StreamOptions {
  readonly out: string;
  /** Events a second. */
  readonly rate: number;
  /** Stops by itself after so long; without it at Ctrl-C. */
  readonly seconds?: number;
}

/** Between two batches, and between two looks at the job's progress. */
const windowSeconds = 2;
const lookEvery = 500;
/** How long the job may take to read what was sent before it is stopped. */
const longestDrain = 120_000;

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

/** @returns the exit code: 0 when everything that was sent is accounted for, 1 when not */
export async function stream(options: StreamOptions): Promise<number> {
  const contracts = await contractsOf(undefined);
  const session = await Session.open(options.out);
  const { services, workspace } = session;
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupt);
  const progress = new Progress();
  try {
    const starting = progress.step("start Spark, make tables");
    await services.spark.ready();
    await recover(services, workspace, progress);
    await deploy(workspace, services, contracts);
    starting.end({ status: "SUCCEEDED" });
    progress.stop();
    const before = (await streamProgress(workspace))?.total.received ?? 0;
    const job = runStreamJob(services, workspace, windowSeconds);
    // It is awaited below; here it only ends the generator, and the wait for its batches.
    const ended = new AbortController();
    job.catch(() => {
      stop.abort();
      ended.abort();
    });
    const generator = new ClickGenerator();
    if (options.seconds !== undefined) setTimeout(interrupt, options.seconds * 1000).unref();
    const done = new AbortController();
    const sendAll = async (): Promise<boolean> => {
      try {
        await generate(generator, workspace, options.rate, stop.signal);
        process.stdout.write("stopping: what was sent is read to its end …\n");
        return await drain(generator, workspace, before, ended.signal);
      } finally {
        done.abort();
      }
    };
    const [drained] = await Promise.all([sendAll(), show(generator, workspace, before, done.signal)]);
    await services.spark.request("stop_streams");
    await job;
    const last = await streamProgress(workspace);
    if (last) process.stdout.write(closing(generator, last, before));
    if (!drained) {
      process.stderr.write(
        `not all was read within ${longestDrain / 1000} s; the next start reads the rest\n`,
      );
    }
    return drained ? 0 : 1;
  } finally {
    progress.stop();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, interrupt);
    await session.close();
  }
}

/** Puts a file of records into the stream every second until it is told to stop. */
export async function generate(
  generator: ClickGenerator,
  workspace: Workspace,
  rate: number,
  signal: AbortSignal,
): Promise<void> {
  const begun = Date.now();
  for (let second = 1; !signal.aborted; second += 1) {
    const now = new Date();
    await putRecords(workspace, clickstream, `live-${now.getTime()}`, generator.lines(Math.round(rate), now));
    await sleep(Math.max(0, begun + second * 1000 - Date.now()), undefined, { signal }).catch(() => {});
  }
}

/** Prints a line for each batch of the job. */
async function show(
  generator: ClickGenerator,
  workspace: Workspace,
  before: number,
  signal: AbortSignal,
): Promise<void> {
  process.stdout.write(
    "  batch   events/s   waiting   latency   accepted   duplicate   late   other quarantine\n",
  );
  let shown: string | undefined;
  const look = async (): Promise<void> => {
    const now = await streamProgress(workspace);
    if (!now || now.batch_id === shown || now.total.received <= before) return;
    shown = now.batch_id;
    process.stdout.write(`${line(now, generator.sent.records + before - now.total.received)}\n`);
  };
  while (!signal.aborted) {
    await look();
    await sleep(lookEvery, undefined, { signal }).catch(() => {});
  }
  await look();
}

function line(
  { batch_id, started_at, ended_at, first_arrived_at, batch, total }: StreamProgress,
  waiting: number,
): string {
  const seconds = (Date.parse(ended_at) - Date.parse(started_at)) / 1000;
  const { LATE: late = 0, ...others } = total.quarantined;
  const cells: [string, number][] = [
    [String(Number(batch_id.slice(-8))), 7],
    [formatCount(Math.round(batch.received / seconds)), 11],
    [formatCount(waiting), 10],
    [`${((Date.parse(ended_at) - Date.parse(first_arrived_at)) / 1000).toFixed(1)} s`, 10],
    [formatCount(total.accepted), 11],
    [formatCount(sum(total.deduplicated)), 12],
    [formatCount(late), 7],
    [formatCount(sum(others)), 19],
  ];
  return cells.map(([text, width]) => text.padStart(width)).join("");
}

/** Waits until all that was sent was read. @returns false when that takes too long, or when `signal` says to stop */
export async function drain(
  generator: ClickGenerator,
  workspace: Workspace,
  before: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const until = Date.now() + longestDrain;
  for (; Date.now() < until && !signal?.aborted; await sleep(lookEvery)) {
    const received = (await streamProgress(workspace))?.total.received ?? 0;
    if (received >= generator.sent.records + before) return true;
  }
  return false;
}

function closing({ sent }: ClickGenerator, { total }: StreamProgress, before: number): string {
  const accounted = total.accepted + sum(total.deduplicated) + sum(total.quarantined);
  return (
    `sent ${formatCount(sent.records)} (${sent.repeated} repeated, ${sent.late} too late, ${sent.damaged} damaged); ` +
    `received in all ${formatCount(total.received)}, ${formatCount(total.received - before)} of them now = ` +
    `accepted ${formatCount(total.accepted)} + duplicate ${formatCount(sum(total.deduplicated))} + ` +
    `quarantined ${formatCount(sum(total.quarantined))}${accounted === total.received ? "" : " (DOES NOT ADD UP)"}\n` +
    "npm start loads sessions and behaviour into the warehouse.\n"
  );
}
