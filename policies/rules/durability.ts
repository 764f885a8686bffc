import { each, type Reader } from "../reader.ts";
import { type Check, notApplicable, type Rule } from "../rule.ts";
import type { StackView } from "../stack.ts";
import {
  controls,
  docs,
  isAbsentOrWithin,
  isNotTrue,
  isTrue,
  isWithin,
  onResource,
  onStack,
} from "./checks.ts";

const base = { category: "durability", severity: "medium", level: "mandatory" } as const;
const inProd = { ...base, level: "prod" } as const;

const bucketType = "aws:s3/bucket:Bucket";
const tableType = "aws:dynamodb/table:Table";
const secretType = "aws:secretsmanager/secret:Secret";
const rds = ["aws:rds/instance:Instance", "aws:rds/cluster:Cluster"];

/** Types that hold what cannot be made again. */
export const statefulTypes: readonly string[] = [
  bucketType,
  tableType,
  "aws:kms/key:Key",
  "aws:redshiftserverless/namespace:Namespace",
  "aws:rds/instance:Instance",
  "aws:rds/cluster:Cluster",
];

/** Some enabled lifecycle rule for the whole bucket passes. */
const lifecycle =
  (what: string, holds: (rule: Reader) => boolean): Check =>
  (bucket, stack) => {
    const rules = stack
      .attached("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "bucket", bucket)
      .flatMap((setting) => setting.items("rules"))
      .filter((rule) => rule.text("status") === "Enabled" && rule.text("filter.prefix") === undefined);
    return rules.some(holds) ? undefined : `no enabled rule for the whole bucket ${what}`;
  };

/** Prefixes of tables, where a live file that expires is a lost row. */
const expiresTables = (rule: Reader): boolean => {
  const prefix = rule.text("filter.prefix") ?? rule.text("prefix") ?? "";
  const reaches = "tables/".startsWith(prefix) || prefix.startsWith("tables/");
  return reaches && rule.has("expiration") && rule.text("status") === "Enabled";
};

const finalSnapshot: Check = (database) => {
  if (database.flag("skipFinalSnapshot") === true) return "skipFinalSnapshot is true";
  return database.has("finalSnapshotIdentifier") ? undefined : "finalSnapshotIdentifier is not set";
};

/** The number in a version like 5.1, or of a release label like emr-7.10.0. */
const version = (text: string): readonly number[] =>
  (text.match(/\d+(\.\d+)*/)?.[0] ?? "").split(".").map(Number);

function isOlder(text: string, floor: string): boolean {
  const [own, least] = [version(text), version(floor)];
  for (const [index, part] of least.entries()) {
    const difference = (own[index] ?? 0) - part;
    if (difference !== 0) return difference < 0;
  }
  return own.length === 0;
}

/** A version that is not below the rule's floor. */
const notOlder =
  (path: string): Check =>
  (resource, stack) => {
    const floor = [stack.parameter("floor")].flat().map(String)[0] ?? "";
    const value = resource.text(path);
    if (value === undefined) return `${path} is not set`;
    return isOlder(value, floor) ? `${path} is ${value}, older than ${floor}` : undefined;
  };

/** Days between rotations, from a number of days or a schedule expression. */
function rotationDays(rotation: Reader): number | undefined {
  const days = rotation.number("rotationRules.automaticallyAfterDays");
  if (days !== undefined) return days;
  const rate = rotation.text("rotationRules.scheduleExpression")?.match(/^rate\((\d+) (hour|day)s?\)$/);
  if (!rate) return undefined;
  return Number(rate[1]) / (rate[2] === "hour" ? 24 : 1);
}

export const durability: readonly Rule[] = [
  onStack(
    "s3-versioning",
    {
      ...inProd,
      title: "A bucket keeps overwritten and deleted objects.",
      controls: controls("checkov 21", "FSBP S3.14"),
      remedy: "Add a BucketVersioning with status Enabled.",
      link: `${docs}/AmazonS3/latest/userguide/Versioning.html`,
      types: [bucketType],
    },
    (bucket, stack) => {
      const setting = stack.attached("aws:s3/bucketVersioning:BucketVersioning", "bucket", bucket)[0];
      const status = setting?.text("versioningConfiguration.status");
      return status === "Enabled" ? undefined : `versioning is ${status ?? "not configured"}`;
    },
  ),
  onStack(
    "s3-lifecycle-uploads",
    {
      ...base,
      severity: "low",
      title: "A bucket clears away broken uploads within 7 days.",
      controls: controls("checkov 300"),
      remedy: "Add an enabled lifecycle rule with abortIncompleteMultipartUpload.",
      link: `${docs}/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html`,
      types: [bucketType],
    },
    lifecycle("aborts broken uploads within 7 days", (rule) => {
      const days = rule.number("abortIncompleteMultipartUpload.daysAfterInitiation");
      return days !== undefined && days >= 1 && days <= 7;
    }),
  ),
  onStack(
    "s3-lifecycle-noncurrent",
    {
      ...base,
      severity: "low",
      title: "A bucket removes old versions, yet not before 7 days.",
      controls: controls("FSBP S3.10", "FSBP S3.13"),
      remedy: "Add an enabled lifecycle rule with noncurrentVersionExpiration.noncurrentDays of 7 to 365.",
      link: `${docs}/AmazonS3/latest/userguide/lifecycle-configuration-examples.html`,
      types: [bucketType],
    },
    lifecycle("expires noncurrent versions after 7 to 365 days", (rule) => {
      const days = rule.number("noncurrentVersionExpiration.noncurrentDays");
      return days !== undefined && days >= 7 && days <= 365;
    }),
  ),
  onStack(
    "s3-lifecycle-keeps-tables",
    {
      ...base,
      severity: "high",
      title: "No lifecycle rule expires files of Iceberg tables: one that is gone is lost rows.",
      controls: controls(),
      remedy: "Name a prefix other than tables/ in rules with expiration.",
      link: `${docs}/AmazonS3/latest/userguide/intro-lifecycle-rules.html`,
      types: ["aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"],
    },
    (setting) =>
      each(setting.items("rules"), (rule) =>
        expiresTables(rule)
          ? { detail: `Rule::${rule.text("id") ?? rule.path}`, message: `${rule.path} expires tables/` }
          : undefined,
      ),
    (setting) =>
      each(setting.items("rules"), (rule) => {
        const days = rule.number("expiration.days");
        return days !== undefined && days < 1
          ? { detail: `Days::${rule.path}`, message: `${rule.path}.expiration.days is ${days}` }
          : undefined;
      }),
  ),
  onResource(
    "s3-no-force-destroy",
    {
      ...inProd,
      severity: "high",
      title: "A bucket with objects cannot be deleted.",
      controls: controls(),
      remedy: "Set forceDestroy to false.",
      link: "https://www.pulumi.com/registry/packages/aws/api-docs/s3/bucket/#forcedestroy_nodejs",
      types: [bucketType],
    },
    isNotTrue("forceDestroy"),
  ),
  onStack(
    "s3-object-lock",
    {
      ...base,
      level: "advisory",
      severity: "low",
      title: "A bucket of logs can be written once only.",
      controls: controls("checkov 143"),
      remedy: "Set objectLockEnabled for the bucket that takes access logs.",
      link: `${docs}/AmazonS3/latest/userguide/object-lock.html`,
      types: [bucketType],
    },
    (bucket, stack) => {
      const isTarget =
        stack.attached("aws:s3/bucketLogging:BucketLogging", "targetBucket", bucket).length > 0;
      if (!isTarget) return notApplicable;
      return bucket.flag("objectLockEnabled") === true ? undefined : "objectLockEnabled is not true";
    },
  ),
  onResource(
    "kinesis-retention",
    {
      ...inProd,
      title: "A stream keeps records for at least a week.",
      controls: controls("FSBP Kinesis.3"),
      remedy: "Set retentionPeriod to 168 hours or more.",
      link: `${docs}/streams/latest/dev/kinesis-extended-retention.html`,
      types: ["aws:kinesis/stream:Stream"],
    },
    isWithin("retentionPeriod", 168, 8760),
  ),
  onResource(
    "dynamodb-recovery",
    {
      ...base,
      title: "A table can be restored to any point of the last days.",
      controls: controls("checkov 28", "cdk-nag DDB3", "FSBP DynamoDB.2"),
      remedy: "Set pointInTimeRecovery.enabled to true.",
      link: `${docs}/amazondynamodb/latest/developerguide/PointInTimeRecovery.html`,
      types: [tableType],
    },
    isTrue("pointInTimeRecovery.enabled"),
    isAbsentOrWithin("pointInTimeRecovery.recoveryPeriodInDays", 7, 35),
  ),
  onResource(
    "dynamodb-deletion-protection",
    {
      ...inProd,
      title: "A table cannot be deleted by mistake.",
      controls: controls("FSBP DynamoDB.6"),
      remedy: "Set deletionProtectionEnabled to true.",
      link: `${docs}/amazondynamodb/latest/developerguide/WorkingWithTables.Basics.html`,
      types: [tableType],
    },
    isTrue("deletionProtectionEnabled"),
  ),
  onResource(
    "rds-backups",
    {
      ...base,
      title: "A database is backed up for at least 7 days.",
      controls: controls("checkov 133", "FSBP RDS.11"),
      remedy: "Set backupRetentionPeriod to 7 to 35.",
      link: `${docs}/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.html`,
      types: rds,
    },
    isWithin("backupRetentionPeriod", 7, 35),
  ),
  onResource(
    "rds-multi-az",
    {
      ...inProd,
      title: "A database survives a zone.",
      controls: controls("checkov 157", "FSBP RDS.5"),
      remedy: "Set multiAz to true.",
      link: `${docs}/AmazonRDS/latest/UserGuide/Concepts.MultiAZ.html`,
      types: ["aws:rds/instance:Instance"],
    },
    isTrue("multiAz"),
  ),
  onResource(
    "rds-deletion-protection",
    {
      ...inProd,
      title: "A database cannot be deleted by mistake.",
      controls: controls("checkov 293", "FSBP RDS.8"),
      remedy: "Set deletionProtection to true.",
      link: `${docs}/AmazonRDS/latest/UserGuide/USER_DeleteInstance.html`,
      types: rds,
    },
    isTrue("deletionProtection"),
  ),
  onResource(
    "rds-final-snapshot",
    {
      ...inProd,
      title: "A database that is deleted leaves a snapshot.",
      controls: controls(),
      remedy: "Set skipFinalSnapshot to false and finalSnapshotIdentifier.",
      link: `${docs}/AmazonRDS/latest/UserGuide/USER_DeleteInstance.html`,
      types: rds,
    },
    finalSnapshot,
  ),
  onStack(
    "secrets-rotation",
    {
      ...inProd,
      title: "A secret rotates at least every 90 days.",
      controls: controls("checkov 304", "cdk-nag SMG4", "FSBP SecretsManager.4"),
      remedy: "Add a SecretRotation with rotationRules of at most 90 days.",
      link: `${docs}/secretsmanager/latest/userguide/rotating-secrets.html`,
      types: [secretType],
    },
    (secret, stack: StackView) => {
      const rotation = stack.attached(
        "aws:secretsmanager/secretRotation:SecretRotation",
        "secretId",
        secret,
      )[0];
      if (!rotation) return "no SecretRotation belongs to it";
      if (rotation.flag("rotationEnabled") === false) return "rotationEnabled is false";
      const days = rotationDays(rotation);
      return days !== undefined && days > 0 && days <= 90
        ? undefined
        : `it rotates ${days === undefined ? "at no time that can be read" : `every ${days} days`}`;
    },
  ),
  onResource(
    "secrets-recovery-window",
    {
      ...inProd,
      title: "A deleted secret can be taken back for at least 7 days.",
      controls: controls(),
      remedy: "Set recoveryWindowInDays to 7 to 30, or leave it out (30).",
      link: `${docs}/secretsmanager/latest/userguide/manage_delete-secret.html`,
      types: [secretType],
    },
    isAbsentOrWithin("recoveryWindowInDays", 7, 30),
  ),
  onResource(
    "stateful-protected",
    {
      ...inProd,
      severity: "high",
      title: "A resource with data refuses to be deleted by Pulumi.",
      controls: controls(),
      remedy: "Set the resource option protect to true.",
      link: "https://www.pulumi.com/docs/iac/concepts/resources/options/protect/",
      types: statefulTypes,
    },
    ({ resource }) => (resource.protect ? undefined : "protect is not set"),
  ),
  onResource(
    "subnet-zone-named",
    {
      ...base,
      severity: "low",
      title: "A subnet names its zone, so that several are in several.",
      controls: controls(),
      remedy: "Set availabilityZone or availabilityZoneId: AWS chooses one without, and may choose the same.",
      link: `${docs}/vpc/latest/userguide/create-subnets.html`,
      types: ["aws:ec2/subnet:Subnet"],
    },
    (subnet) =>
      subnet.has("availabilityZone") || subnet.has("availabilityZoneId")
        ? undefined
        : "neither availabilityZone nor availabilityZoneId is set",
  ),
  onResource(
    "lambda-runtime-current",
    {
      ...base,
      title: "A function's runtime gets security updates.",
      controls: controls("checkov 363", "cdk-nag L1", "FSBP Lambda.2"),
      remedy: "Take one of the configured runtimes.",
      link: `${docs}/lambda/latest/dg/lambda-runtimes.html`,
      types: ["aws:lambda/function:Function"],
      parameters: { runtimes: ["nodejs22.x", "nodejs24.x", "python3.12", "python3.13", "python3.14"] },
    },
    (resource, stack) => {
      if (resource.text("packageType") === "Image") return notApplicable;
      const runtime = resource.text("runtime");
      const allowed = [stack.parameter("runtimes")].flat();
      return allowed.includes(runtime) ? undefined : `runtime is ${runtime ?? "not set"}`;
    },
  ),
  onResource(
    "glue-version",
    {
      ...base,
      title: "A job runs on a supported version of Glue.",
      controls: controls("FSBP Glue.4"),
      remedy: "Set glueVersion to the floor or later.",
      link: `${docs}/glue/latest/dg/release-notes.html`,
      types: ["aws:glue/job:Job"],
      parameters: { floor: ["5.0"] },
    },
    notOlder("glueVersion"),
  ),
  onResource(
    "emr-serverless-release",
    {
      ...base,
      title: "EMR Serverless runs a supported release.",
      controls: controls(),
      remedy: "Set releaseLabel to the floor or later.",
      link: `${docs}/emr/latest/EMR-Serverless-UserGuide/release-versions.html`,
      types: ["aws:emrserverless/application:Application"],
      parameters: { floor: ["emr-7.0.0"] },
    },
    notOlder("releaseLabel"),
  ),
];
