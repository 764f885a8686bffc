/**
 * Calls that a role must not be able to make. Who may do what is written down here, and not derived from the policies:
 * a right that a policy gains has to be written here too, or a test fails.
 */

import { matches } from "../../policies/iam/actions.ts";
import { workloadActions } from "../pipeline/access.ts";
import { type Call, partsOf, type Stack } from "./calls.ts";

const extracts = ["csv-to-parquet", "extract-dynamodb", "extract-mysql"];
const steps = [
  "clean",
  "curate",
  "export",
  "maintain",
  "publish",
  "quality",
  "rollback",
  "stage-recipes",
  ...extracts,
];
/** Who changes curated tables: Iceberg makes files and takes back those of a write that failed. */
const curatedWriters = [
  "clickstream",
  "curate",
  "export",
  "fraud-score",
  "maintain",
  "migrate",
  "publish",
  "rollback",
];
/** Every job on Glue. */
const jobs = ["clickstream", "migrate", ...steps];
const fraud = ["fraud-score", "fraud-train"];
/** Jobs that hand something to a recipe: no dataset of DynamoDB has one. */
const recipeInput = ["csv-to-parquet", "extract-mysql", "stage-recipes"];

/** The right that S3 asks for by what is done with an object. */
export const objectRights = {
  read: "s3:GetObject",
  readVersion: "s3:GetObjectVersion",
  write: "s3:PutObject",
  remove: "s3:DeleteObject",
} as const;

type Rights = Partial<Readonly<Record<keyof typeof objectRights, readonly string[]>>>;

/** An object of each part of the lake, and the roles that may do something with it; all others may not. */
export const areas: readonly { readonly zone: string; readonly key: string; readonly rights: Rights }[] = [
  {
    zone: "landing",
    key: "batches/orders/x",
    rights: { read: ["clean", "stage-recipes", ...extracts], write: extracts, remove: extracts },
  },
  {
    zone: "landing",
    key: "recipes/campaigns/in/x",
    rights: { read: ["clean", "recipes", ...recipeInput], write: recipeInput, remove: recipeInput },
  },
  {
    zone: "landing",
    key: "recipes/campaigns/out/x",
    rights: {
      read: ["clean", "recipes", ...recipeInput],
      write: ["recipes", ...recipeInput],
      remove: ["recipes", ...recipeInput],
    },
  },
  {
    zone: "landing",
    key: "plans/x.json",
    rights: { read: ["commit", "fraud-score", "plan", ...steps], write: ["plan"] },
  },
  {
    zone: "landing",
    key: "plans/streams/x.json",
    rights: {
      read: ["clickstream", "commit", "fraud-score", "plan", ...steps],
      write: ["clickstream", "plan"],
    },
  },
  { zone: "landing", key: "drops/transactions/x.csv", rights: { readVersion: ["csv-to-parquet"] } },
  {
    zone: "landing",
    key: "drops/campaigns/x.csv",
    rights: { readVersion: ["csv-to-parquet"], write: ["partner-pull"] },
  },
  { zone: "landing", key: "drops/api-logs/json/x", rights: { readVersion: ["api-logs", "csv-to-parquet"] } },
  { zone: "landing", key: "dynamodb-exports/x", rights: { read: ["extract-dynamodb"], write: ["workflow"] } },
  { zone: "landing", key: "fraud-labels/x.csv", rights: { read: fraud } },
  { zone: "landing", key: "x", rights: {} },
  {
    zone: "staging",
    key: "tables/orders/data/x",
    rights: {
      read: ["clean", "curate", "export", "maintain", "migrate", "publish", "quality", "rollback", ...fraud],
      write: ["maintain", "migrate", "publish", "rollback"],
      remove: ["maintain", "migrate", "publish", "rollback"],
    },
  },
  {
    zone: "staging",
    key: "candidates/x",
    rights: { read: ["clean", "publish", "quality"], write: ["clean"], remove: ["clean"] },
  },
  {
    zone: "staging",
    key: "runs/b/x.json",
    rights: {
      read: ["commit", "quality", "render-load", "rollback", "verdict"],
      write: ["commit", ...fraud, ...steps],
    },
  },
  {
    zone: "staging",
    key: "checkpoints/clickstream/x",
    rights: { read: ["clickstream"], write: ["clickstream"], remove: ["clickstream"] },
  },
  { zone: "staging", key: "x", rights: {} },
  {
    zone: "curated",
    key: "tables/order_history/data/x",
    rights: {
      read: [
        "clean",
        "clickstream",
        "curate",
        "export",
        "fraud-score",
        "maintain",
        "migrate",
        "publish",
        "quality",
        "rollback",
      ],
      write: curatedWriters,
      remove: curatedWriters,
    },
  },
  {
    zone: "curated",
    key: "exports/x",
    rights: { read: ["copy", "export"], write: ["export"], remove: ["export"] },
  },
  {
    zone: "curated",
    key: "lookups/customer_segments/x",
    rights: { read: ["api-logs", "export", "redrive"], write: ["export"] },
  },
  { zone: "curated", key: "logs/api_events/x", rights: { write: ["api-logs", "redrive"] } },
  { zone: "curated", key: "fraud/models/x", rights: { read: fraud, write: ["fraud-train"] } },
  { zone: "curated", key: "fraud/alerts/x", rights: { write: ["fraud-score"] } },
  { zone: "curated", key: "x", rights: {} },
  {
    zone: "quarantine",
    key: "records/x",
    rights: {
      read: ["clean", "clickstream"],
      write: ["api-logs", "clean", "clickstream", "redrive"],
      remove: ["clean", "clickstream"],
    },
  },
  { zone: "quarantine", key: "aws/lambda/x", rights: { read: ["redrive"], write: ["api-logs"] } },
  { zone: "quarantine", key: "redriven/x", rights: { read: ["redrive"], write: ["redrive"] } },
  { zone: "quarantine", key: "x", rights: {} },
  {
    zone: "artifacts",
    key: "code/x",
    rights: { read: ["deploy", ...fraud, ...jobs], write: ["deploy"], remove: ["deploy"] },
  },
  {
    zone: "artifacts",
    key: "contracts.json",
    rights: {
      read: [
        "api-logs",
        "deploy",
        "migrate-warehouse",
        "partner-pull",
        "plan",
        "redrive",
        "render-load",
        ...fraud,
        ...jobs,
      ],
      write: ["deploy"],
      remove: ["deploy"],
    },
  },
  {
    zone: "artifacts",
    key: "temporary/x",
    rights: { read: ["deploy", ...jobs], write: ["deploy", ...jobs], remove: ["deploy", ...jobs] },
  },
  { zone: "logs", key: "spark/x", rights: { read: jobs, write: jobs, remove: jobs } },
  { zone: "logs", key: "x", rights: {} },
];

