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

/** The objects of one batch. */
export class BatchObjects {
  readonly #contract: Contract;
  readonly #targets: Targets;
  readonly #objects = new Map<string, Placed>();
  readonly #rowColumns: readonly ParquetColumn[];

  constructor(contract: Contract, targets: Targets) {
    this.#contract = contract;
    this.#targets = targets;
    this.#rowColumns = storedColumns(contract);
  }

  /**
   * Adds a row to the object of its hour.
   * @param folder partition of the hour, `arrival_date=…/arrival_hour=…`
   * @param name of the object, if this row is its first
   */
  async row(folder: string, name: string, row: readonly Value[]): Promise<void> {
    let placed = this.#objects.get(`row ${folder}`);
    if (!placed) {
      const at = `logs/${this.#contract.name}/${folder}/`;
      placed = {
        object: await GrowingObject.create(this.#rowColumns, this.#contract),
        bucket: this.#targets.curatedBucket,
        key: `${at}${name}.parquet`,
        folder: at,
        database: this.#targets.curatedDatabase,
        table: this.#contract.name,
        values: folder.split("/").map((part) => part.slice(part.indexOf("=") + 1)),
      };
      this.#objects.set(`row ${folder}`, placed);
    }
    const full = placed.object.append(row);
    if (full) await full;
  }

  /** Adds a refused record to the object of its hour. */
  async refused(folder: string, name: string, row: readonly Value[]): Promise<void> {
    let placed = this.#objects.get(`refused ${folder}`);
    if (!placed) {
      const batch = `api-logs-${folder.replaceAll(/arrival_\w+=/g, "").replace("/", "-")}`;
      const at = `records/dataset=${this.#contract.name}/batch=${batch}/`;
      placed = {
        object: await GrowingObject.create(quarantineColumns, this.#contract),
        bucket: this.#targets.quarantineBucket,
        key: `${at}${name}.parquet`,
        folder: at,
        database: this.#targets.quarantineDatabase,
        table: "records",
        values: [this.#contract.name, batch],
      };
      this.#objects.set(`refused ${folder}`, placed);
    }
    const full = placed.object.append(row);
    if (full) await full;
  }

  /** Writes all objects and makes their partitions known. @returns their addresses */
  async put(store: ByteStore, partitions: Partitions): Promise<string[]> {
    const written: string[] = [];
    for (const { object, bucket, key, folder, database, table, values } of this.#objects.values()) {
      await object.put(store, bucket, key);
      await partitions.register({ database, table }, values, `s3://${bucket}/${folder}`);
      written.push(`s3://${bucket}/${key}`);
    }
    return written;
  }

  /** Removes local files. Call it however the batch ends. */
  async discard(): Promise<void> {
    for (const { object } of this.#objects.values()) await object.discard();
  }
}
