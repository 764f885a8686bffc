/** Fills a fresh workspace with sample data: the source systems' tables, change logs and CSV drops. */
import { spawn } from "node:child_process";
import { cp, mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { apiEvents } from "./apiLogs.ts";
import { clickstream, putRecords } from "./clickstream.ts";
import type { Services } from "./services.ts";
import { buckets, UserError, type Workspace } from "./workspace.ts";

export interface SampleOptions {
  /** @default 42 */
  readonly seed?: number;
  /** 1 is about 20,000 orders. @default 1 */
  readonly scale?: number;
}

const truthFile = z.looseObject({ parameters: z.looseObject({ seed: z.number(), scale: z.number() }) });

/** The options that a workspace's sample was made with. */
export async function sampleParameters(workspace: Workspace): Promise<Required<SampleOptions>> {
  const text = await readFile(path.join(workspace.sample, "truth.json"), "utf8");
  return truthFile.parse(JSON.parse(text)).parameters;
}

/** Streams whose records the sample holds. */
const streams = [clickstream, apiEvents];

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

/**
 * Runs the generator. The sample appears as a whole or, after an interruption, not at all.
 * @throws UserError when there is a sample that was made with other options
 */
export async function generateSample(workspace: Workspace, options: SampleOptions): Promise<void> {
  const target = workspace.sample;
  if (await exists(target)) return expectSame(options, workspace);
  const { seed = 42, scale = 1 } = options;
  const part = `${target}.part`;
  await rm(part, { recursive: true, force: true });
  await runPython(["-m", "local.sample", "--out", part, "--seed", String(seed), "--scale", String(scale)]);
  await rename(part, target);
}

async function expectSame(options: SampleOptions, workspace: Workspace): Promise<void> {
  const held = await sampleParameters(workspace);
  for (const name of ["seed", "scale"] as const) {
    const wanted = options[name];
    if (wanted === undefined || wanted === held[name]) continue;
    throw new UserError(
      `--${name} ${wanted}: ${workspace.root} holds a sample that was made with ${held[name]}. Leave the option out, or ` +
        "give this run a folder of its own: npm start -- --out <folder>",
    );
  }
}

function runPython(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("python", args, {
      stdio: ["ignore", "ignore", "pipe"],
      cwd: path.dirname(import.meta.dirname),
    });
    let errors = "";
    child.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    child.on("error", reject);
    child.on("exit", (code) => {
      if (code === 0) resolve();
      else
        reject(
          new UserError(
            `the sample could not be generated:\n${errors.trim().split("\n").slice(-5).join("\n")}`,
          ),
        );
    });
  });
}

/** Loads the sample into the sources: MySQL's tables, and the drops into the landing bucket. Does so once. */
export async function loadSample(workspace: Workspace, { spark }: Services): Promise<void> {
  const done = path.join(workspace.sources, "loaded");
  if (await exists(done)) return;
  await rm(workspace.sources, { recursive: true, force: true });
  await mkdir(workspace.sources, { recursive: true });
  const folder = path.join(workspace.sample, "sources/mysql");
  const files = (await readdir(folder)).filter((name) => name.endsWith(".csv"));
  const tables = Object.fromEntries(files.map((name) => [path.parse(name).name, path.join(folder, name)]));
  await spark.request("load_sources", { schema: path.join(folder, "schema.sql"), tables });
  // A drop's time of arrival is its version, so it must survive the copy.
  const drops = path.join(workspace.lake, buckets.landing, "drops");
  await cp(path.join(workspace.sample, "drops"), drops, { recursive: true, preserveTimestamps: true });
  // The streams' records, as if the streams had held them.
  for (const stream of streams) {
    const records = await readFile(path.join(workspace.sample, `sources/kinesis/${stream}.jsonl`), "utf8");
    await putRecords(workspace, stream, "sample", records);
  }
  await mkdir(done);
}
