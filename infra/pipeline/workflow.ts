import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { renderDefinition } from "../../workflow/definition.ts";
import type { SparkJobNames, WorkflowNames } from "../../workflow/names.ts";
import { sendTraces, useKey, useKeyThrough } from "../lib/grants.ts";
import { type Statement, WorkloadRole } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { type Transform, transformed } from "../lib/transform.ts";
import { createSchedule, deliveryOf, triggerRole, type When } from "../lib/trigger.ts";
import { encryptDisks } from "./fraud.ts";
import type { FunctionName } from "./functions.ts";

/** Jobs that the workflow starts, by the name it knows them by. */
export type WorkflowJob = keyof WorkflowNames["jobs"];

export interface WorkflowArgs {
  readonly place: pulumi.Input<Place>;
  /** ARNs of the Lambda functions. */
  readonly functionArns: Readonly<Record<FunctionName, pulumi.Input<string>>>;
  /** Names of the Glue jobs. */
  readonly jobNames: Readonly<Record<WorkflowJob, pulumi.Input<string>>>;
  /** Names of the DataBrew jobs by dataset. */
  readonly recipeJobs: Readonly<Record<string, pulumi.Input<string>>>;
  /** The job that scores transactions. Without it the workflow does not score. */
  readonly fraud?: pulumi.Output<SparkJobNames> | undefined;
  readonly landingBucket: pulumi.Input<string>;
  /** DynamoDB tables whose exports the workflow starts. */
  readonly tableArns: readonly pulumi.Input<string>[];
  readonly warehouse: {
    readonly workgroupName: pulumi.Input<string>;
    readonly workgroupArn: pulumi.Input<string>;
    readonly database: pulumi.Input<string>;
  };
  /** Folders of the landing bucket where a new object starts a run, one a dataset. None: only the schedule does. */
  readonly dropPrefixes: readonly string[];
  readonly schedule: When;
  readonly dataKeyArn: pulumi.Input<string>;
  readonly logsKeyArn: pulumi.Input<string>;
  /** Days, one of CloudWatch's values. @default 30 */
  readonly logRetentionDays?: pulumi.Input<number>;
  /** Queue for events that could not start a run. */
  readonly failures: aws.sqs.Queue;
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
  readonly transform?: { readonly machine?: Transform<aws.sfn.StateMachineArgs> };
}

/**
 * The state machine of the batch pipeline, from the very definition that the local run executes, and what starts it:
 * a drop in the landing bucket, and a schedule.
 *
 * @example
 * const workflow = new Workflow("shop-dev", {
 *   place, functionArns, jobNames, failures, ...keys,
 *   recipeJobs: { campaigns: "shop-dev-campaigns" },
 *   landingBucket: lake.bucketNames.landing,
 *   dropPrefixes: ["drops/transactions/"],
 *   tableArns: Object.values(sources.tableArns),
 *   warehouse: { workgroupName: warehouse.workgroupName, workgroupArn: warehouse.workgroupArn, database: "warehouse" },
 *   schedule: { expression: "cron(0 5 * * ? *)", timeZone: "Europe/Berlin" },
 * });
 * workflow.machine.arn;
 */
export class Workflow extends pulumi.ComponentResource {
  readonly machine: aws.sfn.StateMachine;
  readonly role: WorkloadRole;
  readonly logGroup: aws.cloudwatch.LogGroup;
  /** Made from the name, so that it is known before the machine exists. */
  readonly arn: pulumi.Output<string>;
  readonly nodes: {
    readonly dropRule: aws.cloudwatch.EventRule | undefined;
    readonly schedule: aws.scheduler.Schedule;
  };