/** Every object of the lake by every role in every way that is not written down above. */
export function objectsOfOthers(stack: Stack): readonly Call[] {
  return areas.flatMap(({ zone, key, rights }) =>
    stack.roles.flatMap((role) =>
      Object.entries(objectRights)
        .filter(([right]) => !rights[right as keyof typeof objectRights]?.includes(role))
        .map(([, action]) => ({
          role,
          action,
          resource: `arn:aws:s3:::${stack.bucket(zone)}/${key}`,
          context: {},
        })),
    ),
  );
}

/** Services that take roles. */
const takers = [
  "databrew",
  "ec2",
  "ecs-tasks",
  "emr-serverless",
  "events",
  "glue",
  "lambda",
  "redshift-serverless",
  "scheduler",
  "states",
];
/** To which the deploying role hands the roles that it makes. */
const deployed = takers.filter((service) => !["ec2", "ecs-tasks", "emr-serverless"].includes(service));

/** Every role handed on by every role to every service, but the one that the workflow hands on, and deploying. */
export function rolesOfOthers(stack: Stack): readonly Call[] {
  return stack.roles.flatMap((role) =>
    [...stack.roles, undefined].flatMap((passed) =>
      takers
        .filter(
          (service) => !(role === "workflow" && passed === "fraud-score" && service === "emr-serverless"),
        )
        .filter((service) => !(role === "deploy" && passed !== undefined && deployed.includes(service)))
        .map((service) => ({
          role,
          action: "iam:PassRole",
          resource:
            passed === undefined ? `arn:aws:iam::${stack.account}:role/administrator` : stack.roleArn(passed),
          context: { "iam:PassedToService": `${service}.amazonaws.com` },
        })),
    ),
  );
}

type Takeover = readonly [action: string, resource: (stack: Stack) => string, deploys?: true];

