import { z } from "zod";
import { longestJobMinutes } from "../workflow/tasks.ts";
import { isVpcRange, rangesOverlap, vpcRange } from "./lib/cidr.ts";

/** Something in the stack's configuration that cannot be deployed. */
export interface Problem {
  /** Where it is set, for example `securecart-etl:network.cidr`. */
  readonly key: string;
  /** The value as it is there; undefined when it is missing. */
  readonly value: unknown;
  /** What may stand there. */
  readonly allowed: string;
  readonly remedy: string;
}

/** Says every problem of a stack's configuration at once. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly Problem[];

  constructor(stack: string, problems: readonly Problem[]) {
    const lines = problems.map(({ key, value, allowed, remedy }) => {
      const shown = value === undefined ? "is not set" : `is ${JSON.stringify(value)}`;
      return `  ${key} ${shown}\n    allowed: ${allowed}\n    remedy:  ${remedy}`;
    });
    const count = problems.length === 1 ? "one problem" : `${problems.length} problems`;
    super(`stack '${stack}' has ${count} in its configuration; nothing was deployed:\n${lines.join("\n")}`);
    this.problems = problems;
  }
}

// Every leaf describes what it allows: the description is what a message prints after "allowed:".
const accountId = z
  .string()
  .regex(/^\d{12}$/)
  .describe('an AWS account id: twelve digits in quotes, for example "111122223333"');
const region = z
  .string()
  .regex(/^[a-z]{2}(-[a-z]+)+-\d$/)
  .describe("an AWS region, for example eu-central-1");
const whole = (min: number, max: number, unit: string): z.ZodInt =>
  z.int().min(min).max(max).describe(`a whole number of ${unit} from ${min} to ${max}`);
const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values).describe(`one of ${values.join(", ")}`);
const days = whole(1, 3653, "days");
const on = z.boolean().describe("true or false");
const vpcId = z
  .string()
  .regex(/^vpc-[0-9a-f]{8,17}$/)
  .describe("the id of a VPC, for example vpc-0a1b2c3d4e5f60718");
const subnetId = z
  .string()
  .regex(/^subnet-[0-9a-f]{8,17}$/)
  .describe("the id of a subnet, for example subnet-0a1b2c3d4e5f60718");
const routeTableId = z
  .string()
  .regex(/^rtb-[0-9a-f]{8,17}$/)
  .describe("the id of a route table, for example rtb-0a1b2c3d4e5f60718");
const cidr = z
  .string()
  .regex(/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/)
  .describe("an IPv4 range, for example 10.20.0.0/16");
const iamArn = z
  .string()
  .regex(/^arn:aws[a-z-]*:iam::\d{12}:(role|user)\/.+$/)
  .describe("the ARN of an IAM role or user");

const secretArn = z.string().regex(/^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+$/);
const kmsKeyArn = z
  .string()
  .regex(/^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/.+$/)
  .describe("the ARN of a KMS key in the stack's region");

/** Log retention that CloudWatch accepts, in days. */
export const logRetentions = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
] as const;

/** When something is done. */
const schedule = z.strictObject({
  expression: z
    .string()
    .regex(/^(cron|rate)\(.+\)$/)
    .describe("cron(…) or rate(…) as EventBridge Scheduler reads them"),
  timeZone: z
    .string()
    .refine((zone) => Intl.supportedValuesOf("timeZone").includes(zone) || zone === "UTC")
    .describe("an IANA time zone, for example Europe/Berlin"),
  enabled: on,
});

