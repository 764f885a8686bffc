/** Makes up clickstream events at a rate, as a shop and a bad network would: some late, repeated or damaged. */
import { randomUUID } from "node:crypto";

/** What the generator did on purpose; the job must find the same. */
export interface Sent {
  records: number;
  repeated: number;
  late: number;
  damaged: number;
}

const steps = [
  ["page_view", "/"],
  ["product_view", "/products/"],
  ["product_view", "/products/"],
  ["add_to_cart", "/cart"],
  ["checkout", "/checkout"],
  ["purchase", "/done"],
] as const;
const devices = ["desktop", "mobile", "tablet", "app"] as const;

/** Shares of the records: a known one again, one from three hours ago, one cut off. */
const repeatedShare = 0.05;
const lateShare = 0.02;
const damagedShare = 0.01;

const pick = <T>(values: readonly T[]): T => values[Math.floor(Math.random() * values.length)] as T;

export class ClickGenerator {
  readonly sent: Sent = { records: 0, repeated: 0, late: 0, damaged: 0 };
  #last: string | undefined;

  /** The next `count` records as JSON lines in the form of Kinesis' GetRecords. */
  lines(count: number, now: Date): string {
    const lines = Array.from({ length: count }, () => {
      const data = this.#record(now);
      return JSON.stringify({
        Data: Buffer.from(data).toString("base64"),
        ApproximateArrivalTimestamp: (now.getTime() / 1000).toFixed(6),
      });
    });
    return `${lines.join("\n")}\n`;
  }

  #record(now: Date): string {
    this.sent.records += 1;
    const chance = Math.random();
    if (this.#last !== undefined && chance < repeatedShare) {
      this.sent.repeated += 1;
      return this.#last;
    }
    const late = chance > 1 - lateShare;
    const happened = new Date(now.getTime() - Math.random() * 900 - (late ? 3 * 3600 * 1000 : 0));
    const [event, page] = pick(steps);
    const product =
      event === "page_view" || event === "checkout" ? undefined : `P${pick([1, 2, 3, 5, 8, 13])}`;
    const text = JSON.stringify({
      event_id: randomUUID(),
      user_id: `C${Math.floor(Math.random() * 2000)}`,
      event,
      page: page.endsWith("products/") ? `${page}${product}` : page,
      product_id: product,
      device: pick(devices),
      timestamp: happened.toISOString(),
    });
    if (late) {
      this.sent.late += 1;
    } else if (chance > 1 - lateShare - damagedShare) {
      this.sent.damaged += 1;
      return text.slice(0, 40);
    } else {
      this.#last = text;
    }
    return text;
  }
}
