import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Contract } from "../../contracts/contract.ts";
import { Arns, type Place } from "../lib/place.ts";
import { type DataSafety, statefulOptions } from "../lib/retention.ts";
import { type Transform, transformed } from "../lib/transform.ts";
import type { StreamName } from "./jobs.ts";

/** A MySQL database that is there already. */
export interface MysqlSource {
  readonly host: pulumi.Input<string>;
  /** @default 3306 */
  readonly port?: pulumi.Input<number>;
  readonly database: pulumi.Input<string>;
  /** Secrets Manager secret with `username` and `password`. */
  readonly secretArn: pulumi.Input<string>;
  /** Key of the secret when it is not the account's own for Secrets Manager. */
  readonly secretKeyArn?: pulumi.Input<string> | undefined;
  /** Range in which it answers: the one thing outside the endpoints that workloads may reach. */
  readonly cidr: pulumi.Input<string>;
}

/** Size of a Kinesis stream. */
export interface StreamSize {
  /** `on-demand`, or a number of shards: each takes 1 MB or 1,000 records a second. @default "on-demand" */
  readonly capacity?: "on-demand" | number;
  /** Hours that records can be read again, 24 to 8760. @default 24 */
  readonly retentionHours?: pulumi.Input<number>;
}

/** A DynamoDB table that contracts read, with the attributes of its key. */
export interface SourceTable {
  /** The name that contracts use. */
  readonly name: string;
  /** First the partition key, then the sort key if there is one. */
  readonly key: readonly string[];
}

/** A stream as those who read and write it know it. */
export interface NamedStream {
  readonly name: pulumi.Output<string>;
  readonly arn: pulumi.Output<string>;
}

/** Streams' names, which AWS wants in kebab case. */
export const streamFolders: Readonly<Record<StreamName, string>> = {
  clickstream: "clickstream",
  apiEvents: "api-events",
};

