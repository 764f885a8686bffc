import path from "node:path";
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Contract } from "../../contracts/contract.ts";
import { segmentsPrefix } from "../../functions/api-logs/segments.ts";
import { readArea, readSecret, readStreamActions, useKey } from "../lib/grants.ts";
import type { Statement } from "../lib/iam.ts";
import { Arns } from "../lib/place.ts";
import { type FunctionDefaults, PrivateFunction } from "../lib/private-function.ts";
import { type DataSafety, statefulOptions } from "../lib/retention.ts";
import { type Transform, transformed } from "../lib/transform.ts";
import { deliveryOf } from "../lib/trigger.ts";
import { type Artifact, type BundleSpec, geoDatabase, root } from "../package/artifacts.ts";
import type { CatalogZone } from "./catalog.ts";
import type { Zone } from "./lake.ts";
import type { PrivateServices } from "./network.ts";
import type { NamedStream } from "./sources.ts";
import { dropPattern } from "./workflow.ts";

/** What is bundled for the function that reads API event logs. */
export const apiLogsBundle: BundleSpec = {
  entry: path.join(root, "functions/api-logs/handler.ts"),
  files: { "geo-whois-asn-country.mmdb": geoDatabase().file },
};

/** What is bundled for the function that delivers again what the first one failed on; it runs the very same code. */
export const redriveBundle: BundleSpec = {
  entry: path.join(root, "functions/redrive/handler.ts"),
  files: apiLogsBundle.files ?? {},
};

const partitionActions = ["glue:BatchCreatePartition", "glue:GetTable"] as const;

/** What the function calls from inside the VPC beside S3 and DynamoDB. */
export const ingestionServices: PrivateServices = {
  glue: partitionActions,
  secretsmanager: ["secretsmanager:GetSecretValue"],
};

/** Where Lambda puts batches that it gave up: a prefix of its own choice. */
export const failedBatches = "aws/lambda/";

/** Where a redrive notes what it delivered. */
const redriven = "redriven/";

/** Folders below which log files are dropped. */
export function logPrefixes({ source }: Contract): string[] {
  return source?.kind === "logs" ? source.formats.map(({ prefix }) => prefix).toSorted() : [];
}

export interface IngestionArgs {
  /** The contract whose logs these are, kept as plain Parquet. */
  readonly contract: Contract;
  readonly stream: NamedStream;
  readonly bucketNames: Readonly<Record<Zone, pulumi.Input<string>>>;
  readonly databaseNames: Readonly<Record<CatalogZone, pulumi.Input<string>>>;
  /** Secret with a text of at least 32 characters: the key of the hashes that stand for people. */
  readonly hashKeySecretArn: pulumi.Input<string>;
  /** Key of the secret when it is not the account's own for Secrets Manager. */
  readonly hashKeySecretKeyArn?: pulumi.Input<string> | undefined;
  /** ARN of the layer "AWS Parameters and Secrets Lambda Extension" (arm64), through which the secret is read. */
  readonly secretsLayerArn: pulumi.Input<string>;
  readonly functionDefaults: FunctionDefaults;
  readonly bundle: Artifact;
  readonly redriveBundle: Artifact;
  readonly safety?: DataSafety;
  readonly transform?: { readonly mapping?: Transform<aws.lambda.EventSourceMappingArgs> };
}

/**
 * API event logs into the lake: a function reads them from the stream and from files dropped into the landing bucket,
 * and writes plain Parquet. A batch of the stream that fails is cut in halves and tried again; what fails to the end
 * is kept in the quarantine bucket with its records, from where `npm run redrive` delivers it again.
 *
 * @example
 * const [contract] = contracts;
 * const stream = sources.streams.apiEvents;
 * if (contract && stream) {
 *   new Ingestion("shop-dev", {
 *     contract, stream, functionDefaults, bundle, redriveBundle: bundle,
 *     bucketNames: lake.bucketNames,
 *     databaseNames: catalog.databaseNames,
 *     hashKeySecretArn: "arn:aws:secretsmanager:eu-central-1:111122223333:secret:hash-key",
 *     secretsLayerArn: "arn:aws:lambda:eu-central-1:187925254637:layer:AWS-Parameters-and-Secrets-Lambda-Extension-Arm64:12",
 *   });
 * }
 */
