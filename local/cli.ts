/** The commands of a laptop: `start` runs the pipeline, `stream` keeps the clickstream running, `api` and `pull` bring in events and results, `train` trains the fraud model, `query` asks the warehouse, `report` opens the last report. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import type { Json } from "../workflow/asl.ts";
import { UserError, Workspace } from "./workspace.ts";

const usage = `Usage
  npm start -- [options]              run the pipeline once
    --out DIR                         folder for everything the run keeps (default .local)
    --scale N --seed N                size (1 = 20,000 orders) and seed of the sample, on first use
    --contract FILE [--input PATH]    a dataset of your own, and the CSV file or folder to bring in
    --backfill FROM..TO               process the days again from what has landed
    --from STEP                       replay the last batch from this step
    --reconcile                       look for rows deleted at the sources now, not only once a day
    --event FILE                      the workflow's input, for example an S3 "Object Created" event
  npm run stream -- [options]             keep the clickstream running against a generator, until Ctrl-C
    --rate N                          events a second (default 50)
    --seconds N                       stop by itself after so long
  npm run api -- [--port N] [--out DIR]   take API events by POST /events, until Ctrl-C
  npm run pull -- --url URL [--out DIR]   pull a partner's campaign results; the token is in PARTNER_TOKEN
  npm run fraud:train -- [--out DIR]      train a fraud model, which scores when it is better than the one in use
    --labels FILE                     bring in fraud reports first: CSV with transaction_id,fraud,reported_at
    --sample-labels                   bring in made-up reports, to try it
    --seed N                          seed of the training
  npm run query -- "<sql>" [--as ROLE] [--out DIR]
  npm run report -- [--out DIR]       where the last report is
`;

const out = { type: "string", default: ".local" } as const;

function number(name: string, text: string, least: number): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= least) return value;
  throw new UserError(`--${name} ${text} is not a number of at least ${least}`);
}

/** 0 is any port that is free. */
function portOf(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new UserError(`--port ${text} is no port; it is a whole number from 0 (any that is free) to 65535`);
}

