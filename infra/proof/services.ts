/**
 * The calls that AWS' services make with the stack's roles, which nothing on a laptop makes: derived from how the stack
 * configures the services, one for each right that the documentation says they need. They are evaluated like recorded
 * calls; in the table they are reasons, not records.
 */
import { z } from "zod";
import type { Call, Stack } from "./calls.ts";

/** Who makes a call of this kind, and the AWS documentation that says so. */
export interface Reason {
  readonly why: string;
  readonly link: string;
}

/** A call that a service, or a person, makes with a role. */
export type ServiceCall = Call & Reason;

type Context = Call["context"];

const docs = "https://docs.aws.amazon.com";

/** Name of a role in the stack from its ARN. */
const roleOf = (stack: Stack, arn: unknown): string => String(arn).split(`:role/${stack.name}-`)[1] ?? "";

/** Collects calls that one role makes for one reason. */
class Calls {
  readonly all: ServiceCall[] = [];
  readonly stack: Stack;

  constructor(stack: Stack) {
    this.stack = stack;
  }

  of(role: string, why: string, page: string) {
    const reason = { why, link: `${docs}${page}` };
    const add = (actions: readonly string[], resources: readonly string[], context: Context = {}): void => {
      for (const action of actions)
        for (const resource of resources) this.all.push({ role, action, resource, context, ...reason });
    };
    /** Uses a key through a service that asks for it with this role. */
    const useKey = (key: unknown, service: string, ...operations: readonly string[]): void => {
      const through = { "kms:ViaService": this.stack.viaService(service) };
      add(
        operations.map((operation) => `kms:${operation}`),
        [String(key)],
        through,
      );
    };
    return { add, useKey };
  }
}

const multipart = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"];

/** What Spark's file systems may do below a folder that a service lets them write. */
const folderActions = [...multipart, "s3:GetObject", "s3:DeleteObject"];

const streams = (group: string): string => `${group}:log-stream:x`;

/** A log group as the service authorization reference names it, and as CloudWatch Logs asks for it. */
export const groupForms = (group: string): readonly string[] => [group, `${group}:log-stream:`];

const settings = z.object({
  role: z.string(),
  kmsKeyArn: z.string(),
  deadLetterConfig: z.object({ targetArn: z.string() }),
  loggingConfig: z.object({ logGroup: z.string() }),
  tracingConfig: z.object({ mode: z.literal("Active") }),
  vpcConfig: z.object({ subnetIds: z.array(z.string()), securityGroupIds: z.array(z.string()) }).optional(),
});

/** Network interfaces of a workload: where they are made, and with which group. */
function interfaceArns(stack: Stack, subnets: readonly string[], groups: readonly string[]): string[] {
  return [
    "network-interface/eni-1",
    ...subnets.map((subnet) => `subnet/${subnet}`),
    ...groups.map((group) => `security-group/${group}`),
  ].map((part) => stack.arn("ec2", part));
}

