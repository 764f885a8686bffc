/** Actions that no recorded call exercises, each with why it is given and the documentation that says so. */
import type { Grant } from "./calls.ts";

export interface Reason {
  readonly why: string;
  readonly link: string;
}

interface Case extends Reason {
  /** Roles by name, or all with this prefix; absent for all. */
  readonly roles?: readonly string[];
  /** Statement that gives the action; absent for any. */
  readonly sids?: readonly string[];
  readonly actions: RegExp;
}

const cases: readonly Case[] = [
  {
    roles: ["catalog"],
    actions: /^kms:/,
    why: "Glue encrypts and decrypts the account's catalog with this role, on behalf of whoever reads or changes it",
    link: "https://docs.aws.amazon.com/glue/latest/webapi/API_EncryptionAtRest.html",
  },
  {
    roles: ["fraud-score", "fraud-train"],
    actions: /^logs:/,
    why: "EMR Serverless writes the run's log with the job's role, and ties the group to its key",
    link: "https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/logging.html",
  },
  {
    roles: ["fraud-score", "fraud-train"],
    actions: /^xray:PutTraceSegments$/,
    why: "the job's code sends its segment, which on a laptop goes to a file alone",
    link: "https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html",
  },
  {
    roles: ["fraud-score"],
    actions: /^sns:Publish$/,
    why: "the job's code sends an alert when a risk is high; on a laptop there is no topic",
    link: "https://docs.aws.amazon.com/sns/latest/dg/sns-using-identity-based-policies.html",
  },
  {
    roles: ["fraud-train"],
    actions: /^(s3:(GetObject|ListBucket|PutObject)|glue:Get(Database|Partitions|Table|Tables))$/,
    why: "training reads transactions and labels and keeps a model; a person starts it, so no run of the workflow records it",
    link: "https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/security-iam-runtime-role.html",
  },
  {
    roles: ["recipes"],
    actions: /^(s3|kms|logs):/,
    why: "DataBrew reads a recipe job's input, writes its output and its log with this role",
    link: "https://docs.aws.amazon.com/databrew/latest/dg/setting-up-iam-role-to-use-in-databrew.html",
  },
  {
    sids: [
      "CreateNetworkInterfaces",
      "ManageNetworkInterfaces",
      "DeleteNetworkInterfaces",
      "DescribeNetwork",
      "DescribeVpc",
      "TagNetworkInterfaces",
    ],
    actions: /^ec2:(Assign|Unassign)PrivateIpAddresses$/,
    why: "Lambda itself puts the function into its subnets",
    link: "https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions",
  },
  {
    sids: [
      "CreateNetworkInterfaces",
      "DeleteNetworkInterfaces",
      "DescribeNetwork",
      "DescribeVpc",
      "TagNetworkInterfaces",
    ],
    actions: /^ec2:(CreateNetworkInterface|DeleteNetworkInterface|CreateTags|Describe\w+)$/,
    why: "Lambda or Glue itself puts the workload into its subnets",
    link: "https://docs.aws.amazon.com/glue/latest/dg/create-service-policy.html",
  },
  {
    actions: /^logs:(CreateLogStream|PutLogEvents)$/,
    why: "the service writes the workload's log with its role",
    link: "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html#monitoring-cloudwatchlogs-prereqs",
  },
  {
    actions: /^logs:AssociateKmsKey$/,
    why: "Glue ties the job's log groups to the key of its security configuration",
    link: "https://docs.aws.amazon.com/glue/latest/dg/encryption-security-configuration.html",
  },
  {
    actions: /^xray:Put(TraceSegments|TelemetryRecords)$/,
    why: "the service sends the traces with the workload's role",
    link: "https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html",
  },
  {
    actions: /^sqs:SendMessage$/,
    why: "the service puts what failed into the queue of failures with this role",
    link: "https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html",
  },
  {
    actions: /^kms:(Decrypt|Encrypt|GenerateDataKey)$/,
    why: "the service reads or writes with the key on the role's behalf: environment, queue, logs, temporary files",
    link: "https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service",
  },
  {
    actions: /^cloudwatch:PutMetricData$/,
    why: "Glue sends the job's metrics, in its own namespace alone",
    link: "https://docs.aws.amazon.com/glue/latest/dg/monitoring-awsglue-with-cloudwatch-metrics.html",
  },
  {
    actions: /^glue:GetConnection$/,
    why: "Glue looks the job's connection up when it starts",
    link: "https://docs.aws.amazon.com/glue/latest/dg/connection-VPC-disable-proxy.html",
  },
  {
    actions: /^glue:Get(Database|Partitions|Table|Tables)$/,
    why: "Iceberg's Glue catalog looks databases and tables up before it reads or commits",
    link: "https://docs.aws.amazon.com/prescriptive-guidance/latest/apache-iceberg-on-aws/iceberg-glue.html",
  },
  {
    actions: /^glue:(UpdateTable|CreateTable)$/,
    why: "a commit of Iceberg is an update of the table in the catalog; the small sample commits nothing there",
    link: "https://docs.aws.amazon.com/prescriptive-guidance/latest/apache-iceberg-on-aws/iceberg-glue.html",
  },
  {
    actions:
      /^s3:(AbortMultipartUpload|ListMultipartUploadParts|DeleteObject|GetObject|ListBucket|PutObject)$/,
    sids: ["WriteArtifacts", "WriteArtifactsList", "WriteLogs", "WriteLogsList"],
    why: "Glue keeps the job's temporary files and its Spark event log there",
    link: "https://docs.aws.amazon.com/glue/latest/dg/monitor-spark-ui-jobs.html",
  },
  {
    actions: /^s3:(GetObject|ListBucket)$/,
    sids: ["ReadArtifacts", "ReadArtifactsList"],
    why: "Glue reads the job's script and libraries with its role when it starts",
    link: "https://docs.aws.amazon.com/glue/latest/dg/create-service-policy.html",
  },
  {
    actions:
      /^s3:(AbortMultipartUpload|ListMultipartUploadParts|DeleteObject|GetObject|ListBucket|PutObject)$/,
    why: "Spark's committer and Iceberg's S3FileIO write in parts, and take back what a failed task left",
    link: "https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions",
  },
  {
    roles: ["workflow"],
    actions: /^logs:/,
    why: "Step Functions sets up the delivery of the machine's log with its role",
    link: "https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy",
  },
  {
    roles: ["flow-logs"],
    actions: /^logs:/,
    why: "VPC flow logs write to the group with this role",
    link: "https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html",
  },
  {
    roles: ["start-drop", "start-schedule"],
    actions: /^states:StartExecution$/,
    why: "EventBridge starts a run with this role",
    link: "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html#eb-target-permissions",
  },
  {
    roles: ["clickstream"],
    actions: /^kinesis:/,
    why: "Spark's Kinesis source on Glue reads the stream's shards with the job's role",
    link: "https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-connect-kinesis-home.html",
  },
  {
    roles: ["api"],
    actions: /^kinesis:PutRecord$/,
    why: "API Gateway puts each event into the stream with this role",
    link: "https://docs.aws.amazon.com/apigateway/latest/developerguide/integrating-api-with-aws-services-kinesis.html",
  },
  {
    roles: ["api-logging"],
    actions: /^logs:/,
    why: "API Gateway writes its logs with this role",
    link: "https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html",
  },
  {
    roles: ["api-logs"],
    actions: /^kinesis:/,
    why: "Lambda's event source mapping reads the stream with the function's role",
    link: "https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html",
  },
  {
    roles: ["api-logs", "redrive"],
    actions: /^(dynamodb|glue|secretsmanager|s3):/,
    why: "read, remembered and registered by the function's code; its calls are not recorded yet",
    link: "https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html",
  },
  {
    roles: ["clean", "clickstream"],
    sids: ["RegisterQuarantinePartitions"],
    actions: /^glue:BatchCreatePartition$/,
    why: "makes rejected records' partitions known to queries; on a laptop folders are read as they are",
    link: "https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-catalog-partitions.html",
  },
  {
    roles: ["keep-running"],
    actions: /^glue:(BatchStopJobRun|GetJobRuns|StartJobRun)$/,
    why: "the function keeps one run of the streaming job alive; its calls are not recorded yet",
    link: "https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-jobs-runs.html",
  },
  {
    roles: ["start-pull", "start-stream"],
    actions: /^lambda:InvokeFunction$/,
    why: "EventBridge Scheduler calls the function with this role",
    link: "https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html#setting-up-execution-role",
  },
  {
    roles: ["bi"],
    actions: /^redshift-(data|serverless):/,
    why: "an analyst asks the warehouse through the Data API",
    link: "https://docs.aws.amazon.com/redshift/latest/mgmt/data-api-access.html",
  },
  {
    roles: ["copy"],
    actions: /^(s3|kms):/,
    why: "Redshift's COPY reads the exports with this role",
    link: "https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-access-permissions.html",
  },
  {
    roles: ["deploy"],
    actions: /./,
    why: "Pulumi's AWS provider creates, reads, changes or deletes a resource of the stack",
    link: "https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html",
  },
];

/** Why a role was given an action that no recorded call exercises; undefined when nobody has said. */
export const reasonFor = (grant: Grant): Reason | undefined =>
  cases.find(
    ({ roles, sids, actions }) =>
      actions.test(grant.action) &&
      (roles?.includes(grant.role) ?? true) &&
      (sids === undefined || grant.sids.every((sid) => sids.includes(sid))),
  );