/** The DynamoDB tables that contracts read, each once, with the key of the contract that reads whole items. */
export function sourceTables(contracts: readonly Contract[]): SourceTable[] {
  const tables = new Map<string, SourceTable>();
  for (const { source, key, columns } of contracts) {
    if (source?.kind !== "dynamodb" || source.explode !== undefined) continue;
    const attributes = key.map((name) => columns.find((column) => column.name === name)?.sourceName ?? name);
    tables.set(source.table, { name: source.table, key: attributes });
  }
  return [...tables.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

export interface SourcesArgs {
  readonly place: pulumi.Input<Place>;
  readonly dataKeyArn: pulumi.Input<string>;
  readonly mysql?: MysqlSource | undefined;
  /** Where workloads run: subnet and zone of the Glue connections, and the group that they wear. */
  readonly subnetId: pulumi.Input<string>;
  readonly availabilityZone: pulumi.Input<string>;
  readonly securityGroupId: pulumi.Input<string>;
  readonly tables: readonly SourceTable[];
  /** Existing tables by the name that contracts use; the others are created. @default {} */
  readonly adoptTables?: Readonly<Record<string, pulumi.Input<string>>>;
  /** Days to which a created table can be restored, 1 to 35. @default 35 */
  readonly recoveryDays?: pulumi.Input<number>;
  /** Kinesis streams to make. @default [] */
  readonly streams?: readonly StreamName[];
  readonly streamSize?: StreamSize;
  readonly safety?: DataSafety;
  readonly transform?: {
    readonly stream?: Transform<aws.kinesis.StreamArgs>;
    readonly table?: Transform<aws.dynamodb.TableArgs>;
    readonly connection?: Transform<aws.glue.ConnectionArgs>;
  };
}

/**
 * Where data comes from: a MySQL database over a Glue connection with TLS, DynamoDB tables that are read from their
 * exports, and Kinesis streams. A job enters the VPC only through a connection; those that talk to no database take the one of type NETWORK.
 *
 * @example
 * const sources = new Sources("shop-dev", {
 *   place, ...keys,
 *   subnetId: network.firstSubnetId,
 *   availabilityZone: network.firstZone,
 *   securityGroupId: network.workloadGroup.id,
 *   tables: sourceTables(contracts),
 *   adoptTables: { orders: "mobile-orders" },
 * });
 */
export class Sources extends pulumi.ComponentResource {
  /** Connection of type NETWORK for jobs without a database. */
  readonly network: aws.glue.Connection;
  readonly mysql: aws.glue.Connection | undefined;
  /** `jdbc:mysql://host:port/database` */
  readonly mysqlUrl: pulumi.Output<string> | undefined;
  /** ARNs of the DynamoDB tables by the name that contracts use. */
  readonly tableArns: Readonly<Record<string, pulumi.Output<string>>>;
  /** Name and ARN of each Kinesis stream that was made. */
  readonly streams: Readonly<Partial<Record<StreamName, NamedStream>>>;
  readonly nodes: {
    readonly tables: Readonly<Record<string, aws.dynamodb.Table>>;
    readonly streams: Readonly<Partial<Record<StreamName, aws.kinesis.Stream>>>;
  };

  constructor(name: string, args: SourcesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Sources", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);
    const placement = {
      subnetId: args.subnetId,
      availabilityZone: args.availabilityZone,
      securityGroupIdLists: [args.securityGroupId],
    };

    this.network = createConnection("network", { connectionType: "NETWORK" });
    this.mysqlUrl = args.mysql && url(args.mysql);
    this.mysql = args.mysql && createMysqlConnection(args.mysql, url(args.mysql));
    if (args.mysql) allowToDatabase(args.mysql);
    const adopted = args.adoptTables ?? {};
    const created = args.tables.filter((table) => adopted[table.name] === undefined);
    const tables = Object.fromEntries(created.map((table) => [table.name, createTable(table)]));
    this.tableArns = Object.fromEntries(
      args.tables.map(({ name: own }) => [
        own,
        arns.regional("dynamodb", pulumi.interpolate`table/${tables[own]?.name ?? adopted[own] ?? own}`),
      ]),
    );
    const streams = Object.fromEntries((args.streams ?? []).map((each) => [each, createStream(each)]));
    this.streams = Object.fromEntries(
      Object.entries(streams).map(([each, stream]) => [
        each,
        { name: stream.name, arn: arns.regional("kinesis", pulumi.interpolate`stream/${stream.name}`) },
      ]),
    );
    this.nodes = { tables, streams };
    this.registerOutputs({ tableArns: this.tableArns });

    function url({ host, port, database }: MysqlSource): pulumi.Output<string> {
      return pulumi.interpolate`jdbc:mysql://${host}:${port ?? 3306}/${database}`;
    }

    function createConnection(kind: string, own: aws.glue.ConnectionArgs): aws.glue.Connection {
      return new aws.glue.Connection(
        ...transformed(
          args.transform?.connection,
          `${name}-${kind}`,
          { name: `${name}-${kind}`, ...own, physicalConnectionRequirements: placement },
          { parent },
        ),
      );
    }

    function createMysqlConnection(source: MysqlSource, jdbc: pulumi.Output<string>): aws.glue.Connection {
      return createConnection("mysql", {
        connectionType: "JDBC",
        connectionProperties: {
          JDBC_CONNECTION_URL: jdbc,
          JDBC_ENFORCE_SSL: "true",
          SECRET_ID: source.secretArn,
        },
      });
    }

    function allowToDatabase({ port, cidr }: MysqlSource): void {
      new aws.vpc.SecurityGroupEgressRule(
        `${name}-mysql`,
        {
          securityGroupId: args.securityGroupId,
          cidrIpv4: cidr,
          ipProtocol: "tcp",
          fromPort: port ?? 3306,
          toPort: port ?? 3306,
          description: "To the MySQL database",
        },
        { parent },
      );
    }

    function createStream(each: StreamName): aws.kinesis.Stream {
      const own = `${name}-${streamFolders[each]}`;
      const { capacity = "on-demand", retentionHours } = args.streamSize ?? {};
      return new aws.kinesis.Stream(
        ...transformed(
          args.transform?.stream,
          own,
          {
            name: own,
            encryptionType: "KMS",
            kmsKeyId: args.dataKeyArn,
            retentionPeriod: retentionHours ?? 24,
            ...(capacity === "on-demand"
              ? { streamModeDetails: { streamMode: "ON_DEMAND" } }
              : { streamModeDetails: { streamMode: "PROVISIONED" }, shardCount: capacity }),
          },
          { parent },
        ),
      );
    }

    function createTable({ name: own, key }: SourceTable): aws.dynamodb.Table {
      const [hashKey, rangeKey] = key;
      if (hashKey === undefined || key.length > 2) {
        throw new Error(`the DynamoDB table '${own}' needs one or two key attributes, not ${key.length}`);
      }
      const safety = args.safety ?? {};
      return new aws.dynamodb.Table(
        ...transformed(
          args.transform?.table,
          `${name}-${own}`,
          {
            name: `${name}-${own}`,
            billingMode: "PAY_PER_REQUEST",
            onDemandThroughput: { maxReadRequestUnits: 2000, maxWriteRequestUnits: 1000 },
            hashKey,
            ...(rangeKey !== undefined && { rangeKey }),
            attributes: key.map((attribute) => ({ name: attribute, type: "S" })),
            serverSideEncryption: { enabled: true, kmsKeyArn: args.dataKeyArn },
            pointInTimeRecovery: { enabled: true, recoveryPeriodInDays: args.recoveryDays ?? 35 },
            deletionProtectionEnabled: safety.protect ?? true,
          },
          { parent, ...statefulOptions(safety) },
        ),
      );
    }
  }
}
