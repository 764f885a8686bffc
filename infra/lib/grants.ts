import * as pulumi from "@pulumi/pulumi";
import type { Statement } from "./iam.ts";
import type { Arns } from "./place.ts";

type Name = pulumi.Input<string>;

/** A statement's name from words: letters and digits are all that IAM takes. */
const sid = (...words: string[]): string =>
  words
    .join("-")
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");

/** Part of a bucket: every object under the prefixes that end in `/`, and single objects by their whole key. */
export interface Area {
  /** What the bucket is, for the statement's name. */
  readonly zone: string;
  readonly bucket: Name;
  readonly prefixes: readonly string[];
}

const isFolder = (prefix: string): boolean => prefix.endsWith("/");

/** Lists the area's folders, and nothing else of its bucket. */
function listArea(arns: Arns, { zone, bucket, prefixes }: Area, purpose: string): Statement[] {
  const folders = prefixes.filter(isFolder);
  if (folders.length === 0) return [];
  return [
    {
      sid: sid(purpose, zone, "list"),
      actions: ["s3:ListBucket"],
      resources: [arns.bucket(bucket)],
      conditions: { StringLike: { "s3:prefix": folders.map((folder) => `${folder}*`) } },
    },
  ];
}

function objectsOf(arns: Arns, { bucket, prefixes }: Area): pulumi.Output<string>[] {
  return prefixes.map((prefix) =>
    isFolder(prefix) ? arns.objects(bucket, prefix) : pulumi.interpolate`${arns.bucket(bucket)}/${prefix}`,
  );
}

/** Looks what is there in an area, and reads nothing of it. */
export const lookInto = (arns: Arns, area: Area): Statement[] => listArea(arns, area, "look-into");

/** Reads objects of an area, their listing included. */
export function readArea(arns: Arns, area: Area): Statement[] {
  return [
    ...listArea(arns, area, "read"),
    { sid: sid("read", area.zone), actions: ["s3:GetObject"], resources: objectsOf(arns, area) },
  ];
}

/** Reads objects of an area whose names something else tells: a plan, a catalog. Nothing is listed. */
export function openObjects(arns: Arns, area: Area): Statement {
  return { sid: sid("open", area.zone), actions: ["s3:GetObject"], resources: objectsOf(arns, area) };
}

/** Reads objects of an area as they were: S3 asks for this right, and not for the other, when a read names a version. */
export function readVersions(arns: Arns, area: Area): Statement[] {
  return [
    {
      sid: sid("read", area.zone, "versions"),
      actions: ["s3:GetObjectVersion"],
      resources: objectsOf(arns, area),
    },
  ];
}

/** Reads, writes and deletes objects of an area, as Spark and Iceberg do when they write. */
export function writeArea(arns: Arns, area: Area): Statement[] {
  return [
    ...listArea(arns, area, "write"),
    {
      sid: sid("write", area.zone),
      actions: [
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
      ],
      resources: objectsOf(arns, area),
    },
  ];
}

/**
 * Looks for unfinished uploads in a bucket, as committers of plain files do through S3A when they clean up. S3 knows no
 * prefix in that question: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
 */
export function findUploads(arns: Arns, { zone, bucket }: Area): Statement {
  return {
    sid: sid("find", zone, "uploads"),
    actions: ["s3:ListBucketMultipartUploads"],
    resources: [arns.bucket(bucket)],
  };
}

/** Writes objects of an area whole, and neither reads nor removes one. */
export function putObjects(arns: Arns, area: Area): Statement {
  return { sid: sid("put", area.zone), actions: ["s3:PutObject"], resources: objectsOf(arns, area) };
}

/** A key's use through services that keep data with it (`s3`, `dynamodb`, …), and for nothing else. */
export interface KeyUse {
  /** Services that decrypt with it on the role's behalf. */
  readonly decrypt?: readonly string[];
  /** Services that encrypt something new with it. */
  readonly encrypt?: readonly string[];
}

/** Uses a key through services, by a statement for each direction. @param what whose key it is, for the statements' names */
export function useKey(
  arns: Arns,
  keyArn: Name,
  { decrypt = [], encrypt = [] }: KeyUse,
  what = "data",
): Statement[] {
  const through = (purpose: string, action: string, services: readonly string[]): Statement[] =>
    services.length === 0
      ? []
      : [
          {
            sid: sid(purpose, "with", what, "key"),
            actions: [action],
            resources: [keyArn],
            conditions: {
              StringEquals: { "kms:ViaService": services.map((service) => arns.viaService(service)) },
            },
          },
        ];
  return [
    ...through("decrypt", "kms:Decrypt", decrypt),
    ...through("encrypt", "kms:GenerateDataKey", encrypt),
  ];
}

