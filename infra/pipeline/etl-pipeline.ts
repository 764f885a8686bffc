import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Contract } from "../../contracts/contract.ts";
import { requestModel } from "../../functions/api-ingestion/model.ts";
import { deploymentBundles } from "../deployment/bundles.ts";
import { createFailureQueue } from "../lib/failure-queue.ts";
import { complete, given } from "../lib/given.ts";
import { Arns, type Place } from "../lib/place.ts";
import type { FunctionDefaults } from "../lib/private-function.ts";
import type { DataSafety } from "../lib/retention.ts";
import { type Artifact, type BundleSpec, bundleFunctions, sha256 } from "../package/artifacts.ts";
import { Access, Boundary } from "./access.ts";
import { AccountBaseline } from "./account-baseline.ts";
import {
  Batch,
  type BatchArgs,
  batchServices,
  type JobSize,
  type StreamingSize,
  streamingServices,
} from "./batch.ts";
import { Catalog, parquetTables, quarantineTable } from "./catalog.ts";
import { Encryption } from "./encryption.ts";
import {
  Fraud,
  type FraudArgs,
  type FraudSize,
  fraudServices,
  rulesMessage,
  scoresContract,
} from "./fraud.ts";
import {
  bundleSpecOf,
  type FunctionName,
  Functions,
  functionFolders,
  functionNames,
  functionServices,
  handlerOf,
} from "./functions.ts";
import {
  apiLogsBundle,
  Ingestion,
  type IngestionArgs,
  ingestionServices,
  redriveBundle,
} from "./ingestion.ts";
import { type JobName, type JobSpec, jobNames, jobs, type StreamName, scriptOf } from "./jobs.ts";
import { Lake, type LakeRetention } from "./lake.ts";
import { LakeMigration, lakeMigrationServices } from "./lake-migration.ts";
import { Ledger } from "./ledger.ts";
import { LowCode, lowCodeServices, type RecipeDataset } from "./low-code.ts";
import { Monitoring } from "./monitoring.ts";
import { type AdoptedVpc, Network, type NetworkArgs, type PrivateServices } from "./network.ts";
import { type Partner, PartnerPull, partnerPullBundle } from "./partner-pull.ts";
import { RestApi, type RestApiArgs } from "./rest-api.ts";
import { type MysqlSource, Sources, type StreamSize, sourceTables, streamFolders } from "./sources.ts";
import { Stream, streamServices } from "./stream.ts";
import { Warehouse, type WarehouseArgs, warehouseServices } from "./warehouse.ts";
import { Workflow, type WorkflowArgs, type WorkflowJob } from "./workflow.ts";

/** Something that is not deployed because its file is not written. */
export interface Missing {
  /** The part of the pipeline. */
  readonly part: string;
  /** The file it waits for, relative to the repository. */
  readonly file: string;
}