const groups = {
  /** The first part of every resource's name; the environment is the second. */
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{1,14}[a-z0-9]$/)
    .describe("3 to 16 lower-case letters, digits and hyphens, a letter first")
    .default("securecart"),
  environment: oneOf(["dev", "prod"]),
  allowedAccountIds: z.array(accountId).min(1).describe("a list of at least one AWS account id"),
  allowedRegions: z.array(region).min(1).describe("a list of at least one AWS region"),
  /** Resources with data refuse deletion and stay in the account when they leave the program. */
  protectData: on,
  /** The second of two settings that let data go: the stack's full name, for example `securecart-dev`. */
  destroyDataOf: z.string().describe("the name of the component whose data may be deleted").optional(),
  /** Tags beside the four that the program sets (`project`, `pipeline`, `environment`, `managed-by`). */
  tags: z
    .record(
      z.string().regex(/^(?!aws:)[\w .:/=+@-]{1,128}$/),
      z
        .string()
        .regex(/^[\p{L}\p{N}\p{Zs}_.:/=+@-]{0,256}$/u)
        .describe("at most 256 letters, digits, spaces and _ . : / = + @ -"),
    )
    .refine((tags) => Object.keys(tags).length <= 6)
    .describe(
      "a map of at most six tag names to values (an object in S3 takes ten, four of which the program sets); a name has " +
        "at most 128 letters, digits, spaces and _ . : / = + @ -, and no aws: before it",
    )
    .default({}),
  /** Directories and files of contracts, relative to the repository. */
  contracts: z
    .array(z.string().min(1))
    .min(1)
    .describe("a list of directories and files")
    .default(["contracts"]),
  /** Where account-wide settings come from: made by this stack, or found in the account. */
  accountBaseline: oneOf(["create", "adopt"]),
  network: z.strictObject({
    /** Range of a VPC of its own. Not with `adopt`. */
    cidr: z.string().refine(isVpcRange).describe(vpcRange).optional(),
    /** Zones in which the interface endpoints stand; 0 takes them away, and with them all that runs inside. */
    endpointZones: whole(0, 3, "availability zones"),
    flowLogRetentionDays: z.literal(logRetentions).describe(`one of ${logRetentions.join(", ")} (days)`),
    /** An existing VPC. Not with `cidr`. */
    adopt: z
      .strictObject({
        vpcId,
        subnetIds: z.array(subnetId).length(3).describe("three subnets, each in a zone of its own"),
        routeTableIds: z.array(routeTableId).min(1).describe("the route tables of these subnets"),
        /** False where the VPC has the endpoints already, shared. */
        createEndpoints: on.default(true),
      })
      .optional(),
    /** A connection to the VPC of the MySQL database, in the same account and region. */
    peering: z.strictObject({ vpcId, cidr }).optional(),
  }),
  mysql: z
    .strictObject({
      host: z
        .string()
        .regex(/^[a-z0-9.-]+$/i)
        .describe("a host name"),
      port: whole(1, 65535, "").describe("a TCP port from 1 to 65535").default(3306),
      database: z
        .string()
        .regex(/^\w{1,64}$/)
        .describe("the name of a database: letters, digits and _"),
      secretArn: secretArn.describe(
        "the ARN of a Secrets Manager secret in the stack's region, with username and password",
      ),
      /** The key that encrypts the secret, when it is not the account's `aws/secretsmanager`. */
      secretKeyArn: kmsKeyArn.optional(),
      /** Range in which the database answers; what runs inside may reach this range alone. */
      cidr,
    })
    .optional(),
  dynamodb: z.strictObject({
    /** Existing tables by the `source.table` of their contracts. A table not named here is created. */
    adopt: z
      .record(z.string(), z.string().min(3))
      .describe("a map of source tables to existing tables")
      .default({}),
    /** Days back to which a table can be restored, and an incremental export can reach. */
    recoveryDays: whole(1, 35, "days"),
  }),
  lake: z.strictObject({
    landingDays: days,
    quarantineDays: days,
    exportDays: days,
    logDays: days,
    noncurrentDays: days,
  }),
  batch: z.strictObject({
    workerType: oneOf(["G.1X", "G.2X", "G.4X"]),
    maxWorkers: whole(2, 50, "workers"),
    timeoutMinutes: whole(5, longestJobMinutes, "minutes"),
    slowAfterMinutes: whole(1, longestJobMinutes, "minutes"),
    /** Spare capacity at two thirds of the price; starts later. */
    flex: on,
  }),
  stream: z.strictObject({
    /** False leaves streams and their readers out: the one thing that bills by the hour beside the endpoints. */
    enabled: on,
    /** Starts the streaming job when it is not running; false leaves that to a person. */
    keepRunning: on,
    capacity: z
      .union([z.literal("on-demand"), z.int().min(1).max(200)])
      .describe("on-demand, or 1 to 200 shards of a stream (1 MB or 1,000 records a second each)"),
    retentionHours: whole(24, 8760, "hours"),
    workerType: oneOf(["G.025X", "G.1X", "G.2X"]),
    maxWorkers: whole(2, 50, "workers"),
    /** When Glue may end the job and start it anew, which it does after seven days. */
    maintenanceWindow: z
      .string()
      .regex(/^(Sun|Mon|Tue|Wed|Thu|Fri|Sat):([0-9]|1[0-9]|2[0-3])$/)
      .describe("a weekday and an hour in UTC, for example Sun:3"),
    /** What reads a stream may be so far behind before an alarm. */
    lagMinutes: whole(1, 1440, "minutes"),
  }),
  /** Fraud scoring and training on EMR Serverless; nothing bills while no job runs. */
  fraud: z.strictObject({
    /** Processors of all workers together; one has 4. */
    maxVcpus: whole(8, 400, "vCPU"),
    /** Memory of all workers together; one has 16 GB. */
    maxMemoryGb: whole(32, 3000, "GB"),
    /** Minutes without a job until the application stops. */
    idleMinutes: whole(1, 60, "minutes"),
    /** A job that runs longer raises an alarm; it is stopped after an hour. */
    slowAfterMinutes: whole(5, 55, "minutes"),
    /** Who gets a mail about transactions with a high risk, in which customers are named. */
    reviewers: z.array(z.email()).describe("a list of mail addresses"),
  }),
  /** The REST API to which services post events, and what makes rows of them. Without it there is none. */
  ingestion: z
    .strictObject({
      /** Who may post events. */
      producers: z.array(iamArn).min(1).describe("a list of at least one IAM role or user ARN"),
      requestsPerSecond: whole(1, 10_000, "requests a second"),
      burst: whole(1, 5000, "requests at once"),
      /** The key of the hashes that stand for people: a text of at least 32 characters. */
      hashKeySecretArn: secretArn.describe("the ARN of a Secrets Manager secret in the stack's region"),
      /** The key that encrypts the secret, when it is not the account's `aws/secretsmanager`. */
      hashKeySecretKeyArn: kmsKeyArn.optional(),
      webAclArn: z
        .string()
        .regex(/^arn:aws[a-z-]*:wafv2:[a-z0-9-]+:\d{12}:regional\/webacl\/.+$/)
        .describe("the ARN of a regional web ACL of WAF")
        .optional(),
    })
    .optional(),
  /** A partner's API whose changed results are pulled as drops of a dataset. Without it nothing is pulled. */
  partner: z
    .strictObject({
      url: z
        .url({ protocol: /^https$/ })
        .describe("an https address, for example https://api.partner.example.com/v1/campaigns"),
      /** The dataset whose drops the results become. */
      dataset: z.string().min(1).describe("the name of a contract whose source is csv"),
      /** A secret whose text is the API's bearer token. */
      tokenSecretArn: secretArn.describe("the ARN of a Secrets Manager secret in the stack's region"),
      /** The key that encrypts the secret, when it is not the account's `aws/secretsmanager`. */
      tokenSecretKeyArn: kmsKeyArn.optional(),
      /** Where the first pull begins. */
      begin: z.iso
        .datetime()
        .describe("a time in UTC, for example 2026-01-01T00:00:00Z")
        .default("2020-01-01T00:00:00Z"),
      /** Windows overlap by so much, for what the partner publishes late. */
      overlapMinutes: whole(0, 1440, "minutes").default(10),
      schedule,
    })
    .optional(),
  functions: z.strictObject({
    memoryMegabytes: whole(128, 10240, "MB"),
    reservedConcurrency: whole(1, 100, "executions"),
    /** The layer through which the planning function reads the database's secret; AWS publishes it per region. */
    secretsLayerArn: z
      .string()
      .regex(
        /^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:layer:AWS-Parameters-and-Secrets-Lambda-Extension-Arm64:\d+$/,
      )
      .describe(
        "the ARN of the layer AWS-Parameters-and-Secrets-Lambda-Extension-Arm64 in the stack's region",
      )
      .optional(),
  }),
  schedule,
  workflow: z.strictObject({
    /** A run that takes longer raises an alarm; it is stopped after five hours, before its lease ends. */
    slowAfterMinutes: whole(10, 299, "minutes"),
  }),
  warehouse: z.strictObject({
    baseCapacity: z
      .literal([4, 8, 16, 24, 32, 64, 128, 256, 512])
      .describe("4, 8, 16, 24, 32, 64, 128, 256 or 512 RPU"),
    maxCapacity: whole(4, 1024, "RPU"),
    /** Compute that may be used in a month before the limit bites. */
    monthlyRpuHours: whole(1, 100_000, "RPU hours"),
    /** What happens at the limit. */
    atLimit: oneOf(["log", "emit-metric", "deactivate"]),
    maxQuerySeconds: whole(10, 86_399, "seconds"),
    /** Who may read the marts. */
    biPrincipals: z.array(iamArn).describe("a list of IAM role or user ARNs"),
  }),
  monitoring: z.strictObject({
    /** Who gets a mail about every alarm; each address has to confirm. */
    emails: z.array(z.email()).describe("a list of mail addresses"),
    logRetentionDays: z.literal(logRetentions).describe(`one of ${logRetentions.join(", ")} (days)`),
    monthlyBudgetUsd: whole(1, 1_000_000, "US dollars"),
  }),
  /** CI that may deploy: one GitHub repository and environment. */
  deploy: z
    .strictObject({
      repository: z
        .string()
        .regex(/^[\w.-]+\/[\w.-]+$/)
        .describe("owner/name of a GitHub repository"),
      githubEnvironment: z.string().min(1).describe("the name of a GitHub environment"),
      /** Where the account's trust in GitHub's tokens comes from, which it can have once; with accountBaseline adopt it is found too. */
      provider: oneOf(["create", "adopt"]).default("create"),
    })
    .optional(),
};