/** Reads and writes data that services keep encrypted with a key. */
export function useKeyThrough(
  arns: Arns,
  keyArn: Name,
  services: readonly string[],
  what = "data",
): Statement {
  return {
    sid: sid("use", what, "key"),
    actions: ["kms:Decrypt", "kms:GenerateDataKey"],
    resources: [keyArn],
    conditions: { StringEquals: { "kms:ViaService": services.map((service) => arns.viaService(service)) } },
  };
}

/** What an action on encrypted data makes its service do with the data's key, on behalf of who calls it. */
const keyUses: readonly { readonly actions: RegExp; readonly service: string; readonly use: keyof KeyUse }[] =
  [
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    { actions: /^s3:GetObject/, service: "s3", use: "decrypt" },
    { actions: /^s3:PutObject$/, service: "s3", use: "encrypt" },
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
    { actions: /^dynamodb:(?!Describe)/, service: "dynamodb", use: "decrypt" },
    // Who sends needs both: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    { actions: /^sqs:SendMessage$/, service: "sqs", use: "decrypt" },
    { actions: /^sqs:SendMessage$/, service: "sqs", use: "encrypt" },
  ];

/**
 * Uses a key as far as other statements need it: a role that writes no object may encrypt none.
 * @param statements what the role may do with data that the key encrypts
 * @param beside services through which it is used beside that
 */
export function useKeyFor(
  arns: Arns,
  keyArn: Name,
  statements: readonly Statement[],
  beside: KeyUse = {},
): Statement[] {
  const actions = statements
    .filter(({ effect }) => effect !== "Deny")
    .flatMap((statement) => statement.actions);
  const services = (wanted: keyof KeyUse): string[] => {
    const needed = keyUses
      .filter(({ use, actions: pattern }) => use === wanted && actions.some((action) => pattern.test(action)))
      .map(({ service }) => service);
    return [...new Set([...(beside[wanted] ?? []), ...needed])].sort();
  };
  return useKey(arns, keyArn, { decrypt: services("decrypt"), encrypt: services("encrypt") });
}

/** ARNs that the Glue catalog checks for a table: the catalog, its database, and its tables. */
function catalogArns(arns: Arns, database: Name): pulumi.Output<string>[] {
  return [
    arns.regional("glue", "catalog"),
    arns.regional("glue", pulumi.interpolate`database/${database}`),
    arns.regional("glue", pulumi.interpolate`table/${database}/*`),
  ];
}

/** Looks a database and its tables up. */
export function readCatalog(arns: Arns, zone: string, database: Name): Statement[] {
  const resources = catalogArns(arns, database);
  return [
    { sid: sid("find", zone, "database"), actions: ["glue:GetDatabase"], resources: resources.slice(0, 2) },
    {
      sid: sid("read", zone, "catalog"),
      actions: ["glue:GetPartitions", "glue:GetTable", "glue:GetTables"],
      resources,
    },
  ];
}

/** Commits to the Iceberg tables of a database: a commit is an update of the table's metadata location. */
export function commitCatalog(arns: Arns, zone: string, database: Name): Statement {
  return {
    sid: sid("commit", zone, "catalog"),
    actions: ["glue:UpdateTable"],
    resources: catalogArns(arns, database),
  };
}

/** Makes tables in a database. */
export function createTables(arns: Arns, zone: string, database: Name): Statement {
  return {
    sid: sid("create", zone, "tables"),
    actions: ["glue:CreateTable"],
    resources: catalogArns(arns, database),
  };
}

/** Writes to log groups that exist. */
export function writeLogs(arns: Arns, groups: readonly Name[]): Statement {
  return {
    sid: "WriteLogs",
    actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
    resources: groups.map((group) => pulumi.interpolate`${arns.logGroup(group)}:*`),
  };
}

/**
 * Encrypts log groups with a key. The service authorization reference names a group by its bare ARN; CloudWatch Logs
 * asks with something behind it (`:*`, `:log-stream:`). So both are given.
 */
export function encryptLogs(arns: Arns, groups: readonly Name[]): Statement {
  return {
    sid: "EncryptLogs",
    actions: ["logs:AssociateKmsKey"],
    resources: groups.flatMap((group) => {
      const arn = arns.logGroup(group);
      return [arn, pulumi.interpolate`${arn}:*`];
    }),
  };
}

