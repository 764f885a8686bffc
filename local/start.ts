/** `npm start`: one run of the deployed workflow on this machine, from its sources to its report. */
import path from "node:path";
import { contractsOf } from "./deployment.ts";
import { inputFiles } from "./input.ts";
import { balanceOf } from "./report/balance.ts";
import type { DatasetBalance } from "./report/types.ts";
import type { SampleOptions } from "./sampleData.ts";
import { type Outcome, type RunOptions, Session } from "./session.ts";
import { formatCount } from "./terminal/format.ts";
import { Progress } from "./terminal/progress.ts";
import { printSummary } from "./terminal/summary.ts";
import { isErrno, messageOf, UserError } from "./workspace.ts";

export interface StartOptions extends SampleOptions, Omit<RunOptions, "contracts" | "sample"> {
  readonly out: string;
}

/** A second Ctrl-C this soon is the first one again: a wrapper such as npx passes on what the terminal sent to all. */
const sameKeystroke = 500;

/** Runs the pipeline once. @returns the exit code: 0 succeeded or nothing new, 1 failed, 130 interrupted */
export async function start(options: StartOptions): Promise<number> {
  const contracts = await contractsOf(options.contract);
  if (options.input !== undefined) await inputFiles(options.input);
  const session = await Session.open(options.out);
  const progress = new Progress();
  const interrupted = new AbortController();
  let since = 0;
  const interrupt = (): void => {
    if (interrupted.signal.aborted) {
      // The next run recovers what this one leaves.
      if (Date.now() - since > sameKeystroke) process.exit(130);
      return;
    }
    since = Date.now();
    progress.note("interrupted: ending the running step and taking back what it did …");
    interrupted.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupt);
  try {
    const run: RunOptions = { ...options, contracts, sample: options };
    const outcome = await session.run(run, { progress, signal: interrupted.signal });
    progress.stop();
    return report(outcome, run);
  } catch (error) {
    if (isErrno(error, "ENOSPC", "EDQUOT") || messageOf(error).includes("No space left on device")) {
      throw new UserError(
        `no disk space is left for ${session.workspace.root} (${messageOf(error)}). The tables are as they were; free ` +
          "some space and run npm start again, or name a folder on another disk: npm start -- --out <folder>",
        { cause: error },
      );
    }
    throw error;
  } finally {
    progress.stop();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, interrupt);
    await session.close(interrupted.signal.aborted);
  }
}

/** API events that a run read for which the workflow had nothing to do. */
function logsRead(logs: DatasetBalance | undefined): string {
  if (!logs) return "";
  const { read, loaded, deduplicated, quarantined } = balanceOf(logs);
  const refused = logs.refused.map(({ object, reason, detail }) => `${reason} ${object}: ${detail}\n`);
  return (
    `API event logs: ${formatCount(read)} read = ${formatCount(loaded)} loaded + ` +
    `${formatCount(deduplicated)} deduplicated + ${formatCount(quarantined)} quarantined\n${refused.join("")}`
  );
}

/** Says how the run ended. @returns the exit code */
function report(outcome: Outcome, { contracts }: RunOptions): number {
  switch (outcome.status) {
    case "INTERRUPTED":
      process.stderr.write(
        "interrupted. The tables are as they were before the run; npm start begins it again.\n",
      );
      return 130;
    case "NOTHING_NEW":
      process.stdout.write(`nothing new: ${outcome.reason}\n${logsRead(outcome.logs)}`);
      return 0;
    case "BUSY":
      process.stdout.write(`busy: ${outcome.reason}\n`);
      return 0;
    default: {
      const { data, html } = outcome;
      const table = contracts.contracts.find((one) => one.warehouse)?.warehouse?.table ?? "order_history";
      const next = `npm run query -- "select * from mart.${contracts.own ? "category_revenue" : table} limit 10" --as bi_reader`;
      printSummary(data, {
        ...(html !== undefined && { report: path.relative(process.cwd(), html) }),
        ...(outcome.status === "SUCCEEDED" && { next: [next] }),
      });
      return outcome.status === "FAILED" ? 1 : 0;
    }
  }
}
