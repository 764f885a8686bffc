import { createHash } from "node:crypto";
import { z } from "zod";
import type { ObjectStore } from "../shared/objectStore.ts";
import type { CustomerSegments } from "./enrich.ts";

/** No segments are kept anywhere. */
export const noSegments: CustomerSegments = { of: async () => new Map() };

/** Where the export job keeps them (jobs/securecart/segments.py). */
export const segmentsPrefix = "lookups/customer_segments/";
const rememberedMillis = 5 * 60_000;
const segmentsSchema = z.record(z.string(), z.string());
type Segments = z.infer<typeof segmentsSchema>;

/**
 * Segments as the last run of the pipeline left them: sixteen JSON objects, each with the customers whose id's SHA-256
 * begins with its hexadecimal digit. One is read when a customer of it comes, and remembered for five minutes. Needs
 * s3:GetObject, and s3:ListBucket: without it a missing object looks like a forbidden one.
 */
export class LakeSegments implements CustomerSegments {
  readonly #store: Pick<ObjectStore, "getText">;
  readonly #bucket: string;
  readonly #now: () => number;
  readonly #held = new Map<string, { readonly until: number; readonly segments: Promise<Segments> }>();

  constructor(store: Pick<ObjectStore, "getText">, bucket: string, now: () => number = Date.now) {
    this.#store = store;
    this.#bucket = bucket;
    this.#now = now;
  }

  async of(customerIds: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for (const id of customerIds) {
      const segments = await this.#shard(createHash("sha256").update(id).digest("hex").slice(0, 1));
      const segment = Object.hasOwn(segments, id) ? segments[id] : undefined;
      if (segment !== undefined) found.set(id, segment);
    }
    return found;
  }

  #shard(digit: string): Promise<Segments> {
    const held = this.#held.get(digit);
    if (held && held.until > this.#now()) return held.segments;
    const segments = this.#read(digit);
    this.#held.set(digit, { until: this.#now() + rememberedMillis, segments });
    // What failed is tried again with the next record.
    segments.catch(() => this.#held.delete(digit));
    return segments;
  }

  async #read(digit: string): Promise<Segments> {
    const key = `${segmentsPrefix}${digit}.json`;
    try {
      return segmentsSchema.parse(JSON.parse(await this.#store.getText(this.#bucket, key)));
    } catch (error) {
      // Before the pipeline's first run nobody has a segment.
      if (error instanceof Error && error.name === "ObjectNotFoundError") return {};
      const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      throw new Error(
        `segments of customers cannot be read from s3://${this.#bucket}/${key} (${why}); check the object and the ` +
          "function's rights",
        { cause: error },
      );
    }
  }
}