export interface EtlPipelineArgs {
  readonly place: pulumi.Input<Place>;
  /** The datasets: their sources, tables and loads all follow from them. */
  readonly contracts: readonly Contract[];
  /** The bundle of contracts and reference data that jobs and functions read. */
  readonly contractsJson: string;
  /** DataBrew recipes of the datasets that name one. @default [] */
  readonly recipes?: readonly RecipeDataset[];
  readonly geoDatabase: Artifact;
  readonly wheels: BatchArgs["wheels"];
  /** A new VPC by its range, or an existing one. @default a new one, 10.20.0.0/16 */
  readonly network?: {
    readonly cidr?: string | undefined;
    readonly adopt?: AdoptedVpc | undefined;
    readonly peering?: NetworkArgs["peering"] | undefined;
    /** Zones with interface endpoints, 0 to 3; each costs by the hour. @default 3 */
    readonly endpointZones?: number;
    /** Days. @default 30 */
    readonly flowLogRetentionDays?: pulumi.Input<number>;
  };
  /** Without it contracts must not name a MySQL source. */
  readonly mysql?: MysqlSource | undefined;
  readonly secretsLayerArn?: pulumi.Input<string> | undefined;
  readonly dynamodb?: {
    readonly adoptTables?: Readonly<Record<string, pulumi.Input<string>>>;
    /** Days, 1 to 35. @default 35 */
    readonly recoveryDays?: pulumi.Input<number>;
  };
  readonly lakeRetention?: LakeRetention;
  readonly jobSize?: JobSize;
  /** The clickstream: its Kinesis stream and the Glue job that reads it. */
  readonly stream?: StreamSize &
    StreamingSize & {
      /** False leaves stream and job out; what they cost by the hour then ends. @default true */
      readonly enabled?: boolean;
      /** Whether the job is started when it is not running. @default true */
      readonly keepRunning?: boolean;
    };
  /** Where contracts have fraud scores: the application that scores and trains. */
  readonly fraud?: FraudSize &
    Pick<FraudArgs, "reviewers"> & {
      /** Minutes that a job may run before it counts as slow. @default 30 */
      readonly slowAfterMinutes?: number;
    };
  /** Python packages of the fraud jobs. Needed where contracts have fraud scores. */
  readonly fraudEnvironment?: FraudArgs["environment"];
  /** API event logs: a REST API into Kinesis, and the function that makes rows of them. @default none */
  readonly ingestion?:
    | (Pick<RestApiArgs, "producers" | "requestsPerSecond" | "burst" | "webAclArn"> &
        Pick<IngestionArgs, "hashKeySecretArn" | "hashKeySecretKeyArn">)
    | undefined;
  /** A partner's API, and the dataset whose drops its results become. @default none */
  readonly partner?: (Partner & { readonly dataset: string }) | undefined;
  readonly functions?: {
    /** MB. @default 512 */
    readonly memoryMegabytes?: pulumi.Input<number>;
    /** Executions of one function at the same time, at most. @default 2 */
    readonly reservedConcurrency?: pulumi.Input<number>;
  };
  readonly schedule: WorkflowArgs["schedule"];
  /** Minutes that a run may take before it counts as slow. @default 240 */
  readonly slowRunMinutes?: pulumi.Input<number>;
  readonly warehouse?: Pick<
    WarehouseArgs,
    "baseCapacity" | "maxCapacity" | "monthlyRpuHours" | "atLimit" | "maxQuerySeconds"
  > & {
    readonly biPrincipals?: readonly pulumi.Input<string>[];
  };
  readonly monitoring: {
    readonly emails?: readonly string[];
    readonly monthlyBudgetUsd: pulumi.Input<number>;
    /** Minutes that what reads a stream may be behind. @default 15 */
    readonly streamLagMinutes?: pulumi.Input<number>;
  };
  /** Days that logs are kept, one of CloudWatch's values. @default 30 */
  readonly logRetentionDays?: pulumi.Input<number>;
  readonly safety?: DataSafety;
  /** Account-wide settings: made by one stack of an account, adopted by the others. @default "adopt" */
  readonly accountBaseline?: "create" | "adopt";
  readonly deploy?:
    | {
        readonly repository: pulumi.Input<string>;
        readonly environment: pulumi.Input<string>;
        /** `adopt` where the account trusts GitHub's tokens already. @default "create" */
        readonly provider?: "create" | "adopt";
      }
    | undefined;
  /** Overrides of single child resources, by part. */
  readonly transform?: {
    readonly encryption?: ConstructorParameters<typeof Encryption>[1]["transform"];
    readonly lake?: ConstructorParameters<typeof Lake>[1]["transform"];
    readonly network?: NetworkArgs["transform"];
    readonly catalog?: ConstructorParameters<typeof Catalog>[1]["transform"];
    readonly sources?: ConstructorParameters<typeof Sources>[1]["transform"];
    readonly batch?: BatchArgs["transform"];
    readonly fraud?: FraudArgs["transform"];
    readonly functions?: FunctionDefaults["transform"];
    readonly ingestion?: IngestionArgs["transform"];
    readonly restApi?: RestApiArgs["transform"];
    readonly lowCode?: ConstructorParameters<typeof LowCode>[1]["transform"];
    readonly warehouse?: WarehouseArgs["transform"];
    readonly workflow?: WorkflowArgs["transform"];
    readonly monitoring?: ConstructorParameters<typeof Monitoring>[1]["transform"];
  };
}

