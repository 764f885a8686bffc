import { readFileSync } from "node:fs";
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { createArtifactObject, uriOf } from "../lib/artifact-object.ts";
import {
  type Area,
  commitCatalog,
  createTables,
  encryptLogs,
  findUploads,
  jobInterfaces,
  lookInto,
  openObjects,
  type Placement,
  putObjects,
  readArea,
  readCatalog,
  readSecret,
  readStreamActions,
  readVersions,
  useKey,
  useKeyThrough,
  writeArea,
  writeLogs,
} from "../lib/grants.ts";
import { type Statement, WorkloadRole } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { lakeSettings } from "../lib/spark.ts";
import { type Transform, transformed } from "../lib/transform.ts";
import { type Artifact, packagePython, sha256 } from "../package/artifacts.ts";
import { type CatalogZone, quarantineTable } from "./catalog.ts";
import {
  type Areas,
  checkpoints,
  type JobName,
  type JobSpec,
  jobs,
  jobsPackage,
  recipes,
  runs,
  type StreamName,
  scriptOf,
  tables,
} from "./jobs.ts";
import { type Zone, zones } from "./lake.ts";
import type { PrivateServices } from "./network.ts";

/** What jobs call from inside the VPC beside S3. */
export const batchServices: PrivateServices = {
  glue: [
    "glue:BatchCreatePartition",
    "glue:CreateTable",
    "glue:GetConnection",
    "glue:GetDatabase",
    "glue:GetPartitions",
    "glue:GetTable",
    "glue:GetTables",
    "glue:UpdateTable",
  ],
  logs: ["logs:AssociateKmsKey", "logs:CreateLogStream", "logs:PutLogEvents"],
  monitoring: ["cloudwatch:PutMetricData"],
  secretsmanager: ["secretsmanager:GetSecretValue"],
};

/** What a streaming job calls beside that. */
export const streamingServices: PrivateServices = { "kinesis-streams": readStreamActions };

/** Size of a streaming job, which runs until it is stopped. */
export interface StreamingSize {
  /** @default "G.025X" */
  readonly workerType?: pulumi.Input<string>;
  /** Workers at most; auto scaling uses fewer when that is enough. @default 2 */
  readonly maxWorkers?: pulumi.Input<number>;
  /** When Glue may end and start it, which it does after seven days: weekday and hour in UTC. @default "Sun:3" */
  readonly maintenanceWindow?: pulumi.Input<string>;
}

/** Size and patience of a job. */
export interface JobSize {
  /** @default "G.1X" */
  readonly workerType?: pulumi.Input<string>;
  /** Workers at most; auto scaling uses fewer when that is enough. @default 4 */
  readonly maxWorkers?: pulumi.Input<number>;
  /** Minutes until a run is stopped. @default 60 */
  readonly timeoutMinutes?: pulumi.Input<number>;
  /** Minutes after which a run counts as slow and an event says so. @default 30 */
  readonly slowAfterMinutes?: pulumi.Input<number>;
  /** Spare capacity: cheaper, starts later. @default false */
  readonly flex?: boolean;
}

export interface BatchArgs {
  readonly place: pulumi.Input<Place>;
  /** Jobs to deploy. A job whose script does not exist is an error. */
  readonly jobs: readonly JobName[];
  readonly size?: JobSize;
  readonly streamingSize?: StreamingSize;
  /** The Kinesis streams that streaming jobs read. @default {} */
  readonly streamArns?: Readonly<Partial<Record<StreamName, pulumi.Input<string>>>>;
  readonly bucketNames: Readonly<Record<Zone, pulumi.Input<string>>>;
  readonly databaseNames: Readonly<Record<CatalogZone, pulumi.Input<string>>>;
  readonly dataKeyArn: pulumi.Input<string>;
  /** Days, one of CloudWatch's values. @default 30 */
  readonly logRetentionDays?: pulumi.Input<number>;
  /** Text of the contracts' bundle that jobs and functions read. */
  readonly contractsJson: string;
  /** Kinds of sources of which a dataset has a recipe. @default [] */
  readonly recipeSources?: readonly string[];
  /** IP-to-country database for the jobs that ask for it. */
  readonly geoDatabase: Artifact;
  /** Python wheels that Glue does not bring. */
  readonly wheels: { readonly name: string; readonly asset: pulumi.asset.Asset };
  readonly network: Placement;
  /** Connection of type NETWORK, and the one to MySQL with what its job has to know. */
  readonly connections: {
    readonly network: pulumi.Input<string>;
    readonly mysql?:
      | {
          readonly name: pulumi.Input<string>;
          readonly url: pulumi.Input<string>;
          readonly secretArn: pulumi.Input<string>;
          readonly secretKeyArn?: pulumi.Input<string> | undefined;
        }
      | undefined;
  };
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
  /** Where the Python package lies. @default jobs/securecart of this repository */
  readonly packageDir?: string;
  readonly transform?: { readonly job?: Transform<aws.glue.JobArgs> };
}

