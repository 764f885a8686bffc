import type { Clock } from "../clock.ts";

interface Sleeper {
  wakeAt: number;
  wake: () => void;
}

/**
 * A clock for tests: whenever nothing but sleepers is left to run, it jumps to the earliest of them. Only work
 * that ends without timers or input/output of its own counts as running, so handlers sleep on this clock too.
 */
export class VirtualClock implements Clock {
  #now: number;
  #sleepers: Sleeper[] = [];
  #scheduled = false;
  /** Every sleep that was asked for, in milliseconds, in order. */
  readonly slept: number[] = [];

  constructor(start = "2026-01-01T00:00:00.000Z") {
    this.#now = Date.parse(start);
  }

  now(): number {
    return this.#now;
  }

  sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
    this.slept.push(milliseconds);
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const onAbort = () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal.reason);
      };
      const sleeper: Sleeper = {
        wakeAt: this.#now + milliseconds,
        wake: () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#sleepers.push(sleeper);
      this.#schedule();
    });
  }

  /** setImmediate runs after all pending promise reactions: then nobody but sleepers is left. */
  #schedule(): void {
    if (this.#scheduled || this.#sleepers.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const next = this.#sleepers.reduce<Sleeper | undefined>(
        (first, sleeper) => (first === undefined || sleeper.wakeAt < first.wakeAt ? sleeper : first),
        undefined,
      );
      if (next === undefined) return;
      this.#now = Math.max(this.#now, next.wakeAt);
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next);
      next.wake();
      this.#schedule();
    });
  }
}
