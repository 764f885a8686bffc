import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { policyDocument, type Statement, tlsOnly } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { type DataSafety, mayDestroyData, statefulOptions } from "../lib/retention.ts";
import { type Transform, transformed } from "../lib/transform.ts";

/** The lake's buckets, in the order in which data moves through them. */
export const zones = ["landing", "staging", "curated", "quarantine", "artifacts", "logs"] as const;
export type Zone = (typeof zones)[number];

/** Days that objects are kept, by what they are. */
export interface LakeRetention {
  /** Landing batches, plans and drops: the reach of a replay. @default 365 */
  readonly landingDays?: pulumi.Input<number>;
  /** Rejected records. @default 365 */
  readonly quarantineDays?: pulumi.Input<number>;
  /** Exports for the warehouse, candidates and files of runs. @default 30 */
  readonly exportDays?: pulumi.Input<number>;
  /** Access logs. @default 365 */
  readonly logDays?: pulumi.Input<number>;
  /** Overwritten and deleted versions: how long a mistake can be taken back. @default 30 */
  readonly noncurrentDays?: pulumi.Input<number>;
}

export interface LakeArgs {
  readonly place: pulumi.Input<Place>;
  /** Key of the buckets; the logs bucket takes S3's own, since access logs can be delivered to no other. */
  readonly dataKeyArn: pulumi.Input<string>;
  readonly retention?: LakeRetention;
  readonly safety?: DataSafety;
  readonly transform?: {
    readonly bucket?: Transform<aws.s3.BucketArgs>;
    readonly lifecycle?: Transform<aws.s3.BucketLifecycleConfigurationArgs>;
  };
}

type Rule = aws.types.input.s3.BucketLifecycleConfigurationRule;

/** Prefix of the Iceberg tables in staging and curated: nothing but Iceberg itself removes files there. */
export const tablesPrefix = "tables/";

/**
 * The lake: one private, encrypted, versioned bucket a zone.
 *
 * Lifecycle rules of staging and curated expire only what a run leaves beside the tables; under `tables/` they touch
 * noncurrent versions and broken uploads alone, because a live Iceberg file that expires is a lost row.
 *
 * @example
 * const lake = new Lake("shop-dev", { place, dataKeyArn: keys.dataKeyArn, retention: { landingDays: 90 } });
 * export const drops = lake.buckets.landing.bucket;
 */
export class Lake extends pulumi.ComponentResource {
  readonly buckets: Readonly<Record<Zone, aws.s3.Bucket>>;
  /** Names by zone, known before the buckets exist. */
  readonly bucketNames: Readonly<Record<Zone, pulumi.Output<string>>>;
  readonly nodes: { readonly policies: Readonly<Record<Zone, aws.s3.BucketPolicy>> };

