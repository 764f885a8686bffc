import { existsSync } from "node:fs";
import path from "node:path";
import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Placement } from "../lib/grants.ts";
import { readSecret, useKey } from "../lib/grants.ts";
import type { Statement } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { type FunctionDefaults, PrivateFunction } from "../lib/private-function.ts";
import { type Artifact, type BundleSpec, bundleFunctions, root } from "../package/artifacts.ts";
import type { Zone } from "./lake.ts";
import type { PrivateServices } from "./network.ts";
import type { MysqlSource } from "./sources.ts";

/** Folders of `functions/` by the name that the workflow uses. */
export const functionFolders = {
  plan: "plan",
  verdict: "verdict",
  renderLoad: "render-load",
  commit: "commit",
  abort: "abort",
} as const;
export type FunctionName = keyof typeof functionFolders;
export const functionNames = Object.keys(functionFolders) as FunctionName[];

/** What the workflow's functions call from inside the VPC beside S3 and DynamoDB. */
export const functionServices: PrivateServices = {
  secretsmanager: ["secretsmanager:GetSecretValue"],
};

/** The function's handler; undefined while it is not written. */
export function handlerOf(name: FunctionName, folder = path.join(root, "functions")): string | undefined {
  const file = path.join(folder, functionFolders[name], "handler.ts");
  return existsSync(file) ? file : undefined;
}

const loadTemplates = {
  "load/merge.sql": path.join(root, "warehouse/load/merge.sql"),
  "load/replace.sql": path.join(root, "warehouse/load/replace.sql"),
};

/** What is bundled for a function: its handler, and the templates that it reads. */
export function bundleSpecOf(name: FunctionName): BundleSpec {
  const entry = handlerOf(name);
  if (entry === undefined) {
    throw new pulumi.RunError(
      `functions/${functionFolders[name]}/handler.ts does not exist; write it, or leave '${name}' out of 'functions'`,
    );
  }
  return name === "renderLoad" ? { entry, files: loadTemplates } : { entry };
}

export interface FunctionsArgs {
  readonly place: pulumi.Input<Place>;
  /** Functions to deploy. A function whose handler does not exist is an error. */
  readonly functions: readonly FunctionName[];
  /** Bundles by name. @default built from functions/ with esbuild */
  readonly bundles?: Readonly<Record<string, Artifact>>;
  readonly network: Placement;
  readonly bucketNames: Readonly<Record<Zone, pulumi.Input<string>>>;
  readonly dataKeyArn: pulumi.Input<string>;
  readonly logsKeyArn: pulumi.Input<string>;
  /** Name of the ledger's table. */
  readonly ledgerTable: pulumi.Input<string>;
  /** Minutes for which a run holds the lease: longer than any run takes. @default 360 */
  readonly leaseMinutes?: pulumi.Input<number>;
  /** Source tables by the name that contracts use. */
  readonly tableArns: Readonly<Record<string, pulumi.Input<string>>>;
  readonly mysql?: MysqlSource | undefined;
  /**
   * ARN of the layer "AWS Parameters and Secrets Lambda Extension" (arm64) in the region; the planning function reads
   * the database's secret through it. Needed with `mysql`.
   */
  readonly secretsLayerArn?: pulumi.Input<string> | undefined;
  /** Queue for events that a function failed on. */
  readonly failures: aws.sqs.Queue;
  /** Days, one of CloudWatch's values. @default 30 */
  readonly logRetentionDays?: pulumi.Input<number> | undefined;
  /** MB. @default 512 */
  readonly memoryMegabytes?: pulumi.Input<number> | undefined;
  /** Executions of one function at the same time, at most. @default 2 */
  readonly reservedConcurrency?: pulumi.Input<number> | undefined;
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
  readonly transform?: FunctionDefaults["transform"];
}

/**
 * The workflow's Lambda functions, one role each: planning reads sources and writes the plan, the verdict reads
 * metrics, loading renders SQL, commit and abort write the ledger.
 *
 * @example
 * const functions = new Functions("shop-dev", {
 *   ...functionDefaults,
 *   functions: ["plan", "verdict", "renderLoad", "commit", "abort"],
 *   bucketNames: lake.bucketNames,
 *   ledgerTable: ledger.table.name,
 *   tableArns: sources.tableArns,
 * });
 */
export class Functions extends pulumi.ComponentResource {
  readonly functions: Readonly<Partial<Record<FunctionName, PrivateFunction>>>;

