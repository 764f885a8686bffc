import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { SparkJobNames } from "../../workflow/names.ts";
import { sparkSubmitParameters } from "../../workflow/sparkJob.ts";
import { createArtifactObject, uriOf } from "../lib/artifact-object.ts";
import {
  commitCatalog,
  encryptLogs,
  openObjects,
  type Placement,
  putObjects,
  readArea,
  readCatalog,
  useKeyThrough,
  writeArea,
} from "../lib/grants.ts";
import { policyDocument, type Statement, tlsOnly, WorkloadRole } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { lakeSettings } from "../lib/spark.ts";
import { type Transform, transformed } from "../lib/transform.ts";
import { sha256 } from "../package/artifacts.ts";
import { fraudArchitecture } from "../package/environment.ts";
import type { PythonAsset } from "../package/pythonArchive.ts";
import type { CatalogZone } from "./catalog.ts";
import { jobsPackage } from "./jobs.ts";
import type { Zone } from "./lake.ts";
import type { PrivateServices } from "./network.ts";

/** What fraud jobs call from inside the VPC beside S3. */
export const fraudServices: PrivateServices = {
  glue: ["glue:GetDatabase", "glue:GetPartitions", "glue:GetTable", "glue:GetTables", "glue:UpdateTable"],
  logs: [
    "logs:AssociateKmsKey",
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogGroups",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
  ],
  sns: ["sns:Publish"],
  xray: ["xray:PutTraceSegments"],
};

/** The jobs: scoring is a step of the workflow, training is started by a person. */
export const fraudJobs = ["score", "train"] as const;
export type FraudJob = (typeof fraudJobs)[number];

/** What scoring logs when the champion cannot be used; monitoring looks for it in the log of the driver. */
export const rulesMessage = "FRAUD SCORES COME FROM RULES";

/** The only contract without which there is nothing to score into. */
export const scoresContract = "fraud_scores";

/** Cores and memory of one worker: driver and executors are alike. EMR adds a tenth of the memory as overhead. */
const worker = { vcpus: 4, memoryGb: 16, heapGb: 14, diskGb: 40 } as const;

/** How large the application may grow, and when it counts as slow. */
export interface FraudSize {
  /** Processors of all workers together, at least 8: a driver and one executor. @default 16 */
  readonly maxVcpus?: number;
  /** Memory of all workers together, GB; below 4 a processor it is what limits. @default 64 */
  readonly maxMemoryGb?: number;
  /** Minutes without a job until the application stops, and nothing bills. @default 5 */
  readonly idleMinutes?: number;
}

export interface FraudArgs {
  readonly place: pulumi.Input<Place>;
  readonly size?: FraudSize | undefined;
  readonly bucketNames: Readonly<Record<Zone, pulumi.Input<string>>>;
  readonly databaseNames: Readonly<Record<CatalogZone, pulumi.Input<string>>>;
  readonly dataKeyArn: pulumi.Input<string>;
  readonly logsKeyArn: pulumi.Input<string>;
  /** Days, one of CloudWatch's values. @default 30 */
  readonly logRetentionDays?: pulumi.Input<number>;
  readonly network: Placement;
  /** `s3://` addresses of the contracts' bundle, the jobs' package and the IP-to-country database. */
  readonly shared: Readonly<Record<"contracts" | "library" | "geoDatabase", pulumi.Input<string>>>;
  /** Python packages for the application's processors, which `npm run package` builds. */
  readonly environment: PythonAsset;
  /** Who gets a mail about transactions with a high risk; each address has to confirm. @default [] */
  readonly reviewers?: readonly string[];
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
  /** Where the Python package lies. @default jobs/securecart of this repository */
  readonly packageDir?: string;
  readonly transform?: { readonly application?: Transform<aws.emrserverless.ApplicationArgs> };
}

/** The scripts of the jobs in a package. @throws RunError that names those that are missing */
function scriptsIn(name: string, packageDir: string): Record<FraudJob, string> {
  const file = (job: FraudJob): string => path.join(packageDir, `fraud_${job}.py`);
  const missing = fraudJobs.filter((job) => !existsSync(file(job)));
  if (missing.length > 0) {
    throw new pulumi.RunError(
      `${name}: ${missing.map((job) => `fraud_${job}.py`).join(", ")} not found in ${packageDir}; ` +
        "write the script, or leave the part out",
    );
  }
  return { score: readFileSync(file("score"), "utf8"), train: readFileSync(file("train"), "utf8") };
}

