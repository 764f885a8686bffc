import { each, isRecord, type Reader } from "../reader.ts";
import { type Defect, notApplicable, type Rule, stackType, unknown } from "../rule.ts";
import type { StackView } from "../stack.ts";
import {
  controls,
  customerKey,
  docs,
  isAbsentOrWithin,
  isAwsKey,
  isFalse,
  isNotTrue,
  isOneOf,
  isTrue,
  keyDefect,
  onResource,
  onStack,
  when,
} from "./checks.ts";
import { argumentsOf, calls, everyState, valueAt } from "./definition.ts";
import { everyTemplated, templateType } from "./template.ts";

const category = "encryption at rest";
const base = { category, severity: "high", level: "mandatory" } as const;

const bucketType = "aws:s3/bucket:Bucket";
const bucketEncryption =
  "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration";
const keyType = "aws:kms/key:Key";
const securityConfiguration = "aws:glue/securityConfiguration:SecurityConfiguration";
const catalogSettings = "aws:glue/dataCatalogEncryptionSettings:DataCatalogEncryptionSettings";
const namespace = "aws:redshiftserverless/namespace:Namespace";
const rds = ["aws:rds/instance:Instance", "aws:rds/cluster:Cluster"];
const emr = "aws:emrserverless/application:Application";

/** Whether other buckets deliver their access logs here, for which S3 takes no customer key. */
const isLogTarget = (bucket: Reader, stack: StackView): boolean =>
  stack.attached("aws:s3/bucketLogging:BucketLogging", "targetBucket", bucket).length > 0;

/** One side of Glue's settings: a mode and a key. */
const glueMode = (id: string, what: string, path: string, mode: string, modes: readonly string[]): Rule =>
  onStack(
    id,
    {
      ...base,
      title: `A Glue security configuration encrypts ${what} with a customer key.`,
      controls: controls("checkov 99", "cdk-nag GL3"),
      remedy: `Set encryptionConfiguration.${path}.${mode} to ${modes.join(" or ")} with a kmsKeyArn.`,
      link: `${docs}/glue/latest/dg/encryption-security-configuration.html`,
      types: [securityConfiguration],
    },
    isOneOf(`encryptionConfiguration.${path}.${mode}`, ...modes),
    customerKey(`encryptionConfiguration.${path}.kmsKeyArn`),
  );

/** A rule that one property names a customer key. */
const withKey = (
  id: string,
  type: string | readonly string[],
  path: string,
  what: string,
  link: string,
  ...names: readonly string[]
): Rule =>
  onStack(
    id,
    {
      ...base,
      title: `${what} with a customer key.`,
      controls: controls(...names),
      remedy: `Set ${path} to the ARN of a KMS key of the account.`,
      link: `${docs}${link}`,
      types: [type].flat(),
    },
    customerKey(path),
  );

/** Whether a value in a document names one key that is not AWS's own. An object refers to another resource. */
const namesOwnKey = (value: unknown): boolean =>
  isRecord(value) || (typeof value === "string" && value !== "" && !isAwsKey(value) && !/[*?]/.test(value));

function awsKeysIn(value: unknown, path: string): readonly Defect[] {
  if (value === unknown) return [];
  if (typeof value === "string") {
    return isAwsKey(value) ? [{ detail: `Property::${path}`, message: `${path} is ${value}` }] : [];
  }
  if (Array.isArray(value)) return value.flatMap((item, index) => awsKeysIn(item, `${path}[${index}]`));
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, item]) =>
    awsKeysIn(item, path === "" ? key : `${path}.${key}`),
  );
}

