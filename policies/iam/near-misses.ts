/** Changes that a rule must let pass, each just on the good side of what it finds. */
import {
  added,
  allow,
  boundaryPolicy,
  bucket,
  bucketPolicy,
  changed,
  given,
  key,
  keyType,
  type Mutant,
  more,
  own,
  resourcePolicy,
  secret,
  trusted,
} from "./mutants.ts";

const account = "444455556666";
const root = { AWS: `arn:aws:iam::${account}:root` };
const throughS3 = { StringEquals: { "kms:ViaService": "s3.eu-central-1.amazonaws.com" } };
const ofPipeline = { StringEquals: { "aws:ResourceTag/pipeline": "securecart-prod" } };
const toGlue = { StringEquals: { "iam:PassedToService": "glue.amazonaws.com" } };

export const iamNearMisses: readonly Mutant[] = [
  given(
    "iam-document-valid",
    "a single statement object",
    {},
    { document: { Version: "2012-10-17", Statement: allow("s3:GetObject", bucket) } },
  ),
  given("iam-action-known", "an action in odd case", allow("S3:getOBJECT", bucket)),
  given("iam-exact-actions", "an action by its name", allow("s3:GetObject", bucket)),
  given("iam-no-not-action", "a denial of all but some", {
    Effect: "Deny",
    NotAction: "s3:GetObject",
    Resource: "*",
  }),
  given("iam-no-not-resource", "a denial on all but one", {
    Effect: "Deny",
    Action: "s3:GetObject",
    NotResource: bucket,
  }),
  given("iam-resource-scoped", "an action that knows no resource", allow("xray:PutTraceSegments")),
  given(
    "iam-resource-own",
    "a prefix of names",
    allow("dynamodb:GetItem", `arn:aws:dynamodb:eu-central-1:${account}:table/securecart-*`),
  ),
  given(
    "iam-open-id-chosen",
    "by a tag",
    allow("kms:PutKeyPolicy", `arn:aws:kms:eu-central-1:${account}:key/*`, ofPipeline),
  ),
  given(
    "iam-open-id-chosen",
    "what only reads",
    allow("kms:DescribeKey", `arn:aws:kms:eu-central-1:${account}:key/*`),
  ),
  given(
    "iam-open-id-chosen",
    "mappings of functions by a prefix",
    allow("lambda:CreateEventSourceMapping", "*", {
      ArnLike: { "lambda:FunctionArn": `arn:aws:lambda:eu-central-1:${account}:function:securecart-*` },
    }),
  ),
  given(
    "iam-list-by-prefix",
    "one prefix",
    allow("s3:ListBucket", "arn:aws:s3:::some-bucket", { StringLike: { "s3:prefix": ["drops/*"] } }),
  ),
  given(
    "iam-own-statements",
    "own ones",
    allow("redshift-data:DescribeStatement", "*", {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of IAM
      StringEquals: { "redshift-data:statement-owner-iam-userid": "${aws:userid}" },
    }),
  ),
  given("iam-decrypt-scoped", "one key", allow("kms:Decrypt", key, throughS3)),
  given("iam-key-use-limited", "through a service", allow("kms:Decrypt", key, throughS3)),
  given(
    "iam-grant-for-services",
    "for services",
    allow("kms:CreateGrant", key, { Bool: { "kms:GrantIsForAWSResource": "true" } }),
  ),
  given(
    "iam-grant-for-services",
    "for services, by a truth value and once more",
    allow("kms:CreateGrant", key, {
      Bool: { "kms:GrantIsForAWSResource": true },
      Null: { "kms:GrantIsForAWSResource": "false" },
    }),
  ),
  given("iam-pass-role-exact", "one role", allow("iam:PassRole", own, toGlue)),
  given("iam-pass-role-service", "to one service", allow("iam:PassRole", own, toGlue)),
  given(
    "iam-pass-role-service",
    "to one service, which must be told",
    allow("iam:PassRole", own, { ...toGlue, Null: { "iam:PassedToService": "false" } }),
  ),
  given("iam-no-credential-exposure", "one secret", allow("secretsmanager:GetSecretValue", secret)),
  given(
    "iam-condition-effective",
    "a prefix",
    allow("secretsmanager:GetSecretValue", secret, { StringLike: { "aws:PrincipalTag/team": "data-*" } }),
  ),
  given("iam-assume-role-exact", "one role", allow("sts:AssumeRole", own)),
  given("iam-no-escalation", "a role to a service that it cannot use", allow("iam:PassRole", own, toGlue)),
  given("iam-no-escalation", "half of a way", allow("glue:CreateJob", own)),
  given(
    "iam-no-role-chain",
    "a role that can do no more",
    allow("sts:AssumeRole", `arn:aws:iam::${account}:role/securecart-prod-clean`),
  ),
  given("iam-no-permission-management", "what logging needs", allow("logs:PutResourcePolicy")),
  trusted("iam-trust-no-anyone", "a role", "glue", (s) => ({ ...s, Principal: { AWS: own } })),
  trusted("iam-trust-only-assume", "with the session's tags", "glue", (s) => ({
    ...s,
    Action: ["sts:AssumeRole", "sts:TagSession"],
  })),
  trusted("iam-trust-own-account", "another account with an external id", "glue", (s) => ({
    ...s,
    Principal: { AWS: "arn:aws:iam::999999999999:role/x" },
    Condition: { StringEquals: { "sts:ExternalId": "1" } },
  })),
  trusted("iam-trust-exact-principals", "the account, for one role", "glue", (s) => ({
    ...s,
    Principal: root,
    Condition: { ArnEquals: { "aws:PrincipalArn": own } },
  })),
  trusted("iam-trust-source-account", "for one source", "glue", (s) => ({
    ...s,
    Condition: { ArnLike: { "aws:SourceArn": `arn:aws:glue:eu-central-1:${account}:job/x` } },
  })),
  trusted("iam-trust-one-subject", "one branch", "", (s) => ({
    ...s,
    Condition: {
      StringEquals: {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": "repo:acme/etl:ref:refs/heads/main",
      },
    },
  })),
  resourcePolicy(
    "iam-resource-policy-no-anyone",
    "anyone of the organisation",
    bucketPolicy,
    more({
      Effect: "Allow",
      Principal: "*",
      Action: "s3:GetObject",
      Resource: "*",
      Condition: { StringEquals: { "aws:PrincipalOrgID": "o-1" } },
    }),
  ),
  resourcePolicy(
    "iam-resource-policy-own-account",
    "a role of the account",
    bucketPolicy,
    more({ Effect: "Allow", Principal: { AWS: own }, Action: "s3:GetObject", Resource: "*" }),
  ),
  resourcePolicy(
    "iam-resource-policy-service-source",
    "for one bucket, whose ARN has no account",
    "aws:sqs/queuePolicy:QueuePolicy",
    more({
      Effect: "Allow",
      Principal: { Service: "s3.amazonaws.com" },
      Action: "sqs:SendMessage",
      Resource: "*",
      Condition: { ArnLike: { "aws:SourceArn": "arn:aws:s3:::some-bucket" } },
    }),
  ),
  resourcePolicy(
    "iam-resource-policy-exact-actions",
    "two actions by name",
    bucketPolicy,
    more({
      Effect: "Allow",
      Principal: { AWS: own },
      Action: ["s3:GetObject", "s3:PutObject"],
      Resource: "*",
    }),
  ),
  resourcePolicy(
    "iam-key-policy-exact-actions",
    "all of KMS to the account",
    keyType,
    more({ Effect: "Allow", Principal: root, Action: "kms:*", Resource: "*" }),
  ),
  resourcePolicy(
    "iam-key-policy-use-limited",
    "roles by a prefix",
    keyType,
    more({
      Effect: "Allow",
      Principal: root,
      Action: "kms:Decrypt",
      Resource: "*",
      Condition: { ArnLike: { "aws:PrincipalArn": `arn:aws:iam::${account}:role/securecart-*` } },
    }),
  ),
  resourcePolicy(
    "iam-key-policy-grants",
    "for services",
    keyType,
    more({
      Effect: "Allow",
      Principal: root,
      Action: "kms:CreateGrant",
      Resource: "*",
      Condition: { Bool: { "kms:GrantIsForAWSResource": "true" } },
    }),
  ),
  resourcePolicy("iam-key-policy-managed", "by all of KMS", keyType, () => [
    { Effect: "Allow", Principal: root, Action: "kms:*", Resource: "*" },
  ]),
  added("iam-no-aws-managed-policies", "aws:iam/rolePolicyAttachment:RolePolicyAttachment", {
    role: "r",
    policyArn: `arn:aws:iam::${account}:policy/own`,
  }),
  changed("iam-role-bounded", "by another boundary", "glue", (i) => ({
    ...i,
    permissionsBoundary: `arn:aws:iam::${account}:policy/elsewhere`,
  })),
  boundaryPolicy(
    "iam-boundary-holds",
    "one role to one service",
    more(
      allow("iam:PassRole", own, { StringEquals: { "iam:PassedToService": "emr-serverless.amazonaws.com" } }),
    ),
  ),
  boundaryPolicy("iam-boundary-own-account", "one resource", more(allow("s3:GetObject", bucket))),
  boundaryPolicy(
    "iam-boundary-own-account",
    "all of a name's beginning, and all of a kind in one account",
    more(
      allow("s3:GetObject", [
        "arn:aws:s3:::securecart-prod-*",
        `arn:aws:glue:eu-central-1:${account}:table/*`,
      ]),
    ),
  ),
  boundaryPolicy(
    "iam-boundary-own-account",
    "everything within one account and region",
    more(
      allow("s3:GetObject", "arn:aws:s3:::*", {
        StringEquals: { "aws:ResourceAccount": account, "aws:RequestedRegion": "eu-central-1" },
      }),
    ),
  ),
];

/** Rules without a near miss, and why there can be none. */
export const withoutNearMiss: Readonly<Record<string, string>> = {
  "iam-no-users": "a user, group or key is a finding whatever it says",
  "iam-boundary-in-stack": "a boundary is a policy of the stack or it is not",
  "iam-one-role-per-workload": "a role has one workload or more: the stack as it is has the one",
};