/** What would give a role more rights, or take away what guards data. Nobody may but who deploys, and that in bounds. */
const takeovers: readonly Takeover[] = [
  ["sts:AssumeRole", (stack) => stack.roleArn("plan")],
  ["sts:AssumeRole", () => "arn:aws:iam::999999999999:role/x"],
  ["iam:CreateAccessKey", ({ account }) => `arn:aws:iam::${account}:user/x`],
  ["iam:AttachRolePolicy", (stack) => stack.roleArn("plan")],
  ["iam:PutRolePolicy", (stack) => stack.roleArn("plan")],
  ["iam:UpdateAssumeRolePolicy", (stack) => stack.roleArn("plan")],
  ["iam:DeleteRolePermissionsBoundary", (stack) => stack.roleArn("plan")],
  ["iam:CreatePolicyVersion", ({ account, name }) => `arn:aws:iam::${account}:policy/${name}-boundary`],
  ["iam:CreatePolicy", ({ account, name }) => `arn:aws:iam::${account}:policy/${name}-deploy-more`],
  ...["iam:CreatePolicyVersion", "iam:DeletePolicyVersion", "iam:SetDefaultPolicyVersion"].map(
    (action): Takeover => [
      action,
      ({ account, name }) => `arn:aws:iam::${account}:policy/${name}-deploy-identity`,
    ],
  ),
  ["iam:AttachRolePolicy", (stack) => stack.roleArn("deploy")],
  ["iam:DetachRolePolicy", (stack) => stack.roleArn("deploy")],
  ["kms:PutKeyPolicy", ({ dataKey }) => dataKey],
  ["kms:ScheduleKeyDeletion", ({ dataKey }) => dataKey],
  ["kms:CreateGrant", ({ dataKey }) => dataKey],
  ["glue:UpdateJob", (stack) => stack.arn("glue", `job/${stack.name}-publish`), true],
  ["glue:DeleteTable", (stack) => stack.arn("glue", "catalog"), true],
  ["glue:CreateJob", (stack) => stack.arn("glue", "job/another")],
  ["glue:PutResourcePolicy", (stack) => stack.arn("glue", "catalog")],
  ["lambda:UpdateFunctionCode", (stack) => stack.arn("lambda", `function:${stack.name}-plan`), true],
  ["lambda:UpdateFunctionCode", (stack) => stack.arn("lambda", "function:another")],
  ["lambda:AddPermission", (stack) => stack.arn("lambda", "function:another")],
  ["states:UpdateStateMachine", (stack) => stack.arn("states", `stateMachine:${stack.name}`), true],
  ["states:UpdateStateMachine", (stack) => stack.arn("states", "stateMachine:another")],
  ["s3:PutBucketPolicy", (stack) => `arn:aws:s3:::${stack.bucket("curated")}`, true],
  ["s3:DeleteBucket", (stack) => `arn:aws:s3:::${stack.bucket("curated")}`, true],
  ["s3:PutObjectAcl", (stack) => `arn:aws:s3:::${stack.bucket("curated")}/tables/x`],
  ["s3:DeleteObjectVersion", (stack) => `arn:aws:s3:::${stack.bucket("curated")}/tables/x`],
  ["dynamodb:DeleteTable", (stack) => stack.arn("dynamodb", `table/${stack.name}-ledger`), true],
  ["dynamodb:Scan", (stack) => stack.arn("dynamodb", `table/${stack.name}-orders`)],
  ["kinesis:DeleteStream", (stack) => stack.arn("kinesis", `stream/${stack.name}-clickstream`), true],
  ["secretsmanager:PutSecretValue", (stack) => stack.adminSecret],
  ["secretsmanager:DeleteSecret", (stack) => stack.adminSecret],
  ["logs:DeleteLogGroup", (stack) => stack.arn("logs", `log-group:/aws/lambda/${stack.name}-plan`), true],
  ["sqs:ReceiveMessage", (stack) => stack.arn("sqs", `${stack.name}-failures`)],
  ["sns:Subscribe", (stack) => stack.arn("sns", `${stack.name}-fraud-alerts`), true],
  ["cloudtrail:StopLogging", (stack) => stack.arn("cloudtrail", "trail/x")],
  ["ec2:RunInstances", (stack) => stack.arn("ec2", "instance/*")],
];

export const takeoverCalls = (stack: Stack): readonly Call[] =>
  takeovers.flatMap(([action, resource, deploys]) =>
    stack.roles
      .filter((role) => !(deploys && role === "deploy"))
      .map((role) => ({ role, action, resource: resource(stack), context: {} })),
  );