export const encryptionAtRest: readonly Rule[] = [
  onStack(
    "s3-kms-encryption",
    {
      ...base,
      title: "Every bucket encrypts with a customer key; the target of access logs may use S3's own.",
      controls: controls("checkov 145", "FSBP S3.17"),
      remedy: "Add a BucketServerSideEncryptionConfiguration with aws:kms and kmsMasterKeyId.",
      link: `${docs}/AmazonS3/latest/userguide/UsingKMSEncryption.html`,
      types: [bucketType],
    },
    (bucket, stack) => {
      const settings = stack.attached(bucketEncryption, "bucket", bucket);
      const rules = settings.flatMap((setting) => setting.items("rules"));
      if (rules.length === 0) return "no encryption is configured";
      return each(rules, (rule) => {
        const algorithm = rule.text("applyServerSideEncryptionByDefault.sseAlgorithm");
        if (algorithm === "AES256" && isLogTarget(bucket, stack)) return undefined;
        if (algorithm !== "aws:kms" && algorithm !== "aws:kms:dsse") {
          return `the bucket's algorithm is ${algorithm ?? "not set"}, not aws:kms`;
        }
        return keyDefect(rule, "applyServerSideEncryptionByDefault.kmsMasterKeyId");
      });
    },
  ),
  onResource(
    "s3-bucket-key",
    {
      ...base,
      severity: "low",
      title: "A bucket with KMS encryption uses a bucket key.",
      controls: controls("FSBP S3.17"),
      remedy: "Set bucketKeyEnabled to true: far fewer calls to KMS, and none that can be throttled.",
      link: `${docs}/AmazonS3/latest/userguide/bucket-key.html`,
      types: [bucketEncryption],
    },
    (settings) => {
      const rules = settings
        .items("rules")
        .filter((rule) => rule.text("applyServerSideEncryptionByDefault.sseAlgorithm") === "aws:kms");
      if (rules.length === 0) return notApplicable;
      return each(rules, (rule) =>
        rule.flag("bucketKeyEnabled") === true ? undefined : "bucketKeyEnabled is not true",
      );
    },
  ),
  onResource(
    "s3-no-sse-c",
    {
      ...base,
      severity: "medium",
      title: "A bucket refuses objects that only a key of their writer can read (SSE-C).",
      controls: controls(),
      remedy: "Set blockedEncryptionTypes to SSE-C in the BucketServerSideEncryptionConfiguration's rule.",
      link: `${docs}/AmazonS3/latest/userguide/blocking-unblocking-s3-c-encryption-gpb.html`,
      types: [bucketEncryption],
    },
    (settings) =>
      each(settings.items("rules"), (rule) =>
        rule.texts("blockedEncryptionTypes").includes("SSE-C")
          ? undefined
          : { detail: `Rule::${rule.path}`, message: `${rule.path}.blockedEncryptionTypes has no SSE-C` },
      ),
  ),
  onStack(
    "s3-object-encryption",
    {
      ...base,
      title: "An object that the program uploads is encrypted with a customer key.",
      controls: controls("checkov 186"),
      remedy: "Set serverSideEncryption to aws:kms and kmsKeyId to the bucket's key.",
      link: `${docs}/AmazonS3/latest/userguide/specifying-kms-encryption.html`,
      types: ["aws:s3/bucketObjectv2:BucketObjectv2", "aws:s3/bucketObject:BucketObject"],
    },
    isOneOf("serverSideEncryption", "aws:kms", "aws:kms:dsse"),
    customerKey("kmsKeyId"),
  ),
  onResource(
    "kms-rotation",
    {
      ...base,
      title: "A key rotates at least once a year.",
      controls: controls("checkov 7", "cdk-nag KMS5", "FSBP KMS.4"),
      remedy: "Set enableKeyRotation to true, rotationPeriodInDays to at most 365.",
      link: `${docs}/kms/latest/developerguide/rotate-keys.html`,
      types: [keyType],
    },
    isTrue("enableKeyRotation"),
    isAbsentOrWithin("rotationPeriodInDays", 90, 365),
  ),
  onResource(
    "kms-deletion-window",
    {
      ...base,
      title: "A key's deletion can be taken back for at least 14 days.",
      controls: controls(),
      remedy: "Set deletionWindowInDays to 14 to 30, or leave it out (30).",
      link: `${docs}/kms/latest/developerguide/deleting-keys.html`,
      types: [keyType],
    },
    isAbsentOrWithin("deletionWindowInDays", 14, 30),
  ),
  onResource(
    "kms-no-lockout",
    {
      ...base,
      title: "A key's policy cannot shut out its account, and the key is in use.",
      controls: controls(),
      remedy: "Leave bypassPolicyLockoutSafetyCheck out and isEnabled true.",
      link: `${docs}/kms/latest/developerguide/key-policy-default.html`,
      types: [keyType],
    },
    isNotTrue("bypassPolicyLockoutSafetyCheck"),
    (key) => (key.flag("isEnabled") === false ? "isEnabled is false: nothing can be read" : undefined),
  ),
  onStack(
    "kms-no-aws-managed-key",
    {
      ...base,
      title: "No resource is encrypted with a key that AWS manages (alias/aws/*).",
      controls: controls(),
      remedy: "Name a key of the account, whose policy and use are yours.",
      link: `${docs}/kms/latest/developerguide/concepts.html`,
      types: [stackType],
    },
    (_, stack) =>
      stack.resources.flatMap(({ urn, inputs }) =>
        awsKeysIn(inputs, "").map((defect) => ({ ...defect, urn })),
      ),
  ),
  onStack(
    "glue-security-configuration",
    {
      ...base,
      title: "Jobs, crawlers and development endpoints have a security configuration.",
      controls: controls("checkov 195", "cdk-nag GL1"),
      remedy: "Set securityConfiguration.",
      link: `${docs}/glue/latest/dg/set-up-encryption.html`,
      types: ["aws:glue/job:Job", "aws:glue/crawler:Crawler", "aws:glue/devEndpoint:DevEndpoint"],
    },
    (job, stack) => {
      if (!job.refersTo("securityConfiguration", securityConfiguration)) {
        return "securityConfiguration is not set";
      }
      return stack.target(job, "securityConfiguration", securityConfiguration)
        ? undefined
        : "securityConfiguration names none of this stack";
    },
  ),
  glueMode("glue-encrypts-s3", "what it writes to S3", "s3Encryption", "s3EncryptionMode", ["SSE-KMS"]),
  glueMode("glue-encrypts-logs", "logs", "cloudwatchEncryption", "cloudwatchEncryptionMode", ["SSE-KMS"]),
  glueMode(
    "glue-encrypts-bookmarks",
    "job bookmarks",
    "jobBookmarksEncryption",
    "jobBookmarksEncryptionMode",
    ["CSE-KMS"],
  ),
  onStack(
    "glue-catalog-encryption",
    {
      ...base,
      title: "A stack with Glue databases encrypts the catalog's metadata with a customer key.",
      controls: controls("checkov 94"),
      remedy:
        "Add DataCatalogEncryptionSettings with SSE-KMS, or waive where the account's baseline sets it.",
      link: `${docs}/glue/latest/dg/encrypt-glue-data-catalog.html`,
      types: [stackType],
    },
    (_, stack) => {
      if (stack.ofType("aws:glue/catalogDatabase:CatalogDatabase").length === 0) return notApplicable;
      const settings = stack.ofType(catalogSettings);
      if (settings.length === 0) return "the stack has Glue databases and no DataCatalogEncryptionSettings";
      return each(settings, (setting) => {
        const at = setting.fields("dataCatalogEncryptionSettings.encryptionAtRest");
        const mode = at?.text("catalogEncryptionMode");
        const message =
          at && (mode === "SSE-KMS" || mode === "SSE-KMS-WITH-SERVICE-ROLE")
            ? keyDefect(at, "sseAwsKmsKeyId")
            : `catalogEncryptionMode is ${mode ?? "not set"}, not SSE-KMS`;
        return message === undefined ? undefined : { message, urn: setting.resource.urn };
      });
    },
  ),
  onStack(
    "glue-connection-passwords-encrypted",
    {
      ...base,
      title: "The catalog keeps connection passwords encrypted with a customer key.",
      controls: controls("checkov 94"),
      remedy: "Set connectionPasswordEncryption with returnConnectionPasswordEncrypted and awsKmsKeyId.",
      link: `${docs}/glue/latest/dg/encrypt-connection-passwords.html`,
      types: [catalogSettings],
    },
    isTrue("dataCatalogEncryptionSettings.connectionPasswordEncryption.returnConnectionPasswordEncrypted"),
    customerKey("dataCatalogEncryptionSettings.connectionPasswordEncryption.awsKmsKeyId"),
  ),
  onStack(
    "emr-serverless-log-encryption",
    {
      ...base,
      title: "Logs of EMR Serverless are encrypted with a customer key, wherever they go.",
      controls: controls(),
      remedy: "Set encryptionKeyArn in the monitoringConfiguration's sinks.",
      link: `${docs}/emr/latest/EMR-Serverless-UserGuide/logging.html`,
      types: [emr],
    },
    (application) => {
      const sinks = [
        "s3MonitoringConfiguration",
        "cloudwatchLoggingConfiguration",
        "managedPersistenceMonitoringConfiguration",
      ].flatMap((name) => {
        const sink = application.fields(`monitoringConfiguration.${name}`);
        return sink && sink.flag("enabled") !== false ? [sink] : [];
      });
      return each(sinks, (sink) => keyDefect(sink, "encryptionKeyArn"));
    },
  ),
  onResource(
    "emr-serverless-managed-logs-off",
    {
      ...base,
      severity: "medium",
      title: "EMR Serverless keeps no copy of logs in AWS's own storage.",
      controls: controls(),
      remedy: "Set managedPersistenceMonitoringConfiguration.enabled to false: on is the default.",
      link: `${docs}/emr/latest/EMR-Serverless-UserGuide/logging.html`,
      types: [emr],
    },
    isFalse("monitoringConfiguration.managedPersistenceMonitoringConfiguration.enabled"),
  ),
  onStack(
    "lambda-environment-key",
    {
      ...base,
      title: "A function's environment is encrypted with a customer key.",
      controls: controls("checkov 173"),
      remedy: "Set kmsKeyArn.",
      link: `${docs}/lambda/latest/dg/configuration-envvars-encryption.html`,
      types: ["aws:lambda/function:Function"],
    },
    when((resource) => resource.has("environment"), customerKey("kmsKeyArn")),
  ),
  onStack(
    "kinesis-customer-key",
    {
      ...base,
      title: "A stream is encrypted with a customer key.",
      controls: controls("checkov 43", "checkov 185", "FSBP Kinesis.1"),
      remedy: "Set encryptionType to KMS and kmsKeyId.",
      link: `${docs}/streams/latest/dev/server-side-encryption.html`,
      types: ["aws:kinesis/stream:Stream"],
    },
    isOneOf("encryptionType", "KMS"),
    customerKey("kmsKeyId"),
  ),
  onStack(
    "sfn-customer-key",
    {
      ...base,
      title: "A state machine's definition and executions are encrypted with a customer key.",
      controls: controls("Prowler stepfunctions_statemachine_encrypted_with_cmk"),
      remedy: "Set encryptionConfiguration.type to CUSTOMER_MANAGED_KMS_KEY and kmsKeyId.",
      link: `${docs}/step-functions/latest/dg/encryption-at-rest.html`,
      types: ["aws:sfn/stateMachine:StateMachine"],
    },
    isOneOf("encryptionConfiguration.type", "CUSTOMER_MANAGED_KMS_KEY"),
    customerKey("encryptionConfiguration.kmsKeyId"),
  ),
  onResource(
    "sfn-export-key",
    {
      ...base,
      title: "A table that a state machine exports is encrypted with a customer key.",
      controls: controls(),
      remedy: "Set S3SseAlgorithm to KMS and S3SseKmsKeyId in the Task's arguments.",
      link: `${docs}/amazondynamodb/latest/APIReference/API_ExportTableToPointInTime.html`,
      types: ["aws:sfn/stateMachine:StateMachine"],
    },
    everyState(calls(/:dynamodb:exportTableToPointInTime/), (state) => {
      const { S3SseAlgorithm, S3SseKmsKeyId } = argumentsOf(state);
      if (S3SseAlgorithm !== "KMS") return `exports with S3SseAlgorithm ${S3SseAlgorithm ?? "not set"}`;
      return namesOwnKey(S3SseKmsKeyId)
        ? undefined
        : "exports with an S3SseKmsKeyId that is no key of the account";
    }),
  ),
  onResource(
    "emr-serverless-disk-key",
    {
      ...base,
      title: "The workers' disks of a job that a state machine starts are encrypted with a customer key.",
      controls: controls(),
      remedy:
        "Set ConfigurationOverrides.DiskEncryptionConfiguration.EncryptionKeyArn in the Task's arguments.",
      link: `${docs}/emr/latest/EMR-Serverless-UserGuide/encryption-disk.html`,
      types: ["aws:sfn/stateMachine:StateMachine"],
    },
    everyState(calls(/emr-?serverless:startJobRun/i), (state) =>
      namesOwnKey(
        valueAt(
          argumentsOf(state),
          "ConfigurationOverrides",
          "DiskEncryptionConfiguration",
          "EncryptionKeyArn",
        ),
      )
        ? undefined
        : "names no key of the account for the workers' disks",
    ),
  ),
  onResource(
    "databrew-job-key",
    {
      ...base,
      title: "A DataBrew job encrypts what it writes with a customer key.",
      controls: controls(),
      remedy: "Set EncryptionMode to SSE-KMS and EncryptionKeyArn.",
      link: `${docs}/databrew/latest/dg/encryption-security-configuration.html`,
      types: [templateType],
    },
    everyTemplated("AWS::DataBrew::Job", ({ EncryptionMode, EncryptionKeyArn }) => {
      if (EncryptionMode !== "SSE-KMS")
        return `EncryptionMode is ${EncryptionMode ?? "not set"}, not SSE-KMS`;
      return namesOwnKey(EncryptionKeyArn) ? undefined : "EncryptionKeyArn names no key of the account";
    }),
  ),
  withKey(
    "redshift-customer-key",
    namespace,
    "kmsKeyId",
    "A warehouse encrypts its data",
    "/redshift/latest/mgmt/serverless-workgroups-and-namespaces-rotate-kms-key.html",
    "checkov 282",
  ),
  withKey(
    "redshift-admin-secret-key",
    namespace,
    "adminPasswordSecretKmsKeyId",
    "The administrator's password of a warehouse is kept",
    "/redshift/latest/mgmt/redshift-secrets-manager-integration.html",
  ),
  onStack(
    "dynamodb-customer-key",
    {
      ...base,
      title: "A table is encrypted with a customer key.",
      controls: controls("checkov 119"),
      remedy: "Set serverSideEncryption.enabled to true and kmsKeyArn.",
      link: `${docs}/amazondynamodb/latest/developerguide/EncryptionAtRest.html`,
      types: ["aws:dynamodb/table:Table"],
    },
    isTrue("serverSideEncryption.enabled"),
    customerKey("serverSideEncryption.kmsKeyArn"),
  ),
  onStack(
    "rds-encrypted",
    {
      ...base,
      title: "A database is encrypted with a customer key.",
      controls: controls("checkov 16", "FSBP RDS.3"),
      remedy: "Set storageEncrypted to true and kmsKeyId.",
      link: `${docs}/AmazonRDS/latest/UserGuide/Overview.Encryption.html`,
      types: rds,
    },
    isTrue("storageEncrypted"),
    customerKey("kmsKeyId"),
  ),
  withKey(
    "secrets-customer-key",
    "aws:secretsmanager/secret:Secret",
    "kmsKeyId",
    "A secret is encrypted",
    "/secretsmanager/latest/userguide/security-encryption.html",
    "checkov 149",
  ),
  withKey(
    "sns-customer-key",
    "aws:sns/topic:Topic",
    "kmsMasterKeyId",
    "A topic is encrypted",
    "/sns/latest/dg/sns-server-side-encryption.html",
    "checkov 26",
  ),
  withKey(
    "sqs-customer-key",
    "aws:sqs/queue:Queue",
    "kmsMasterKeyId",
    "A queue is encrypted",
    "/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-server-side-encryption.html",
    "checkov 27",
  ),
  onResource(
    "sqs-key-reuse",
    {
      ...base,
      severity: "low",
      title: "A queue takes a new data key at least once an hour.",
      controls: controls(),
      remedy: "Set kmsDataKeyReusePeriodSeconds to at most 3600.",
      link: `${docs}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html`,
      types: ["aws:sqs/queue:Queue"],
    },
    isAbsentOrWithin("kmsDataKeyReusePeriodSeconds", 60, 3600),
  ),
  withKey(
    "logs-customer-key",
    "aws:cloudwatch/logGroup:LogGroup",
    "kmsKeyId",
    "A log group is encrypted",
    "/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html",
    "checkov 158",
  ),
  withKey(
    "scheduler-customer-key",
    "aws:scheduler/schedule:Schedule",
    "kmsKeyArn",
    "A schedule's input is encrypted",
    "/scheduler/latest/UserGuide/encryption-rest.html",
    "checkov 297",
  ),
  onResource(
    "apigateway-cache-encrypted",
    {
      ...base,
      title: "A cache of an API is encrypted.",
      controls: controls("checkov 308", "FSBP APIGateway.5"),
      remedy: "Set cacheDataEncrypted to true, or cachingEnabled to false.",
      link: `${docs}/apigateway/latest/developerguide/api-gateway-caching.html`,
      types: ["aws:apigateway/methodSettings:MethodSettings"],
    },
    (settings) =>
      settings.flag("settings.cachingEnabled") === true &&
      settings.flag("settings.cacheDataEncrypted") !== true
        ? "the cache is on and cacheDataEncrypted is not true"
        : undefined,
  ),
];
