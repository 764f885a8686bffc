/**
 * The streaming job at 1, 4 and 16 times a rate: events a second that its batches process, and how old an event is when
 * its batch has ended. Usage: npm run bench:stream [-- events a second at 1 ×, seconds at each rate]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ClickGenerator } from "../local/clickGenerator.ts";
import { runStreamJob, type StreamProgress, streamProgress } from "../local/clickstream.ts";
import { contractsOf, deploy } from "../local/deployment.ts";
import { Session } from "../local/session.ts";
import { drain, generate } from "../local/stream.ts";

const [rate = 50, seconds = 60] = process.argv.slice(2).map(Number);
const windowSeconds = 2;

const secondsBetween = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / 1000;
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** The job's batches while `signal` lasts, each once. */
async function watch(session: Session, signal: AbortSignal): Promise<StreamProgress[]> {
  const batches: StreamProgress[] = [];
  let last = (await streamProgress(session.workspace))?.batch_id;
  while (!signal.aborted) {
    const now = await streamProgress(session.workspace);
    if (now && now.batch_id !== last) {
      last = now.batch_id;
      batches.push(now);
    }
    await sleep(100);
  }
  return batches;
}

async function measure(session: Session, times: number): Promise<string> {
  const { services, workspace } = session;
  const before = (await streamProgress(workspace))?.total.received ?? 0;
  const generator = new ClickGenerator();
  const job = runStreamJob(services, workspace, windowSeconds);
  const [sending, watching] = [new AbortController(), new AbortController()];
  setTimeout(() => sending.abort(), seconds * 1000);
  const watched = watch(session, watching.signal);
  await generate(generator, workspace, rate * times, sending.signal);
  const behind = generator.sent.records + before - ((await streamProgress(workspace))?.total.received ?? 0);
  const drained = await drain(generator, workspace, before);
  watching.abort();
  const batches = await watched;
  await services.spark.request("stop_streams");
  await job;
  if (!drained) throw new Error(`at ${times} × not all that was sent was read in time`);
  // The first batch waits for the query to start.
  const usual = batches.slice(1);
  if (usual.length === 0) {
    throw new Error(
      `at ${times} × all was read in one batch, which includes the start: give it more seconds`,
    );
  }
  const latency = usual.map(({ first_arrived_at, ended_at }) => secondsBetween(first_arrived_at, ended_at));
  const took = usual.map(({ started_at, ended_at }) => secondsBetween(started_at, ended_at));
  const speed = usual.map(({ batch }, index) => batch.received / (took[index] ?? Number.NaN));
  const cells = [
    `${times} × ${rate}`,
    usual.length,
    Math.round(median(usual.map(({ batch }) => batch.received))),
    median(took).toFixed(1),
    Math.round(median(speed)),
    median(latency).toFixed(1),
    Math.max(...latency).toFixed(1),
    behind,
  ];
  return `| ${cells.join(" | ")} |`;
}

const folder = await mkdtemp(path.join(tmpdir(), "bench-stream-"));
const session = await Session.open(folder);
try {
  await session.services.spark.ready();
  await deploy(session.workspace, session.services, await contractsOf(undefined));
  process.stdout.write(
    "| Events/s sent | Batches | Events a batch | s a batch | Events/s processed | Latency s | Longest s | Waiting at the end |\n" +
      "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
  );
  for (const times of [1, 4, 16]) process.stdout.write(`${await measure(session, times)}\n`);
} finally {
  await session.close();
  await rm(folder, { recursive: true, force: true });
}
