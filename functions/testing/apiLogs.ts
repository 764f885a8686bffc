import { mkdtemp, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { contractsDir } from "../../contracts/bundle.ts";
import { loadContract } from "../../contracts/contract.ts";
import { DirectoryStore } from "../../local/adapters/directoryStore.ts";
import { geoDatabase } from "../../local/adapters/geoDatabase.ts";
import { dropHandler } from "../api-logs/drop.ts";
import { type CustomerSegments, geography } from "../api-logs/enrich.ts";
import { protectorOf } from "../api-logs/protect.ts";
import { noSegments } from "../api-logs/segments.ts";
import { streamHandler } from "../api-logs/stream.ts";
import { Transform } from "../api-logs/transform.ts";
import type { Partitions } from "../shared/partitions.ts";

export const testTargets = {
  curatedBucket: "test-curated",
  quarantineBucket: "test-quarantine",
  curatedDatabase: "curated",
  quarantineDatabase: "quarantine",
} as const;
export const landing = "test-landing";
/** 2026-03-01 12:00 UTC: when test records arrive. */
export const arrival = Date.UTC(2026, 2, 1, 12);

/** A row as a reader gives it. */
export type ReadRow = Record<string, unknown>;

/** The API-log function over a lake in a temporary directory. */
export class ApiLogsBench {
  readonly store: DirectoryStore;
  /** Partitions made known, `<database>.<table>/<values>`. */
  readonly registered: readonly string[];
  readonly stream: ReturnType<typeof streamHandler>;
  readonly #drop: ReturnType<typeof dropHandler>;
  readonly #root: string;

  private constructor(
    root: string,
    deps: Parameters<typeof streamHandler>[0],
    store: DirectoryStore,
    registered: readonly string[],
  ) {
    this.#root = root;
    this.store = store;
    this.registered = registered;
    this.stream = streamHandler(deps);
    this.#drop = dropHandler(deps);
  }

  static async start(segments: CustomerSegments = noSegments): Promise<ApiLogsBench> {
    const root = await mkdtemp(path.join(tmpdir(), "securecart-"));
    const contract = await loadContract(path.join(contractsDir, "api_events.yaml"));
    const place = await geography(geoDatabase);
    const protector = protectorOf("a key of a test, at least 32 characters");
    const transform = new Transform({ contract, place, protector, segments, now: () => new Date(arrival) });
    const store = new DirectoryStore(path.join(root, "lake"));
    const registered: string[] = [];
    const partitions: Partitions = {
      register: async ({ database, table }, values) => {
        registered.push(`${database}.${table}/${values.join("/")}`);
      },
    };
    const deps = { contract, transform, targets: testTargets, store, partitions };
    return new ApiLogsBench(root, deps, store, registered);
  }

  stop(): Promise<void> {
    return rm(this.#root, { recursive: true });
  }

  /** Drops a file at the arrival time and processes it. */
  async drop(name: string, content: string | Uint8Array) {
    const key = `drops/api-logs/${name}`;
    await this.store.putBytes(landing, key, typeof content === "string" ? Buffer.from(content) : content);
    const file = this.store.pathOf(landing, key);
    await utimes(file, arrival / 1000, arrival / 1000);
    return this.process(name);
  }

  /** Processes what was dropped before. */
  process(name: string) {
    return this.#drop({ bucket: landing, key: `drops/api-logs/${name}`, version: "1" });
  }

  /** The table's rows, by source, sequence and position. */
  async rows(): Promise<ReadRow[]> {
    const rows = await this.#read(testTargets.curatedBucket, "logs/");
    const order = ({ source_object, source_sequence, source_position }: ReadRow): string =>
      `${source_object} ${source_sequence} ${String(source_position).padStart(9, "0")}`;
    return rows.sort((a, b) => order(a).localeCompare(order(b)));
  }

  /** Quarantined records. */
  refused(): Promise<ReadRow[]> {
    return this.#read(testTargets.quarantineBucket, "records/");
  }

  async #read(bucket: string, prefix: string): Promise<ReadRow[]> {
    const rows: ReadRow[] = [];
    for (const { key } of await this.store.list(bucket, prefix)) {
      rows.push(...(await readParquet(this.store.pathOf(bucket, key))));
    }
    return rows;
  }
}

/** Rows of a Parquet file, read with hyparquet. */
export async function readParquet(file: string): Promise<ReadRow[]> {
  return parquetReadObjects({ file: await asyncBufferFromFile(file) });
}