/** Lambda, around each function. */
function lambdaCalls(calls: Calls): void {
  const { stack } = calls;
  for (const { inputs } of stack.ofType("aws:lambda/function:Function")) {
    const own = settings.parse(inputs);
    const role = roleOf(stack, own.role);
    const log = calls.of(
      role,
      "Lambda writes the function's log",
      "/lambda/latest/dg/monitoring-cloudwatchlogs.html#monitoring-cloudwatchlogs-prereqs",
    );
    log.add(
      ["logs:CreateLogStream", "logs:PutLogEvents"],
      [stack.arn("logs", streams(`log-group:${own.loggingConfig.logGroup}`))],
    );
    calls
      .of(role, "Lambda sends the function's traces", "/lambda/latest/dg/services-xray.html")
      .add(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"]);
    calls
      .of(
        role,
        "Lambda decrypts the function's environment",
        "/lambda/latest/dg/configuration-envvars-encryption.html",
      )
      .useKey(own.kmsKeyArn, "lambda", "Decrypt");
    sendsFailures(
      calls,
      role,
      "Lambda",
      own.deadLetterConfig.targetArn,
      "/lambda/latest/dg/invocation-async-retain-records.html",
    );
    if (own.vpcConfig === undefined) continue;
    const network = calls.of(
      role,
      "Lambda puts the function into its subnets",
      "/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions",
    );
    const { subnetIds, securityGroupIds } = own.vpcConfig;
    network.add(["ec2:CreateNetworkInterface"], interfaceArns(stack, subnetIds, securityGroupIds));
    network.add(
      ["ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"],
      [stack.arn("ec2", "network-interface/eni-1")],
    );
    network.add(["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"], ["*"]);
  }
}

/** A message into the queue of failures, which is encrypted. */
function sendsFailures(calls: Calls, role: string, service: string, queue: string, page: string): void {
  const key = calls.stack.named("aws:sqs/queue:Queue", queue.split(":").at(-1) ?? "").inputs.kmsMasterKeyId;
  calls
    .of(role, `${service} keeps what failed in the queue of failures`, page)
    .add(["sqs:SendMessage"], [queue]);
  calls
    .of(
      role,
      `${service} keeps what failed in the queue of failures, which is encrypted`,
      "/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html",
    )
    .useKey(key, "sqs", "GenerateDataKey", "Decrypt");
}

const mapped = z.object({
  functionName: z.string(),
  eventSourceArn: z.string(),
  destinationConfig: z.object({ onFailure: z.object({ destinationArn: z.string() }) }),
});

/** What reading a stream asks for. */
const streamReads = [
  "kinesis:DescribeStream",
  "kinesis:DescribeStreamSummary",
  "kinesis:GetRecords",
  "kinesis:GetShardIterator",
  "kinesis:ListShards",
];

/** Lambda's event source mapping, which reads the stream and keeps what it gives up. */
function mappingCalls(calls: Calls): void {
  const { stack } = calls;
  for (const { inputs } of stack.ofType("aws:lambda/eventSourceMapping:EventSourceMapping")) {
    const { functionName, eventSourceArn, destinationConfig } = mapped.parse(inputs);
    const role = functionName.slice(stack.name.length + 1);
    calls
      .of(
        role,
        "Lambda's event source mapping reads the stream",
        "/lambda/latest/dg/services-kinesis-create.html",
      )
      .add(streamReads, [eventSourceArn]);
    const key = stack.named("aws:kinesis/stream:Stream", eventSourceArn.split("/").at(-1) ?? "").inputs
      .kmsKeyId;
    calls
      .of(
        role,
        "Lambda's event source mapping reads the stream, which is encrypted",
        "/streams/latest/dev/permissions-user-key-KMS.html",
      )
      .useKey(key, "kinesis", "Decrypt");
    const kept = calls.of(
      role,
      "Lambda keeps batches that it gives up in the bucket of quarantine",
      "/lambda/latest/dg/kinesis-on-failure-destination.html",
    );
    const bucket = destinationConfig.onFailure.destinationArn;
    kept.add(["s3:PutObject"], [`${bucket}/aws/lambda/x`]);
    kept.add(["s3:ListBucket"], [bucket], { "s3:prefix": "aws/lambda/x" });
    kept.useKey(stack.dataKey, "s3", "GenerateDataKey");
  }
}

const glueJob = z.object({
  name: z.string(),
  roleArn: z.string(),
  connections: z.array(z.string()),
  command: z.object({ scriptLocation: z.string() }),
  defaultArguments: z.record(z.string(), z.string()),
});
const connection = z.object({
  physicalConnectionRequirements: z.object({
    subnetId: z.string(),
    securityGroupIdLists: z.array(z.string()),
  }),
});

/** An S3 address as an ARN. */
const objectArn = (uri: string): string => uri.replace("s3://", "arn:aws:s3:::");

/** Glue, around each job. */
function glueCalls(calls: Calls): void {
  const { stack } = calls;
  const security = z
    .object({
      encryptionConfiguration: z.object({ cloudwatchEncryption: z.object({ kmsKeyArn: z.string() }) }),
    })
    .parse(stack.ofType("aws:glue/securityConfiguration:SecurityConfiguration")[0]?.inputs);
  const key = security.encryptionConfiguration.cloudwatchEncryption.kmsKeyArn;
  for (const { inputs } of stack.ofType("aws:glue/job:Job")) {
    const job = glueJob.parse(inputs);
    const role = roleOf(stack, job.roleArn);
    const groups = ["output", "error"].map((kind) =>
      stack.arn("logs", `log-group:/aws-glue/jobs/${stack.name}-batch-role/${job.name}/${kind}`),
    );
    calls
      .of(role, "Glue writes the job's log", "/glue/latest/dg/monitor-continuous-logging.html")
      .add(["logs:CreateLogStream", "logs:PutLogEvents"], groups.map(streams));
    const encryption = calls.of(
      role,
      "Glue uses the job's security configuration",
      "/glue/latest/dg/encryption-security-configuration.html",
    );
    encryption.add(["logs:AssociateKmsKey"], groups.flatMap(groupForms));
    encryption.useKey(key, "glue", "Decrypt", "Encrypt", "GenerateDataKey");
    encryption.useKey(key, "logs", "Decrypt", "Encrypt", "GenerateDataKey");
    calls
      .of(
        role,
        "Glue sends the job's metrics, in its own namespace",
        "/glue/latest/dg/monitoring-awsglue-with-cloudwatch-metrics.html",
      )
      .add(["cloudwatch:PutMetricData"], ["*"], { "cloudwatch:namespace": "Glue" });
    networkOfJob(calls, role, job.connections);

    const given = job.defaultArguments;
    const code = calls.of(
      role,
      "Glue reads the job's script and libraries",
      "/glue/latest/dg/create-service-policy.html",
    );
    const files = [
      job.command.scriptLocation,
      given["--extra-py-files"] ?? "",
      given["--additional-python-modules"] ?? "",
    ];
    code.add(["s3:GetObject"], files.map(objectArn));
    code.add(["s3:ListBucket"], [`arn:aws:s3:::${stack.bucket("artifacts")}`], { "s3:prefix": "code/" });
    const folder = (uri: string | undefined, why: string, page: string): void => {
      const { hostname, pathname } = new URL(uri ?? "");
      const writes = calls.of(role, why, page);
      writes.add(folderActions, [`arn:aws:s3:::${hostname}${pathname}x`]);
      writes.add(["s3:ListBucket"], [`arn:aws:s3:::${hostname}`], { "s3:prefix": pathname.slice(1) });
    };
    folder(
      given["--TempDir"],
      "Glue keeps the job's temporary files",
      "/glue/latest/dg/create-service-policy.html",
    );
    folder(
      given["--spark-event-logs-path"],
      "Glue keeps the job's Spark event log",
      "/glue/latest/dg/monitor-spark-ui-jobs.html",
    );
    if (given["--stream-arn"] === undefined) continue;
    const stream = given["--stream-arn"];
    calls
      .of(
        role,
        "Glue's Kinesis source reads the stream",
        "/glue/latest/dg/aws-glue-programming-etl-connect-kinesis-home.html",
      )
      .add(streamReads, [stream]);
    calls
      .of(
        role,
        "Glue's Kinesis source reads the stream, which is encrypted",
        "/streams/latest/dev/permissions-user-key-KMS.html",
      )
      .useKey(stack.dataKey, "kinesis", "Decrypt");
  }
}

/** Glue puts a job into the VPC through its connection. */
function networkOfJob(calls: Calls, role: string, connections: readonly string[]): void {
  const { stack } = calls;
  const network = calls.of(
    role,
    "Glue puts the job into the subnet of its connection",
    "/glue/latest/dg/create-service-policy.html",
  );
  calls.of(role, "Glue looks the job's connection up", "/glue/latest/dg/connection-properties.html").add(
    ["glue:GetConnection"],
    ["catalog", ...connections.map((each) => `connection/${each}`)].map((part) => stack.arn("glue", part)),
  );
  for (const name of connections) {
    const { subnetId, securityGroupIdLists } = connection.parse(
      stack.named("aws:glue/connection:Connection", name).inputs,
    ).physicalConnectionRequirements;
    network.add(["ec2:CreateNetworkInterface"], interfaceArns(stack, [subnetId], securityGroupIdLists));
  }
  const made = stack.arn("ec2", "network-interface/eni-1");
  network.add(["ec2:DeleteNetworkInterface"], [made]);
  network.add(["ec2:CreateTags"], [made], { "aws:TagKeys": ["aws-glue-service-resource"] });
  network.add(["ec2:DescribeVpcAttribute"], [stack.arn("ec2", "vpc/vpc-1")]);
  network.add(
    [
      "DescribeNetworkInterfaces",
      "DescribeRouteTables",
      "DescribeSecurityGroups",
      "DescribeSubnets",
      "DescribeVpcEndpoints",
    ].map((operation) => `ec2:${operation}`),
    ["*"],
  );
}

/**
 * Calls that Iceberg's Glue catalog makes beside those whose files are recorded: a Hadoop catalog, which serves on a
 * laptop, has folders in the place of databases and tables. They go with every table that a job is recorded to load.
 */
function catalogCalls(calls: Calls, recorded: readonly Call[]): void {
  const { stack } = calls;
  // A function looks tables up without Iceberg, and asks for nothing else.
  const glueRoles = stack.ofType("aws:glue/job:Job").map(({ inputs }) => roleOf(stack, inputs.roleArn));
  for (const role of [...glueRoles, ...emrRoles]) {
    for (const zone of ["staging", "curated"]) {
      const database = `${stack.name.replaceAll("-", "_")}_${zone}`;
      const loads = recorded.some(
        (call) =>
          call.role === role &&
          call.action === "glue:GetTable" &&
          call.resource === stack.arn("glue", `database/${database}`),
      );
      if (!loads) continue;
      const look = calls.of(
        role,
        "Iceberg's Glue catalog looks databases and tables up; on a laptop they are folders",
        "/prescriptive-guidance/latest/apache-iceberg-on-aws/iceberg-glue.html",
      );
      const [catalog = "", own = "", table = ""] = [
        "catalog",
        `database/${database}`,
        `table/${database}/orders`,
      ].map((part) => stack.arn("glue", part));
      look.add(["glue:GetDatabase"], [catalog, own]);
      look.add(["glue:GetTables", "glue:GetPartitions"], [catalog, own, table]);
    }
  }
}

/**
 * What Spark's committer asks for when it has written plain files: Glue 5.1 writes through S3A, whose committers look for
 * unfinished uploads below what they wrote and abort them, and S3 knows no prefix in that question. No setting of ours
 * says which committer it is.
 * https://hadoop.apache.org/docs/stable/hadoop-aws/tools/hadoop-aws/committers.html
 */
function committerCalls(calls: Calls, recorded: readonly Call[]): void {
  // Files in parts are Spark's. Tables are committed by Iceberg, and a checkpoint by its rename.
  const plain = new Set(
    recorded
      .filter(
        ({ action, resource }) =>
          action === "s3:ListMultipartUploadParts" && !/^[^/]+\/(tables|checkpoints)\//.test(resource),
      )
      .map(({ role, resource }) => `${role} ${resource.split("/")[0]}`),
  );
  for (const each of plain) {
    const [role = "", bucket = ""] = each.split(" ");
    calls
      .of(
        role,
        "Spark's committer looks for unfinished uploads through S3A, Glue's file system",
        "/glue/latest/dg/migrating-version-51.html",
      )
      .add(["s3:ListBucketMultipartUploads"], [bucket]);
  }
}

/** Roles of the jobs that run on EMR Serverless, which no resource of the stack names. */
const emrRoles = ["fraud-score", "fraud-train"];

/** EMR Serverless, around each job that runs there. */
function emrCalls(calls: Calls): void {
  const { stack } = calls;
  const application = z
    .object({
      monitoringConfiguration: z.object({
        cloudwatchLoggingConfiguration: z.object({ logGroupName: z.string(), encryptionKeyArn: z.string() }),
      }),
    })
    .parse(stack.ofType("aws:emrserverless/application:Application")[0]?.inputs);
  const { logGroupName, encryptionKeyArn } =
    application.monitoringConfiguration.cloudwatchLoggingConfiguration;
  const group = stack.arn("logs", `log-group:${logGroupName}`);
  for (const role of emrRoles) {
    const log = calls.of(
      role,
      "EMR Serverless writes the job's log, which is encrypted",
      "/emr/latest/EMR-Serverless-UserGuide/logging.html",
    );
    log.add(
      ["CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents"].map(
        (each) => `logs:${each}`,
      ),
      [streams(group)],
    );
    log.add(["logs:AssociateKmsKey"], groupForms(group));
    log.add(["logs:DescribeLogGroups"], [stack.arn("logs", "log-group:x")]);
    log.useKey(encryptionKeyArn, "emr-serverless", "Decrypt", "GenerateDataKey");
    log.useKey(encryptionKeyArn, "logs", "Decrypt", "GenerateDataKey");
    calls
      .of(
        role,
        "EMR Serverless encrypts the disks of the job's workers",
        "/emr/latest/EMR-Serverless-UserGuide/disk-encryption-cmk.html",
      )
      .add(["kms:Decrypt", "kms:GenerateDataKey"], [stack.dataKey], {
        "kms:EncryptionContext:pipeline": stack.name,
      });
    const code = calls.of(
      role,
      "EMR Serverless reads the job's script, library and environment",
      "/emr/latest/EMR-Serverless-UserGuide/security-iam-runtime-role.html",
    );
    code.add(["s3:GetObject"], [`arn:aws:s3:::${stack.bucket("artifacts")}/code/x`]);
    code.add(["s3:ListBucket"], [`arn:aws:s3:::${stack.bucket("artifacts")}`], { "s3:prefix": "code/" });
  }
}

const target = z.object({
  arn: z.string(),
  roleArn: z.string(),
  deadLetterConfig: z.object({ arn: z.string() }),
});

/** What starts something with a role: EventBridge's rules and schedules, API Gateway's integrations. */
function triggerCalls(calls: Calls): void {
  const { stack } = calls;
  const starts = (role: string, why: string, page: string, arn: string): void => {
    const start = calls.of(role, why, page);
    const machine = arn.includes(":states:");
    start.add([machine ? "states:StartExecution" : "lambda:InvokeFunction"], [arn]);
    if (!machine) return;
    calls
      .of(
        role,
        "Step Functions encrypts an execution's input for who starts it",
        "/step-functions/latest/dg/encryption-at-rest.html",
      )
      .useKey(stack.dataKey, "states", "Decrypt", "GenerateDataKey");
  };
  for (const { inputs } of stack.ofType("aws:cloudwatch/eventTarget:EventTarget")) {
    if (inputs.roleArn === undefined) continue;
    // What it cannot deliver EventBridge keeps by the queue's own policy, not with the role.
    const { arn, roleArn } = target.parse(inputs);
    const page = "/eventbridge/latest/userguide/eb-use-identity-based.html#eb-target-permissions";
    starts(roleOf(stack, roleArn), "EventBridge starts a run for a rule", page, arn);
  }
  for (const { inputs } of stack.ofType("aws:scheduler/schedule:Schedule")) {
    const { arn, roleArn, deadLetterConfig } = target.parse(inputs.target);
    const role = roleOf(stack, roleArn);
    starts(
      role,
      "EventBridge Scheduler starts what is due",
      "/scheduler/latest/UserGuide/setting-up.html#setting-up-execution-role",
      arn,
    );
    sendsFailures(
      calls,
      role,
      "EventBridge Scheduler",
      deadLetterConfig.arn,
      "/scheduler/latest/UserGuide/configuring-schedule-dlq.html",
    );
    calls
      .of(
        role,
        "EventBridge Scheduler decrypts the schedule's input",
        "/scheduler/latest/UserGuide/encryption-rest.html",
      )
      .useKey(inputs.kmsKeyArn, "scheduler", "Decrypt");
  }
  const stages = stack
    .ofType("aws:apigateway/stage:Stage")
    .map(({ inputs }) => z.object({ stream: z.string() }).parse(inputs.variables));
  for (const { inputs } of stack.ofType("aws:apigateway/integration:Integration")) {
    const role = roleOf(stack, inputs.credentials);
    const operation = String(inputs.uri).split(":action/")[1];
    const page = "/apigateway/latest/developerguide/integrating-api-with-aws-services-kinesis.html";
    for (const { stream } of stages) {
      calls
        .of(role, "API Gateway puts each event into the stream", page)
        .add([`kinesis:${operation}`], [stack.arn("kinesis", `stream/${stream}`)]);
      calls
        .of(
          role,
          "API Gateway puts each event into the stream, which is encrypted",
          "/streams/latest/dev/permissions-user-key-KMS.html",
        )
        .useKey(stack.dataKey, "kinesis", "GenerateDataKey");
    }
  }
}

/** Services that log, encrypt or load for the stack as a whole, with a role of their own. */
function singleCalls(calls: Calls, recorded: readonly Call[]): void {
  const { stack } = calls;
  const flows = calls.of(
    "flow-logs",
    "VPC flow logs are written",
    "/vpc/latest/userguide/flow-logs-iam-role.html",
  );
  const destination = String(stack.ofType("aws:ec2/flowLog:FlowLog")[0]?.inputs.logDestination);
  flows.add(
    ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
    [...groupForms(destination), streams(destination)],
  );

  const api = calls.of(
    "api-logging",
    "API Gateway writes the execution logs and access logs of the account's APIs",
    "/apigateway/latest/developerguide/set-up-logging.html",
  );
  const groups = ["API-Gateway-Execution-Logs_x/prod", "/aws/apigateway/x"].map((each) =>
    stack.arn("logs", `log-group:${each}`),
  );
  api.add(
    ["CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents"].map((each) => `logs:${each}`),
    groups.flatMap(groupForms),
  );
  api.add(["logs:DescribeLogGroups"], ["*"]);

  calls
    .of(
      "catalog",
      "Glue encrypts and decrypts the account's catalog for whoever reads or changes it",
      "/glue/latest/webapi/API_EncryptionAtRest.html",
    )
    .add(["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"], [stack.dataKey]);

  const copy = calls.of(
    "copy",
    "Redshift's COPY reads the exports",
    "/redshift/latest/dg/copy-usage_notes-access-permissions.html",
  );
  const curated = `arn:aws:s3:::${stack.bucket("curated")}`;
  copy.add(["s3:GetObject"], [`${curated}/exports/x`]);
  copy.add(["s3:ListBucket"], [curated], { "s3:prefix": "exports/x" });
  copy.useKey(stack.dataKey, "s3", "Decrypt");

  const brew = "/databrew/latest/dg/setting-up-iam-role-to-use-in-databrew.html";
  const landing = `arn:aws:s3:::${stack.bucket("landing")}`;
  for (const { inputs } of stack.ofType("aws:cloudformation/stack:Stack")) {
    const { Resources } = JSON.parse(String(inputs.templateBody)) as {
      Resources: { Job?: { Properties: { Name: string; Outputs: { Location: { Key: string } }[] } } };
    };
    if (!Resources.Job) continue;
    const { Name, Outputs } = Resources.Job.Properties;
    const out = Outputs[0]?.Location.Key ?? "";
    const input = out.replace(/out\/$/, "in/");
    const reads = calls.of("recipes", "DataBrew reads a recipe job's input", brew);
    reads.add(["s3:GetObject"], [`${landing}/${input}x`]);
    reads.add(["s3:ListBucket"], [landing], { "s3:prefix": input });
    reads.useKey(stack.dataKey, "s3", "Decrypt");
    const writes = calls.of("recipes", "DataBrew replaces a recipe job's output", brew);
    writes.add(folderActions, [`${landing}/${out}x`]);
    writes.add(["s3:ListBucket"], [landing], { "s3:prefix": out });
    writes.useKey(stack.dataKey, "s3", "GenerateDataKey");
    calls
      .of("recipes", "DataBrew writes a recipe job's log", brew)
      .add(
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        [stack.arn("logs", streams(`log-group:/aws-glue-databrew/jobs/${Name}`))],
      );
  }

  const machine = calls.of(
    "workflow",
    "Step Functions sets up the delivery of the machine's log",
    "/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy",
  );
  machine.add(
    [
      ...[
        "CreateLogDelivery",
        "DeleteLogDelivery",
        "GetLogDelivery",
        "ListLogDeliveries",
        "UpdateLogDelivery",
      ],
      ...["DescribeLogGroups", "DescribeResourcePolicies", "PutResourcePolicy"],
    ].map((each) => `logs:${each}`),
    ["*"],
  );
  calls
    .of(
      "workflow",
      "Step Functions sends the machine's traces",
      "/step-functions/latest/dg/concepts-xray-tracing.html",
    )
    .add(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"]);
  const exported = recorded.filter(({ action }) => action === "dynamodb:ExportTableToPointInTime");
  for (const { role, resource } of exported) {
    const { serverSideEncryption } = z
      .object({ serverSideEncryption: z.object({ kmsKeyArn: z.string() }) })
      .parse(stack.named("aws:dynamodb/table:Table", resource.split("/").at(-1) ?? "").inputs);
    calls
      .of(
        role,
        // The page on exports names no right to the table's key, and that on keys makes no exception for exports.
        "DynamoDB opens an encrypted table with the key rights of who asks for its data",
        "/amazondynamodb/latest/developerguide/encryption.usagenotes.html",
      )
      .useKey(serverSideEncryption.kmsKeyArn, "dynamodb", "Decrypt");
  }
  const encrypted = {
    "kms:EncryptionContext:aws:states:stateMachineArn": stack.arn("states", `stateMachine:${stack.name}`),
  };
  calls
    .of(
      "workflow",
      "Step Functions encrypts the machine's executions",
      "/step-functions/latest/dg/encryption-at-rest.html",
    )
    .add(["kms:GenerateDataKey", "kms:Decrypt"], [stack.dataKey], encrypted);

  // No service, but people, with tools of theirs.
  const bi = calls.of(
    "bi",
    "an analyst asks the warehouse through the Data API",
    "/redshift/latest/mgmt/data-api-access.html",
  );
  bi.add(
    ["redshift-data:ExecuteStatement", "redshift-serverless:GetCredentials"],
    [stack.arnOf("aws:redshiftserverless/workgroup:Workgroup")],
  );
  const owner = { "redshift-data:statement-owner-iam-userid": `${stack.roleId("bi")}:session` };
  bi.add(
    ["CancelStatement", "DescribeStatement", "GetStatementResult"].map((each) => `redshift-data:${each}`),
    ["*"],
    owner,
  );
}

/** Every call that a service makes with a role of the stack. @param recorded calls of handlers, workflow and jobs, some of which bring others with them */
export function serviceCalls(stack: Stack, recorded: readonly Call[]): readonly ServiceCall[] {
  const calls = new Calls(stack);
  lambdaCalls(calls);
  mappingCalls(calls);
  glueCalls(calls);
  catalogCalls(calls, recorded);
  committerCalls(calls, recorded);
  emrCalls(calls);
  triggerCalls(calls);
  singleCalls(calls, recorded);
  return calls.all;
}

/**
 * The role that deploys is Pulumi's: its provider makes, reads, changes and deletes the stack's resources, which nothing
 * here does. That the role can do no more than that is held by the boundary, by names and by the list of refused calls.
 */
export const deployment: Reason = {
  why: "Pulumi's AWS provider makes, reads, changes or deletes a resource of the stack",
  link: `${docs}/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html`,
};