const namePattern = /^[a-z][a-z0-9-]{1,22}[a-z0-9]$/;

/**
 * The whole platform: lake, catalog, sources, jobs, functions, workflow, low-code recipes, warehouse, access and
 * monitoring, in a network without a way out, under keys of its own. Everything is named from the component's name,
 * so that two of them can live in one account.
 *
 * @example
 * const shop = new EtlPipeline("shop-dev", {
 *   place: currentPlace(),
 *   contracts, contractsJson, geoDatabase, wheels,
 *   schedule: { expression: "cron(0 5 * * ? *)", timeZone: "Europe/Berlin" },
 *   monitoring: { emails: ["data@example.com"], monthlyBudgetUsd: 150 },
 * });
 * export const bucket = shop.lake.bucketNames.landing;
 */
export class EtlPipeline extends pulumi.ComponentResource {
  readonly encryption: Encryption;
  readonly boundary: Boundary;
  readonly access: Access;
  readonly baseline: AccountBaseline;
  readonly lake: Lake;
  readonly network: Network;
  readonly catalog: Catalog;
  readonly sources: Sources;
  readonly ledger: Ledger;
  readonly batch: Batch;
  readonly functions: Functions;
  /** Undefined without `ingestion`, and where streams are switched off. */
  readonly ingestion: Ingestion | undefined;
  readonly restApi: RestApi | undefined;
  /** Undefined without `partner`. */
  readonly partnerPull: PartnerPull | undefined;
  readonly lowCode: LowCode;
  readonly warehouse: Warehouse;
  /** Undefined while a job or function that it calls is missing. */
  readonly workflow: Workflow | undefined;
  readonly lakeMigration: LakeMigration | undefined;
  /** Undefined where it is switched off, or while its job is missing. */
  readonly stream: Stream | undefined;
  /** Undefined where contracts have no fraud scores. */
  readonly fraud: Fraud | undefined;
  readonly monitoring: Monitoring;
  /** What waits for its file. */
  readonly missing: readonly Missing[];

