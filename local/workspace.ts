/** The folder that one local installation keeps everything in, and the lock that lets one process use it. */
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { takeLock } from "./lock.mjs";

/** The zones' buckets; the Spark session uses the same names (spark_session.py). */
export const buckets = {
  landing: "securecart-local-landing",
  staging: "securecart-local-staging",
  curated: "securecart-local-curated",
  quarantine: "securecart-local-quarantine",
  artifacts: "securecart-local-artifacts",
} as const;

/** Whose watermarks and runs those of this machine are in the ledger. */
export const pipelineName = "securecart-local";

/** A failure that the user can mend: its message says what, where and what to do; no trace is shown for it. */
export class UserError extends Error {
  override readonly name = "UserError";
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** True for an error of the operating system with one of these codes. */
export function isErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

export class Workspace {
  readonly root: string;
  readonly lake: string;
  /** What the sample generator wrote: files of the source systems, drops, and truth.json. */
  readonly sample: string;
  /** The stand-in of the MySQL database. */
  readonly sources: string;
  readonly scratch: string;
  readonly ledger: string;
  readonly warehouse: string;
  readonly reports: string;
  readonly log: string;

  constructor(root: string) {
    this.root = path.resolve(root);
    this.lake = path.join(this.root, "lake");
    this.sample = path.join(this.root, "sample");
    this.sources = path.join(this.root, "sources");
    this.scratch = path.join(this.root, "scratch");
    this.ledger = path.join(this.root, "ledger");
    this.warehouse = path.join(this.root, "warehouse");
    this.reports = path.join(this.root, "reports");
    this.log = path.join(this.root, "logs", "spark.log");
  }

  /**
   * Takes the folder for this process. A lock left behind by a process that is gone is taken over.
   * @returns how to give it back
   * @throws UserError when another process uses the folder, or it cannot be written to
   */
  async lock(): Promise<() => Promise<void>> {
    const file = path.join(this.root, "lock");
    const holder = await this.#take(file);
    if (holder === undefined) return () => rm(file, { force: true });
    throw new UserError(
      `${this.root} is in use by another run (process ${holder}). Wait for it to end, or give this run a folder of ` +
        "its own: npm start -- --out <folder>",
    );
  }

  async #take(file: string): Promise<number | undefined> {
    try {
      await mkdir(this.root, { recursive: true });
      return takeLock(file);
    } catch (error) {
      throw new UserError(
        `${this.root} cannot be written to (${messageOf(error)}). Check its permissions and the free space, or name ` +
          "another folder: npm start -- --out <folder>",
        { cause: error },
      );
    }
  }
}