/** What a role must not do beyond what holds for all: each an example of what its workload has no need of. */
export function particularCalls(stack: Stack): readonly Call[] {
  const workgroup = stack.arnOf("aws:redshiftserverless/workgroup:Workgroup");
  const ledger = stack.arn("dynamodb", `table/${stack.name}-ledger`);
  const orders = stack.arn("dynamodb", `table/${stack.name}-orders`);
  const job = (name: string): string => stack.arn("glue", `job/${stack.name}-${name}`);
  const invoke = (name: string): string => stack.arn("lambda", `function:${stack.name}-${name}`);
  const bucket = (zone: string): string => `arn:aws:s3:::${stack.bucket(zone)}`;
  const table = (zone: string): string =>
    stack.arn("glue", `table/${stack.name.replaceAll("-", "_")}_${zone}/orders`);
  const calls: readonly (readonly [
    role: string,
    action: string,
    resource: string,
    context?: Call["context"],
  ])[] = [
    ...jobs.flatMap((role): [string, string, string][] => [
      [role, "glue:StartJobRun", job("publish")],
      [role, "dynamodb:PutItem", ledger],
      [role, "redshift-serverless:GetCredentials", workgroup],
      ...(role === "extract-mysql"
        ? []
        : [[role, "secretsmanager:GetSecretValue", stack.sourceSecret] as [string, string, string]]),
    ]),
    ["extract-mysql", "secretsmanager:GetSecretValue", stack.adminSecret],
    ["clean", "glue:UpdateTable", table("staging")],
    ["curate", "glue:UpdateTable", table("staging")],
    ["publish", "glue:CreateTable", table("staging")],
    ["fraud-score", "glue:UpdateTable", table("staging")],
    ["fraud-train", "glue:UpdateTable", table("curated")],
    ["verdict", "dynamodb:GetItem", ledger],
    ["migrate", "s3:ListBucketMultipartUploads", bucket("staging")],
    ["verdict", "s3:ListBucketVersions", bucket("staging"), { "s3:prefix": "tables/" }],
    ["render-load", "dynamodb:GetItem", ledger],
    ["render-load", "redshift-data:BatchExecuteStatement", workgroup],
    ["abort", "dynamodb:Query", ledger],
    ["plan", "dynamodb:GetItem", orders],
    ["plan", "secretsmanager:GetSecretValue", stack.adminSecret],
    ["partner-pull", "dynamodb:DeleteItem", ledger],
    ["partner-pull", "s3:ListBucket", bucket("landing"), { "s3:prefix": "drops/" }],
    ["partner-pull", "secretsmanager:GetSecretValue", stack.sourceSecret],
    ["partner-pull", "ec2:CreateNetworkInterface", stack.arn("ec2", "network-interface/*")],
    ["api-logs", "dynamodb:PutItem", ledger],
    ["redrive", "dynamodb:PutItem", stack.arn("dynamodb", `table/${stack.name}-processed`)],
    ["redrive", "kinesis:GetRecords", stack.arn("kinesis", `stream/${stack.name}-api-events`)],
    ["keep-running", "glue:StartJobRun", job("publish")],
    ["keep-running", "glue:BatchStopJobRun", job("migrate")],
    ["clickstream", "kinesis:GetRecords", stack.arn("kinesis", `stream/${stack.name}-api-events`)],
    ["clickstream", "kinesis:PutRecord", stack.arn("kinesis", `stream/${stack.name}-clickstream`)],
    ["api", "kinesis:GetRecords", stack.arn("kinesis", `stream/${stack.name}-api-events`)],
    ["api", "kinesis:PutRecord", stack.arn("kinesis", `stream/${stack.name}-clickstream`)],
    ["fraud-score", "sns:Publish", stack.arn("sns", `${stack.name}-alerts`)],
    ["fraud-train", "sns:Publish", stack.arn("sns", `${stack.name}-fraud-alerts`)],
    ["workflow", "emr-serverless:StartJobRun", stack.arn("emr-serverless", "/applications/another")],
    ["workflow", "glue:StartJobRun", job("migrate")],
    ["workflow", "glue:StartJobRun", job("clickstream")],
    ["workflow", "lambda:InvokeFunction", invoke("migrate-warehouse")],
    ["workflow", "dynamodb:ExportTableToPointInTime", ledger],
    ["workflow", "secretsmanager:GetSecretValue", stack.adminSecret],
    [
      "workflow",
      "redshift-data:GetStatementResult",
      "*",
      { "redshift-data:statement-owner-iam-userid": `${stack.roleId("workflow")}:session` },
    ],
    ["migrate-lake", "glue:StartJobRun", job("publish")],
    ["migrate-lake", "glue:BatchStopJobRun", job("migrate")],
    [
      "publish-recipe",
      "databrew:DeleteRecipeVersion",
      stack.arn("databrew", `recipe/${stack.name}-campaigns`),
    ],
    ["migrate-warehouse", "redshift-serverless:GetCredentials", workgroup],
    ["migrate-warehouse", "redshift-serverless:DeleteWorkgroup", workgroup],
    ["start-drop", "sqs:SendMessage", stack.arn("sqs", `${stack.name}-failures`)],
    ["start-drop", "states:StopExecution", stack.arn("states", `execution:${stack.name}:x`)],
    ["start-pull", "lambda:InvokeFunction", invoke("keep-running")],
    ["start-stream", "lambda:InvokeFunction", invoke("partner-pull")],
    ["bi", "redshift-data:BatchExecuteStatement", workgroup],
    ["bi", "secretsmanager:GetSecretValue", stack.adminSecret],
    [
      "flow-logs",
      "logs:PutLogEvents",
      stack.arn("logs", `log-group:/aws/lambda/${stack.name}-plan:log-stream:x`),
    ],
    [
      "api-logging",
      "logs:PutLogEvents",
      stack.arn("logs", `log-group:/aws/lambda/${stack.name}-plan:log-stream:x`),
    ],
    ["catalog", "kms:Decrypt", stack.logsKey],
    ["copy", "kms:GenerateDataKey", stack.dataKey, { "kms:ViaService": stack.viaService("s3") }],
    ["recipes", "databrew:StartJobRun", stack.arn("databrew", `job/${stack.name}-campaigns`)],
    ["deploy", "iam:CreateRole", stack.roleArn("new")],
    ["deploy", "iam:PutRolePolicy", stack.roleArn("deploy")],
    [
      "deploy",
      "iam:CreateRole",
      stack.roleArn("new"),
      { "iam:PermissionsBoundary": `arn:aws:iam::${stack.account}:policy/another` },
    ],
    ["deploy", "secretsmanager:GetSecretValue", stack.adminSecret],
  ];
  return calls.map(([role, action, resource, context = {}]) => ({ role, action, resource, context }));
}

