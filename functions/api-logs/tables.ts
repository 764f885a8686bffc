/** The files that a batch writes: rows and refused records, one Parquet object each per hour of arrival. */
import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Contract } from "../../contracts/contract.ts";
import type { ByteStore } from "../shared/byteStore.ts";
import type { Partitions } from "../shared/partitions.ts";
import { type ParquetColumn, ParquetFile, type Value } from "./parquet.ts";
import { storedColumns } from "./row.ts";

/** Where tables are. */
export interface Targets {
  readonly curatedBucket: string;
  readonly quarantineBucket: string;
  readonly curatedDatabase: string;
  readonly quarantineDatabase: string;
}

const text = (name: string): ParquetColumn => ({
  name,
  type: { kind: "varchar", length: 65_535 },
  required: false,
});

/** Columns of the quarantine's table `records`, as every writer of it has them. */
export const quarantineColumns: readonly ParquetColumn[] = [
  text("source_object"),
  { name: "source_position", type: { kind: "bigint" }, required: false },
  text("record_key"),
  text("reason"),
  text("detail"),
  text("raw_record"),
  { name: "quarantined_at", type: { kind: "timestamp" }, required: false },
];

/**
 * The event ids of the last records, 100,000 at least: more than a batch of the stream has. A file of any size is
 * looked through with the same memory; a duplicate further apart stays in it.
 */
class RecentIds {
  #newer = new Set<string>();
  #older = new Set<string>();

  /** Whether the id is here for the first time; from now on it is not. */
  isNew(id: string): boolean {
    if (this.#newer.has(id) || this.#older.has(id)) return false;
    if (this.#newer.size >= 100_000) {
      this.#older = this.#newer;
      this.#newer = new Set();
    }
    this.#newer.add(id);
    return true;
  }
}

/** A Parquet object that grows in a local file and appears in the store when it is complete. */
class GrowingObject {
  readonly #path: string;
  readonly #file: ParquetFile;

  private constructor(file: string, parquet: ParquetFile) {
    this.#path = file;
    this.#file = parquet;
  }

  static async create(columns: readonly ParquetColumn[], contract: Contract): Promise<GrowingObject> {
    const file = path.join(tmpdir(), `${randomUUID()}.parquet`);
    const about = { contract: contract.name, "contract.version": contract.version };
    return new GrowingObject(file, await ParquetFile.create(columns, createWriteStream(file), about));
  }

  append(row: readonly Value[]): Promise<void> | undefined {
    return this.#file.append(row);
  }

  async put(store: ByteStore, bucket: string, key: string): Promise<void> {
    await this.#file.close();
    await store.putFile(bucket, key, this.#path);
  }

  discard(): Promise<void> {
    return rm(this.#path, { force: true });
  }
}

/** One object to be: its place, and the partition it belongs to. */
interface Placed {
  readonly object: GrowingObject;
  readonly bucket: string;
  readonly key: string;
  readonly folder: string;
  readonly database: string;
  readonly table: string;
  readonly values: readonly string[];
}

/** The objects of one batch. A batch has few hours and many rows, so nothing is awaited that need not be. */
export class BatchObjects {
  readonly #contract: Contract;
  readonly #targets: Targets;
  /** By hour, `arrival_date=…/arrival_hour=…`. */
  readonly #rows = new Map<string, Placed>();
  readonly #refused = new Map<string, Placed>();
  readonly #ids = new Map<string, RecentIds>();
  readonly #rowColumns: readonly ParquetColumn[];

  constructor(contract: Contract, targets: Targets) {
    this.#contract = contract;
    this.#targets = targets;
    this.#rowColumns = storedColumns(contract);
  }

  /** Whether the rows of an hour lack this event; from now on they have it. */
  isNew(folder: string, eventId: string): boolean {
    let ids = this.#ids.get(folder);
    if (!ids) {
      ids = new RecentIds();
      this.#ids.set(folder, ids);
    }
    return ids.isNew(eventId);
  }

  /**
   * Adds a row to the object of its hour. Await what it returns, if anything.
   * @param folder partition of the hour, `arrival_date=…/arrival_hour=…`
   * @param name of the object, if this row is its first
   */
  row(folder: string, name: string, row: readonly Value[]): Promise<void> | undefined {
    const placed = this.#rows.get(folder);
    return placed ? placed.object.append(row) : this.#firstRow(folder, name, row);
  }

  /** Adds a refused record to the object of its hour. Await what it returns, if anything. */
  refused(folder: string, name: string, row: readonly Value[]): Promise<void> | undefined {
    const placed = this.#refused.get(folder);
    return placed ? placed.object.append(row) : this.#firstRefused(folder, name, row);
  }

  async #firstRow(folder: string, name: string, row: readonly Value[]): Promise<void> {
    const at = `logs/${this.#contract.name}/${folder}/`;
    const placed = {
      object: await GrowingObject.create(this.#rowColumns, this.#contract),
      bucket: this.#targets.curatedBucket,
      key: `${at}${name}.parquet`,
      folder: at,
      database: this.#targets.curatedDatabase,
      table: this.#contract.name,
      values: folder.split("/").map((part) => part.slice(part.indexOf("=") + 1)),
    };
    this.#rows.set(folder, placed);
    await placed.object.append(row);
  }

  async #firstRefused(folder: string, name: string, row: readonly Value[]): Promise<void> {
    const batch = `api-logs-${folder.replaceAll(/arrival_\w+=/g, "").replace("/", "-")}`;
    const at = `records/dataset=${this.#contract.name}/batch=${batch}/`;
    const placed = {
      object: await GrowingObject.create(quarantineColumns, this.#contract),
      bucket: this.#targets.quarantineBucket,
      key: `${at}${name}.parquet`,
      folder: at,
      database: this.#targets.quarantineDatabase,
      table: "records",
      values: [this.#contract.name, batch],
    };
    this.#refused.set(folder, placed);
    await placed.object.append(row);
  }

  /** Writes all objects and makes their partitions known. @returns their addresses */
  async put(store: ByteStore, partitions: Partitions): Promise<string[]> {
    const written: string[] = [];
    for (const { object, bucket, key, folder, database, table, values } of this.#placed()) {
      await object.put(store, bucket, key);
      await partitions.register({ database, table }, values, `s3://${bucket}/${folder}`);
      written.push(`s3://${bucket}/${key}`);
    }
    return written;
  }

  /** Removes local files. Call it however the batch ends. */
  async discard(): Promise<void> {
    for (const { object } of this.#placed()) await object.discard();
  }

  #placed(): Placed[] {
    return [...this.#rows.values(), ...this.#refused.values()];
  }
}
