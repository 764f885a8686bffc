/**
 * What this does not prove: that AWS asks for no more than its documentation says. Calls are recorded here; those of
 * Spark are file operations of a local run, taken for the calls that Glue's file systems make for them.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { runSimulation } from "@cloud-copilot/iam-simulate";
import { expect } from "chai";
import { stackGraph } from "../graph/stack-graph.ts";
import { root } from "../package/artifacts.ts";
import { type Call, Stack } from "./calls.ts";
import { documentOf, recordedCalls, tableOf } from "./table.ts";

describe("least privilege of the stack prod", () => {
  let stack: Stack;
  let calls: readonly Call[];
  before(async function () {
    this.timeout(60_000);
    stack = new Stack(await stackGraph("prod"));
    calls = await recordedCalls(stack);
  });

  const parsed = (resource: { inputs: Readonly<Record<string, unknown>> } | undefined): unknown =>
    resource && JSON.parse(String(resource.inputs.policy));

  /** The policy of the resource that a call is made on, where it has one. */
  function resourcePolicy({ resource }: Call): unknown {
    if (resource.includes(":kms:")) {
      const key = stack
        .ofType("aws:kms/key:Key")
        .find(({ urn }) => stack.graph.computed[urn]?.arn === resource);
      return parsed(key);
    }
    const bucket = resource.match(/^arn:aws:s3:::([^/]+)/)?.[1];
    return bucket === undefined
      ? undefined
      : parsed(
          stack.ofType("aws:s3/bucketPolicy:BucketPolicy").find(({ inputs }) => inputs.bucket === bucket),
        );
  }

  /** Evaluates a call with identity policies, boundary and resource policy. @returns "Allowed", or what it is instead */
  async function decide(call: Call): Promise<string> {
    const { accountId, region } = stack.graph.place;
    const boundary = stack
      .ofType("aws:iam/policy:Policy")
      .find(({ inputs }) => inputs.name === `${stack.name}-boundary`);
    const bounded = stack.role(call.role).inputs.permissionsBoundary !== undefined;
    const policy = resourcePolicy(call);
    const result = await runSimulation(
      {
        request: {
          principal: `arn:aws:sts::${accountId}:assumed-role/${stack.name}-${call.role}/session`,
          action: call.action,
          resource: { resource: call.resource, accountId },
          contextVariables: {
            "aws:RequestedRegion": region,
            "aws:ResourceAccount": accountId,
            "aws:SecureTransport": "true",
            "aws:PrincipalAccount": accountId,
            "aws:PrincipalArn": stack.roleArn(call.role),
            "aws:userid": "AROAEXAMPLE:session",
            "kms:CallerAccount": accountId,
            "s3:x-amz-server-side-encryption": "aws:kms",
            "s3:x-amz-server-side-encryption-aws-kms-key-id": stack.dataKey,
            ...call.context,
          },
        },
        identityPolicies: [...stack.policies(call.role)],
        serviceControlPolicies: [],
        resourceControlPolicies: [],
        ...(policy !== undefined && { resourcePolicy: policy }),
        ...(bounded && {
          permissionBoundaryPolicies: [
            { name: "boundary", policy: JSON.parse(String(boundary?.inputs.policy)) },
          ],
        }),
      },
      {},
    );
    return result.resultType === "error" ? `error: ${JSON.stringify(result.errors)}` : result.overallResult;
  }

  it("allows every recorded call, with its resource and its conditions", async () => {
    const distinct = new Map(calls.map((call) => [JSON.stringify(call), call]));
    expect(distinct.size).to.be.greaterThan(150);
    const refused: string[] = [];
    for (const call of distinct.values()) {
      if (Object.keys(call.context).some((key) => key.startsWith("kms:EncryptionContext:"))) {
        // The simulator knows no keys of an encryption context: compared by hand.
        const wanted = Object.fromEntries(
          Object.entries(call.context).map(([key, value]) => [key.toLowerCase(), [value].flat()]),
        );
        const fits = stack
          .statements(call.role)
          .some(
            ({ actions, resources, conditions }) =>
              actions.includes(call.action) &&
              resources.includes(call.resource) &&
              isDeepStrictEqual(conditions, { StringEquals: wanted }),
          );
        expect(fits, JSON.stringify(call)).to.equal(true);
        continue;
      }
      const decision = await decide(call);
      if (decision !== "Allowed")
        refused.push(
          `${call.role}: ${call.action} on ${call.resource} ${JSON.stringify(call.context)} is ${decision}`,
        );
    }
    expect(refused).to.deep.equal([]);
  });

  it("refuses what a role must not do", async () => {
    const bucket = (zone: string, key: string): string => `arn:aws:s3:::${stack.bucket(zone)}/${key}`;
    const s3 = { "kms:ViaService": stack.viaService("s3") };
    const workgroup = stack.arnOf("aws:redshiftserverless/workgroup:Workgroup");
    const admin = JSON.parse(
      String(
        stack
          .ofType("aws:lambda/invocation:Invocation")
          .find(({ name }) => name.endsWith("-migrate-warehouse"))?.inputs.input,
      ),
    ) as { secretArn: string };
    const ledger = stack.arn("dynamodb", `table/${stack.name}-ledger`);
    const job = (name: string): string => stack.arn("glue", `job/${stack.name}-${name}`);
    const jobs = stack
      .ofType("aws:glue/job:Job")
      .map(({ inputs }) => String(inputs.name).slice(stack.name.length + 1));
    const toEmr = { "iam:PassedToService": "emr-serverless.amazonaws.com" };
    type Refused = readonly [role: string, action: string, resource: string, context?: Call["context"]];
    const mustNot: readonly Refused[] = [
      // Jobs: landing batches are written once, raw data is not the later steps' to read, code is nobody's to change.
      ["clean", "s3:PutObject", bucket("landing", "batches/orders/x")],
      ["clean", "s3:DeleteObject", bucket("landing", "batches/orders/x")],
      ["clean", "s3:PutObject", bucket("staging", "tables/orders/data/x")],
      ["quality", "s3:PutObject", bucket("staging", "candidates/x")],
      ["quality", "s3:GetObject", bucket("quarantine", "records/x")],
      ["publish", "s3:GetObject", bucket("landing", "batches/orders/x")],
      ["curate", "s3:PutObject", bucket("staging", "tables/orders/x")],
      ["curate", "s3:GetObject", bucket("landing", "drops/x.csv")],
      ["export", "s3:PutObject", bucket("staging", "tables/orders/x")],
      ["rollback", "s3:GetObject", bucket("quarantine", "records/x")],
      ["csv-to-parquet", "s3:PutObject", bucket("landing", "drops/x.csv")],
      ["csv-to-parquet", "s3:GetObjectVersion", bucket("landing", "batches/orders/x")],
      ["csv-to-parquet", "s3:GetObject", bucket("landing", "drops/x.csv")],
      ["csv-to-parquet", "s3:DeleteObject", bucket("landing", "drops/x.csv")],
      ["csv-to-parquet", "s3:PutObject", bucket("curated", "tables/x")],
      ["extract-dynamodb", "s3:PutObject", bucket("landing", "dynamodb-exports/x")],
      ["extract-mysql", "secretsmanager:GetSecretValue", admin.secretArn],
      ["migrate", "s3:GetObject", bucket("landing", "drops/x.csv")],
      ["stage-recipes", "s3:PutObject", bucket("landing", "plans/x.json")],
      ...jobs.flatMap((role): Refused[] => [
        [role, "s3:PutObject", bucket("artifacts", "code/clean.py")],
        [role, "s3:PutObject", bucket("artifacts", "contracts.json")],
        [role, "s3:PutObject", bucket("landing", "plans/x.json")],
        [role, "s3:GetObject", "arn:aws:s3:::another-bucket/x"],
        [role, "s3:ListBucket", `arn:aws:s3:::${stack.bucket("landing")}`, { "s3:prefix": "" }],
        [role, "kms:Decrypt", stack.dataKey],
        [role, "kms:Decrypt", stack.dataKey, { "kms:ViaService": stack.viaService("dynamodb") }],
        [role, "kms:Decrypt", stack.arn("kms", "key/00000000-0000-0000-0000-000000000000"), s3],
        [role, "glue:DeleteTable", stack.arn("glue", "catalog")],
        [role, "glue:UpdateJob", job(role)],
        [role, "glue:StartJobRun", job("publish")],
        [role, "dynamodb:PutItem", ledger],
        [role, "redshift-serverless:GetCredentials", workgroup],
        [role, "iam:PassRole", stack.roleArn("migrate")],
        [role, "cloudwatch:PutMetricData", "*", { "cloudwatch:namespace": "Orders" }],
        ...(role === "extract-mysql" ? [] : [[role, "secretsmanager:GetSecretValue", secretOf()] as const]),
      ]),
      // Functions: who judges does not write; only planning writes plans, only migration is the warehouse's owner.
      ["verdict", "s3:PutObject", bucket("staging", "runs/b/quality.json")],
      ["verdict", "s3:GetObject", bucket("staging", "tables/orders/data/x")],
      ["verdict", "dynamodb:GetItem", ledger],
      [
        "verdict",
        "s3:ListBucketVersions",
        `arn:aws:s3:::${stack.bucket("staging")}`,
        { "s3:prefix": "tables/" },
      ],
      ["render-load", "dynamodb:GetItem", ledger],
      ["render-load", "s3:GetObject", bucket("curated", "exports/x")],
      ["render-load", "redshift-data:BatchExecuteStatement", workgroup],
      ["commit", "s3:DeleteObject", bucket("staging", "runs/b/clean.json")],
      ["commit", "s3:PutObject", bucket("landing", "plans/x.json")],
      ["abort", "dynamodb:PutItem", ledger],
      ["abort", "s3:GetObject", bucket("landing", "plans/x.json")],
      ["plan", "s3:GetObject", bucket("landing", "drops/transactions/a.csv")],
      ["plan", "s3:DeleteObject", bucket("landing", "plans/x.json")],
      ["plan", "dynamodb:Scan", stack.arn("dynamodb", `table/${stack.name}-orders`)],
      ["plan", "dynamodb:GetItem", stack.arn("dynamodb", `table/${stack.name}-orders`)],
      ["plan", "dynamodb:DeleteTable", ledger],
      ["plan", "secretsmanager:GetSecretValue", admin.secretArn],
      ["partner-pull", "s3:PutObject", bucket("landing", "drops/transactions/x.csv")],
      ["partner-pull", "s3:GetObject", bucket("landing", "drops/campaigns/x.csv")],
      ["partner-pull", "s3:DeleteObject", bucket("landing", "drops/campaigns/x.csv")],
      ["partner-pull", "s3:ListBucket", `arn:aws:s3:::${stack.bucket("landing")}`, { "s3:prefix": "drops/" }],
      ["partner-pull", "s3:GetObject", bucket("curated", "tables/customers/data/x")],
      ["partner-pull", "dynamodb:DeleteItem", ledger],
      ["partner-pull", "secretsmanager:GetSecretValue", secretOf()],
      ["partner-pull", "ec2:CreateNetworkInterface", stack.arn("ec2", "network-interface/*")],
      ["fraud-score", "s3:PutObject", bucket("curated", "fraud/models/champion.json")],
      ["fraud-score", "s3:PutObject", bucket("staging", "tables/transactions/data/x")],
      ["fraud-score", "s3:DeleteObject", bucket("curated", "fraud/alerts/x.json")],
      ["fraud-score", "s3:PutObject", bucket("artifacts", "code/1/fraud_score.py")],
      ["fraud-score", "sns:Publish", stack.arn("sns", `${stack.name}-alerts`)],
      [
        "fraud-score",
        "glue:UpdateTable",
        stack.arn("glue", `table/${stack.name.replaceAll("-", "_")}_staging/orders`),
      ],
      ["fraud-score", "secretsmanager:GetSecretValue", secretOf()],
      ["fraud-train", "s3:PutObject", bucket("curated", "tables/fraud_scores/data/x")],
      ["fraud-train", "s3:PutObject", bucket("landing", "fraud-labels/x.csv")],
      ["fraud-train", "sns:Publish", stack.arn("sns", `${stack.name}-fraud-alerts`)],
      ["workflow", "iam:PassRole", stack.roleArn("fraud-train"), toEmr],
      [
        "workflow",
        "iam:PassRole",
        stack.roleArn("fraud-score"),
        { "iam:PassedToService": "glue.amazonaws.com" },
      ],
      ["workflow", "emr-serverless:StartJobRun", stack.arn("emr-serverless", "/applications/another")],
      ["workflow", "emr-serverless:DeleteApplication", stack.arn("emr-serverless", "/applications/another")],
      ["migrate-lake", "glue:StartJobRun", job("publish")],
      [
        "publish-recipe",
        "databrew:DeleteRecipeVersion",
        stack.arn("databrew", `recipe/${stack.name}-campaigns`),
      ],
      ["migrate-warehouse", "redshift-serverless:DeleteWorkgroup", workgroup],
      ["migrate-warehouse", "secretsmanager:PutSecretValue", admin.secretArn],
      // The workflow: its own jobs, functions and exports.
      ["workflow", "glue:StartJobRun", job("migrate")],
      ["workflow", "glue:StartJobRun", stack.arn("glue", "job/another")],
      ["workflow", "lambda:InvokeFunction", stack.arn("lambda", `function:${stack.name}-migrate-warehouse`)],
      ["workflow", "lambda:UpdateFunctionCode", stack.arn("lambda", `function:${stack.name}-plan`)],
      ["workflow", "s3:GetObject", bucket("landing", "dynamodb-exports/x")],
      ["workflow", "s3:PutObject", bucket("landing", "batches/x")],
      ["workflow", "dynamodb:ExportTableToPointInTime", ledger],
      [
        "workflow",
        "redshift-data:DescribeStatement",
        "*",
        { "redshift-data:statement-owner-iam-userid": "AROAOTHER:x" },
      ],
      ["workflow", "secretsmanager:GetSecretValue", admin.secretArn],
      ["start-drop", "states:StopExecution", stack.arn("states", `execution:${stack.name}:x`)],
      ["start-drop", "states:StartExecution", stack.arn("states", "stateMachine:another")],
      ["copy", "s3:GetObject", bucket("curated", "tables/orders/data/x")],
      ["copy", "s3:PutObject", bucket("curated", "exports/x")],
      ["bi", "redshift-data:BatchExecuteStatement", workgroup],
      ["bi", "secretsmanager:GetSecretValue", admin.secretArn],
      ["bi", "s3:GetObject", bucket("curated", "exports/x")],
      ["recipes", "s3:GetObject", bucket("landing", "drops/x.csv")],
      ["recipes", "s3:PutObject", bucket("landing", "recipes/campaigns/in/x")],
      ["deploy", "iam:PutRolePolicy", stack.roleArn("deploy")],
      ["deploy", "iam:CreateRole", stack.roleArn("new")],
      ["deploy", "iam:DeleteRolePermissionsBoundary", stack.roleArn("plan")],
      [
        "deploy",
        "iam:PassRole",
        "arn:aws:iam::444455556666:role/admin",
        { "iam:PassedToService": "glue.amazonaws.com" },
      ],
      ["deploy", "iam:PassRole", stack.roleArn("plan"), { "iam:PassedToService": "ec2.amazonaws.com" }],
      ["deploy", "s3:GetObject", bucket("curated", "tables/customers/data/x")],
    ];
    const wrong: string[] = [];
    for (const [role, action, resource, context = {}] of mustNot) {
      const decision = await decide({ role, action, resource, context });
      if (!/Denied$/.test(decision)) wrong.push(`${role}: ${action} on ${resource} is ${decision}`);
    }
    expect(wrong).to.deep.equal([]);
    expect(mustNot.length).to.be.greaterThan(200);
  });

  /** The secret of the source database. */
  function secretOf(): string {
    const plan = stack.named("aws:lambda/function:Function", `${stack.name}-plan`);
    return String(
      (plan.inputs.environment as { variables: Record<string, string> }).variables.MYSQL_SECRET_ID,
    );
  }

  it("gives no action that is neither exercised nor justified", () => {
    const open = tableOf(stack, calls).filter(({ exercised, reason }) => exercised === 0 && !reason);
    expect(open.map(({ role, action }) => `${role}: ${action}`)).to.deep.equal([]);
  });

  it("has recorded calls of every role that runs code of ours", () => {
    const silent = stack.roles.filter((role) => !calls.some((call) => call.role === role));
    // Services and people act with these, and nothing of ours; api-logs and keep-running are not recorded
    // yet, nor is fraud-train, which a person starts.
    expect(silent).to.deep.equal([
      "api",
      "api-logging",
      "api-logs",
      "bi",
      "catalog",
      "copy",
      "deploy",
      "flow-logs",
      "fraud-train",
      "keep-running",
      "recipes",
      "redrive",
      "start-drop",
      "start-pull",
      "start-schedule",
      "start-stream",
    ]);
  });

  it("is documented as it is: docs/least-privilege.md (npm run least-privilege)", () => {
    const kept = readFileSync(path.join(root, "docs/least-privilege.md"), "utf8");
    expect(kept === documentOf(tableOf(stack, calls)), "stale: npm run least-privilege").to.equal(true);
  });
});