const schema = z.strictObject(groups);
/** The stack's configuration, checked. */
export type StackConfig = z.infer<typeof schema>;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const pathText = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, part) =>
      typeof part === "number" ? `${text}[${part}]` : text === "" ? String(part) : `${text}.${String(part)}`,
    "",
  );

const at = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );

/** The schema that `path` leads to, wrappers taken off. */
function schemaAt(path: readonly PropertyKey[]): z.core.$ZodType | undefined {
  let inner: z.core.$ZodType | undefined = schema;
  for (const part of path) {
    inner = unwrapped(inner);
    if (inner instanceof z.ZodObject) inner = inner.shape[String(part)];
    else if (inner instanceof z.ZodArray) inner = inner.element;
    else if (inner instanceof z.ZodRecord) inner = inner.valueType;
    else return undefined;
  }
  return inner;
}

function unwrapped(inner: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  return inner instanceof z.ZodOptional || inner instanceof z.ZodDefault ? unwrapped(inner.unwrap()) : inner;
}

function description(inner: z.core.$ZodType | undefined): string | undefined {
  const own = inner && z.globalRegistry.get(inner)?.description;
  if (own !== undefined) return own;
  if (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault) return description(inner.unwrap());
  if (inner instanceof z.ZodObject) return `a map with ${Object.keys(inner.shape).join(", ")}`;
  return undefined;
}

