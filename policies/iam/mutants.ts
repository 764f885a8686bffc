/** Changes of a sound stack that a rule must notice; what proves that the rules see anything. */

import { isRecord } from "../reader.ts";
import type { Resource } from "../rule.ts";
import { policyType, roleType } from "./union.ts";

/** One change, and the rule that must find it. */
export interface Mutant {
  readonly rule: string;
  readonly what: string;
  /** The changed resources; the given ones stay as they are. @throws Error when there is nothing to change */
  apply(resources: readonly Resource[]): readonly Resource[];
}

type Json = Record<string, unknown>;

const resource = (type: string, name: string, inputs: Json): Resource => ({
  urn: `urn:pulumi:mutant::mutant::${type}::${name}`,
  type,
  name,
  inputs,
  dependencies: [],
  propertyDependencies: {},
  protect: false,
});

/** A workload's role of a service, or CI's; the catalog's own role may use its key without naming a service. */
function roleOf(resources: readonly Resource[], service: string | undefined): Resource {
  const found = resources.find(({ type, inputs }) => {
    if (type !== roleType || String(inputs.name).endsWith("-catalog")) return false;
    const trust = String(inputs.assumeRolePolicy);
    return service === undefined
      ? trust.includes('"Federated"')
      : trust.includes(`"${service}.amazonaws.com"`);
  });
  if (!found) throw new Error(`the stack has no role of ${service ?? "CI"} to change`);
  return found;
}

const replaced = (resources: readonly Resource[], old: Resource, inputs: Json): readonly Resource[] =>
  resources.map((each) => (each === old ? { ...old, inputs } : each));

/** Gives a role of a service one more policy. */
export function given(
  rule: string,
  what: string,
  statement: Json,
  { service = "glue", document = undefined as unknown } = {},
): Mutant {
  return {
    rule,
    what,
    apply: (resources) => {
      const role = roleOf(resources, service === "" ? undefined : service);
      const policy = document ?? JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
      const more = resource("aws:iam/rolePolicy:RolePolicy", "mutant", { role: role.inputs.name, policy });
      return [...resources, more];
    },
  };
}

export const allow = (action: string | string[], on: string | string[] = "*", condition?: Json): Json => ({
  Effect: "Allow",
  Action: action,
  Resource: on,
  ...(condition && { Condition: condition }),
});

const parsed = (value: unknown): Json & { Statement: Json[] } => {
  const document: unknown = typeof value === "string" ? JSON.parse(value) : value;
  if (!isRecord(document) || !Array.isArray(document.Statement))
    throw new Error("there is no document to change");
  return document as Json & { Statement: Json[] };
};

/** Changes the first statement of a role's trust policy. */
export function trusted(
  rule: string,
  what: string,
  service: string,
  edit: (statement: Json) => Json,
): Mutant {
  return {
    rule,
    what,
    apply: (resources) => {
      const role = roleOf(resources, service === "" ? undefined : service);
      const document = parsed(role.inputs.assumeRolePolicy);
      const [first = {}, ...rest] = document.Statement;
      const assumeRolePolicy = JSON.stringify({ ...document, Statement: [edit(first), ...rest] });
      return replaced(resources, role, { ...role.inputs, assumeRolePolicy });
    },
  };
}

/** Changes the statements of a resource's policy. */
const edited = (
  rule: string,
  what: string,
  edit: (statements: Json[]) => Json[],
  kind: string,
  find: (resources: readonly Resource[]) => Resource | undefined,
): Mutant => ({
  rule,
  what,
  apply: (resources) => {
    const found = find(resources);
    if (!found) throw new Error(`the stack has no ${kind} to change`);
    const document = parsed(found.inputs.policy);
    return replaced(resources, found, {
      ...found.inputs,
      policy: JSON.stringify({ ...document, Statement: edit(document.Statement) }),
    });
  },
});

/** Adds a statement to the policy of the first resource of a type, or changes all of them. */
export const resourcePolicy = (
  rule: string,
  what: string,
  type: string,
  edit: (statements: Json[]) => Json[],
): Mutant => edited(rule, what, edit, type, (resources) => resources.find((each) => each.type === type));

/** The managed policies that bound a role, or those that do not. */
const managed = (resources: readonly Resource[], bounding: boolean): Resource | undefined => {
  const boundaries = resources.map(({ inputs }) => String(inputs.permissionsBoundary));
  const bounds = (name: unknown): boolean =>
    boundaries.some((arn) => arn.endsWith(`:policy/${String(name)}`));
  return resources.find(({ type, inputs }) => type === policyType && bounds(inputs.name) === bounding);
};

