import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { type Column, type Contract, glueType } from "../../contracts/contract.ts";
import { type Transform, transformed } from "../lib/transform.ts";
import { tablesPrefix } from "./lake.ts";

/** Zones that have a database in the Glue catalog. */
export const catalogZones = ["staging", "curated", "quarantine"] as const;
export type CatalogZone = (typeof catalogZones)[number];

/** A column as the Glue catalog describes it. */
export interface CatalogColumn {
  readonly name: string;
  readonly type: string;
  readonly comment: string;
}

/** A plain Parquet table: written once, never corrected, so that it needs no table format. */
export interface ParquetTable {
  readonly name: string;
  readonly description: string;
  readonly zone: CatalogZone;
  /** Where its partitions lie in the zone's bucket. */
  readonly prefix: string;
  readonly columns: readonly CatalogColumn[];
  /** Folders `<key>=<value>` in this order. */
  readonly partitionKeys: readonly CatalogColumn[];
}

/** Rejected records of every dataset, as the cleaning job writes them. */
export const quarantineTable: ParquetTable = {
  name: "records",
  description: "Rejected records with the reason, where each came from and what it was",
  zone: "quarantine",
  prefix: "records/",
  columns: [
    { name: "source_object", type: "string", comment: "Object or table the record came from" },
    { name: "source_position", type: "bigint", comment: "Line or item in it, from 1" },
    { name: "record_key", type: "string", comment: "The record's key, parts joined by |, when it has one" },
    { name: "reason", type: "string", comment: "Reason code" },
    { name: "detail", type: "string", comment: "The value that was refused, in words" },
    { name: "raw_record", type: "string", comment: "The record as it came" },
    { name: "quarantined_at", type: "timestamp", comment: "When it was rejected, UTC" },
  ],
  partitionKeys: [
    { name: "dataset", type: "string", comment: "Name of the dataset's contract" },
    { name: "batch", type: "string", comment: "Batch that rejected it" },
  ],
};

const catalogColumn = ({ name, type, description }: Column): CatalogColumn => ({
  name,
  type: glueType(type),
  comment: description,
});

/** The columns of a contract in the Glue catalog. */
export function catalogColumns(contract: Contract): CatalogColumn[] {
  return contract.columns.map(catalogColumn);
}

/** The tables of contracts that are kept as plain Parquet. */
export function parquetTables(contracts: readonly Contract[]): ParquetTable[] {
  return contracts
    .filter(({ storage }) => storage === "parquet")
    .map(({ name, description, columns, partitions, zone }) => {
      if (zone === "source") throw new Error(`contract ${name}: a source has no table; set its zone`);
      return {
        name,
        description,
        zone,
        prefix: `logs/${name}/`,
        columns: columns.filter((column) => !partitions.includes(column.name)).map(catalogColumn),
        partitionKeys: partitions
          .flatMap((key) => columns.filter((column) => column.name === key))
          .map(catalogColumn),
      };
    });
}

export interface CatalogArgs {
  /** Buckets of the zones, by name. */
  readonly bucketNames: Readonly<Record<CatalogZone, pulumi.Input<string>>>;
  /** Plain Parquet tables. Iceberg tables are not made here: the `migrate` job makes and evolves them. @default [quarantineTable] */
  readonly tables?: readonly ParquetTable[];
  readonly transform?: {
    readonly database?: Transform<aws.glue.CatalogDatabaseArgs>;
    readonly table?: Transform<aws.glue.CatalogTableArgs>;
  };
}

/**
 * Databases of the Glue catalog, one a zone with its location, and the plain Parquet tables with a partition index.
 * A table that two parties update loses its `metadata_location`, so Iceberg tables belong to the migrate job alone.
 *
 * @example
 * const catalog = new Catalog("shop-dev", { bucketNames: lake.bucketNames });
 * catalog.databaseNames.curated; // "shop_dev_curated"
 */
export class Catalog extends pulumi.ComponentResource {
  readonly databases: Readonly<Record<CatalogZone, aws.glue.CatalogDatabase>>;
  readonly databaseNames: Readonly<Record<CatalogZone, pulumi.Output<string>>>;
  readonly nodes: {
    readonly tables: Readonly<Record<string, aws.glue.CatalogTable>>;
    readonly indexes: Readonly<Record<string, aws.glue.PartitionIndex>>;
  };

  constructor(name: string, args: CatalogArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Catalog", name, {}, opts);
    const parent = this;
    const tables = args.tables ?? [quarantineTable];

    this.databases = {
      staging: createDatabase("staging", `s3://{bucket}/${tablesPrefix}`),
      curated: createDatabase("curated", `s3://{bucket}/${tablesPrefix}`),
      quarantine: createDatabase("quarantine", "s3://{bucket}/"),
    };
    this.databaseNames = {
      staging: this.databases.staging.name,
      curated: this.databases.curated.name,
      quarantine: this.databases.quarantine.name,
    };
    const created = tables.map(
      (table) => [table, createTable(table, this.databaseNames[table.zone])] as const,
    );
    this.nodes = {
      tables: Object.fromEntries(created.map(([table, resource]) => [table.name, resource])),
      indexes: Object.fromEntries(
        created
          .filter(([table]) => table.partitionKeys.length > 0)
          .map(([table, resource]) => [table.name, createIndex(table, resource)]),
      ),
    };
    this.registerOutputs({ databaseNames: this.databaseNames });

    function createDatabase(zone: CatalogZone, location: string): aws.glue.CatalogDatabase {
      const bucket = pulumi.output(args.bucketNames[zone]);
      return new aws.glue.CatalogDatabase(
        ...transformed(
          args.transform?.database,
          `${name}-${zone}`,
          {
            name: `${name.replaceAll("-", "_")}_${zone}`,
            description: `${name}: tables of the ${zone} zone`,
            locationUri: bucket.apply((own) => location.replace("{bucket}", own)),
          },
          { parent },
        ),
      );
    }

    function createTable(table: ParquetTable, databaseName: pulumi.Output<string>): aws.glue.CatalogTable {
      return new aws.glue.CatalogTable(
        ...transformed(
          args.transform?.table,
          `${name}-${table.name}`,
          {
            databaseName,
            name: table.name,
            description: table.description,
            tableType: "EXTERNAL_TABLE",
            parameters: { EXTERNAL: "TRUE", classification: "parquet" },
            partitionKeys: [...table.partitionKeys],
            storageDescriptor: {
              location: pulumi.interpolate`s3://${args.bucketNames[table.zone]}/${table.prefix}`,
              inputFormat: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
              outputFormat: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
              serDeInfo: {
                serializationLibrary: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
              },
              columns: [...table.columns],
            },
          },
          { parent },
        ),
      );
    }

    function createIndex(table: ParquetTable, resource: aws.glue.CatalogTable): aws.glue.PartitionIndex {
      return new aws.glue.PartitionIndex(
        `${name}-${table.name}`,
        {
          databaseName: resource.databaseName,
          tableName: resource.name,
          partitionIndex: { indexName: "partitions", keys: table.partitionKeys.map((key) => key.name) },
        },
        // Its name is given, and the table has no second one by it.
        { parent, deleteBeforeReplace: true },
      );
    }
  }
}