/** Number of letters to change, add or drop to get from one word to the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The known word that was probably meant, if one is near. */
function nearest(word: string, known: readonly string[]): string | undefined {
  const best = known.toSorted((a, b) => distance(word, a) - distance(word, b))[0];
  return best !== undefined && distance(word, best) <= 3 ? best : undefined;
}

const setCommand = (key: string): string => `pulumi config set --path '${key}' <value>`;

function toProblems(issue: z.core.$ZodIssue, raw: unknown, namespace: string): Problem[] {
  if (issue.code === "unrecognized_keys") {
    const parent = unwrapped(schemaAt(issue.path));
    const known = parent instanceof z.ZodObject ? Object.keys(parent.shape) : [];
    return issue.keys.map((name) => {
      const key = `${namespace}:${pathText([...issue.path, name])}`;
      const meant = nearest(name, known);
      return {
        key,
        value: at(raw, [...issue.path, name]),
        allowed: `here: ${known.join(", ")}`,
        remedy: meant
          ? `did you mean '${meant}'? Rename the key in the stack's file`
          : `pulumi config rm --path '${key}'`,
      };
    });
  }
  const key = `${namespace}:${pathText(issue.path)}`;
  return [
    {
      key,
      value: at(raw, issue.path),
      // A name that a map refuses is none of its values.
      allowed:
        description(schemaAt(issue.code === "invalid_key" ? issue.path.slice(0, -1) : issue.path)) ??
        issue.message,
      remedy: setCommand(key),
    },
  ];
}