  constructor(name: string, args: LakeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Lake", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);
    const safety = args.safety ?? {};
    const retention = args.retention ?? {};

    const logs = createBucket("logs");
    this.buckets = {
      landing: createBucket("landing"),
      staging: createBucket("staging"),
      curated: createBucket("curated"),
      quarantine: createBucket("quarantine"),
      artifacts: createBucket("artifacts"),
      logs,
    };
    const policies = perZone((zone, bucket) => {
      closeToPublic(zone, bucket);
      enforceOwnership(zone, bucket);
      keepVersions(zone, bucket);
      encrypt(zone, bucket);
      expire(zone, bucket);
      return limitAccess(zone, bucket);
    }, this.buckets);
    perZone((zone, bucket) => logAccess(zone, bucket, policies.logs), this.buckets);
    notifyOfDrops(this.buckets.landing);
    this.bucketNames = perZone((_, bucket) => bucket.bucket, this.buckets);
    this.nodes = { policies };
    this.registerOutputs({ bucketNames: this.bucketNames });

    function createBucket(zone: Zone): aws.s3.Bucket {
      return new aws.s3.Bucket(
        ...transformed(
          args.transform?.bucket,
          `${name}-${zone}`,
          {
            bucket: arns.place.apply(({ accountId, region }) => `${name}-${zone}-${accountId}-${region}`),
            forceDestroy: mayDestroyData(safety),
          },
          { parent, ...statefulOptions(safety) },
        ),
      );
    }

    function closeToPublic(zone: Zone, bucket: aws.s3.Bucket): void {
      new aws.s3.BucketPublicAccessBlock(
        `${name}-${zone}`,
        {
          bucket: bucket.bucket,
          blockPublicAcls: true,
          blockPublicPolicy: true,
          ignorePublicAcls: true,
          restrictPublicBuckets: true,
        },
        { parent },
      );
    }

    function enforceOwnership(zone: Zone, bucket: aws.s3.Bucket): void {
      new aws.s3.BucketOwnershipControls(
        `${name}-${zone}`,
        { bucket: bucket.bucket, rule: { objectOwnership: "BucketOwnerEnforced" } },
        { parent },
      );
    }

    function keepVersions(zone: Zone, bucket: aws.s3.Bucket): void {
      new aws.s3.BucketVersioning(
        `${name}-${zone}`,
        { bucket: bucket.bucket, versioningConfiguration: { status: "Enabled" } },
        { parent },
      );
    }

    function encrypt(zone: Zone, bucket: aws.s3.Bucket): void {
      const ofKey = { sseAlgorithm: "aws:kms", kmsMasterKeyId: args.dataKeyArn };
      new aws.s3.BucketServerSideEncryptionConfiguration(
        `${name}-${zone}`,
        {
          bucket: bucket.bucket,
          rules: [
            {
              applyServerSideEncryptionByDefault: zone === "logs" ? { sseAlgorithm: "AES256" } : ofKey,
              bucketKeyEnabled: zone !== "logs",
              // Nobody writes what only a key of their own can read. Said, though a new bucket has it: AWS answers with it.
              blockedEncryptionTypes: ["SSE-C"],
            },
          ],
        },
        { parent },
      );
    }

    function expire(zone: Zone, bucket: aws.s3.Bucket): void {
      new aws.s3.BucketLifecycleConfiguration(
        ...transformed(
          args.transform?.lifecycle,
          `${name}-${zone}`,
          { bucket: bucket.bucket, rules: lifecycleRules(zone, retention) },
          { parent },
        ),
      );
    }

    function logAccess(zone: Zone, bucket: aws.s3.Bucket, allowed: aws.s3.BucketPolicy): void {
      // A bucket that logs to itself logs its logs and can never be emptied.
      if (zone === "logs") return;
      new aws.s3.BucketLogging(
        `${name}-${zone}`,
        {
          bucket: bucket.bucket,
          targetBucket: logs.bucket,
          targetPrefix: `access/${zone}/`,
          targetObjectKeyFormat: { partitionedPrefix: { partitionDateSource: "EventTime" } },
        },
        // S3 refuses a target whose policy does not let its log delivery write there.
        { parent, dependsOn: [allowed] },
      );
    }

    function limitAccess(zone: Zone, bucket: aws.s3.Bucket): aws.s3.BucketPolicy {
      const statements = [
        tlsOnly("s3:*", arns.bucket(bucket.bucket), arns.objects(bucket.bucket)),
        ...(zone === "logs" ? [accessLogs(bucket)] : [ownKeyOnly(bucket)]),
      ];
      return new aws.s3.BucketPolicy(
        `${name}-${zone}`,
        { bucket: bucket.bucket, policy: policyDocument(statements) },
        { parent },
      );
    }

    // Without a header S3 takes the bucket's key; with one it has to be the same.
    function ownKeyOnly({ bucket }: aws.s3.Bucket): Statement {
      return {
        sid: "OwnKeyOnly",
        effect: "Deny",
        principals: "*",
        actions: ["s3:PutObject"],
        resources: [arns.objects(bucket)],
        conditions: {
          StringNotEquals: { "s3:x-amz-server-side-encryption-aws-kms-key-id": args.dataKeyArn },
          Null: { "s3:x-amz-server-side-encryption-aws-kms-key-id": "false" },
        },
      };
    }

    function accessLogs({ bucket }: aws.s3.Bucket): Statement {
      return {
        sid: "AccessLogs",
        principals: { Service: "logging.s3.amazonaws.com" },
        actions: ["s3:PutObject"],
        resources: [arns.objects(bucket, "access/")],
        conditions: {
          StringEquals: { "aws:SourceAccount": arns.place.apply(({ accountId }) => accountId) },
          ArnLike: { "aws:SourceArn": arns.bucket(`${name}-*`) },
        },
      };
    }

    function notifyOfDrops(landing: aws.s3.Bucket): void {
      new aws.s3.BucketNotification(
        `${name}-landing`,
        { bucket: landing.bucket, eventbridge: true },
        { parent },
      );
    }
  }
}

function perZone<T>(
  make: (zone: Zone, bucket: aws.s3.Bucket) => T,
  buckets: Readonly<Record<Zone, aws.s3.Bucket>>,
): Record<Zone, T> {
  return Object.fromEntries(zones.map((zone) => [zone, make(zone, buckets[zone])])) as Record<Zone, T>;
}

/** Rules of one zone. Every rule names its prefix, so that a new prefix is kept until someone decides. */
function lifecycleRules(zone: Zone, retention: LakeRetention): Rule[] {
  const cleanUp: Rule = {
    id: "noncurrent-and-broken-uploads",
    status: "Enabled",
    filter: { prefix: "" },
    noncurrentVersionExpiration: { noncurrentDays: retention.noncurrentDays ?? 30 },
    abortIncompleteMultipartUpload: { daysAfterInitiation: 7 },
  };
  const expireAfter = (prefix: string, days: pulumi.Input<number>): Rule => ({
    id: `expire-${prefix.replaceAll("/", "")}`,
    status: "Enabled",
    filter: { prefix },
    expiration: { days },
  });
  const exportDays = retention.exportDays ?? 30;
  const landingDays = retention.landingDays ?? 365;
  switch (zone) {
    case "landing":
      return [
        cleanUp,
        ...["batches/", "drops/", "dynamodb-exports/", "plans/", "recipes/"].map((prefix) =>
          expireAfter(prefix, landingDays),
        ),
      ];
    case "staging":
      return [cleanUp, expireAfter("candidates/", exportDays), expireAfter("runs/", landingDays)];
    case "curated":
      // An alert names customers; models beside it name nobody and stay.
      return [cleanUp, expireAfter("exports/", exportDays), expireAfter("fraud/alerts/", landingDays)];
    case "quarantine":
      return [
        cleanUp,
        expireAfter("records/", retention.quarantineDays ?? 365),
        // Batches of streams that failed to the end, and notes of those that were delivered again.
        expireAfter("aws/", retention.quarantineDays ?? 365),
        expireAfter("redriven/", retention.quarantineDays ?? 365),
      ];
    case "artifacts":
      return [cleanUp, expireAfter("temporary/", 7)];
    case "logs":
      return [cleanUp, expireAfter("access/", retention.logDays ?? 365), expireAfter("spark/", 30)];
  }
}