/** Sends trace segments; X-Ray knows no resources for that. */
export const sendTraces: Statement = {
  sid: "SendTraces",
  actions: ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
  resources: ["*"],
};

/** Subnets and groups in which a service makes network interfaces for a workload. */
export interface Placement {
  readonly subnetIds: pulumi.Output<string[]>;
  readonly securityGroupId: Name;
}

/** Interfaces made in the first of these subnets with this group; always so many, so that the shape is known before they exist. */
function createInterfaces(arns: Arns, { subnetIds, securityGroupId }: Placement, count: 1 | 3): Statement {
  const subnets = [0, 1, 2]
    .slice(0, count)
    .map((index) =>
      arns.regional(
        "ec2",
        pulumi.interpolate`subnet/${subnetIds.apply((ids) => ids[index] ?? ids[0] ?? "")}`,
      ),
    );
  return {
    sid: "CreateNetworkInterfaces",
    actions: ["ec2:CreateNetworkInterface"],
    resources: [
      arns.regional("ec2", "network-interface/*"),
      ...subnets,
      arns.regional("ec2", pulumi.interpolate`security-group/${securityGroupId}`),
    ],
  };
}

/** What Lambda needs to put a function into a VPC. */
export function functionInterfaces(arns: Arns, placement: Placement): Statement[] {
  return [
    createInterfaces(arns, placement, 3),
    {
      sid: "ManageNetworkInterfaces",
      actions: ["ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"],
      resources: [arns.regional("ec2", "network-interface/*")],
    },
    {
      // Lambda refuses a role whose right to delete is narrower than every resource id of the account and region.
      sid: "DeleteNetworkInterfaces",
      actions: ["ec2:DeleteNetworkInterface"],
      resources: [arns.regional("ec2", "*/*")],
    },
    // Describing knows no resources.
    {
      sid: "DescribeNetwork",
      actions: ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"],
      resources: ["*"],
    },
  ];
}

/** What Glue needs to put a job into a VPC: its connection names the first subnet. */
export function jobInterfaces(arns: Arns, placement: Placement): Statement[] {
  return [
    createInterfaces(arns, placement, 1),
    {
      sid: "DeleteNetworkInterfaces",
      actions: ["ec2:DeleteNetworkInterface"],
      resources: [arns.regional("ec2", "network-interface/*")],
    },
    {
      sid: "TagNetworkInterfaces",
      actions: ["ec2:CreateTags"],
      resources: [arns.regional("ec2", "network-interface/*")],
      conditions: { "ForAllValues:StringEquals": { "aws:TagKeys": ["aws-glue-service-resource"] } },
    },
    {
      sid: "DescribeVpc",
      actions: ["ec2:DescribeVpcAttribute"],
      resources: [arns.regional("ec2", "vpc/*")],
    },
    // The other describing calls know no resources.
    {
      sid: "DescribeNetwork",
      actions: [
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcEndpoints",
      ],
      resources: ["*"],
    },
  ];
}

/**
 * Takes from a function's own code what its role holds for Lambda alone: network interfaces. Lambda names the function
 * as the source of a call only when the call comes from the code.
 */
export function noNetworkFromCode(functionArn: pulumi.Output<string>): Statement {
  return {
    sid: "NoNetworkFromCode",
    effect: "Deny",
    actions: [
      "ec2:AssignPrivateIpAddresses",
      "ec2:CreateNetworkInterface",
      "ec2:DeleteNetworkInterface",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSubnets",
      "ec2:UnassignPrivateIpAddresses",
    ],
    resources: ["*"],
    conditions: { ArnEquals: { "lambda:SourceFunctionArn": functionArn } },
  };
}

/** What reading a Kinesis stream takes. */
export const readStreamActions = [
  "kinesis:DescribeStream",
  "kinesis:DescribeStreamSummary",
  "kinesis:GetRecords",
  "kinesis:GetShardIterator",
  "kinesis:ListShards",
] as const;

/** Sends messages to a queue. */
export function sendTo(arns: Arns, queue: Name): Statement {
  return {
    sid: "SendFailures",
    actions: ["sqs:SendMessage"],
    resources: [arns.regional("sqs", queue)],
  };
}

/** Reads one secret. */
export function readSecret(secretArn: Name): Statement {
  return { sid: "ReadSecret", actions: ["secretsmanager:GetSecretValue"], resources: [secretArn] };
}