/** Rules between settings. Each looks at the groups that are valid by themselves. */
function crossChecks(
  config: Partial<StackConfig>,
  awsRegion: string | undefined,
  namespace: string,
): Problem[] {
  const problems: Problem[] = [];
  const add = (path: string, value: unknown, allowed: string, remedy: string): void => {
    problems.push({ key: `${namespace}:${path}`, value, allowed, remedy });
  };
  const { network, mysql, batch, warehouse, allowedRegions } = config;
  if (awsRegion === undefined) {
    problems.push({
      key: "aws:region",
      value: undefined,
      allowed: allowedRegions ? `one of ${allowedRegions.join(", ")}` : "an AWS region",
      remedy: "pulumi config set aws:region <region>",
    });
  } else if (allowedRegions && !allowedRegions.includes(awsRegion)) {
    problems.push({
      key: "aws:region",
      value: awsRegion,
      allowed: `one of ${allowedRegions.join(", ")} (${namespace}:allowedRegions)`,
      remedy: "pulumi config set aws:region <region>, or add the region to allowedRegions after a review",
    });
  }
  if (network) {
    if (network.cidr !== undefined && network.adopt) {
      add(
        "network",
        "both cidr and adopt",
        "either cidr (a VPC of its own) or adopt (an existing one)",
        "remove one of the two",
      );
    } else if (network.cidr === undefined && !network.adopt) {
      add(
        "network.cidr",
        undefined,
        "an IPv4 range for a VPC of its own, or network.adopt",
        setCommand(`${namespace}:network.cidr`),
      );
    }
    const peer = network.peering?.cidr;
    if (network.cidr !== undefined && peer !== undefined && rangesOverlap(network.cidr, peer)) {
      add(
        "network.cidr",
        network.cidr,
        `a range that does not overlap the peer's (${peer})`,
        setCommand(`${namespace}:network.cidr`),
      );
    }
  }
  if (mysql && network && !network.adopt && !network.peering) {
    add(
      "mysql.host",
      mysql.host,
      "a database that the stack's VPC can reach: through network.adopt or network.peering",
      "set network.peering.vpcId and network.peering.cidr to the database's VPC, adopt that VPC, or remove mysql",
    );
  }
  const { functions } = config;
  const layer = functions?.secretsLayerArn;
  const { ingestion, partner } = config;
  if ((mysql || ingestion || partner) && functions && layer === undefined) {
    add(
      "functions.secretsLayerArn",
      layer,
      "with mysql, ingestion or partner: the ARN of the layer AWS-Parameters-and-Secrets-Lambda-Extension-Arm64 in the stack's region",
      "find it in AWS's documentation of the extension, then: " +
        setCommand(`${namespace}:functions.secretsLayerArn`),
    );
  } else if (layer !== undefined && awsRegion !== undefined && layer.split(":")[3] !== awsRegion) {
    add(
      "functions.secretsLayerArn",
      layer,
      `the ARN of the layer in ${awsRegion}`,
      setCommand(`${namespace}:functions.secretsLayerArn`),
    );
  }
  for (const [key, arn] of [
    ["mysql.secretArn", mysql?.secretArn],
    ["ingestion.hashKeySecretArn", ingestion?.hashKeySecretArn],
    ["partner.tokenSecretArn", partner?.tokenSecretArn],
  ] as const) {
    if (arn === undefined || awsRegion === undefined || arn.split(":")[3] === awsRegion) continue;
    add(
      key,
      arn,
      `the ARN of a secret in ${awsRegion}`,
      `replicate the secret: aws secretsmanager replicate-secret-to-regions --secret-id <secret> --add-replica-regions Region=${awsRegion}, and use the replica's ARN`,
    );
  }
  if (batch && batch.slowAfterMinutes >= batch.timeoutMinutes) {
    add(
      "batch.slowAfterMinutes",
      batch.slowAfterMinutes,
      `fewer minutes than batch.timeoutMinutes (${batch.timeoutMinutes}), or nobody hears of a slow job`,
      setCommand(`${namespace}:batch.slowAfterMinutes`),
    );
  }
  const { fraud } = config;
  if (fraud && fraud.maxMemoryGb < 4 * fraud.maxVcpus) {
    add(
      "fraud.maxMemoryGb",
      fraud.maxMemoryGb,
      `at least 4 GB for each of fraud.maxVcpus (${4 * fraud.maxVcpus}), or processors are left over`,
      setCommand(`${namespace}:fraud.maxMemoryGb`),
    );
  }
  if (warehouse && warehouse.maxCapacity < warehouse.baseCapacity) {
    add(
      "warehouse.maxCapacity",
      warehouse.maxCapacity,
      `at least warehouse.baseCapacity (${warehouse.baseCapacity} RPU)`,
      setCommand(`${namespace}:warehouse.maxCapacity`),
    );
  }
  const { protectData, destroyDataOf, name, environment } = config;
  if (destroyDataOf !== undefined) {
    const own =
      name !== undefined && environment !== undefined ? componentName({ name, environment }) : undefined;
    if (protectData === true) {
      add(
        "destroyDataOf",
        destroyDataOf,
        "not set while protectData is true",
        "set protectData to false as well if the data is really to go, or remove destroyDataOf",
      );
    }
    if (own !== undefined && destroyDataOf !== own) {
      add(
        "destroyDataOf",
        destroyDataOf,
        `'${own}', the name of this stack's component`,
        setCommand(`${namespace}:destroyDataOf`),
      );
    }
  }
  return problems;
}

