/** Follows an execution's events: the steps shown in the terminal while it runs, and the report's timeline. */
import type { ExecutionEvent } from "./asl/events.ts";
import type { Step } from "./report/types.ts";
import type { Progress, RunningStep } from "./terminal/progress.ts";

/** The states that are steps to a person, and what they are called. The others are plumbing. */
const labels: Readonly<Record<string, string>> = {
  Plan: "plan",
  StartFullExport: "export DynamoDB",
  StartIncrementalExport: "export DynamoDB",
  ExtractMysql: "extract MySQL",
  ExtractDynamodb: "extract DynamoDB",
  CsvToParquet: "CSV to Parquet",
  StageRecipes: "stage recipes",
  RunRecipe: "recipe",
  Clean: "clean and conform",
  Quality: "quality",
  Verdict: "verdict",
  Publish: "publish",
  Curate: "enrich and aggregate",
  ScoreFraud: "score fraud",
  Export: "export changes",
  RenderLoad: "plan loads",
  SubmitLoad: "load",
  Maintain: "maintain tables",
  Commit: "commit",
  Rollback: "roll back",
  RollBackFirst: "roll back an earlier run",
  Abort: "abort",
};

interface Open {
  readonly name: string;
  readonly started: number;
  readonly shown: RunningStep;
  attempts: number;
}

/** Rows that a step brought, where that means something. */
export type RowsOf = (state: string) => Promise<number | undefined>;

export class StepTracker {
  readonly steps: (Step & { state: string })[] = [];
  readonly #open = new Map<string, Open>();
  readonly #progress: Progress;
  readonly #rowsOf: RowsOf;
  #pending: Promise<void> = Promise.resolve();
  failure: { step: string; cause: string } | undefined;

  constructor(progress: Progress, rowsOf: RowsOf) {
    this.#progress = progress;
    this.#rowsOf = rowsOf;
  }

  /** Takes the next event of the execution. */
  onEvent(event: ExecutionEvent): void {
    if (!("state" in event)) return;
    const key = `${event.scope}/${event.state}`;
    if (event.type === "TaskScheduled") this.#begin(key, event);
    const open = this.#open.get(key);
    if (!open) return;
    if (event.type === "TaskRetried")
      open.shown.update({ attempt: event.retryCount + 1, detail: firstLine(event.cause) });
    else if (event.type === "TaskSucceeded") this.#succeed(key, open, event.state, event.timestamp);
    else if (event.type === "StateCaught" || event.type === "StateFailed") {
      this.failure ??= { step: open.name, cause: event.cause };
      this.#end(key, open, event.state, event.timestamp, "FAILED");
    }
  }

  /** Ends what still runs as aborted, and waits until every line has its rows. */
  async finish(timestamp: number): Promise<void> {
    for (const [key, open] of this.#open)
      this.#end(key, open, key.slice(key.lastIndexOf("/") + 1), timestamp, "ABORTED");
    await this.#pending;
  }

  #begin(key: string, event: Extract<ExecutionEvent, { type: "TaskScheduled" }>): void {
    const label = labels[event.state];
    const running = this.#open.get(key);
    if (running) running.attempts = event.retryCount + 1;
    if (!label || running) return;
    const name = [label, subject(event.arguments)].filter(Boolean).join(" ");
    const shown = this.#progress.step(name);
    this.#open.set(key, { name, started: event.timestamp, shown, attempts: event.retryCount + 1 });
  }

  #succeed(key: string, open: Open, state: string, timestamp: number): void {
    this.#open.delete(key);
    this.#pending = this.#pending.then(async () => {
      const rows = await this.#rowsOf(state);
      const took = timestamp - open.started;
      open.shown.end({ status: "SUCCEEDED", took, ...(rows !== undefined && { rows }) });
      this.#note(open, state, timestamp, "SUCCEEDED", rows);
    });
  }

  #end(key: string, open: Open, state: string, timestamp: number, status: "FAILED" | "ABORTED"): void {
    this.#open.delete(key);
    open.shown.end({ status });
    this.#note(open, state, timestamp, status, undefined);
  }

  #note(open: Open, state: string, ended: number, status: Step["status"], rowsOut: number | undefined): void {
    this.steps.push({
      state,
      name: open.name,
      started: new Date(open.started).toISOString(),
      ended: new Date(ended).toISOString(),
      status,
      attempts: open.attempts,
      ...(rowsOut !== undefined && { rowsOut }),
    });
    this.steps.sort((a, b) => a.started.localeCompare(b.started));
  }
}

/** The beginning of a cause, for the step's own line; the summary and the report show all of it. */
function firstLine(cause: string): string {
  const [line = ""] = cause.split("\n");
  return line.length > 120 ? `${line.slice(0, 119)}…` : line;
}

/** What tells steps of a Map apart: the dataset of a recipe, the table of a load. */
function subject(args: unknown): string {
  if (typeof args !== "object" || args === null) return "";
  if ("Name" in args && typeof args.Name === "string") return /^recipe-(.+)$/.exec(args.Name)?.[1] ?? "";
  if ("StatementName" in args && typeof args.StatementName === "string") {
    return /^load-(.+)-\d{8}T\d{6}Z-[0-9a-f]{8}$/.exec(args.StatementName)?.[1] ?? "";
  }
  return "";
}
