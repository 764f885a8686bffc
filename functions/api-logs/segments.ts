import { BatchGetCommand, type DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import { z } from "zod";
import type { CustomerSegments } from "./enrich.ts";

/** Keys that one call may ask for. */
const mostKeys = 100;
const itemSchema = z.looseObject({ customer_id: z.string(), segment: z.string().optional() });

/** No segments are kept anywhere. */
export const noSegments: CustomerSegments = { of: async () => new Map() };

/**
 * Segments in a DynamoDB table: key `customer_id`, attribute `segment`. Records of a batch that ask at the same time
 * are answered by one call; what is known is remembered for five minutes. Needs dynamodb:BatchGetItem.
 */
export class TableSegments implements CustomerSegments {
  readonly #client: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #now: () => number;
  readonly #known = new Map<string, { readonly segment: string | undefined; readonly until: number }>();
  #asked = new Set<string>();
  #answer: Promise<void> | undefined;

  constructor(client: DynamoDBDocumentClient, table: string, now: () => number = Date.now) {
    this.#client = client;
    this.#table = table;
    this.#now = now;
  }

  async of(customerIds: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> {
    const now = this.#now();
    let pending: Promise<void> | undefined;
    for (const id of customerIds) {
      if ((this.#known.get(id)?.until ?? 0) > now) continue;
      this.#asked.add(id);
      // All records of a batch are read before the first look-up starts.
      this.#answer ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#lookUp());
      pending = this.#answer;
    }
    await pending;
    const found = new Map<string, string>();
    for (const id of customerIds) {
      const segment = this.#known.get(id)?.segment;
      if (segment !== undefined) found.set(id, segment);
    }
    return found;
  }

  async #lookUp(): Promise<void> {
    const ids = [...this.#asked];
    this.#asked = new Set();
    this.#answer = undefined;
    const until = this.#now() + 5 * 60_000;
    if (this.#known.size > 100_000) this.#known.clear();
    for (let from = 0; from < ids.length; from += mostKeys)
      await this.#get(ids.slice(from, from + mostKeys), until);
  }

  async #get(ids: readonly string[], until: number): Promise<void> {
    const found = new Map<string, string | undefined>();
    let keys: { customer_id: string }[] = ids.map((customer_id) => ({ customer_id }));
    for (let attempt = 1; keys.length > 0; attempt += 1) {
      if (attempt > 8)
        throw new Error(
          `segments: ${this.#table} left ${keys.length} keys unread after 8 calls; it is throttled`,
        );
      if (attempt > 1) await new Promise((resolve) => setTimeout(resolve, Math.random() * 50 * 2 ** attempt));
      const answer = await this.#client
        .send(new BatchGetCommand({ RequestItems: { [this.#table]: { Keys: keys } } }))
        .catch((error: unknown) => {
          const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
          throw new Error(
            `segments of customers cannot be read from ${this.#table} (${why}); check the table and the function's rights`,
            { cause: error },
          );
        });
      for (const item of answer.Responses?.[this.#table] ?? []) {
        const { customer_id, segment } = itemSchema.parse(item);
        found.set(customer_id, segment);
      }
      keys = z
        .array(z.object({ customer_id: z.string() }))
        .parse(answer.UnprocessedKeys?.[this.#table]?.Keys ?? []);
    }
    for (const id of ids) this.#known.set(id, { segment: found.get(id), until });
  }
}