/** What batch and streaming jobs have each their own of. */
type OwnCommand = Pick<
  aws.glue.JobArgs,
  | "command"
  | "executionClass"
  | "maintenanceWindow"
  | "notificationProperty"
  | "numberOfWorkers"
  | "timeout"
  | "workerType"
>;

/** A deployed job. */
export interface DeployedJob {
  readonly job: aws.glue.Job;
  readonly role: WorkloadRole;
  readonly logGroups: readonly aws.cloudwatch.LogGroup[];
}

/**
 * Spark jobs on Glue 5.1 from one Python package: each with a role of its own, its code under a name that its content
 * decides, and no way out but the VPC.
 *
 * Bookmarks are off: watermarks and claims are kept in the ledger, where a run that fails leaves them as they were.
 *
 * @example
 * const batch = new Batch("shop-dev", {
 *   place, contractsJson, geoDatabase, wheels, ...keys,
 *   bucketNames: lake.bucketNames,
 *   databaseNames: catalog.databaseNames,
 *   network: placement,
 *   connections: { network: sources.network.name },
 *   jobs: ["migrate", "clean"],
 *   size: { maxWorkers: 3, flex: true },
 * });
 * batch.jobs.clean?.job.name;
 */
export class Batch extends pulumi.ComponentResource {
  readonly jobs: Readonly<Partial<Record<JobName, DeployedJob>>>;
  readonly securityConfiguration: aws.glue.SecurityConfiguration;
  /** `s3://` addresses of what Spark jobs elsewhere need too. */
  readonly shared: Readonly<Record<"contracts" | "library" | "geoDatabase", pulumi.Output<string>>>;
  readonly nodes: {
    readonly code: Readonly<Record<"contracts" | "library" | "wheels" | "geo", aws.s3.BucketObjectv2>>;
  };