/** Workers that fit under both caps. @throws RunError when a driver and an executor do not */
function workersOf(name: string, { maxVcpus = 16, maxMemoryGb = 64 }: FraudSize): number {
  const workers = Math.min(Math.floor(maxVcpus / worker.vcpus), Math.floor(maxMemoryGb / worker.memoryGb));
  if (workers < 2) {
    throw new pulumi.RunError(
      `${name}: ${maxVcpus} vCPU and ${maxMemoryGb} GB hold ${workers} of the workers with ${worker.vcpus} vCPU and ` +
        `${worker.memoryGb} GB; a driver and an executor need maxVcpus of ${2 * worker.vcpus} and maxMemoryGb of ${2 * worker.memoryGb}`,
    );
  }
  return workers;
}

/**
 * Fraud scoring and training on EMR Serverless: an application that starts with a job, cannot grow beyond a cap and
 * stops when nothing runs; a role a job; a topic for alerts. It has the Python environment of the laptop, for ARM64.
 *
 * The application has no capacity of its own in advance: while idle it costs nothing.
 *
 * @example
 * const fraud = new Fraud("shop-dev", {
 *   place, environment, ...keys,
 *   bucketNames: lake.bucketNames,
 *   databaseNames: catalog.databaseNames,
 *   network: placement,
 *   shared: batch.shared,
 *   size: { maxVcpus: 16, maxMemoryGb: 64 },
 *   reviewers: ["fraud@example.com"],
 * });
 * fraud.application.id;
 */
export class Fraud extends pulumi.ComponentResource {
  readonly application: aws.emrserverless.Application;
  readonly topic: aws.sns.Topic;
  readonly roles: Readonly<Record<FraudJob, WorkloadRole>>;
  /** What the workflow has to know to score. */
  readonly scoring: pulumi.Output<SparkJobNames>;
  /** The command that trains a challenger. */
  readonly trainCommand: pulumi.Output<string>;
  readonly nodes: {
    readonly logGroup: aws.cloudwatch.LogGroup;
    readonly scripts: Readonly<Record<FraudJob, aws.s3.BucketObjectv2>>;
    readonly environment: aws.s3.BucketObjectv2;
  };