/** Names that AWS gives to what belongs to no stack: rules, groups and the like that roles share with others. */
const shared =
  /StepFunctionsGetEventsForEMRServerlessJobRule|API-Gateway-Execution-Logs_|\/aws\/apigateway\/|:catalog$|:network-interface\/|:vpc\/|:\*\/\*$|log-group:\*$/;

/** An example of what a resource's pattern means. */
function example(stack: Stack, resource: string): string {
  if (resource === "*") return resource;
  const [arn = "", ...key] = resource.split("/");
  const pattern = arn.split(":s3:::")[1] ?? "";
  const bucket = stack
    .ofType("aws:s3/bucket:Bucket")
    .map(({ inputs }) => String(inputs.bucket))
    .find((name) => matches(pattern, name));
  const named = bucket === undefined ? resource : [arn.replace(pattern, bucket), ...key].join("/");
  return named
    .replace(/(:log-group:.+):\*$/, "$1:log-stream:x")
    .replace(/:\*\/\*$/, ":network-interface/x")
    .replaceAll("*", "x");
}

/** A part's condition values as the context of a call that satisfies them. */
function contextOf(
  stack: Stack,
  role: string,
  conditions: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>,
): Call["context"] {
  const userId = `${stack.roleId(role)}:session`;
  return Object.fromEntries(
    Object.values(conditions).flatMap((keys) =>
      Object.entries(keys).map(([key, [value = ""]]) => [
        key,
        value.includes("aws:userid") ? userId : value.replaceAll("*", "x"),
      ]),
    ),
  );
}

/** How a call that a role may make is turned into one that it may not. */
interface Twist {
  readonly name: string;
  /** Undefined where the part has nothing to twist. */
  readonly twist: (stack: Stack, call: Call) => Call | undefined;
}

const other = "999999999999";

