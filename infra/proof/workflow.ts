/** The deployed definition, run by the interpreter of the local runs, and the calls that Step Functions makes for it. */

import { TaskError } from "../../local/asl/errors.ts";
import { runStateMachine } from "../../local/asl/run.ts";
import { VirtualClock } from "../../local/asl/testing/virtualClock.ts";
import type { Json, StateMachineDefinition } from "../../workflow/asl.ts";
import type { Call, Stack } from "./calls.ts";

type Arguments = Record<string, Json>;

const text = (value: Json | undefined): string => String(value);

/** What a `.sync` integration or an SDK integration asks AWS for, by the documentation of each. */
const actionsOf: Readonly<Record<string, (args: Arguments, stack: Stack) => readonly Omit<Call, "role">[]>> =
  {
    "lambda:invoke": ({ FunctionName }) => [
      { action: "lambda:InvokeFunction", resource: text(FunctionName), context: {} },
    ],
    // https://docs.aws.amazon.com/step-functions/latest/dg/connect-glue.html#glue-iam
    "glue:startJobRun.sync": ({ JobName }, stack) =>
      ["StartJobRun", "GetJobRun", "GetJobRuns", "BatchStopJobRun"].map((operation) => ({
        action: `glue:${operation}`,
        resource: stack.arn("glue", `job/${text(JobName)}`),
        context: {},
      })),
    // https://docs.aws.amazon.com/step-functions/latest/dg/connect-databrew.html#databrew-iam
    "databrew:startJobRun.sync": ({ Name }, stack) =>
      ["StartJobRun", "ListJobRuns", "StopJobRun"].map((operation) => ({
        action: `databrew:${operation}`,
        resource: stack.arn("databrew", `job/${text(Name)}`),
        context: {},
      })),
    // https://docs.aws.amazon.com/step-functions/latest/dg/connect-emr-serverless.html#emr-serverless-iam
    "emr-serverless:startJobRun.sync": (
      { ApplicationId, ExecutionRoleArn, ConfigurationOverrides },
      stack,
    ) => {
      const application = stack.arn("emr-serverless", `/applications/${text(ApplicationId)}`);
      const rule = stack.arn("events", "rule/StepFunctionsGetEventsForEMRServerlessJobRule");
      const { DiskEncryptionConfiguration: disk } = ConfigurationOverrides as Record<string, Arguments>;
      const context = disk?.EncryptionContext as Record<string, string>;
      const through = { "kms:ViaService": stack.viaService("emr-serverless") };
      const keys = ["kms:Decrypt", "kms:GenerateDataKey"];
      return [
        { action: "emr-serverless:StartJobRun", resource: application, context: {} },
        ...["emr-serverless:GetJobRun", "emr-serverless:CancelJobRun"].map((action) => ({
          action,
          resource: `${application}/jobruns/1`,
          context: {},
        })),
        {
          action: "iam:PassRole",
          resource: text(ExecutionRoleArn),
          context: { "iam:PassedToService": "emr-serverless.amazonaws.com" },
        },
        ...["events:DescribeRule", "events:PutRule", "events:PutTargets"].map((action) => ({
          action,
          resource: rule,
          context: {},
        })),
        // Who submits has to be able to use the keys:
        // https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/disk-encryption-cmk.html
        ...[stack.dataKey, stack.logsKey].map((resource) => ({
          action: "kms:DescribeKey",
          resource,
          context: {},
        })),
        ...keys.map((action) => ({
          action,
          resource: text(disk?.EncryptionKeyArn),
          context: {
            ...through,
            ...Object.fromEntries(
              Object.entries(context).map(([key, value]) => [`kms:EncryptionContext:${key}`, value]),
            ),
          },
        })),
        ...keys.map((action) => ({ action, resource: stack.logsKey, context: through })),
      ];
    },
    // The definition names the machine that runs it.
    "states:startExecution": (_, stack) => [
      {
        action: "states:StartExecution",
        resource: stack.arn("states", `stateMachine:${stack.name}`),
        context: {},
      },
    ],
    "aws-sdk:redshiftdata:batchExecuteStatement": (_, stack) => {
      const resource = stack.arnOf("aws:redshiftserverless/workgroup:Workgroup");
      // Without a secret the Data API signs in with credentials of the caller.
      return ["redshift-data:BatchExecuteStatement", "redshift-serverless:GetCredentials"].map((action) => ({
        action,
        resource,
        context: {},
      }));
    },
    "aws-sdk:redshiftdata:describeStatement": (_, stack) => [
      {
        action: "redshift-data:DescribeStatement",
        resource: "*",
        // Sent by the same role, in the session of another task than the one that asks.
        context: {
          "redshift-data:statement-owner-iam-userid": `${stack.roleId("workflow")}:another-session`,
          "aws:userid": `${stack.roleId("workflow")}:session`,
        },
      },
    ],
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport_Requesting.html
    "aws-sdk:dynamodb:exportTableToPointInTime": ({ TableArn, S3Bucket, S3Prefix, S3SseKmsKeyId }, stack) => [
      { action: "dynamodb:ExportTableToPointInTime", resource: text(TableArn), context: {} },
      ...["s3:PutObject", "s3:AbortMultipartUpload"].map((action) => ({
        action,
        resource: `arn:aws:s3:::${text(S3Bucket)}/${text(S3Prefix)}/AWSDynamoDB/01/data/x.json.gz`,
        context: {},
      })),
      ...["kms:GenerateDataKey", "kms:Decrypt"].map((action) => ({
        action,
        resource: text(S3SseKmsKeyId),
        context: { "kms:ViaService": stack.viaService("s3") },
      })),
    ],
    "aws-sdk:dynamodb:describeExport": ({ ExportArn }) => [
      { action: "dynamodb:DescribeExport", resource: text(ExportArn), context: {} },
    ],
  };