  constructor(name: string, args: FraudArgs, opts?: pulumi.ComponentResourceOptions) {
    const size = args.size ?? {};
    const workers = workersOf(name, size);
    const sources = scriptsIn(name, args.packageDir ?? jobsPackage);
    super("securecart:pipeline:Fraud", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);
    const { bucketNames, databaseNames } = args;

    const scripts = { score: uploadScript("score"), train: uploadScript("train") };
    const environment = upload("environment", `code/${args.environment.name}`, args.environment.asset);
    const logGroup = createLogGroup();
    this.application = createApplication(logGroup);
    this.topic = createTopic();
    const topicArn = arns.regional("sns", this.topic.name);
    this.roles = { score: createRole("score"), train: createRole("train") };
    this.scoring = namesOf("score", this);
    this.trainCommand = commandOf(namesOf("train", this));
    this.nodes = { logGroup, scripts, environment };
    this.registerOutputs({ applicationId: this.application.id });

    function upload(kind: string, key: string, source: pulumi.asset.Asset): aws.s3.BucketObjectv2 {
      const { dataKeyArn } = args;
      return createArtifactObject(
        `${name}-fraud-${kind}`,
        { bucket: bucketNames.artifacts, key, source, dataKeyArn },
        parent,
      );
    }

    function uploadScript(job: FraudJob): aws.s3.BucketObjectv2 {
      const text = sources[job];
      // The file keeps its name, by which traces and logs know the job.
      const key = `code/${sha256(text).slice(0, 16)}/fraud_${job}.py`;
      return upload(job, key, new pulumi.asset.StringAsset(text));
    }

    function createLogGroup(): aws.cloudwatch.LogGroup {
      return new aws.cloudwatch.LogGroup(
        `${name}-fraud`,
        {
          name: `/aws/emr-serverless/${name}-fraud`,
          retentionInDays: args.logRetentionDays ?? 30,
          kmsKeyId: args.logsKeyArn,
        },
        { parent },
      );
    }

    function createApplication(group: aws.cloudwatch.LogGroup): aws.emrserverless.Application {
      return new aws.emrserverless.Application(
        ...transformed(
          args.transform?.application,
          `${name}-fraud`,
          {
            name: `${name}-fraud`,
            type: "spark",
            // Spark 3.5.6, Java 17 and Iceberg 1.10, as on Glue 5.1 and on a laptop.
            releaseLabel: "emr-7.13.0",
            architecture: fraudArchitecture,
            maximumCapacity: {
              cpu: `${size.maxVcpus ?? 16} vCPU`,
              memory: `${size.maxMemoryGb ?? 64} GB`,
              disk: `${workers * worker.diskGb} GB`,
            },
            autoStartConfiguration: { enabled: true },
            autoStopConfiguration: { enabled: true, idleTimeoutMinutes: size.idleMinutes ?? 5 },
            interactiveConfiguration: { studioEnabled: false, livyEndpointEnabled: false },
            networkConfiguration: {
              subnetIds: args.network.subnetIds,
              securityGroupIds: [args.network.securityGroupId],
            },
            monitoringConfiguration: {
              managedPersistenceMonitoringConfiguration: { enabled: false },
              cloudwatchLoggingConfiguration: {
                enabled: true,
                logGroupName: group.name,
                encryptionKeyArn: args.logsKeyArn,
                logTypes: [
                  { name: "SPARK_DRIVER", values: ["STDERR", "STDOUT"] },
                  { name: "SPARK_EXECUTOR", values: ["STDERR"] },
                ],
              },
            },
          },
          { parent },
        ),
      );
    }

    // Alerts name customers, so they are encrypted with the key of the data and go to reviewers, not to operators.
    function createTopic(): aws.sns.Topic {
      const topic = new aws.sns.Topic(
        `${name}-fraud-alerts`,
        { name: `${name}-fraud-alerts`, kmsMasterKeyId: args.dataKeyArn },
        { parent },
      );
      const arn = arns.regional("sns", topic.name);
      new aws.sns.TopicPolicy(
        `${name}-fraud-alerts`,
        {
          arn,
          policy: policyDocument([tlsOnly("sns:Publish", arn)]),
        },
        { parent },
      );
      for (const email of args.reviewers ?? []) {
        new aws.sns.TopicSubscription(
          `${name}-fraud-${email}`,
          { topic: arn, protocol: "email", endpoint: email },
          { parent },
        );
      }
      return topic;
    }

    function createRole(job: FraudJob): WorkloadRole {
      return new WorkloadRole(
        `${name}-fraud-${job}`,
        {
          place: args.place,
          description: `EMR Serverless job fraud_${job} of ${name}`,
          trust: "emr-serverless.amazonaws.com",
          permissionsBoundary: args.permissionsBoundary,
          policies: {
            lake: lakeStatements(job),
            catalog: catalogStatements(job),
            keys: [
              useKeyThrough(arns, args.dataKeyArn, job === "score" ? ["s3", "sns"] : ["s3"]),
              encryptDisks(name, args.dataKeyArn),
              useKeyThrough(arns, args.logsKeyArn, ["emr-serverless", "logs"], "logs"),
            ],
            runtime: runtimeStatements(job),
          },
        },
        { parent },
      );
    }

    function lakeStatements(job: FraudJob): Statement[] {
      const area = (zone: Zone, ...prefixes: string[]) => ({ zone, bucket: bucketNames[zone], prefixes });
      const common = [
        ...readArea(arns, area("artifacts", "code/", "contracts.json")),
        putObjects(arns, area("staging", "runs/")),
        openObjects(arns, area("staging", "tables/")),
        ...readArea(arns, area("landing", "fraud-labels/")),
        ...readArea(arns, area("curated", "fraud/models/")),
      ];
      return job === "score"
        ? [
            ...common,
            openObjects(arns, area("landing", "plans/")),
            ...writeArea(arns, area("curated", "tables/")),
            putObjects(arns, area("curated", "fraud/alerts/")),
          ]
        : [...common, putObjects(arns, area("curated", "fraud/models/"))];
    }

    function catalogStatements(job: FraudJob): Statement[] {
      const { staging, curated } = databaseNames;
      return [
        ...readCatalog(arns, "staging", staging),
        ...(job === "score"
          ? [...readCatalog(arns, "curated", curated), commitCatalog(arns, "curated", curated)]
          : []),
      ];
    }

    function runtimeStatements(job: FraudJob): Statement[] {
      const group = arns.logGroup(logGroup.name);
      return [
        {
          sid: "WriteLogs",
          actions: [
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
          ],
          resources: [pulumi.interpolate`${group}:*`],
        },
        encryptLogs(arns, [logGroup.name]),
        {
          sid: "FindLogs",
          actions: ["logs:DescribeLogGroups"],
          resources: [arns.regional("logs", "log-group:*")],
        },
        // X-Ray knows no resources for segments.
        { sid: "SendTraces", actions: ["xray:PutTraceSegments"], resources: ["*"] },
        ...(job === "score" ? [{ sid: "SendAlerts", actions: ["sns:Publish"], resources: [topicArn] }] : []),
      ];
    }

    function namesOf(job: FraudJob, fraud: Fraud): pulumi.Output<SparkJobNames> {
      const jobArguments: Record<string, pulumi.Input<string>> = {
        "--landing": bucketNames.landing,
        "--staging": bucketNames.staging,
        "--curated": bucketNames.curated,
        "--quarantine": bucketNames.quarantine,
        "--artifacts": bucketNames.artifacts,
        "--staging-db": databaseNames.staging,
        "--curated-db": databaseNames.curated,
        "--contracts": args.shared.contracts,
        "--geo-database": args.shared.geoDatabase,
        ...(job === "score"
          ? { "--alert-topic": topicArn }
          : { "--workers": String((workers - 1) * worker.vcpus) }),
      };
      return pulumi.output({
        applicationId: fraud.application.id,
        executionRoleArn: fraud.roles[job].arn,
        entryPoint: uriOf(scripts[job]),
        arguments: jobArguments,
        sparkSubmitParameters: submitParameters(job),
        // The application's logging holds for its runs; the provider knows no disk encryption of an application.
        configurationOverrides: {
          DiskEncryptionConfiguration: {
            EncryptionKeyArn: args.dataKeyArn,
            EncryptionContext: { [diskContext]: name },
          },
        },
      });
    }

    function submitParameters(job: FraudJob): pulumi.Output<string> {
      const executors = String(workers - 1);
      const region = arns.place.apply((place) => place.region);
      return pulumi
        .all([lakeSettings(bucketNames), args.shared.library, uriOf(environment), region])
        .apply(([settings, pyFiles, archive, driverRegion]) =>
          sparkSubmitParameters({
            pyFiles,
            archive,
            conf: {
              ...settings,
              "spark.sql.catalogImplementation": "in-memory",
              // https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/using-iceberg.html
              "spark.jars": "/usr/share/aws/iceberg/lib/iceberg-spark3-runtime.jar",
              "spark.emr-serverless.driverEnv.AWS_DEFAULT_REGION": driverRegion,
              "spark.driver.cores": String(worker.vcpus),
              "spark.driver.memory": `${worker.heapGb}g`,
              "spark.executor.cores": String(worker.vcpus),
              "spark.executor.memory": `${worker.heapGb}g`,
              // xgboost trains in barrier mode, for which all executors have to be there: Spark refuses it otherwise.
              ...(job === "train"
                ? { "spark.dynamicAllocation.enabled": "false", "spark.executor.instances": executors }
                : { "spark.dynamicAllocation.maxExecutors": executors }),
            },
          }),
        );
    }

    function commandOf(job: pulumi.Output<SparkJobNames>): pulumi.Output<string> {
      return pulumi.all([job, arns.place, args.dataKeyArn]).apply(([known, { region }, encryptionKeyArn]) => {
        const driver = {
          sparkSubmit: {
            entryPoint: known.entryPoint,
            entryPointArguments: Object.entries(known.arguments).flat(),
            sparkSubmitParameters: known.sparkSubmitParameters,
          },
        };
        const overrides = {
          diskEncryptionConfiguration: { encryptionKeyArn, encryptionContext: { [diskContext]: name } },
        };
        return [
          `aws emr-serverless start-job-run --region ${region} --application-id ${known.applicationId}`,
          `--execution-role-arn ${known.executionRoleArn} --name fraud-train`,
          `--job-driver '${JSON.stringify(driver)}' --configuration-overrides '${JSON.stringify(overrides)}'`,
        ].join(" ");
      });
    }
  }
}

/** Key of the encryption context under which workers' disks are encrypted; its value is the component's name. */
const diskContext = "pipeline";

/** Uses the key for the disks of a component's workers, and of no other's. */
export function encryptDisks(
  name: string,
  keyArn: pulumi.Input<string>,
  through?: pulumi.Input<string>,
): Statement {
  return {
    sid: "EncryptDisks",
    actions: ["kms:Decrypt", "kms:GenerateDataKey"],
    resources: [keyArn],
    conditions: {
      StringEquals: {
        [`kms:EncryptionContext:${diskContext}`]: name,
        ...(through !== undefined && { "kms:ViaService": through }),
      },
    },
  };
}
