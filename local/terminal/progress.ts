import { formatCount, formatDuration } from "./format.ts";
import { type Environment, isLive, type Output, type Paint, paintFor } from "./style.ts";
import { oneLine, pad, truncate } from "./width.ts";

/** How a step ended. */
export interface StepEnd {
  readonly status: "SUCCEEDED" | "FAILED" | "SKIPPED" | "ABORTED";
  readonly rows?: number;
  /** Milliseconds that the step took, where its end is shown later than it was. @default until now */
  readonly took?: number;
  /** A few words behind the line: why it was skipped, what failed. */
  readonly detail?: string;
}

/** A step that is shown as running until it is ended. */
export interface RunningStep {
  /** What is known meanwhile; `attempt` counts from 1. */
  update(change: { readonly rows?: number; readonly attempt?: number; readonly detail?: string }): void;
  /** Ends the step and prints its line for good; a second call does nothing. */
  end(end: StepEnd): void;
}

export interface ProgressOptions {
  readonly output?: Output;
  readonly environment?: Environment;
  /** Milliseconds that only go forward. */
  readonly clock?: () => number;
  /** Width of the column of names; longer ones push their line to the right. */
  readonly nameWidth?: number;
}

interface Shown {
  readonly name: string;
  readonly since: number;
  rows: number | undefined;
  attempt: number;
  detail: string;
  /** When this step last gave a sign of life where lines cannot be rewritten. */
  lastSaid: number;
}

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const frameTime = 100;
/** How often a log is told that a step is still running. */
const heartbeat = 15_000;

const marks = { SUCCEEDED: "✓", FAILED: "✗", SKIPPED: "-", ABORTED: "!" } as const;
const emphases = { SUCCEEDED: "green", FAILED: "red", SKIPPED: "dim", ABORTED: "yellow" } as const;

/**
 * Shows the steps of a run: one line each with mark, name, time and rows. On a terminal the running steps are
 * rewritten in place below the ended ones; elsewhere lines are only ever appended.
 */
export class Progress {
  readonly #output: Output;
  readonly #paint: Paint;
  readonly #live: boolean;
  readonly #clock: () => number;
  readonly #nameWidth: number;
  readonly #running = new Set<Shown>();
  readonly #timer: NodeJS.Timeout;
  #drawn = 0;
  #frame = 0;

  constructor(options: ProgressOptions = {}) {
    this.#output = options.output ?? process.stdout;
    this.#paint = paintFor(this.#output, options.environment);
    this.#live = isLive(this.#output, options.environment);
    this.#clock = options.clock ?? (() => performance.now());
    this.#nameWidth = options.nameWidth ?? 28;
    this.#timer = setInterval(() => this.tick(), this.#live ? frameTime : 1000);
    // The display alone keeps no process alive.
    this.#timer.unref();
  }

  /** A step begins. Steps may run side by side and may have the same name. */
  step(name: string): RunningStep {
    const now = this.#clock();
    const shown: Shown = {
      name: oneLine(name),
      since: now,
      rows: undefined,
      attempt: 1,
      detail: "",
      lastSaid: now,
    };
    this.#running.add(shown);
    this.#print("");
    return {
      update: ({ rows, attempt, detail }) => {
        if (rows !== undefined) shown.rows = rows;
        if (attempt !== undefined) shown.attempt = attempt;
        if (detail !== undefined) shown.detail = oneLine(detail);
      },
      end: ({ status, rows, took, detail }) => {
        if (!this.#running.delete(shown)) return;
        if (rows !== undefined) shown.rows = rows;
        shown.detail = oneLine(detail ?? "");
        const time = status === "SKIPPED" ? "" : formatDuration(took ?? this.#clock() - shown.since);
        const word = status === "SUCCEEDED" ? "" : status.toLowerCase();
        const mark = this.#paint(emphases[status], marks[status]);
        this.#print(`${mark} ${this.#line(shown, time, word)}\n`);
      },
    };
  }

  /** Prints a line of its own among the steps. While steps run, this is the only way to write to the output. */
  note(text: string): void {
    this.#print(`${text.split("\n").map(oneLine).join("\n")}\n`);
  }

  /** A warning that is not to be overlooked. */
  warn(text: string): void {
    this.#print(`${this.#paint("yellow", `! ${oneLine(text)}`)}\n`);
  }

  /** Redraws the running steps, or says in a log which steps are still running. Called by the display's timer. */
  tick(): void {
    if (this.#live) {
      this.#frame += 1;
      if (this.#running.size > 0) this.#print("");
      return;
    }
    const now = this.#clock();
    for (const shown of this.#running) {
      if (now - shown.lastSaid < heartbeat) continue;
      shown.lastSaid = now;
      this.#print(`… ${this.#line(shown, formatDuration(now - shown.since), "still running")}\n`);
    }
  }

  /** Ends the display: steps that still run are printed as aborted, and the timer stops. Safe to call again. */
  stop(): void {
    clearInterval(this.#timer);
    for (const shown of [...this.#running]) {
      this.#running.delete(shown);
      const time = formatDuration(this.#clock() - shown.since);
      this.#print(`${this.#paint("yellow", marks.ABORTED)} ${this.#line(shown, time, "aborted")}\n`);
    }
    this.#print("");
  }

  #line({ name, rows, attempt, detail }: Shown, time: string, word: string): string {
    const count = rows === undefined ? "" : `${formatCount(rows)} rows`;
    const more = [word, attempt > 1 ? `attempt ${attempt}` : "", detail]
      .filter((text) => text !== "")
      .join(", ");
    return `${pad(name, this.#nameWidth)} ${pad(time, 12, "right")} ${pad(count, 16, "right")}  ${more}`.trimEnd();
  }

  /** Writes finished lines above the running ones in one go, so that nothing flickers. */
  #print(lines: string): void {
    if (!this.#live) {
      if (lines !== "") this.#output.write(lines);
      return;
    }
    // Some pseudo terminals say 0 columns when they do not know.
    const width = (this.#output.columns || 80) - 1;
    const erase = this.#drawn > 0 ? `\u001b[${this.#drawn}A\r\u001b[0J` : "";
    const now = this.#clock();
    const running = [...this.#running].map((shown) => {
      const frame = frames[this.#frame % frames.length] ?? "·";
      // A line that wraps would take two rows, and the next redraw would erase too little.
      return `${truncate(`${frame} ${this.#line(shown, formatDuration(now - shown.since), "")}`, width)}\n`;
    });
    this.#drawn = running.length;
    this.#output.write(erase + lines + running.join(""));
  }
}