/** Runs the rendered definition on a good path and on one that rolls back, and notes every call of the role. */
export async function workflowCalls(stack: Stack): Promise<readonly Call[]> {
  const machine = stack.named("aws:sfn/stateMachine:StateMachine", stack.name);
  const definition = JSON.parse(String(machine.inputs.definition)) as StateMachineDefinition;
  const calls: Call[] = [];
  const tableArn = stack.arnOf("aws:dynamodb/table:Table", `${stack.name}-orders`);
  const planned = (from: string, exports: boolean): Json => ({
    status: "PLANNED",
    batchId: "20260102T030405Z-1a2b3c4d",
    planKey: "plans/20260102T030405Z-1a2b3c4d.json",
    mode: "incremental",
    from,
    hasMysql: true,
    hasDynamodb: true,
    hasCsv: true,
    exports: exports
      ? [
          {
            id: "e",
            type: "FULL_EXPORT",
            table: "orders",
            table_arn: tableArn,
            prefix: "dynamodb-exports/e",
            from: null,
            to: "2026-01-02T00:00:00Z",
          },
        ]
      : [],
    recipes: ["campaigns", "inventory"],
    maintain: true,
  });
  const answers: Record<string, (args: Arguments) => Json> = {
    "aws-sdk:redshiftdata:batchExecuteStatement": () => ({ Id: "1" }),
    "aws-sdk:redshiftdata:describeStatement": () => ({ Status: "FINISHED" }),
    "aws-sdk:dynamodb:exportTableToPointInTime": () => ({
      ExportDescription: { ExportArn: `${tableArn}/export/1` },
    }),
    "aws-sdk:dynamodb:describeExport": () => ({ ExportDescription: { ExportStatus: "COMPLETED" } }),
  };
  const functions: Record<string, Json> = {
    verdict: { verdict: "PASS", reasons: [] },
    "render-load": { loads: [{ table: "orders", rows: 1, statements: ["SELECT 1"] }] },
    commit: { status: "COMMITTED", pending: true },
    abort: { status: "ABORTED" },
  };
  const run = async (plan: Json, fails?: string): Promise<void> => {
    const tasks = Object.fromEntries(
      Object.keys(actionsOf).map((resource) => [
        `arn:aws:states:::${resource}`,
        async (args: Json): Promise<Json> => {
          const given = args as Arguments;
          const asked = actionsOf[resource]?.(given, stack) ?? [];
          calls.push(...asked.map((call) => ({ role: "workflow", ...call })));
          if (text(given.JobName) === `${stack.name}-${fails}`) throw new TaskError("JobError", "it broke");
          if (resource !== "lambda:invoke") return answers[resource]?.(given) ?? {};
          const name = text(given.FunctionName).split(`${stack.name}-`).at(-1) ?? "";
          return { Payload: name === "plan" ? plan : (functions[name] ?? {}) };
        },
      ]),
    );
    await runStateMachine(definition, {}, { tasks, clock: new VirtualClock(), random: () => 0.5 });
  };
  await run(planned("extract", true));
  await run(planned("recipes", false));
  await run(planned("publish", false), "publish");
  return calls;
}