  constructor(name: string, args: EtlPipelineArgs, opts?: pulumi.ComponentResourceOptions) {
    if (!namePattern.test(name)) {
      throw new pulumi.RunError(
        `'${name}' cannot name an EtlPipeline: 3 to 24 lower-case letters, digits and hyphens, a letter first, ` +
          "because bucket names are made from it",
      );
    }
    super("securecart:pipeline:EtlPipeline", name, {}, opts);
    const parent = this;
    const { place, transform = {} } = args;
    const arns = new Arns(place);
    const safety = args.safety ?? {};
    const logRetentionDays = args.logRetentionDays ?? 30;
    const present = findFiles();
    const bundles = bundleFunctions(bundleSpecs());
    const tables = sourceTables(args.contracts);
    const streams = createdStreams();
    const scores = args.contracts.some((each) => each.name === scoresContract);
    // One a contract, so that a change says in a preview whose table and load it makes anew.
    const contractHashes = {
      contracts: sha256(args.contractsJson),
      ...Object.fromEntries(
        args.contracts.map((each) => [`contract:${each.name}`, sha256(JSON.stringify(each.document))]),
      ),
    };

    this.encryption = createEncryption();
    const keys = {
      dataKeyArn: this.encryption.dataKey.arn,
      logsKeyArn: this.encryption.logsKey.arn,
      secretsKeyArn: this.encryption.secretsKey.arn,
    };
    this.boundary = new Boundary(name, { place }, { parent });
    const permissionsBoundary = this.boundary.arn;
    this.baseline = createBaseline();
    this.access = createAccess(this.baseline);
    const failures = createFailureQueue(`${name}-failures`, { place, dataKeyArn: keys.dataKeyArn }, this);
    this.lake = createLake();
    const { bucketNames } = this.lake;
    this.ledger = createLedger();
    this.network = createNetwork();
    const placement = {
      subnetIds: this.network.subnetIds,
      securityGroupId: this.network.workloadGroup.id,
    };
    const functionDefaults = createFunctionDefaults(this.network);
    this.catalog = createCatalog();
    this.sources = createSources(this.network);
    this.batch = createBatch(this.catalog, this.sources);
    this.lakeMigration = migrateLake(this.batch);
    this.stream = createStream(this.batch, this.lakeMigration);
    this.fraud = createFraud(this.catalog, this.batch);
    this.functions = createFunctions(this.ledger, this.sources);
    this.ingestion = createIngestion(this.catalog, this.sources);
    this.restApi = createRestApi(this.baseline, this.sources);
    this.partnerPull = createPartnerPull(this.ledger);
    this.lowCode = createLowCode();
    this.warehouse = createWarehouse(this.network, this.batch);
    this.workflow = createWorkflow(this);
    this.monitoring = createMonitoring(this);
    this.missing = present.missing;
    this.registerOutputs({ landingBucket: bucketNames.landing, missing: this.missing });

    function findFiles(): { jobs: JobName[]; functions: FunctionName[]; missing: Missing[] } {
      const presentJobs = jobNames.filter((job) => scriptOf(job) !== undefined);
      const presentFunctions = functionNames.filter((each) => handlerOf(each) !== undefined);
      const missing = [
        ...jobNames
          .filter((job) => !presentJobs.includes(job))
          .map((job) => ({ part: `job ${job}`, file: `jobs/securecart/${jobs[job].module}.py` })),
        ...functionNames
          .filter((each) => !presentFunctions.includes(each))
          .map((each) => ({
            part: `function ${each}`,
            file: `functions/${functionFolders[each]}/handler.ts`,
          })),
      ];
      return { jobs: presentJobs, functions: presentFunctions, missing };
    }

    /** The streams that something reads. */
    function createdStreams(): StreamName[] {
      if (!(args.stream?.enabled ?? true)) return [];
      return [
        ...(present.jobs.includes("clickstream") &&
        args.contracts.some(({ source }) => source?.kind === "kinesis")
          ? (["clickstream"] as const)
          : []),
        ...(args.ingestion && logContract() ? (["apiEvents"] as const) : []),
      ];
    }

    /** The contract of the logs that services post. */
    function logContract(): Contract | undefined {
      return args.contracts.find(({ source }) => source?.kind === "logs");
    }

    function bundleSpecs(): Record<string, BundleSpec> {
      return {
        ...deploymentBundles,
        ...(args.ingestion && { apiLogs: apiLogsBundle, redrive: redriveBundle }),
        ...(args.partner && { partnerPull: partnerPullBundle }),
        ...Object.fromEntries(present.functions.map((each) => [each, bundleSpecOf(each)])),
      };
    }

    function bundleOf(which: string): Artifact {
      const bundle = bundles[which];
      if (!bundle) throw new Error(`no bundle was built for ${which}`);
      return bundle;
    }

    function createEncryption(): Encryption {
      return new Encryption(
        name,
        { place, safety, ...given({ transform: transform.encryption }) },
        { parent },
      );
    }

    function createBaseline(): AccountBaseline {
      return new AccountBaseline(
        name,
        {
          place,
          mode: args.accountBaseline ?? "adopt",
          dataKeyArn: keys.dataKeyArn,
          permissionsBoundary,
          githubProvider: args.deploy?.provider,
        },
        { parent },
      );
    }

    function createAccess(baseline: AccountBaseline): Access {
      return new Access(
        name,
        {
          place,
          boundaryArn: permissionsBoundary,
          deploy: args.deploy && { ...args.deploy, providerArn: baseline.githubProviderArn },
        },
        { parent },
      );
    }

    function createLake(): Lake {
      return new Lake(
        name,
        {
          place,
          dataKeyArn: keys.dataKeyArn,
          safety,
          ...given({ retention: args.lakeRetention, transform: transform.lake }),
        },
        { parent },
      );
    }

    function createLedger(): Ledger {
      return new Ledger(name, { dataKeyArn: keys.dataKeyArn, safety }, { parent });
    }

    function createNetwork(): Network {
      const { adopt, peering, ...network } = args.network ?? {};
      return new Network(
        name,
        {
          place,
          logsKeyArn: keys.logsKeyArn,
          permissionsBoundary,
          privateServices: privateServices(),
          bucketArns: Object.values(bucketNames).map((bucket) => arns.bucket(bucket)),
          tableArns: [
            arns.regional("dynamodb", `table/${name}-ledger`),
            ...(streams.includes("apiEvents") ? [arns.regional("dynamodb", `table/${name}-processed`)] : []),
            ...tables.map((table) =>
              arns.regional(
                "dynamodb",
                pulumi.interpolate`table/${args.dynamodb?.adoptTables?.[table.name] ?? `${name}-${table.name}`}`,
              ),
            ),
          ],
          ...given({ ...network, adopt, peering, transform: transform.network }),
        },
        { parent },
      );
    }

    /** Exactly what the parts call from inside: each part says so itself. */
    function privateServices(): PrivateServices {
      const merged = new Map<string, Set<string>>();
      const hasRecipes = (args.recipes ?? []).length > 0;
      const parts = [
        batchServices,
        functionServices,
        lakeMigrationServices,
        warehouseServices,
        ...(streams.includes("clickstream") ? [streamServices, streamingServices] : []),
        ...(streams.includes("apiEvents") ? [ingestionServices] : []),
        ...(scores ? [fraudServices] : []),
        ...(hasRecipes ? [lowCodeServices] : []),
      ];
      for (const [service, actions] of parts.flatMap((part) => Object.entries(part))) {
        if (service === "secretsmanager" && !args.mysql && !streams.includes("apiEvents")) continue;
        const known = merged.get(service) ?? new Set<string>();
        for (const action of actions) known.add(action);
        merged.set(service, known);
      }
      return Object.fromEntries([...merged].map(([service, actions]) => [service, [...actions].toSorted()]));
    }

    function createFunctionDefaults(network: Network): FunctionDefaults {
      return {
        place,
        network: placement,
        dataKeyArn: keys.dataKeyArn,
        logsKeyArn: keys.logsKeyArn,
        logRetentionDays,
        permissionsBoundary,
        failures,
        // Some are called by the deployment itself, before the endpoints would otherwise have to be there.
        waitFor: [network],
        ...args.functions,
        transform: { ...given({ function: transform.functions?.function }) },
      };
    }

    function createCatalog(): Catalog {
      return new Catalog(
        name,
        {
          bucketNames,
          tables: [quarantineTable, ...parquetTables(args.contracts)],
          ...given({ transform: transform.catalog }),
        },
        { parent },
      );
    }

    function createSources(network: Network): Sources {
      return new Sources(
        name,
        {
          place,
          dataKeyArn: keys.dataKeyArn,
          mysql: args.mysql,
          subnetId: network.firstSubnetId,
          availabilityZone: network.firstZone,
          securityGroupId: network.workloadGroup.id,
          tables,
          streams,
          safety,
          ...given({ ...args.dynamodb, streamSize: args.stream, transform: transform.sources }),
        },
        { parent },
      );
    }

    function createBatch(catalog: Catalog, sources: Sources): Batch {
      const { mysql } = args;
      return new Batch(
        name,
        {
          place,
          // Without a database there is nothing to extract from it.
          jobs: present.jobs.filter((job) => {
            if (job === "clickstream") return streams.includes("clickstream");
            return job !== "extractMysql" || mysql !== undefined;
          }),
          bucketNames,
          databaseNames: catalog.databaseNames,
          dataKeyArn: keys.dataKeyArn,
          logRetentionDays,
          contractsJson: args.contractsJson,
          recipeSources: args.contracts.flatMap(({ source, recipe }) =>
            source && recipe !== undefined ? [source.kind] : [],
          ),
          geoDatabase: args.geoDatabase,
          wheels: args.wheels,
          network: placement,
          connections: {
            network: sources.network.name,
            mysql:
              mysql && sources.mysql && sources.mysqlUrl
                ? {
                    name: sources.mysql.name,
                    url: sources.mysqlUrl,
                    secretArn: mysql.secretArn,
                    secretKeyArn: mysql.secretKeyArn,
                  }
                : undefined,
          },
          streamArns: Object.fromEntries(
            streams.flatMap((each) => {
              const stream = sources.streams[each];
              return stream ? [[each, stream.arn]] : [];
            }),
          ),
          permissionsBoundary,
          ...given({ size: args.jobSize, streamingSize: args.stream, transform: transform.batch }),
        },
        { parent },
      );
    }

    function migrateLake(batch: Batch): LakeMigration | undefined {
      const migrate = batch.jobs.migrate;
      if (!migrate) return undefined;
      return new LakeMigration(
        name,
        {
          jobName: migrate.job.name,
          triggers: { ...contractHashes, settings: settingsOf(migrate.job) },
          functionDefaults,
          bundle: bundleOf("migrateLake"),
        },
        { parent },
      );
    }

    /** Hash of what a run takes in when it starts, beside the contracts: its script, the package, and settings. */
    function settingsOf(job: aws.glue.Job): pulumi.Output<string> {
      return pulumi.jsonStringify([job.command, job.defaultArguments]).apply(sha256);
    }

    function createStream(batch: Batch, migration: LakeMigration | undefined): Stream | undefined {
      const job = batch.jobs.clickstream?.job;
      if (!job) return undefined;
      return new Stream(
        name,
        {
          jobName: job.name,
          triggers: { contracts: sha256(args.contractsJson), settings: settingsOf(job) },
          functionDefaults,
          bundle: bundleOf("keepRunning"),
          keepRunning: args.stream?.keepRunning,
        },
        { parent, dependsOn: migration ? [migration] : [] },
      );
    }

    function createFraud(catalog: Catalog, batch: Batch): Fraud | undefined {
      if (!scores) return undefined;
      if (!args.fraudEnvironment) {
        throw new pulumi.RunError(
          `${name}: the contract ${scoresContract} needs 'fraudEnvironment', the Python packages of its jobs; 'npm run package' builds them`,
        );
      }
      const { reviewers, slowAfterMinutes: _, ...size } = args.fraud ?? {};
      return new Fraud(
        name,
        {
          place,
          size,
          bucketNames,
          databaseNames: catalog.databaseNames,
          ...keys,
          logRetentionDays,
          network: placement,
          shared: batch.shared,
          environment: args.fraudEnvironment,
          permissionsBoundary,
          ...given({ reviewers, transform: transform.fraud }),
        },
        { parent },
      );
    }

    function createFunctions(ledger: Ledger, sources: Sources): Functions {
      return new Functions(
        name,
        {
          ...functionDefaults,
          ...given({ transform: transform.functions, ...args.functions }),
          logRetentionDays,
          functions: present.functions,
          bundles,
          bucketNames,
          ledgerTable: ledger.table.name,
          tableArns: sources.tableArns,
          mysql: args.mysql,
          secretsLayerArn: args.secretsLayerArn,
        },
        { parent },
      );
    }

    function createIngestion(catalog: Catalog, sources: Sources): Ingestion | undefined {
      const contract = logContract();
      const stream = sources.streams.apiEvents;
      if (!args.ingestion || !contract || !stream) return undefined;
      if (args.secretsLayerArn === undefined) {
        throw new pulumi.RunError(
          `${name}: 'ingestion' needs 'secretsLayerArn', through which its function reads the key of its hashes`,
        );
      }
      return new Ingestion(
        name,
        {
          contract,
          stream,
          bucketNames,
          databaseNames: catalog.databaseNames,
          hashKeySecretArn: args.ingestion.hashKeySecretArn,
          hashKeySecretKeyArn: args.ingestion.hashKeySecretKeyArn,
          secretsLayerArn: args.secretsLayerArn,
          functionDefaults,
          bundle: bundleOf("apiLogs"),
          redriveBundle: bundleOf("redrive"),
          safety,
          ...given({ transform: transform.ingestion }),
        },
        { parent },
      );
    }

    function createRestApi(baseline: AccountBaseline, sources: Sources): RestApi | undefined {
      const contract = logContract();
      const stream = sources.streams.apiEvents;
      if (!args.ingestion || !contract || !stream) return undefined;
      return new RestApi(
        name,
        {
          place,
          stream,
          paths: [{ path: "events", schema: requestModel(contract) }],
          producers: args.ingestion.producers,
          requestsPerSecond: args.ingestion.requestsPerSecond,
          burst: args.ingestion.burst,
          webAclArn: args.ingestion.webAclArn,
          dataKeyArn: keys.dataKeyArn,
          logsKeyArn: keys.logsKeyArn,
          logRetentionDays,
          permissionsBoundary,
          ...given({ transform: transform.restApi }),
        },
        { parent, dependsOn: baseline.apiLogging ? [baseline.apiLogging] : [] },
      );
    }

    function createPartnerPull(ledger: Ledger): PartnerPull | undefined {
      if (!args.partner) return undefined;
      const { dataset, ...partner } = args.partner;
      const contract = args.contracts.find((each) => each.name === dataset);
      if (!contract)
        throw new pulumi.RunError(`${name}: 'partner.dataset' names '${dataset}', which is no contract`);
      if (args.secretsLayerArn === undefined) {
        throw new pulumi.RunError(
          `${name}: 'partner' needs 'secretsLayerArn', through which its function reads the token`,
        );
      }
      return new PartnerPull(
        name,
        {
          ...partner,
          contract,
          bucketNames,
          ledgerTable: ledger.table.name,
          secretsLayerArn: args.secretsLayerArn,
          functionDefaults,
          bundle: bundleOf("partnerPull"),
        },
        { parent },
      );
    }

    function createLowCode(): LowCode {
      return new LowCode(
        name,
        {
          place,
          datasets: args.recipes ?? [],
          landingBucket: bucketNames.landing,
          dataKeyArn: keys.dataKeyArn,
          logsKeyArn: keys.logsKeyArn,
          functionDefaults,
          publishBundle: bundleOf("publishRecipe"),
          logRetentionDays,
          permissionsBoundary,
          ...given({ transform: transform.lowCode }),
        },
        { parent },
      );
    }

    function createWarehouse(network: Network, batch: Batch): Warehouse {
      const { biPrincipals, ...size } = args.warehouse ?? {};
      return new Warehouse(
        name,
        {
          place,
          ...size,
          biPrincipals: biPrincipals ?? [],
          loaderRoles: [`${name}-workflow`],
          subnetIds: network.subnetIds,
          securityGroupId: network.warehouseGroup.id,
          curatedBucket: bucketNames.curated,
          ...keys,
          // The object's own key: the migration then waits until the contracts of this deployment are there.
          contracts: {
            bucket: bucketNames.artifacts,
            key: batch.nodes.code.contracts.key,
            hashes: contractHashes,
          },
          functionDefaults,
          migrateBundle: bundleOf("migrateWarehouse"),
          logRetentionDays,
          safety,
          permissionsBoundary,
          ...given({ transform: transform.warehouse }),
        },
        { parent },
      );
    }

    function createWorkflow(pipeline: EtlPipeline): Workflow | undefined {
      const { functions, batch, fraud, lowCode, sources, warehouse } = pipeline;
      const functionArns = complete(functionNames, (each) => functions.functions[each]?.arn);
      const workflowJobs = jobNames.filter(
        (job): job is WorkflowJob => job !== "migrate" && job !== "clickstream",
      );
      // A workflow without MySQL never reaches that job: its plan has no such extract.
      const deployed = complete(workflowJobs, (job) =>
        job === "extractMysql" && !args.mysql ? "none" : batch.jobs[job]?.job.name,
      );
      if (!functionArns || !deployed) return undefined;
      return new Workflow(
        name,
        {
          place,
          functionArns,
          jobNames: deployed,
          recipeJobs: lowCode.jobNames,
          fraud: fraud?.scoring,
          landingBucket: bucketNames.landing,
          dropPrefixes: args.contracts
            .flatMap(({ source }) => (source?.kind === "csv" ? [source.prefix] : []))
            .toSorted(),
          tableArns: Object.values(sources.tableArns),
          warehouse: {
            workgroupName: warehouse.workgroupName,
            workgroupArn: warehouse.workgroupArn,
            database: "warehouse",
          },
          schedule: args.schedule,
          dataKeyArn: keys.dataKeyArn,
          logsKeyArn: keys.logsKeyArn,
          logRetentionDays,
          failures,
          permissionsBoundary,
          ...given({ transform: transform.workflow }),
        },
        { parent },
      );
    }

    function createMonitoring(pipeline: EtlPipeline): Monitoring {
      const { workflow, functions, batch, warehouse, sources } = pipeline;
      const deployedJobs = (streaming: boolean) =>
        jobNames.flatMap((each) => {
          const { stream }: JobSpec = jobs[each];
          const deployed = batch.jobs[each];
          return deployed && (stream !== undefined) === streaming ? [deployed.job.name] : [];
        });
      return new Monitoring(
        name,
        {
          place,
          logsKeyArn: keys.logsKeyArn,
          watched: {
            jobs: deployedJobs(false),
            streamingJobs: deployedJobs(true),
            streams: Object.fromEntries(
              streams.flatMap((each) => {
                const stream = sources.streams[each];
                return stream ? [[streamFolders[each], stream.name]] : [];
              }),
            ),
            functions: {
              ...Object.fromEntries(
                functionNames.flatMap((each) => {
                  const deployed = functions.functions[each];
                  return deployed ? [[functionFolders[each], deployed.function.name]] : [];
                }),
              ),
              ...(pipeline.ingestion && {
                "api-logs": pipeline.ingestion.apiLogs.function.name,
                redrive: pipeline.ingestion.redrive.function.name,
              }),
              ...(pipeline.partnerPull && { "partner-pull": pipeline.partnerPull.puller.function.name }),
              ...(pipeline.stream && { "keep-running": pipeline.stream.nodes.keeper.function.name }),
            },
            apis: pipeline.restApi ? [pipeline.restApi.apiName] : [],
            ...(pipeline.fraud && {
              applications: {
                fraud: {
                  name: pipeline.fraud.application.name,
                  id: pipeline.fraud.application.id,
                  slowAfterMinutes: args.fraud?.slowAfterMinutes ?? 30,
                },
              },
              messages: {
                "fraud-rules": {
                  logGroupName: pipeline.fraud.nodes.logGroup.name,
                  words: rulesMessage,
                  description:
                    "Rules score fraud, since the model in use reads other features than the code computes. Train a new one.",
                },
              },
            }),
            machines: workflow ? [{ name: workflow.machine.name, arn: workflow.arn }] : [],
            failureQueues: [failures.name],
            workgroups: [warehouse.workgroupName],
          },
          ...args.monitoring,
          ...given({ slowRunMinutes: args.slowRunMinutes, transform: transform.monitoring }),
        },
        { parent },
      );
    }
  }
}