  constructor(name: string, args: FunctionsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Functions", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);
    const bundles =
      args.bundles ??
      bundleFunctions(Object.fromEntries(args.functions.map((each) => [each, bundleSpecOf(each)])));
    if (args.mysql && args.secretsLayerArn === undefined && args.functions.includes("plan")) {
      throw new pulumi.RunError(
        `${name}: 'mysql' needs 'secretsLayerArn', through which the planning function reads its secret`,
      );
    }

    this.functions = Object.fromEntries(args.functions.map((each) => [each, createFunction(each)]));
    this.registerOutputs({ arns: Object.values(this.functions).map((each) => each?.arn) });

    function createFunction(each: FunctionName): PrivateFunction {
      const bundle = bundles[each];
      if (!bundle) throw new Error(`${name}: no bundle was given for the function '${each}'`);
      const defaults: FunctionDefaults = { ...args };
      return new PrivateFunction(
        `${name}-${functionFolders[each]}`,
        { ...defaults, bundle, ...specOf(each) },
        { parent },
      );
    }

    function specOf(each: FunctionName): {
      description: string;
      timeoutSeconds: number;
      environment: Record<string, pulumi.Input<string>>;
      policies: Record<string, Statement[]>;
      layers?: pulumi.Input<string>[];
    } {
      const { landing, staging, artifacts } = args.bucketNames;
      const common = {
        LEDGER_TABLE: args.ledgerTable,
        PIPELINE: name,
        LEASE_MINUTES: pulumi.interpolate`${args.leaseMinutes ?? 360}`,
        LANDING_BUCKET: landing,
        STAGING_BUCKET: staging,
        ARTIFACTS_BUCKET: artifacts,
      };
      switch (each) {
        case "plan":
          return {
            description: "Decides what a run processes and writes its plan",
            timeoutSeconds: 120,
            environment: { ...common, ...sourceEnvironment() },
            policies: {
              lake: [listDrops(), readObjects("artifacts", "contracts.json"), ...writePlans()],
              ledger: [useLedger("BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem")],
              ...sourcePolicies(),
            },
            ...(args.mysql && args.secretsLayerArn !== undefined && { layers: [args.secretsLayerArn] }),
          };
        case "verdict":
          return {
            description: "Decides whether a batch may be published",
            timeoutSeconds: 60,
            environment: common,
            policies: { lake: [listRuns(), readObjects("staging", "runs/*")] },
          };
        case "renderLoad":
          return {
            description: "SQL that loads a batch into the warehouse",
            timeoutSeconds: 60,
            environment: { STAGING_BUCKET: staging, ARTIFACTS_BUCKET: artifacts },
            policies: {
              lake: [readObjects("staging", "runs/*"), readObjects("artifacts", "contracts.json")],
            },
          };
        case "commit":
          return {
            description: "Notes what a run processed and gives the lease back",
            timeoutSeconds: 120,
            environment: common,
            policies: {
              lake: [
                readObjects("landing", "plans/*"),
                listRuns(),
                readObjects("staging", "runs/*"),
                {
                  sid: "WriteSummary",
                  actions: ["s3:PutObject"],
                  resources: [arns.objects(staging, "runs/")],
                },
              ],
              ledger: [useLedger("DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem")],
            },
          };
        case "abort":
          return {
            description: "Notes why a run failed and gives the lease back",
            timeoutSeconds: 60,
            environment: common,
            policies: { ledger: [useLedger("DeleteItem", "GetItem", "PutItem", "UpdateItem")] },
          };
      }
    }

    // Drops are claimed by version, so planning lists versions; it never reads what is in them.
    function listDrops(): Statement {
      return {
        sid: "ListDrops",
        actions: ["s3:ListBucketVersions"],
        resources: [arns.bucket(args.bucketNames.landing)],
      };
    }

    // The object store lists versions, since a drop is claimed by its version.
    function listRuns(): Statement {
      return {
        sid: "ListRuns",
        actions: ["s3:ListBucketVersions"],
        resources: [arns.bucket(args.bucketNames.staging)],
        conditions: { StringLike: { "s3:prefix": "runs/*" } },
      };
    }

    function readObjects(zone: Zone, key: string): Statement {
      return {
        sid: `Read${zone.charAt(0).toUpperCase()}${zone.slice(1)}`,
        actions: ["s3:GetObject"],
        resources: [pulumi.interpolate`${arns.bucket(args.bucketNames[zone])}/${key}`],
      };
    }

    function writePlans(): Statement[] {
      return [
        {
          sid: "WritePlans",
          actions: ["s3:GetObject", "s3:PutObject"],
          resources: [arns.objects(args.bucketNames.landing, "plans/")],
        },
        {
          // A plan that is not there is "not found" only to those who may list.
          sid: "FindPlans",
          actions: ["s3:ListBucket"],
          resources: [arns.bucket(args.bucketNames.landing)],
          conditions: { StringLike: { "s3:prefix": "plans/*" } },
        },
      ];
    }

    function ledgerArn(): pulumi.Output<string> {
      return arns.regional("dynamodb", pulumi.interpolate`table/${args.ledgerTable}`);
    }

    function useLedger(...operations: readonly string[]): Statement {
      return {
        sid: "UseLedger",
        actions: operations.map((operation) => `dynamodb:${operation}`),
        resources: [ledgerArn()],
      };
    }

    function sourceEnvironment(): Record<string, pulumi.Input<string>> {
      const { mysql } = args;
      return {
        DYNAMODB_TABLE_ARNS: pulumi.jsonStringify(args.tableArns),
        ...(mysql && {
          MYSQL_HOST: mysql.host,
          MYSQL_PORT: pulumi.interpolate`${mysql.port ?? 3306}`,
          MYSQL_DATABASE: mysql.database,
          MYSQL_SECRET_ID: mysql.secretArn,
          // The authorities that sign certificates of RDS.
          NODE_EXTRA_CA_CERTS: "/var/runtime/ca-cert.pem",
        }),
      };
    }

    function sourcePolicies(): Record<string, Statement[]> {
      const { mysql } = args;
      const tables = Object.values(args.tableArns);
      return {
        ...(tables.length > 0 && {
          tables: [
            { sid: "DescribeRecovery", actions: ["dynamodb:DescribeContinuousBackups"], resources: tables },
          ],
        }),
        ...(mysql && {
          secret: [
            readSecret(mysql.secretArn),
            ...(mysql.secretKeyArn === undefined
              ? []
              : useKey(arns, mysql.secretKeyArn, { decrypt: ["secretsmanager"] }, "secret")),
          ],
        }),
      };
    }
  }
}