/** The same with the boundary. */
export const boundaryPolicy = (rule: string, what: string, edit: (statements: Json[]) => Json[]): Mutant =>
  edited(rule, what, edit, "boundary", (resources) => managed(resources, true));

/** The same with a managed policy of CI's role. */
const attachedPolicy = (rule: string, what: string, edit: (statements: Json[]) => Json[]): Mutant =>
  edited(rule, what, edit, "managed policy of a role", (resources) => managed(resources, false));

export const changed = (
  rule: string,
  what: string,
  service: string,
  edit: (inputs: Json) => Json,
): Mutant => ({
  rule,
  what,
  apply: (resources) => {
    const role = roleOf(resources, service);
    return replaced(resources, role, edit({ ...role.inputs }));
  },
});

export const added = (rule: string, type: string, inputs: Json): Mutant => ({
  rule,
  what: `adds ${type}`,
  apply: (resources) => [...resources, resource(type, "mutant", inputs)],
});

export const own = "arn:aws:iam::444455556666:role/some-role";
export const key = "arn:aws:kms:eu-central-1:444455556666:key/1";
export const secret = "arn:aws:secretsmanager:eu-central-1:444455556666:secret:db-1";
export const bucket = "arn:aws:s3:::some-bucket/*";
const escalating: readonly (readonly string[])[] = [
  ["iam:PutRolePolicy"],
  ["iam:AttachRolePolicy"],
  ["iam:CreatePolicyVersion"],
  ["iam:SetDefaultPolicyVersion"],
  ["iam:UpdateAssumeRolePolicy"],
  ["iam:DeleteRolePermissionsBoundary"],
  ["iam:PutRolePermissionsBoundary"],
  ["iam:CreateAccessKey"],
  ["iam:CreateLoginProfile"],
  ["iam:AddUserToGroup"],
  ["iam:PassRole", "glue:CreateJob"],
  ["iam:PassRole", "glue:CreateSession"],
  ["iam:PassRole", "lambda:CreateFunction"],
  ["iam:PassRole", "states:CreateStateMachine"],
  ["iam:PassRole", "emr-serverless:StartJobRun"],
  ["iam:PassRole", "databrew:CreateRecipeJob"],
  ["iam:PassRole", "scheduler:CreateSchedule"],
  ["iam:PassRole", "events:PutTargets"],
  ["iam:PassRole", "ec2:RunInstances"],
  ["iam:PassRole", "cloudformation:CreateStack"],
  ["lambda:UpdateFunctionCode"],
  ["glue:UpdateJob"],
  ["states:UpdateStateMachine"],
  ["ssm:SendCommand"],
];

/** The role of the state machine that starts a job on EMR Serverless. */
function machineOf(resources: readonly Resource[]): Resource {
  const found = resources.find(({ type, name }) => type === roleType && name.endsWith("-workflow"));
  if (!found) throw new Error("the stack has no role of a state machine to change");
  return found;
}

/** Changes what the state machine may pass. */
const machinePasses = (what: string, edit: (document: string) => string): Mutant => ({
  rule: "iam-no-escalation",
  what: `the machine passes ${what}`,
  apply: (resources) => {
    const policy = resources.find(
      ({ inputs }) => String(inputs.policy).includes('"PassJobRole"') && "role" in inputs,
    );
    if (!policy) throw new Error("the stack has no role that passes another");
    const changedPolicy = edit(String(policy.inputs.policy));
    if (changedPolicy === policy.inputs.policy) throw new Error(`${what}: nothing was changed`);
    return replaced(resources, policy, { ...policy.inputs, policy: changedPolicy });
  },
});

/** Changes the role that the state machine passes. */
const jobRole = (what: string, edit: (inputs: Json) => Json): Mutant => ({
  rule: "iam-no-escalation",
  what: `the machine passes a role ${what}`,
  apply: (resources) => {
    const role = resources.find(({ type, name }) => type === roleType && name.endsWith("-fraud-score"));
    if (!role) throw new Error("the stack has no role of a fraud job");
    return replaced(resources, role, edit({ ...role.inputs }));
  },
});

export const bucketPolicy = "aws:s3/bucketPolicy:BucketPolicy";
export const keyType = "aws:kms/key:Key";
const queuePolicy = "aws:sqs/queuePolicy:QueuePolicy";
const topicPolicy = "aws:sns/topicPolicy:TopicPolicy";
export const more = (statement: Json) => (statements: Json[]) => [...statements, statement];
const policyTypes: readonly (readonly [string, string])[] = [
  [bucketPolicy, "s3:GetObject"],
  [keyType, "kms:Decrypt"],
  [queuePolicy, "sqs:SendMessage"],
  [topicPolicy, "sns:Publish"],
];
export const without =
  (...names: string[]) =>
  (value: Json): Json =>
    Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));