  constructor(name: string, args: BatchArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Batch", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);
    const size = args.size ?? {};
    const packageDir = args.packageDir ?? jobsPackage;
    const scripts = findScripts();
    const code = packagePython(packageDir);

    this.securityConfiguration = createSecurityConfiguration();
    const contracts = uploadText("contracts", "contracts.json", args.contractsJson);
    const library = uploadFile("library", `code/securecart-${code.sha256.slice(0, 16)}.zip`, code.file);
    const wheels = upload("wheels", `code/${args.wheels.name}`, args.wheels.asset);
    const geo = uploadFile(
      "geo",
      `code/geo-whois-asn-country-${args.geoDatabase.sha256.slice(0, 16)}.mmdb`,
      args.geoDatabase.file,
    );
    this.shared = { contracts: uriOf(contracts), library: uriOf(library), geoDatabase: uriOf(geo) };
    this.jobs = Object.fromEntries(
      args.jobs.map((job) => [job, createJob(job, scripts[job] ?? "", this.securityConfiguration)]),
    );
    this.nodes = { code: { contracts, library, wheels, geo } };
    this.registerOutputs({ jobNames: Object.values(this.jobs).map((deployed) => deployed?.job.name) });

    function findScripts(): Partial<Record<JobName, string>> {
      const found = args.jobs.map((job) => [job, scriptOf(job, packageDir)] as const);
      const missing = found
        .filter(([, script]) => script === undefined)
        .map(([job]) => `${jobs[job].module}.py`);
      if (missing.length > 0) {
        throw new pulumi.RunError(
          `${name}: ${missing.join(", ")} ${missing.length === 1 ? "does" : "do"} not exist in ${packageDir}; write the script, or leave the job out of 'jobs'`,
        );
      }
      return Object.fromEntries(found);
    }

    function createSecurityConfiguration(): aws.glue.SecurityConfiguration {
      // One key for all three: several keys in one configuration break jobs.
      return new aws.glue.SecurityConfiguration(
        `${name}-batch`,
        {
          name: `${name}-batch`,
          encryptionConfiguration: {
            s3Encryption: { s3EncryptionMode: "SSE-KMS", kmsKeyArn: args.dataKeyArn },
            cloudwatchEncryption: { cloudwatchEncryptionMode: "SSE-KMS", kmsKeyArn: args.dataKeyArn },
            jobBookmarksEncryption: { jobBookmarksEncryptionMode: "CSE-KMS", kmsKeyArn: args.dataKeyArn },
          },
        },
        { parent },
      );
    }

    function upload(kind: string, key: string, source: pulumi.asset.Asset): aws.s3.BucketObjectv2 {
      const { dataKeyArn } = args;
      return createArtifactObject(
        `${name}-${kind}`,
        { bucket: args.bucketNames.artifacts, key, source, dataKeyArn },
        parent,
      );
    }

    function uploadFile(kind: string, key: string, file: string): aws.s3.BucketObjectv2 {
      return upload(kind, key, new pulumi.asset.FileAsset(file));
    }

    function uploadText(kind: string, key: string, text: string): aws.s3.BucketObjectv2 {
      return upload(kind, key, new pulumi.asset.StringAsset(text));
    }

    function createJob(job: JobName, script: string, security: aws.glue.SecurityConfiguration): DeployedJob {
      const spec: JobSpec = jobs[job];
      const own = `${name}-${spec.module.replaceAll("_", "-")}`;
      const groupNames = ["output", "error"].map(
        (kind) => `/aws-glue/jobs/${name}-batch-role/${own}/${kind}`,
      );
      const logGroups = groupNames.map((group, index) =>
        createLogGroup(`${own}-${index === 0 ? "output" : "error"}`, group),
      );
      const role = createRole(own, spec, logGroups);
      const text = readFileSync(script, "utf8");
      const object = uploadText(
        spec.module.replaceAll("_", "-"),
        `code/${spec.module}-${sha256(text).slice(0, 16)}.py`,
        text,
      );
      const { mysql } = args.connections;
      const wantsMysql = spec.arguments.includes("mysql");
      const deployed = new aws.glue.Job(
        ...transformed(
          args.transform?.job,
          own,
          {
            name: own,
            description: spec.description,
            roleArn: role.arn,
            glueVersion: "5.1",
            ...(spec.stream === undefined ? batchCommand(object, spec) : streamingCommand(object)),
            executionProperty: { maxConcurrentRuns: spec.concurrency },
            // The workflow retries: a second run that Glue starts by itself would be none of the execution's.
            maxRetries: 0,
            securityConfiguration: security.name,
            connections: [wantsMysql && mysql ? mysql.name : args.connections.network],
            defaultArguments: { ...commonArguments(), ...ownArguments(spec) },
          },
          { parent, dependsOn: [role, ...logGroups] },
        ),
      );
      return { job: deployed, role, logGroups };
    }

    function batchCommand(script: aws.s3.BucketObjectv2, { urgent }: JobSpec): OwnCommand {
      return {
        command: { name: "glueetl", scriptLocation: uriOf(script), pythonVersion: "3" },
        executionClass: (size.flex ?? false) && !urgent ? "FLEX" : "STANDARD",
        workerType: size.workerType ?? "G.1X",
        numberOfWorkers: size.maxWorkers ?? 4,
        timeout: size.timeoutMinutes ?? 60,
        notificationProperty: { notifyDelayAfter: size.slowAfterMinutes ?? 30 },
      };
    }

    function streamingCommand(script: aws.s3.BucketObjectv2): OwnCommand {
      const own = args.streamingSize ?? {};
      return {
        command: { name: "gluestreaming", scriptLocation: uriOf(script), pythonVersion: "3" },
        executionClass: "STANDARD",
        workerType: own.workerType ?? "G.025X",
        numberOfWorkers: own.maxWorkers ?? 2,
        maintenanceWindow: own.maintenanceWindow ?? "Sun:3",
      };
    }

    function createLogGroup(own: string, group: string): aws.cloudwatch.LogGroup {
      return new aws.cloudwatch.LogGroup(
        own,
        { name: group, retentionInDays: args.logRetentionDays ?? 30, kmsKeyId: args.dataKeyArn },
        { parent },
      );
    }

    function commonArguments(): Record<string, pulumi.Input<string>> {
      return {
        "--landing": args.bucketNames.landing,
        "--staging": args.bucketNames.staging,
        "--curated": args.bucketNames.curated,
        "--quarantine": args.bucketNames.quarantine,
        "--artifacts": args.bucketNames.artifacts,
        "--staging-db": args.databaseNames.staging,
        "--curated-db": args.databaseNames.curated,
        "--quarantine-db": args.databaseNames.quarantine,
        "--contracts": uriOf(contracts),
        "--extra-py-files": uriOf(library),
        // No package index is reachable from inside: everything is in the archive.
        "--additional-python-modules": uriOf(wheels),
        "--python-modules-installer-option": "--no-index",
        "--datalake-formats": "iceberg",
        "--conf": lakeSettings(args.bucketNames).apply((settings) =>
          Object.entries(settings)
            .map(([key, value]) => `${key}=${value}`)
            .join(" --conf "),
        ),
        "--TempDir": pulumi.interpolate`s3://${args.bucketNames.artifacts}/temporary/`,
        "--job-bookmark-option": "job-bookmark-disable",
        "--enable-glue-datacatalog": "",
        "--enable-metrics": "",
        "--enable-observability-metrics": "true",
        "--enable-auto-scaling": "true",
        "--enable-continuous-cloudwatch-log": "true",
        "--enable-spark-ui": "true",
        "--spark-event-logs-path": pulumi.interpolate`s3://${args.bucketNames.logs}/spark/`,
        // Calls of S3, CloudWatch and Glue go through the VPC's endpoints.
        "--disable-proxy-v2": "true",
      };
    }

    function ownArguments(spec: JobSpec): Record<string, pulumi.Input<string>> {
      const { mysql } = args.connections;
      return {
        ...(spec.arguments.includes("geo-database") && { "--geo-database": uriOf(geo) }),
        ...(spec.arguments.includes("mysql") &&
          mysql && { "--mysql-url": mysql.url, "--mysql-secret": mysql.secretArn }),
        ...(spec.stream !== undefined && {
          "--stream-arn": streamArn(spec.stream),
          "--checkpoint": pulumi.interpolate`s3://${args.bucketNames.staging}/${checkpoints}`,
        }),
      };
    }

    function streamArn(stream: StreamName): pulumi.Input<string> {
      const arn = args.streamArns?.[stream];
      if (arn === undefined)
        throw new pulumi.RunError(`${name}: 'streamArns' has no ${stream}, which a job reads`);
      return arn;
    }

    function createRole(
      own: string,
      spec: JobSpec,
      logGroups: readonly aws.cloudwatch.LogGroup[],
    ): WorkloadRole {
      const { mysql } = args.connections;
      const wantsMysql = spec.arguments.includes("mysql");
      const connection = wantsMysql && mysql ? mysql.name : args.connections.network;
      return new WorkloadRole(
        own,
        {
          place: args.place,
          description: `Glue job ${own}`,
          trust: "glue.amazonaws.com",
          permissionsBoundary: args.permissionsBoundary,
          policies: {
            lake: lakeStatements(spec),
            catalog: catalogStatements(spec),
            keys: [
              useKeyThrough(arns, args.dataKeyArn, ["s3"]),
              {
                // What Glue asks of the role of a job with a security configuration, beside what S3 keeps.
                sid: "UseSecurityConfiguration",
                actions: ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
                resources: [args.dataKeyArn],
                conditions: {
                  StringEquals: { "kms:ViaService": [arns.viaService("glue"), arns.viaService("logs")] },
                },
              },
            ],
            runtime: runtimeStatements(logGroups, connection),
            ...(wantsMysql && mysql && { secret: secretStatements(mysql) }),
            ...(spec.stream !== undefined && {
              stream: [
                { sid: "ReadStream", actions: readStreamActions, resources: [streamArn(spec.stream)] },
                ...useKey(arns, args.dataKeyArn, { decrypt: ["kinesis"] }, "stream"),
              ],
            }),
          },
        },
        { parent },
      );
    }

    function lakeStatements(spec: JobSpec): Statement[] {
      // Every job reads its code and contracts; a step of a run reads its plan too, and says what it did.
      const { step = true, extracts } = spec;
      const withRecipe = extracts !== undefined && (args.recipeSources ?? []).includes(extracts);
      const merged = (one: Areas = {}, other: Areas = {}): Areas =>
        Object.fromEntries(
          zones
            .map((zone) => [zone, [...(one[zone] ?? []), ...(other[zone] ?? [])]] as const)
            .filter(([, all]) => all.length > 0),
        );
      const reads = merged(spec.reads, { artifacts: ["code/", "contracts.json"] });
      const opens = merged(spec.opens, step ? { landing: ["plans/"] } : {});
      const puts = merged(spec.puts, step ? { staging: [runs] } : {});
      const results = merged(spec.writes, withRecipe ? { landing: [recipes] } : {});
      const writes = merged(results, { artifacts: ["temporary/"], logs: ["spark/"] });
      // Tables are committed by Iceberg, and a checkpoint by its rename; what else Spark writes has a committer.
      const plain = Object.fromEntries(
        zones.flatMap((zone) => {
          const folders = (results[zone] ?? []).filter(
            (folder) => folder !== tables && folder !== checkpoints,
          );
          return folders.length > 0 ? [[zone, folders]] : [];
        }),
      );
      const areas = (of: Areas, grant: (arns: Arns, area: Area) => Statement | Statement[]): Statement[] =>
        zones.flatMap((zone) => {
          const prefixes = of[zone];
          return prefixes ? grant(arns, { zone, bucket: args.bucketNames[zone], prefixes }) : [];
        });
      return [
        ...areas(reads, readArea),
        ...areas(spec.lists ?? {}, lookInto),
        ...areas(opens, openObjects),
        ...areas(spec.readsVersions ?? {}, readVersions),
        ...areas(writes, writeArea),
        ...areas(plain, findUploads),
        ...areas(puts, putObjects),
      ];
    }

    function catalogStatements(spec: JobSpec): Statement[] {
      const rejects = spec.writes.quarantine ? [registerPartitions(args.databaseNames.quarantine)] : [];
      const zonal = (["staging", "curated"] as const).flatMap((zone) => {
        const right = spec.tables[zone];
        const database = args.databaseNames[zone];
        return [
          ...(right ? readCatalog(arns, zone, database) : []),
          ...(right === "change" || right === "make" ? [commitCatalog(arns, zone, database)] : []),
          ...(right === "make" ? [createTables(arns, zone, database)] : []),
        ];
      });
      return [...zonal, ...rejects];
    }

    /** For a job that writes rejected records, which no query sees before their partition is registered. */
    function registerPartitions(database: pulumi.Input<string>): Statement {
      return {
        sid: "RegisterQuarantinePartitions",
        actions: ["glue:BatchCreatePartition", "glue:GetTable"],
        resources: [
          arns.regional("glue", "catalog"),
          arns.regional("glue", pulumi.interpolate`database/${database}`),
          arns.regional("glue", pulumi.interpolate`table/${database}/${quarantineTable.name}`),
        ],
      };
    }

    function runtimeStatements(
      logGroups: readonly aws.cloudwatch.LogGroup[],
      connection: pulumi.Input<string>,
    ): Statement[] {
      return [
        writeLogs(
          arns,
          logGroups.map((group) => group.name),
        ),
        encryptLogs(
          arns,
          logGroups.map((group) => group.name),
        ),
        {
          sid: "PutMetrics",
          actions: ["cloudwatch:PutMetricData"],
          resources: ["*"],
          conditions: { StringEquals: { "cloudwatch:namespace": "Glue" } },
        },
        {
          sid: "UseConnection",
          actions: ["glue:GetConnection"],
          resources: [
            arns.regional("glue", "catalog"),
            arns.regional("glue", pulumi.interpolate`connection/${connection}`),
          ],
        },
        ...jobInterfaces(arns, args.network),
      ];
    }

    function secretStatements({
      secretArn,
      secretKeyArn,
    }: NonNullable<BatchArgs["connections"]["mysql"]>): Statement[] {
      return [
        readSecret(secretArn),
        ...(secretKeyArn === undefined
          ? []
          : useKey(arns, secretKeyArn, { decrypt: ["secretsmanager"] }, "secret")),
      ];
    }
  }
}
