/** The Spark driver as the CLI sees it: one Python process that runs jobs until it is stopped. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";

const driverScript = path.join(import.meta.dirname, "spark_driver.py");

/** A request that the driver answered with an error: `type` is the Python exception's class. */
export class DriverError extends Error {
  override readonly name = "DriverError";
  readonly type: string;
  readonly trace: string;

  constructor(error: { type: string; message: string; trace: string }) {
    super(error.message);
    this.type = error.type;
    this.trace = error.trace;
  }
}

interface Reply {
  readonly id: number;
  readonly ok: boolean;
  readonly result?: unknown;
  readonly error?: { type: string; message: string; trace: string };
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export interface SparkDriverOptions {
  /** Folder with one folder per bucket. */
  readonly lake: string;
  /** Folder of the source systems' stand-ins. */
  readonly sources: string;
  readonly scratch: string;
  readonly log: string;
}

export class SparkDriver {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ready: Promise<unknown>;
  readonly #ended: Promise<void>;
  readonly #log: string;
  #next = 1;
  #stopping = false;

  /** Starts the process; requests wait until it is ready. */
  constructor(options: SparkDriverOptions) {
    this.#log = options.log;
    const flags = Object.entries({ ...options }).flatMap(([name, value]) => [`--${name}`, value]);
    this.#child = spawn("python", [driverScript, ...flags], { stdio: ["pipe", "pipe", "inherit"] });
    this.#ready = this.#expect(0);
    // Whoever asks first learns of a failed start; before that it is nobody's unhandled rejection.
    this.#ready.catch(() => {});
    const { stdout } = this.#child;
    if (!stdout) throw new Error("the Spark driver has no standard output");
    createInterface({ input: stdout }).on("line", (line) => this.#settle(JSON.parse(line) as Reply));
    this.#child.stdin?.on("error", () => {}); // a driver that died is reported by its exit
    this.#ended = new Promise((resolve) => {
      this.#child.on("error", (error) => {
        this.#fail(new Error(`the Spark driver could not be started: ${error.message}`));
        resolve();
      });
      this.#child.on("exit", (code, signal) => {
        void this.#explain(code, signal).then((error) => this.#fail(error));
        resolve();
      });
    });
  }

  /** Resolves when Spark is up. */
  async ready(): Promise<void> {
    await this.#ready;
  }

  /** @throws DriverError when the operation failed there */
  async request<T>(op: string, args: Record<string, unknown> = {}): Promise<T> {
    await this.#ready;
    const id = this.#next++;
    const answer = this.#expect(id);
    this.#child.stdin?.write(`${JSON.stringify({ id, op, ...args })}\n`);
    return (await answer) as T;
  }

  /** Runs a job's `main(argv)` to its end. */
  async runJob(job: string, argv: readonly string[]): Promise<void> {
    await this.request("run_job", { module: `securecart.${job}`, argv });
  }

  /** Ends the process: in good order when it can, at once with `force`. */
  async stop(force = false): Promise<void> {
    this.#stopping = true;
    if (force) this.#child.kill("SIGKILL");
    else this.#child.stdin?.end();
    await this.#ended;
  }

  #expect(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.ok) waiting?.resolve(reply.result);
    else
      waiting?.reject(
        new DriverError(reply.error ?? { type: "Error", message: "no error given", trace: "" }),
      );
  }

  #fail(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }

  async #explain(code: number | null, signal: string | null): Promise<Error> {
    if (this.#stopping) return new Error("the Spark driver was stopped");
    const log = await readFile(this.#log, "utf8").catch(() => "");
    const tail = log.trim().split("\n").slice(-8).join("\n");
    const how = signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
    const memory =
      signal === "SIGKILL" ? " (often: no memory left; SECURECART_DRIVER_MEMORY=1g asks for less)" : "";
    return new Error(`the Spark driver ${how}${memory}. The end of its log ${this.#log}:\n${tail}`);
  }
}