export class Ingestion extends pulumi.ComponentResource {
  readonly apiLogs: PrivateFunction;
  /** Delivers kept batches again when a person asks for it. */
  readonly redrive: PrivateFunction;
  /** Name of the table that remembers which objects were processed. */
  readonly idempotencyTable: pulumi.Output<string>;
  readonly nodes: {
    readonly table: aws.dynamodb.Table;
    readonly mapping: aws.lambda.EventSourceMapping;
    readonly dropRule: aws.cloudwatch.EventRule;
  };

  constructor(name: string, args: IngestionArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Ingestion", name, {}, opts);
    const parent = this;
    const { functionDefaults, contract, bucketNames } = args;
    const arns = new Arns(functionDefaults.place);
    const safety = args.safety ?? {};

    const table = createTable();
    this.apiLogs = createFunction();
    this.redrive = createRedrive();
    const mapping = readStream(this.apiLogs);
    const dropRule = readDrops(this.apiLogs);
    this.idempotencyTable = table.name;
    this.nodes = { table, mapping, dropRule };
    this.registerOutputs({ functionArn: this.apiLogs.arn });

    function createTable(): aws.dynamodb.Table {
      return new aws.dynamodb.Table(
        `${name}-processed`,
        {
          name: `${name}-processed`,
          billingMode: "PAY_PER_REQUEST",
          onDemandThroughput: { maxReadRequestUnits: 1000, maxWriteRequestUnits: 1000 },
          hashKey: "id",
          attributes: [{ name: "id", type: "S" }],
          ttl: { attributeName: "expiration", enabled: true },
          serverSideEncryption: { enabled: true, kmsKeyArn: functionDefaults.dataKeyArn },
          pointInTimeRecovery: { enabled: true },
          deletionProtectionEnabled: safety.protect ?? true,
        },
        { parent, ...statefulOptions(safety) },
      );
    }

    function createFunction(): PrivateFunction {
      return new PrivateFunction(
        `${name}-api-logs`,
        {
          ...functionDefaults,
          description: "API event logs into Parquet, cleaned, enriched and protected",
          bundle: args.bundle,
          timeoutSeconds: 300,
          layers: [args.secretsLayerArn],
          environment: environment(),
          policies: {
            lake: lakeStatements(),
            catalog: [createPartitions()],
            stream: [
              { sid: "ReadStream", actions: readStreamActions, resources: [args.stream.arn] },
              ...useKey(arns, functionDefaults.dataKeyArn, { decrypt: ["kinesis"] }, "stream"),
            ],
            idempotency: [
              {
                sid: "RememberObjects",
                // What was remembered comes with the refusal to write it again: nothing is read.
                actions: ["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
                resources: [arns.regional("dynamodb", pulumi.interpolate`table/${table.name}`)],
              },
            ],
            secret: secretStatements(),
          },
        },
        { parent },
      );
    }

    function createRedrive(): PrivateFunction {
      return new PrivateFunction(
        `${name}-redrive`,
        {
          ...functionDefaults,
          description: "Delivers batches of API events again that were given up",
          bundle: args.redriveBundle,
          timeoutSeconds: 900,
          reservedConcurrency: 1,
          layers: [args.secretsLayerArn],
          environment: environment(),
          policies: {
            lake: [...writeRows(), ...redriveStatements()],
            catalog: [createPartitions()],
            secret: secretStatements(),
          },
        },
        { parent },
      );
    }

    function environment(): Record<string, pulumi.Input<string>> {
      return {
        ARTIFACTS_BUCKET: bucketNames.artifacts,
        CURATED_BUCKET: bucketNames.curated,
        QUARANTINE_BUCKET: bucketNames.quarantine,
        CURATED_DATABASE: args.databaseNames.curated,
        QUARANTINE_DATABASE: args.databaseNames.quarantine,
        IDEMPOTENCY_TABLE: table.name,
        HASH_KEY_SECRET_ID: args.hashKeySecretArn,
        DATASET: contract.name,
      };
    }

    function secretStatements(): Statement[] {
      return [
        readSecret(args.hashKeySecretArn),
        ...(args.hashKeySecretKeyArn === undefined
          ? []
          : useKey(arns, args.hashKeySecretKeyArn, { decrypt: ["secretsmanager"] }, "secret")),
      ];
    }

    /** Batches as Lambda kept them, and notes of those that were delivered. */
    function redriveStatements(): Statement[] {
      const { quarantine } = bucketNames;
      return [
        {
          sid: "ReadFailedBatches",
          actions: ["s3:GetObject"],
          resources: [failedBatches, redriven].map((prefix) => arns.objects(quarantine, prefix)),
        },
        { sid: "NoteRedriven", actions: ["s3:PutObject"], resources: [arns.objects(quarantine, redriven)] },
        {
          sid: "ListFailedBatches",
          actions: ["s3:ListBucketVersions"],
          resources: [arns.bucket(quarantine)],
          conditions: { StringLike: { "s3:prefix": `${failedBatches}*` } },
        },
        // S3 says "not found" only to those who may list.
        { sid: "FindNotes", actions: ["s3:ListBucket"], resources: [arns.bucket(quarantine)] },
      ];
    }

    /** Writes rows by the contract, and what is wrong with the others. */
    function writeRows(): Statement[] {
      return [
        ...readArea(arns, { zone: "contracts", bucket: bucketNames.artifacts, prefixes: ["contracts.json"] }),
        ...readArea(arns, { zone: "segments", bucket: bucketNames.curated, prefixes: [segmentsPrefix] }),
        {
          sid: "WriteRows",
          actions: ["s3:PutObject"],
          resources: [
            arns.objects(bucketNames.curated, `logs/${contract.name}/`),
            arns.objects(bucketNames.quarantine, "records/"),
          ],
        },
      ];
    }

    function lakeStatements(): Statement[] {
      return [
        ...writeRows(),
        {
          // The version that was announced, whatever has been dropped in its place since.
          sid: "ReadDrops",
          actions: ["s3:GetObjectVersion"],
          resources: logPrefixes(contract).map((prefix) => arns.objects(bucketNames.landing, prefix)),
        },
        // Lambda itself writes what it gives up, with the function's rights.
        {
          sid: "KeepFailedBatches",
          actions: ["s3:PutObject"],
          resources: [arns.objects(bucketNames.quarantine, failedBatches)],
        },
        {
          sid: "FindFailedBatches",
          actions: ["s3:ListBucket"],
          resources: [arns.bucket(bucketNames.quarantine)],
        },
      ];
    }

    function createPartitions(): Statement {
      const tables = [
        ["curated", contract.name],
        ["quarantine", "records"],
      ] as const;
      return {
        sid: "CreatePartitions",
        actions: partitionActions,
        resources: [
          arns.regional("glue", "catalog"),
          ...tables.flatMap(([zone, own]) => [
            arns.regional("glue", pulumi.interpolate`database/${args.databaseNames[zone]}`),
            arns.regional("glue", pulumi.interpolate`table/${args.databaseNames[zone]}/${own}`),
          ]),
        ],
      };
    }

    function readStream(apiLogs: PrivateFunction): aws.lambda.EventSourceMapping {
      return new aws.lambda.EventSourceMapping(
        ...transformed(
          args.transform?.mapping,
          `${name}-api-logs`,
          {
            functionName: apiLogs.function.name,
            eventSourceArn: args.stream.arn,
            startingPosition: "TRIM_HORIZON",
            batchSize: 1000,
            // An object a batch: waiting a minute keeps files from getting small.
            maximumBatchingWindowInSeconds: 60,
            functionResponseTypes: ["ReportBatchItemFailures"],
            bisectBatchOnFunctionError: true,
            maximumRetryAttempts: 5,
            maximumRecordAgeInSeconds: 12 * 3600,
            // The bucket gets the records themselves; a queue would get their positions alone.
            destinationConfig: { onFailure: { destinationArn: arns.bucket(bucketNames.quarantine) } },
          },
          { parent, dependsOn: [apiLogs.role] },
        ),
      );
    }

    function readDrops(apiLogs: PrivateFunction): aws.cloudwatch.EventRule {
      const rule = new aws.cloudwatch.EventRule(
        `${name}-log-drop`,
        {
          name: `${name}-log-drop`,
          description: "A file of API logs arrived in the landing bucket",
          eventPattern: pulumi.jsonStringify(dropPattern(bucketNames.landing, logPrefixes(contract))),
        },
        { parent },
      );
      new aws.lambda.Permission(
        `${name}-log-drop`,
        {
          action: "lambda:InvokeFunction",
          function: apiLogs.function.name,
          principal: "events.amazonaws.com",
          // The rule's ARN has the account in it; EventBridge names no account beside it.
          sourceArn: arns.regional("events", pulumi.interpolate`rule/${rule.name}`),
        },
        { parent },
      );
      new aws.cloudwatch.EventTarget(
        `${name}-log-drop`,
        { rule: rule.name, arn: apiLogs.arn, ...deliveryOf(functionDefaults, 10) },
        { parent },
      );
      return rule;
    }
  }
}