/** The name that all resources of a stack start with. */
export function componentName({ name, environment }: Pick<StackConfig, "name" | "environment">): string {
  return `${name}-${environment}`;
}

/** Values as the Pulumi CLI hands them over: text as it is, anything else as JSON. */
function fromText(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    // A bare number in quotes (an account id) was text in the stack's file; only structures keep their types.
    return isRecord(value) || Array.isArray(value) || typeof value === "boolean" ? value : text;
  } catch {
    return text;
  }
}

/**
 * Reads a stack's configuration.
 *
 * @param all every configuration value by full key, as `pulumi.runtime.allConfig()` returns them
 * @param namespace the project's name
 * @returns the checked configuration, or every problem found
 */
export function readConfig(
  all: Readonly<Record<string, string>>,
  namespace: string,
): { readonly config?: StackConfig; readonly problems: readonly Problem[] } {
  const prefix = `${namespace}:`;
  const raw: Record<string, unknown> = {};
  for (const [key, text] of Object.entries(all)) {
    if (key.startsWith(prefix)) raw[key.slice(prefix.length)] = fromText(text);
  }
  const problems: Problem[] = [];
  const parsed = schema.safeParse(raw);
  if (!parsed.success)
    problems.push(...parsed.error.issues.flatMap((issue) => toProblems(issue, raw, namespace)));
  // A group that is valid by itself is compared with the others even when one of them is not.
  const valid: Record<string, unknown> = {};
  for (const [key, group] of Object.entries(groups)) {
    const one = group.safeParse(raw[key]);
    if (one.success) valid[key] = one.data;
  }
  problems.push(...crossChecks(valid as Partial<StackConfig>, all["aws:region"], namespace));
  return parsed.success ? { config: parsed.data, problems } : { problems };
}
