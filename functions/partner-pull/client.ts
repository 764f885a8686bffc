/** Reads a partner's paged REST API: campaign results changed in a window of time. */
import { z } from "zod";

/** One result, its fields named as in the contract of campaigns; values as the partner writes them. */
export type PartnerRecord = Readonly<Record<string, string | number | null>>;

const pageSchema = z.object({
  data: z.array(z.record(z.string(), z.union([z.string(), z.number(), z.null()]))),
  next_cursor: z.string().min(1).nullish(),
});

export interface ClientOptions {
  /** Address of the collection, without query. */
  readonly url: string;
  readonly token: string;
  readonly fetch?: typeof fetch;
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly now: () => Date;
  /** Tries of one page. @default 6 */
  readonly attempts?: number;
  /** Longest wait that a server may ask for, in seconds. @default 120 */
  readonly longestWait?: number;
  /** Pages after which something is wrong. @default 10000 */
  readonly mostPages?: number;
}

/** The partner's API could not be read; nothing of the window was written. */
export class PartnerError extends Error {
  override readonly name = "PartnerError";
}

/** Milliseconds that Retry-After asks for, in seconds or as a date; undefined when it says nothing. */
export function retryAfter(header: string | null, now: Date): number | undefined {
  if (header === null) return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds) && header.trim() !== "") return Math.max(0, seconds * 1000);
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now.getTime());
}

/** Every page of the window [from, to), in order. @throws PartnerError when a page cannot be had */
export async function* pages(
  options: ClientOptions,
  window: { readonly from: string; readonly to: string },
): AsyncGenerator<readonly PartnerRecord[]> {
  const seen = new Set<string>();
  let cursor: string | undefined;
  for (let page = 0; page < (options.mostPages ?? 10_000); page += 1) {
    const url = new URL(options.url);
    url.searchParams.set("updated_from", window.from);
    url.searchParams.set("updated_to", window.to);
    if (cursor !== undefined) url.searchParams.set("cursor", cursor);
    const { data, next_cursor } = await readPage(options, url);
    yield data;
    if (next_cursor === null || next_cursor === undefined) return;
    if (seen.has(next_cursor))
      throw new PartnerError(`${url}: the cursor '${next_cursor}' comes twice; the pages never end`);
    seen.add(next_cursor);
    cursor = next_cursor;
  }
  throw new PartnerError(`${options.url}: over ${options.mostPages ?? 10_000} pages; narrow the window`);
}

async function readPage(options: ClientOptions, url: URL): Promise<z.infer<typeof pageSchema>> {
  const { attempts = 6, longestWait = 120, sleep, now } = options;
  let why = "";
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    let wait = Math.random() * 500 * 2 ** attempt; // full jitter
    try {
      const answer = await (options.fetch ?? fetch)(url, {
        headers: { authorization: `Bearer ${options.token}`, accept: "application/json" },
        signal: AbortSignal.timeout(30_000),
      });
      if (answer.ok) {
        const page = pageSchema.safeParse(await answer.json());
        if (page.success) return page.data;
        throw new PartnerError(`${url}: the page is not {data, next_cursor}: ${z.prettifyError(page.error)}`);
      }
      why = `HTTP ${answer.status}`;
      await answer.body?.cancel();
      if (answer.status !== 429 && answer.status !== 408 && answer.status < 500) {
        throw new PartnerError(`${url}: ${why}; check the address and the token`);
      }
      wait = retryAfter(answer.headers.get("retry-after"), now()) ?? wait;
    } catch (error) {
      if (error instanceof PartnerError) throw error;
      why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    }
    if (wait > longestWait * 1000) {
      throw new PartnerError(
        `${url}: ${why}, and it asks to wait ${Math.ceil(wait / 1000)} s; the next pull reads the same window`,
      );
    }
    if (attempt < attempts) await sleep(wait);
  }
  throw new PartnerError(`${url}: ${why} ${attempts} times; the next pull reads the same window`);
}
