import type { Retrier } from "../../workflow/asl.ts";
import { errorMatches } from "./errors.ts";

/**
 * The retriers of one visit to a state. The first retrier that matches an error decides; each counts its own
 * attempts, and the counts start anew when the state is entered again.
 */
export class RetryPolicy {
  readonly #retriers: readonly { retrier: Retrier; used: { attempts: number } }[];
  readonly #random: () => number;

  constructor(retriers: readonly Retrier[], random: () => number) {
    this.#retriers = retriers.map((retrier) => ({ retrier, used: { attempts: 0 } }));
    this.#random = random;
  }

  /** Seconds to wait before the retry that this error deserves; undefined when there is none. */
  delayAfter(error: string): number | undefined {
    const found = this.#retriers.find(({ retrier }) => errorMatches(retrier.ErrorEquals, error));
    if (!found) return undefined;
    const { retrier, used } = found;
    if (used.attempts >= (retrier.MaxAttempts ?? 3)) return undefined;
    const backoff = (retrier.IntervalSeconds ?? 1) * (retrier.BackoffRate ?? 2) ** used.attempts;
    const delay = Math.min(backoff, retrier.MaxDelaySeconds ?? Number.POSITIVE_INFINITY);
    used.attempts += 1;
    return retrier.JitterStrategy === "FULL" ? delay * this.#random() : delay;
  }
}