/** Conditions on a grant's maker that let others than services make one. */
const notForServices: readonly Json[] = [
  { Bool: { "kms:GrantIsForAWSResource": "false" } },
  { Bool: { "kms:GrantIsForAWSResource": ["true", "false"] } },
  { Bool: { "kms:GrantIsForAWSResource": [] } },
  { Null: { "kms:GrantIsForAWSResource": "true" } },
  { Null: { "kms:GrantIsForAWSResource": "false" } },
];

export const iamMutants: readonly Mutant[] = [
  given("iam-document-valid", "no JSON", {}, { document: "{ not json" }),
  given("iam-document-valid", "a list in place of a document", {}, { document: "[]" }),
  given("iam-document-valid", "no statement", {}, { document: "{}" }),
  given("iam-document-valid", "no effect", { Action: "s3:GetObject", Resource: bucket }),
  given("iam-document-valid", "an element in odd case", {
    effect: "Allow",
    Action: "s3:GetObject",
    Resource: bucket,
  }),
  given("iam-document-valid", "no action", { Effect: "Allow", Resource: bucket }),
  given("iam-document-valid", "a number for an action", {
    Effect: "Allow",
    Action: { a: 1 },
    Resource: bucket,
  }),
  given("iam-action-known", "a misspelt action", allow("s3:GetObjekt", bucket)),
  given("iam-action-known", "a service that is none", allow("s4:GetObject", bucket)),
  given("iam-action-known", "no service", allow("GetObject", bucket)),
  given("iam-exact-actions", "*", allow("*", bucket)),
  given("iam-exact-actions", "a whole service", allow("s3:*", bucket)),
  given("iam-exact-actions", "a service in odd case", allow("S3:GET*", bucket)),
  given("iam-exact-actions", "a question mark", allow("s3:GetObjec?", bucket)),
  given(
    "iam-exact-actions",
    "a single statement object",
    {},
    {
      document: JSON.stringify({ Version: "2012-10-17", Statement: allow("glue:*", bucket) }),
    },
  ),
  given(
    "iam-exact-actions",
    "a document that is an object",
    {},
    { document: { Statement: allow("glue:*", bucket) } },
  ),
  given("iam-no-not-action", "all but one", {
    Effect: "Allow",
    NotAction: "iam:CreateUser",
    Resource: bucket,
  }),
  given("iam-no-not-resource", "all but one", {
    Effect: "Allow",
    Action: "s3:GetObject",
    NotResource: bucket,
  }),
  given("iam-resource-scoped", "*", allow("s3:GetObject")),
  given("iam-resource-scoped", "* in odd case", allow("S3:getobject")),
  given("iam-resource-scoped", "* among others", allow("glue:GetTable", [bucket, "*"])),
  given(
    "iam-resource-scoped",
    "a condition on the region alone",
    allow("s3:GetObject", "*", { StringEquals: { "aws:RequestedRegion": "eu-central-1" } }),
  ),
  given(
    "iam-resource-scoped",
    "a condition that may be missing",
    allow("s3:GetObject", "*", { StringEqualsIfExists: { "aws:ResourceAccount": "444455556666" } }),
  ),
  given("iam-resource-own", "any account", allow("glue:GetTable", "arn:aws:glue:eu-central-1:*:catalog")),
  given("iam-resource-own", "any region", allow("glue:GetTable", "arn:aws:glue:*:444455556666:catalog")),
  given("iam-resource-own", "any bucket", allow("s3:GetObject", "arn:aws:s3:::*")),
  given("iam-resource-own", "any bucket's objects", allow("s3:GetObject", "arn:aws:s3:::*/*")),
  given(
    "iam-resource-own",
    "any service",
    allow("s3:GetObject", "arn:aws:*:eu-central-1:444455556666:thing"),
  ),
  ...["table/*", "table:*"].map((rest) =>
    given(
      "iam-resource-own",
      `every ${rest}`,
      allow("dynamodb:GetItem", `arn:aws:dynamodb:eu-central-1:444455556666:${rest}`),
    ),
  ),
  ...[
    ["cloudwatch:PutMetricAlarm", "cloudwatch:eu-central-1:444455556666:alarm:*"],
    ["cloudwatch:PutDashboard", "cloudwatch::444455556666:dashboard/*"],
    ["scheduler:CreateScheduleGroup", "scheduler:eu-central-1:444455556666:schedule-group/*"],
  ].map(([action = "", rest = ""]) =>
    given("iam-resource-own", `every ${rest}`, allow(action, `arn:aws:${rest}`)),
  ),
  given(
    "iam-resource-own",
    "every function, by a condition on every function",
    allow("lambda:InvokeFunction", "arn:aws:lambda:eu-central-1:444455556666:function:*", {
      ArnLike: { "lambda:FunctionArn": "arn:aws:lambda:eu-central-1:444455556666:function:*" },
    }),
  ),
  ...(
    [
      ["kms:PutKeyPolicy", "arn:aws:kms:eu-central-1:444455556666:key/*"],
      [
        "redshift-serverless:UpdateWorkgroup",
        "arn:aws:redshift-serverless:eu-central-1:444455556666:workgroup/*",
      ],
      ["apigateway:PATCH", "arn:aws:apigateway:eu-central-1::/restapis/*"],
      ["emr-serverless:StartJobRun", "arn:aws:emr-serverless:eu-central-1:444455556666:/applications/*"],
      ["lambda:DeleteEventSourceMapping", "arn:aws:lambda:eu-central-1:444455556666:event-source-mapping:*"],
    ] as const
  ).flatMap(([action, on]) => [
    given("iam-open-id-chosen", `${action} on all`, allow(action, on)),
    given(
      "iam-open-id-chosen",
      `${action} in a region`,
      allow(action, on, { StringEquals: { "aws:RequestedRegion": "eu-central-1" } }),
    ),
  ]),
  given("iam-open-id-chosen", "mappings of every function", allow("lambda:CreateEventSourceMapping")),
  given(
    "iam-open-id-chosen",
    "mappings of every function, by a condition",
    allow("lambda:CreateEventSourceMapping", "*", {
      ArnLike: { "lambda:FunctionArn": "arn:aws:lambda:eu-central-1:444455556666:function:*" },
    }),
  ),
  ...["s3:ListBucket", "s3:ListBucketVersions"].map((action) =>
    given("iam-list-by-prefix", action, allow(action, "arn:aws:s3:::some-bucket")),
  ),
  given(
    "iam-list-by-prefix",
    "any prefix",
    allow("s3:ListBucket", "arn:aws:s3:::some-bucket", { StringLike: { "s3:prefix": "*" } }),
  ),
  ...["redshift-data:DescribeStatement", "redshift-data:GetStatementResult"].map((action) =>
    given("iam-own-statements", action, allow(action)),
  ),
  given("iam-grant-for-services", "no condition", allow("kms:CreateGrant", key)),
  given("iam-grant-for-services", "by kms:*", allow("kms:*", key)),
  given(
    "iam-grant-for-services",
    "a condition that may be missing",
    allow("kms:CreateGrant", key, { BoolIfExists: { "kms:GrantIsForAWSResource": "true" } }),
  ),
  ...notForServices.map((condition) =>
    given("iam-grant-for-services", JSON.stringify(condition), allow("kms:CreateGrant", key, condition)),
  ),
  ...["*", "arn:aws:kms:*:*:key/*", "arn:aws:kms:eu-central-1:444455556666:key/*"].map((on) =>
    given(
      "iam-decrypt-scoped",
      on,
      allow("kms:Decrypt", on, { StringEquals: { "kms:ViaService": "s3.eu-central-1.amazonaws.com" } }),
    ),
  ),
  given("iam-decrypt-scoped", "by kms:*", allow("kms:*", "*")),
  ...["kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt"].map((action) =>
    given("iam-key-use-limited", action, allow(action, key)),
  ),
  given(
    "iam-key-use-limited",
    "a condition that may be missing",
    allow("kms:Decrypt", key, {
      StringEqualsIfExists: { "kms:ViaService": "s3.eu-central-1.amazonaws.com" },
    }),
  ),
  ...["*", "arn:aws:iam::444455556666:role/*", "arn:aws:iam::444455556666:role/securecart-*"].map((on) =>
    given(
      "iam-pass-role-exact",
      on,
      allow("iam:PassRole", on, { StringEquals: { "iam:PassedToService": "glue.amazonaws.com" } }),
    ),
  ),
  given(
    "iam-pass-role-exact",
    "CI, beyond what it makes",
    allow("iam:PassRole", "arn:aws:iam::444455556666:role/*"),
    { service: "" },
  ),
  given("iam-pass-role-service", "no condition", allow("iam:PassRole", own)),
  given("iam-pass-role-service", "CI without condition", allow("iam:PassRole", own), { service: "" }),
  given(
    "iam-pass-role-service",
    "any service",
    allow("iam:PassRole", own, { StringLike: { "iam:PassedToService": "*" } }),
  ),
  given(
    "iam-no-credential-exposure",
    "access keys",
    allow("iam:CreateAccessKey", "arn:aws:iam::444455556666:user/u"),
  ),
  given("iam-no-credential-exposure", "every secret", allow("secretsmanager:GetSecretValue", "*")),
  given(
    "iam-no-credential-exposure",
    "every secret of the account",
    allow("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-central-1:444455556666:secret:*"),
  ),
  given(
    "iam-no-credential-exposure",
    "every workgroup",
    allow(
      "redshift-serverless:GetCredentials",
      "arn:aws:redshift-serverless:eu-central-1:444455556666:workgroup/*",
    ),
  ),
  given("iam-no-credential-exposure", "federation", allow("sts:GetFederationToken", "*")),
  given(
    "iam-condition-effective",
    "any value",
    allow("secretsmanager:GetSecretValue", secret, { StringLike: { "aws:PrincipalTag/team": "*" } }),
  ),
  given(
    "iam-condition-effective",
    "no value",
    allow("secretsmanager:GetSecretValue", secret, { StringEquals: { "aws:PrincipalTag/team": [] } }),
  ),
  given("iam-assume-role-exact", "any role", allow("sts:AssumeRole", "*")),
  given(
    "iam-assume-role-exact",
    "any role of the account",
    allow("sts:AssumeRole", "arn:aws:iam::444455556666:role/*"),
  ),
  ...escalating.map((actions) =>
    given("iam-no-escalation", `a job: ${actions.join(", ")}`, allow([...actions], own)),
  ),
  ...["lambda", "states", "databrew"].map((service) =>
    given("iam-no-escalation", `${service}: edits policies`, allow("iam:PutRolePolicy", own), { service }),
  ),
  given("iam-no-escalation", "by a wildcard", allow("iam:*", own)),
  given("iam-no-escalation", "by all but some", { Effect: "Allow", NotAction: "s3:*", Resource: "*" }),
  given(
    "iam-no-escalation",
    "CI edits policies of roles without a boundary",
    allow("iam:PutRolePolicy", own),
    { service: "" },
  ),
  given(
    "iam-no-escalation",
    "CI edits policies of roles with any boundary",
    allow("iam:PutRolePolicy", own, {
      ArnLike: { "iam:PermissionsBoundary": "arn:aws:iam::444455556666:policy/*" },
    }),
    { service: "" },
  ),
  given(
    "iam-no-escalation",
    "CI edits policies of roles without a boundary",
    allow("iam:PutRolePolicy", own, { Null: { "iam:PermissionsBoundary": "true" } }),
    { service: "" },
  ),
  given(
    "iam-no-escalation",
    "a role to a service that is named, and asked for to be named",
    allow(["iam:PassRole", "glue:CreateJob"], own, {
      StringEquals: { "iam:PassedToService": "glue.amazonaws.com" },
      Null: { "iam:PassedToService": "false" },
    }),
  ),
  given(
    "iam-pass-role-service",
    "to no service that is named",
    allow("iam:PassRole", own, { Null: { "iam:PassedToService": "true" } }),
  ),
  given(
    "iam-pass-role-service",
    "to any service, if one is named",
    allow("iam:PassRole", own, { Null: { "iam:PassedToService": "false" } }),
  ),
  ...["iam:AttachRolePolicy", "iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"].map((action) =>
    attachedPolicy("iam-no-escalation", `CI by an attached policy: ${action}`, more(allow(action, own))),
  ),
  given("iam-no-escalation", "CI replaces trust", allow("iam:UpdateAssumeRolePolicy", own), { service: "" }),
  {
    rule: "iam-no-escalation",
    what: "CI can pass a role that nothing bounds",
    apply: (resources) => {
      const role = roleOf(resources, "glue");
      return replaced(resources, role, without("permissionsBoundary")(role.inputs));
    },
  },
  machinePasses("any role", (document) => document.replace(/role\/[\w-]+-fraud-score/, "role/*")),
  machinePasses("CI's role", (document) => document.replace("-fraud-score", "-deploy")),
  machinePasses("a job's role of another service", (document) => document.replace("-fraud-score", "-clean")),
  machinePasses("a role of nowhere", (document) => document.replace("-fraud-score", "-nowhere")),
  machinePasses("to any service", (document) => document.replace('"emr-serverless.amazonaws.com"', '"*"')),
  jobRole("without a boundary", (role) => without("permissionsBoundary")(role)),
  jobRole("that functions may have too", (role) => ({
    ...role,
    assumeRolePolicy: String(role.assumeRolePolicy).replace(
      '"emr-serverless.amazonaws.com"',
      '["emr-serverless.amazonaws.com","lambda.amazonaws.com"]',
    ),
  })),
  jobRole("that raises its rights", (role) => ({
    ...role,
    inlinePolicies: [{ policy: JSON.stringify({ Statement: allow("iam:PutRolePolicy", own) }) }],
  })),
  {
    rule: "iam-no-escalation",
    what: "the machine's role is a function's too",
    apply: (resources) => {
      const role = machineOf(resources);
      const assumeRolePolicy = String(role.inputs.assumeRolePolicy).replace(
        '"states.amazonaws.com"',
        '["states.amazonaws.com","lambda.amazonaws.com"]',
      );
      return replaced(resources, role, { ...role.inputs, assumeRolePolicy });
    },
  },
  {
    rule: "iam-no-role-chain",
    what: "a job may assume CI's role",
    apply: (resources) => {
      const deployer = String(roleOf(resources, undefined).inputs.name);
      const on = `arn:aws:iam::444455556666:role/${deployer}`;
      return given("", "", allow("sts:AssumeRole", on)).apply(resources);
    },
  },
  ...[
    "s3:PutBucketPolicy",
    "kms:PutKeyPolicy",
    "lambda:AddPermission",
    "kms:CreateGrant",
    "glue:PutResourcePolicy",
  ].map((action) => given("iam-no-permission-management", action, allow(action, key))),
  ...["Null", "ForAllValues:StringEquals"].map((operator) =>
    trusted("iam-trust-one-subject", `an audience by ${operator}`, "", (s) => ({
      ...s,
      Condition: {
        [operator]: { "token.actions.githubusercontent.com:aud": "true" },
        StringEquals: { "token.actions.githubusercontent.com:sub": "repo:acme/etl:ref:refs/heads/main" },
      },
    })),
  ),
  trusted("iam-trust-no-anyone", "*", "glue", (s) => ({ ...s, Principal: "*" })),
  trusted("iam-trust-no-anyone", "AWS *", "lambda", (s) => ({ ...s, Principal: { AWS: "*" } })),
  trusted("iam-trust-no-anyone", "all but one", "glue", (s) => ({
    ...without("Principal")(s),
    NotPrincipal: { AWS: own },
  })),
  trusted("iam-trust-only-assume", "sts:*", "glue", (s) => ({ ...s, Action: "sts:*" })),
  trusted("iam-trust-only-assume", "*", "lambda", (s) => ({ ...s, Action: "*" })),
  trusted("iam-trust-own-account", "another account's root", "glue", (s) => ({
    ...s,
    Principal: { AWS: "arn:aws:iam::999999999999:root" },
  })),
  trusted("iam-trust-own-account", "another account's digits", "lambda", (s) => ({
    ...s,
    Principal: { AWS: "999999999999" },
  })),
  trusted("iam-trust-own-account", "another account's role", "glue", (s) => ({
    ...s,
    Principal: { AWS: ["arn:aws:iam::999999999999:role/x"] },
  })),
  trusted("iam-trust-exact-principals", "the account's root", "glue", (s) => ({
    ...s,
    Principal: { AWS: "arn:aws:iam::444455556666:root" },
  })),
  trusted("iam-trust-exact-principals", "the account's digits", "glue", (s) => ({
    ...s,
    Principal: { AWS: ["444455556666"] },
  })),
  ...["glue", "states", "databrew", "scheduler", "vpc-flow-logs"].map((service) =>
    trusted("iam-trust-source-account", service, service, without("Condition")),
  ),
  trusted("iam-trust-source-account", "a condition that may be missing", "glue", (s) => ({
    ...s,
    Condition: { StringEqualsIfExists: { "aws:SourceAccount": "444455556666" } },
  })),
  trusted("iam-trust-source-account", "any account", "glue", (s) => ({
    ...s,
    Condition: { StringLike: { "aws:SourceAccount": "*" } },
  })),
  trusted("iam-trust-one-subject", "no condition", "", without("Condition")),
  ...["repo:acme/*:environment:prod", "repo:*", "repo:acme/etl:*", "*"].map((subject) =>
    trusted("iam-trust-one-subject", subject, "", (s) => ({
      ...s,
      Condition: {
        StringEquals: { "token.actions.githubusercontent.com:aud": "sts.amazonaws.com" },
        StringLike: { "token.actions.githubusercontent.com:sub": subject },
      },
    })),
  ),
  ...policyTypes.flatMap(([type, action]) => [
    resourcePolicy(
      "iam-resource-policy-no-anyone",
      `${type}: *`,
      type,
      more({ Sid: "M", Effect: "Allow", Principal: "*", Action: action, Resource: "*" }),
    ),
    resourcePolicy(
      "iam-resource-policy-no-anyone",
      `${type}: AWS *`,
      type,
      more({ Sid: "M", Effect: "Allow", Principal: { AWS: ["*"] }, Action: action, Resource: "*" }),
    ),
    resourcePolicy(
      "iam-resource-policy-own-account",
      `${type}: another account`,
      type,
      more({
        Effect: "Allow",
        Principal: { AWS: "arn:aws:iam::999999999999:root" },
        Action: action,
        Resource: "*",
      }),
    ),
    resourcePolicy(
      "iam-resource-policy-service-source",
      `${type}: any account's events`,
      type,
      more({
        Effect: "Allow",
        Principal: { Service: "events.amazonaws.com" },
        Action: action,
        Resource: "*",
      }),
    ),
  ]),
  ...[bucketPolicy, queuePolicy, topicPolicy].flatMap((type) => [
    resourcePolicy(
      "iam-resource-policy-exact-actions",
      `${type}: *`,
      type,
      more({ Effect: "Allow", Principal: { AWS: own }, Action: "*", Resource: "*" }),
    ),
    resourcePolicy(
      "iam-resource-policy-exact-actions",
      `${type}: all but one`,
      type,
      more({ Effect: "Allow", Principal: { AWS: own }, NotAction: "s3:GetObject", Resource: "*" }),
    ),
  ]),
  resourcePolicy(
    "iam-key-policy-exact-actions",
    "kms:* to a role",
    keyType,
    more({ Effect: "Allow", Principal: { AWS: own }, Action: "kms:*", Resource: "*" }),
  ),
  resourcePolicy(
    "iam-key-policy-exact-actions",
    "* to a service",
    keyType,
    more({ Effect: "Allow", Principal: { Service: "s3.amazonaws.com" }, Action: "*", Resource: "*" }),
  ),
  resourcePolicy(
    "iam-resource-policy-no-anyone",
    "anyone, through a service",
    keyType,
    more({
      Effect: "Allow",
      Principal: "*",
      Action: "kms:Decrypt",
      Resource: "*",
      Condition: { StringEquals: { "kms:ViaService": "s3.eu-central-1.amazonaws.com" } },
    }),
  ),
  resourcePolicy(
    "iam-resource-policy-no-anyone",
    "anyone, from a source in any account",
    queuePolicy,
    more({
      Effect: "Allow",
      Principal: "*",
      Action: "sqs:SendMessage",
      Resource: "*",
      Condition: { ArnLike: { "aws:SourceArn": "arn:aws:sns:eu-central-1:*:*" } },
    }),
  ),
  resourcePolicy(
    "iam-resource-policy-service-source",
    "from a source in any account",
    queuePolicy,
    more({
      Effect: "Allow",
      Principal: { Service: "sns.amazonaws.com" },
      Action: "sqs:SendMessage",
      Resource: "*",
      Condition: { ArnLike: { "aws:SourceArn": "arn:aws:sns:*:*:*" } },
    }),
  ),
  ...(
    [
      ["no condition", undefined],
      ["the account alone", { StringEquals: { "kms:CallerAccount": "444455556666" } }],
      ["any role", { ArnLike: { "aws:PrincipalArn": "arn:aws:iam::444455556666:role/*" } }],
    ] as const
  ).map(([what, Condition]) =>
    resourcePolicy(
      "iam-key-policy-use-limited",
      what,
      keyType,
      more({
        Effect: "Allow",
        Principal: { AWS: "arn:aws:iam::444455556666:root" },
        Action: "kms:Decrypt",
        Resource: "*",
        ...(Condition && { Condition }),
      }),
    ),
  ),
  ...[{ AWS: "arn:aws:iam::444455556666:root" }, { AWS: own }].map((Principal) =>
    resourcePolicy(
      "iam-key-policy-grants",
      `grants by ${Principal.AWS}`,
      keyType,
      more({ Effect: "Allow", Principal, Action: ["kms:CreateGrant"], Resource: "*" }),
    ),
  ),
  ...notForServices.map((Condition) =>
    resourcePolicy(
      "iam-key-policy-grants",
      JSON.stringify(Condition),
      keyType,
      more({ Effect: "Allow", Principal: { AWS: own }, Action: "kms:CreateGrant", Resource: "*", Condition }),
    ),
  ),
  resourcePolicy("iam-key-policy-managed", "the account is not named", keyType, (statements) =>
    statements
      .filter((s) => !JSON.stringify(s).includes(":root"))
      .concat({ Effect: "Allow", Principal: { AWS: own }, Action: "kms:Decrypt", Resource: "*" }),
  ),
  resourcePolicy("iam-key-policy-managed", "the account may only look", keyType, () => [
    {
      Effect: "Allow",
      Principal: { AWS: "arn:aws:iam::444455556666:root" },
      Action: "kms:DescribeKey",
      Resource: "*",
    },
  ]),
  added("iam-no-users", "aws:iam/user:User", { name: "someone" }),
  added("iam-no-users", "aws:iam/accessKey:AccessKey", { user: "someone" }),
  added("iam-no-users", "aws:iam/group:Group", {}),
  added("iam-no-aws-managed-policies", "aws:iam/rolePolicyAttachment:RolePolicyAttachment", {
    role: "r",
    policyArn: "arn:aws:iam::aws:policy/AdministratorAccess",
  }),
  changed("iam-no-aws-managed-policies", "in the role", "glue", (i) => ({
    ...i,
    managedPolicyArns: ["arn:aws:iam::aws:policy/service-role/AWSGlueServiceRole"],
  })),
  changed("iam-no-aws-managed-policies", "as a boundary", "lambda", (i) => ({
    ...i,
    permissionsBoundary: "arn:aws:iam::aws:policy/PowerUserAccess",
  })),
  ...["glue", "lambda", "states", "databrew", "events"].map((service) =>
    changed("iam-role-bounded", service, service, without("permissionsBoundary")),
  ),
  changed("iam-role-bounded", "empty", "glue", (i) => ({ ...i, permissionsBoundary: "" })),
  changed("iam-boundary-in-stack", "another policy", "glue", (i) => ({
    ...i,
    permissionsBoundary: "arn:aws:iam::444455556666:policy/elsewhere",
  })),
  ...["iam:PassRole", "iam:PutRolePolicy", "sts:AssumeRole", "iam:CreateUser"].map(
    (action): Mutant => boundaryPolicy("iam-boundary-holds", action, more(allow(action))),
  ),
  ...(
    [
      ["a role by name to any service", own, undefined],
      ["any role to a service", "arn:aws:iam::444455556666:role/*", "emr-serverless.amazonaws.com"],
      ["a role by name to a service, perhaps", own, "*"],
    ] as const
  ).map(
    ([what, on, service]): Mutant =>
      boundaryPolicy(
        "iam-boundary-holds",
        what,
        more(
          allow(
            "iam:PassRole",
            on,
            service === undefined ? undefined : { StringLike: { "iam:PassedToService": service } },
          ),
        ),
      ),
  ),
  ...(
    [
      ["without conditions", undefined],
      ["in any region", { StringEqualsIfExists: { "aws:ResourceAccount": "444455556666" } }],
      ["in any account", { StringEqualsIfExists: { "aws:RequestedRegion": "eu-central-1" } }],
      [
        "but in one account",
        {
          StringNotEquals: { "aws:ResourceAccount": "999999999999" },
          StringEquals: { "aws:RequestedRegion": "eu-central-1" },
        },
      ],
      [
        "of no account that is named",
        {
          Null: { "aws:ResourceAccount": "true" },
          StringEquals: { "aws:RequestedRegion": "eu-central-1" },
        },
      ],
    ] as const
  ).map(([what, condition]) =>
    boundaryPolicy(
      "iam-boundary-own-account",
      `everything ${what}`,
      more(allow("s3:GetObject", "*", condition)),
    ),
  ),
  ...["arn:aws:s3:::*", "arn:aws:s3:::*/*", "arn:aws:*:*:*:*", "arn:*", "**"].map((on) =>
    boundaryPolicy("iam-boundary-own-account", on, more(allow("s3:GetObject", [bucket, on]))),
  ),
  {
    rule: "iam-one-role-per-workload",
    what: "two jobs with one role",
    apply: (resources) => {
      const [first, second] = resources.filter(({ type }) => type === "aws:glue/job:Job");
      if (!first || !second) throw new Error("the stack has no two jobs");
      return replaced(resources, second, { ...second.inputs, roleArn: first.inputs.roleArn });
    },
  },
];