  constructor(name: string, args: WorkflowArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Workflow", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);

    this.logGroup = createLogGroup();
    this.role = createRole();
    this.machine = createMachine(this.logGroup, this.role);
    this.arn = arns.regional("states", pulumi.interpolate`stateMachine:${this.machine.name}`);
    const dropRule = args.dropPrefixes.length > 0 ? startOnDrop(this.arn) : undefined;
    const schedule = startOnSchedule(this.arn);
    this.nodes = { dropRule, schedule };
    this.registerOutputs({ arn: this.arn });

    function createLogGroup(): aws.cloudwatch.LogGroup {
      return new aws.cloudwatch.LogGroup(
        `${name}-workflow`,
        {
          // With this prefix the policy of log deliveries does not grow beyond its limit.
          name: `/aws/vendedlogs/states/${name}`,
          retentionInDays: args.logRetentionDays ?? 30,
          kmsKeyId: args.logsKeyArn,
        },
        { parent },
      );
    }

    function createMachine(logGroup: aws.cloudwatch.LogGroup, role: WorkloadRole): aws.sfn.StateMachine {
      const names: pulumi.Output<WorkflowNames> = pulumi.output({
        partition: arns.place.apply(({ partition }) => partition),
        functions: args.functionArns,
        jobs: args.jobNames,
        ...(args.fraud && { fraud: args.fraud }),
        recipeJobs: args.recipeJobs,
        landingBucket: args.landingBucket,
        exportKeyArn: args.dataKeyArn,
        warehouse: { workgroup: args.warehouse.workgroupName, database: args.warehouse.database },
      });
      return new aws.sfn.StateMachine(
        ...transformed(
          args.transform?.machine,
          name,
          {
            name,
            type: "STANDARD",
            roleArn: role.arn,
            definition: names.apply((known) => JSON.stringify(renderDefinition(known))),
            loggingConfiguration: {
              level: "ALL",
              includeExecutionData: true,
              logDestination: pulumi.interpolate`${arns.logGroup(logGroup.name)}:*`,
            },
            tracingConfiguration: { enabled: true },
            encryptionConfiguration: {
              type: "CUSTOMER_MANAGED_KMS_KEY",
              kmsKeyId: args.dataKeyArn,
              kmsDataKeyReusePeriodSeconds: 900,
            },
          },
          // Without its rights in place Step Functions refuses the machine's log destination.
          { parent, dependsOn: [role] },
        ),
      );
    }

    function createRole(): WorkloadRole {
      const jobArns = Object.values(args.jobNames).map((job) =>
        arns.regional("glue", pulumi.interpolate`job/${job}`),
      );
      const recipes = Object.values(args.recipeJobs).map((job) =>
        arns.regional("databrew", pulumi.interpolate`job/${job}`),
      );
      return new WorkloadRole(
        `${name}-workflow`,
        {
          place: args.place,
          description: `Step Functions state machine ${name}`,
          trust: "states.amazonaws.com",
          permissionsBoundary: args.permissionsBoundary,
          policies: {
            steps: [
              {
                sid: "InvokeFunctions",
                actions: ["lambda:InvokeFunction"],
                resources: Object.values(args.functionArns),
              },
              {
                sid: "RunJobs",
                actions: ["glue:BatchStopJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:StartJobRun"],
                resources: jobArns,
              },
              {
                sid: "StartNext",
                actions: ["states:StartExecution"],
                resources: [arns.regional("states", `stateMachine:${name}`)],
              },
              ...(recipes.length > 0
                ? [
                    {
                      sid: "RunRecipes",
                      actions: ["databrew:ListJobRuns", "databrew:StartJobRun", "databrew:StopJobRun"],
                      resources: recipes,
                    },
                  ]
                : []),
            ],
            exports: exportStatements(),
            load: loadStatements,
            fraud: args.fraud ? fraudStatements(args.fraud) : [],
            keys: [
              useKeyThrough(arns, args.dataKeyArn, ["s3"]),
              // A table that is encrypted is opened with the rights of who asks for its data, by an export too.
              ...(args.tableArns.length > 0 ? useKey(arns, args.dataKeyArn, { decrypt: ["dynamodb"] }) : []),
              {
                sid: "EncryptExecutions",
                actions: ["kms:Decrypt", "kms:GenerateDataKey"],
                resources: [args.dataKeyArn],
                conditions: {
                  StringEquals: {
                    "kms:EncryptionContext:aws:states:stateMachineArn": arns.regional(
                      "states",
                      `stateMachine:${name}`,
                    ),
                  },
                },
              },
            ],
            observability: [
              sendTraces,
              {
                // Delivery of a machine's logs is set up by the machine's role, and knows no resources.
                sid: "DeliverLogs",
                actions: [
                  "logs:CreateLogDelivery",
                  "logs:DeleteLogDelivery",
                  "logs:DescribeLogGroups",
                  "logs:DescribeResourcePolicies",
                  "logs:GetLogDelivery",
                  "logs:ListLogDeliveries",
                  "logs:PutResourcePolicy",
                  "logs:UpdateLogDelivery",
                ],
                resources: ["*"],
              },
            ],
          },
        },
        { parent },
      );
    }

    function exportStatements(): Statement[] {
      if (args.tableArns.length === 0) return [];
      return [
        { sid: "StartExports", actions: ["dynamodb:ExportTableToPointInTime"], resources: args.tableArns },
        {
          sid: "DescribeExports",
          actions: ["dynamodb:DescribeExport"],
          resources: args.tableArns.map((arn) => pulumi.interpolate`${arn}/export/*`),
        },
        {
          // DynamoDB writes an export with the rights of whoever starts it.
          sid: "WriteExports",
          actions: ["s3:AbortMultipartUpload", "s3:PutObject"],
          resources: [arns.objects(args.landingBucket, "dynamodb-exports/")],
        },
      ];
    }

    /** https://docs.aws.amazon.com/step-functions/latest/dg/connect-emr-serverless.html */
    function fraudStatements(job: pulumi.Output<SparkJobNames>): Statement[] {
      const application = arns.regional(
        "emr-serverless",
        pulumi.interpolate`/applications/${job.applicationId}`,
      );
      const through = arns.viaService("emr-serverless");
      return [
        { sid: "StartScoring", actions: ["emr-serverless:StartJobRun"], resources: [application] },
        {
          sid: "FollowScoring",
          actions: ["emr-serverless:CancelJobRun", "emr-serverless:GetJobRun"],
          resources: [pulumi.interpolate`${application}/jobruns/*`],
        },
        {
          sid: "PassJobRole",
          actions: ["iam:PassRole"],
          resources: [job.executionRoleArn],
          conditions: { StringEquals: { "iam:PassedToService": "emr-serverless.amazonaws.com" } },
        },
        {
          // Step Functions hears of a run's end through a rule that it keeps in the account.
          sid: "HearOfEnd",
          actions: ["events:DescribeRule", "events:PutRule", "events:PutTargets"],
          resources: [arns.regional("events", "rule/StepFunctionsGetEventsForEMRServerlessJobRule")],
        },
        // Who submits a job has to be able to use its keys: EMR Serverless tries them out, and refuses the job otherwise.
        { sid: "LookAtKeys", actions: ["kms:DescribeKey"], resources: [args.dataKeyArn, args.logsKeyArn] },
        encryptDisks(name, args.dataKeyArn, through),
        useKeyThrough(arns, args.logsKeyArn, ["emr-serverless"], "logs"),
      ];
    }

    function loadStatements(role: aws.iam.Role): Statement[] {
      const { workgroupArn } = args.warehouse;
      return [
        {
          sid: "LoadWarehouse",
          actions: ["redshift-data:BatchExecuteStatement", "redshift-serverless:GetCredentials"],
          resources: [workgroupArn],
        },
        {
          // A statement has no ARN; who may ask for it is decided by who ran it: this role, in whatever session Step
          // Functions took for the task that sent it.
          sid: "DescribeOwnStatements",
          actions: ["redshift-data:DescribeStatement"],
          resources: ["*"],
          conditions: {
            StringLike: {
              "redshift-data:statement-owner-iam-userid": pulumi.interpolate`${role.uniqueId}:*`,
            },
          },
        },
      ];
    }

    function startOnDrop(machineArn: pulumi.Output<string>): aws.cloudwatch.EventRule {
      const rule = new aws.cloudwatch.EventRule(
        `${name}-drop`,
        {
          name: `${name}-drop`,
          description: "A file arrived in the landing bucket",
          eventPattern: pulumi.jsonStringify(dropPattern(args.landingBucket, args.dropPrefixes)),
        },
        { parent },
      );
      const role = startRole("drop", "events.amazonaws.com", machineArn);
      new aws.cloudwatch.EventTarget(
        `${name}-drop`,
        {
          rule: rule.name,
          arn: machineArn,
          roleArn: role.arn,
          ...deliveryOf(args, 10),
        },
        { parent, dependsOn: [role] },
      );
      return rule;
    }

    function startOnSchedule(machineArn: pulumi.Output<string>): aws.scheduler.Schedule {
      const group = new aws.scheduler.ScheduleGroup(name, { name }, { parent });
      const role = startRole("schedule", "scheduler.amazonaws.com", machineArn);
      return createSchedule(
        `${name}-run`,
        {
          ...args,
          group: group.name,
          description: "Looks for new data",
          when: args.schedule,
          target: { arn: machineArn, role, input: "{}" },
        },
        parent,
      );
    }

    function startRole(kind: string, service: string, machineArn: pulumi.Output<string>): WorkloadRole {
      return triggerRole(
        `${name}-start-${kind}`,
        {
          ...args,
          description: `Starts ${name} (${kind})`,
          service,
          start: { sid: "StartRuns", actions: ["states:StartExecution"], resources: [machineArn] },
          key: {
            decrypt: ["states", ...(service === "scheduler.amazonaws.com" ? ["scheduler"] : [])],
            encrypt: ["states"],
          },
        },
        parent,
      );
    }
  }
}

/** The event that a new object below one of the folders causes. */
export function dropPattern(bucket: pulumi.Input<string>, prefixes: readonly string[]): object {
  return {
    source: ["aws.s3"],
    "detail-type": ["Object Created"],
    detail: { bucket: { name: [bucket] }, object: { key: prefixes.map((prefix) => ({ prefix })) } },
  };
}
