import {
  BatchCreatePartitionCommand,
  GetTableCommand,
  type GlueClient,
  type StorageDescriptor,
} from "@aws-sdk/client-glue";

/** A plain Parquet table of the catalog. */
export interface TableName {
  readonly database: string;
  readonly table: string;
}

/** Makes new folders known to the readers of a partitioned table. */
export interface Partitions {
  /**
   * @param values of the partition columns, in order
   * @param location the folder's address, s3://…/
   */
  register(table: TableName, values: readonly string[], location: string): Promise<void>;
}

/** The adapter for the Glue Data Catalog. Needs glue:GetTable and glue:BatchCreatePartition on table and database. */
export class GluePartitions implements Partitions {
  readonly #client: GlueClient;
  readonly #known = new Set<string>();
  readonly #storage = new Map<string, StorageDescriptor>();

  constructor(client: GlueClient) {
    this.#client = client;
  }

  async register(table: TableName, values: readonly string[], location: string): Promise<void> {
    const name = `${table.database}.${table.table}`;
    const id = `${name}/${values.join("/")}`;
    if (this.#known.has(id)) return;
    const storage = await this.#storageOf(table);
    const answer = await this.#client.send(
      new BatchCreatePartitionCommand({
        DatabaseName: table.database,
        TableName: table.table,
        PartitionInputList: [{ Values: [...values], StorageDescriptor: { ...storage, Location: location } }],
      }),
    );
    const failed = (answer.Errors ?? []).find(
      ({ ErrorDetail }) => ErrorDetail?.ErrorCode !== "AlreadyExistsException",
    );
    if (failed) {
      const { ErrorCode, ErrorMessage } = failed.ErrorDetail ?? {};
      throw new Error(
        `partition ${values.join("/")} of ${name} was not registered: ${ErrorCode}: ${ErrorMessage}`,
      );
    }
    this.#known.add(id);
  }

  async #storageOf({ database, table }: TableName): Promise<StorageDescriptor> {
    const name = `${database}.${table}`;
    const held = this.#storage.get(name);
    if (held) return held;
    const { Table } = await this.#client.send(new GetTableCommand({ DatabaseName: database, Name: table }));
    if (!Table?.StorageDescriptor) {
      throw new Error(`the catalog's table ${name} has no storage descriptor; deploy it as Parquet`);
    }
    this.#storage.set(name, Table.StorageDescriptor);
    return Table.StorageDescriptor;
  }
}