async function inputFrom(values: {
  backfill?: string | undefined;
  event?: string | undefined;
}): Promise<Json> {
  if (values.event !== undefined) {
    try {
      return JSON.parse(await readFile(values.event, "utf8")) as Json;
    } catch (error) {
      throw new UserError(
        `--event ${values.event} cannot be read as JSON: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
  if (values.backfill === undefined) return {};
  const match = /^(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})$/.exec(values.backfill);
  if (!match?.[1] || !match[2]) {
    throw new UserError(
      `--backfill ${values.backfill} is no range of days; write for example 2026-08-01..2026-08-07`,
    );
  }
  return { backfill: { from: match[1], to: match[2] } };
}

async function runStart(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      out,
      seed: { type: "string" },
      scale: { type: "string" },
      contract: { type: "string" },
      input: { type: "string" },
      backfill: { type: "string" },
      from: { type: "string" },
      event: { type: "string" },
      reconcile: { type: "boolean", default: false },
    },
  });
  const { contract, input, from } = values;
  if (input !== undefined && contract === undefined) {
    throw new UserError("--input needs --contract: the contract says how the file is to be read");
  }
  if ([values.backfill, values.event, from].filter((value) => value !== undefined).length > 1) {
    throw new UserError("--backfill, --from and --event exclude each other");
  }
  const idle = [input !== undefined && "--input", values.reconcile && "--reconcile"].filter(Boolean);
  if (idle.length > 0 && (values.backfill ?? from) !== undefined) {
    throw new UserError(
      `--backfill and --from read only what has landed, so ${idle.join(" and ")} would be ignored; run npm start with it first`,
    );
  }
  const { start } = await import("./start.ts");
  return start({
    out: values.out,
    ...(values.seed !== undefined && { seed: number("seed", values.seed, 0) }),
    ...(values.scale !== undefined && { scale: number("scale", values.scale, 0.01) }),
    workflowInput: await inputFrom(values),
    reconcile: values.reconcile,
    ...(contract !== undefined && { contract }),
    ...(input !== undefined && { input }),
    ...(from !== undefined && { from }),
  });
}

async function runStream(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { out, rate: { type: "string", default: "50" }, seconds: { type: "string" } },
  });
  const { stream } = await import("./stream.ts");
  return stream({
    out: values.out,
    rate: number("rate", values.rate, 1),
    ...(values.seconds !== undefined && { seconds: number("seconds", values.seconds, 1) }),
  });
}

async function runApi(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { out, port: { type: "string", default: "8080" } } });
  const { serveApi } = await import("./api.ts");
  return serveApi(values.out, portOf(values.port));
}

async function runPull(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { out, url: { type: "string" } } });
  if (values.url === undefined) {
    throw new UserError(
      "pull needs --url, the address of the partner's results, and the token by which the partner knows you in PARTNER_TOKEN",
    );
  }
  const { pullLocal } = await import("./pull.ts");
  const { from, to, records, object } = await pullLocal(
    values.out,
    values.url,
    process.env.PARTNER_TOKEN ?? "",
  );
  const where = object === undefined ? "" : `, in ${object}; npm start reads it`;
  process.stdout.write(`${records} results changed from ${from} to ${to}${where}\n`);
  return 0;
}

async function runTrain(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      out,
      labels: { type: "string" },
      "sample-labels": { type: "boolean", default: false },
      seed: { type: "string", default: "0" },
    },
  });
  const { train } = await import("./train.ts");
  return train({
    out: values.out,
    seed: number("seed", values.seed, 0),
    sampleLabels: values["sample-labels"],
    ...(values.labels !== undefined && { labels: values.labels }),
  });
}

async function runQuery(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { out, as: { type: "string", default: "owner" } },
  });
  const [sql] = positionals;
  if (positionals.length !== 1 || !sql) throw new UserError(`query takes one statement in quotes.\n${usage}`);
  const workspace = new Workspace(values.out);
  const unlock = await workspace.lock();
  try {
    const { Warehouse } = await import("./warehouse/warehouse.ts");
    const { formatResult } = await import("./warehouse/formatResult.ts");
    const warehouse = await Warehouse.open({ dir: workspace.warehouse, lake: workspace.lake });
    try {
      process.stdout.write(`${formatResult(await warehouse.query(sql, { as: values.as }))}\n`);
      return 0;
    } catch (error) {
      process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
      return 1;
    } finally {
      await warehouse.close();
    }
  } finally {
    await unlock();
  }
}

async function runReport(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { out } });
  const { reports } = new Workspace(values.out);
  const latest = await readFile(path.join(reports, "latest"), "utf8").catch(() => undefined);
  if (latest === undefined) throw new UserError(`${reports} holds no report yet; npm start writes one`);
  const { readReport } = await import("./report/files.ts");
  const { printSummary } = await import("./terminal/summary.ts");
  const folder = path.join(reports, latest);
  printSummary(await readReport(path.join(folder, "report.json")), {
    report: path.relative(process.cwd(), path.join(folder, "report.html")),
  });
  return 0;
}

const commands: Readonly<Record<string, (args: string[]) => Promise<number>>> = {
  start: runStart,
  stream: runStream,
  api: runApi,
  pull: runPull,
  train: runTrain,
  query: runQuery,
  report: runReport,
};

/** Errors whose message is all a person needs; anything else is a defect and shows its trace. */
const expected = new Set([
  "UserError",
  "ContractError",
  "DialectError",
  "DriverError",
  "PartnerError",
  "TypeError [ERR_PARSE_ARGS_UNKNOWN_OPTION]",
]);

async function main(): Promise<void> {
  const [name = "", ...args] = process.argv.slice(2);
  const command = commands[name];
  if (!command) throw new UserError(`there is no command '${name}'.\n${usage}`);
  process.exitCode = await command(args);
}

main().catch((error: unknown) => {
  const isExpected =
    error instanceof Error &&
    (expected.has(error.name) || ("code" in error && String(error.code).startsWith("ERR_PARSE_ARGS")));
  const text = error instanceof Error ? (isExpected ? error.message : error.stack) : String(error);
  process.stderr.write(`${text}\n`);
  process.exitCode = 1;
});