const twists: readonly Twist[] = [
  {
    name: "another stack's resource",
    twist: (stack, call) => {
      const { name } = stack;
      const names = [name, name.replaceAll("-", "_")];
      if (!names.some((each) => call.resource.includes(each)) || shared.test(call.resource)) return undefined;
      const resource = names.reduce((text, each) => text.replaceAll(each, `x${each}`), call.resource);
      return { ...call, resource };
    },
  },
  {
    name: "another account's resource",
    twist: (stack, call) =>
      // API Gateway's ARNs name no account: who calls it manages APIs of their own account alone.
      call.resource === "*" || call.resource.includes("::/restapis")
        ? undefined
        : {
            ...call,
            resource: call.resource.replaceAll(stack.account, other),
            context: { ...call.context, "aws:resourceaccount": other },
          },
  },
  {
    name: "another region",
    // IAM, S3's names and what people deploy from anywhere know no region of the call.
    twist: (stack, call) =>
      call.role === "deploy" ||
      stack.role(call.role).inputs.permissionsBoundary === undefined ||
      call.action.startsWith("iam:")
        ? undefined
        : { ...call, context: { ...call.context, "aws:requestedregion": "us-west-2" } },
  },
  {
    name: "no TLS",
    twist: (stack, call) =>
      /^(s3|sqs|sns):/.test(call.action) &&
      stack.resourcePolicy(call.resource) !== undefined &&
      !/^sns:(?!Publish)/.test(call.action)
        ? { ...call, context: { ...call.context, "aws:securetransport": "false" } }
        : undefined,
  },
  {
    name: "an object under another key",
    twist: (stack, call) =>
      call.action === "s3:PutObject" && !call.resource.includes(`:::${stack.bucket("logs")}/`)
        ? {
            ...call,
            context: { ...call.context, "s3:x-amz-server-side-encryption-aws-kms-key-id": stack.logsKey },
          }
        : undefined,
  },
  {
    name: "a key without its service or context",
    twist: (_, call) =>
      call.action.startsWith("kms:") && Object.keys(call.context).length > 0
        ? { ...call, context: {} }
        : undefined,
  },
  {
    name: "a key through another service",
    twist: (stack, call) =>
      call.action.startsWith("kms:") && "kms:viaservice" in call.context
        ? { ...call, context: { ...call.context, "kms:viaservice": stack.viaService("ssm") } }
        : undefined,
  },
  {
    name: "a key in another context",
    twist: (_, call) => {
      const key = Object.keys(call.context).find((each) => each.startsWith("kms:encryptioncontext:"));
      return key === undefined ? undefined : { ...call, context: { ...call.context, [key]: "another" } };
    },
  },
  {
    name: "another key",
    twist: (stack, call) =>
      call.action.startsWith("kms:")
        ? { ...call, resource: stack.arn("kms", "key/00000000-0000-0000-0000-000000000000") }
        : undefined,
  },
  {
    name: "a folder of another name",
    twist: (_, call) =>
      "s3:prefix" in call.context ? { ...call, context: { ...call.context, "s3:prefix": "" } } : undefined,
  },
  {
    name: "another's statement",
    twist: (_, call) =>
      "redshift-data:statement-owner-iam-userid" in call.context
        ? { ...call, context: { ...call.context, "redshift-data:statement-owner-iam-userid": "AROAOTHER:x" } }
        : undefined,
  },
  {
    name: "metrics in another's namespace",
    twist: (_, call) =>
      "cloudwatch:namespace" in call.context
        ? { ...call, context: { ...call.context, "cloudwatch:namespace": "Orders" } }
        : undefined,
  },
];

export interface Twisted extends Call {
  readonly twist: string;
}

/** Every part of what a role was given, used as it may not be. */
export function twistedCalls(stack: Stack): readonly Twisted[] {
  return stack.roles.flatMap((role) =>
    partsOf(stack, role).flatMap(({ action, resource, statement }) => {
      const context = contextOf(stack, role, statement.conditions);
      const call = { role, action, resource: example(stack, resource), context };
      return twists.flatMap(({ name, twist }) => {
        const twisted = twist(stack, call);
        return twisted ? [{ ...twisted, twist: name }] : [];
      });
    }),
  );
}

/** Actions of the boundary, which no role may use of which it was given nothing. */
export function actionsOfOthers(stack: Stack): readonly Call[] {
  return stack.roles.flatMap((role) => {
    const given = new Set(partsOf(stack, role).map(({ action }) => action.toLowerCase()));
    return workloadActions
      .filter((action) => !given.has(action.toLowerCase()))
      .map((action) => ({ role, action, resource: "*", context: {} }));
  });
}
