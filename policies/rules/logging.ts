import { each, isRecord, type Reader } from "../reader.ts";
import { type Check, notApplicable, type Rule } from "../rule.ts";
import type { StackView } from "../stack.ts";
import { controls, docs, isOneOf, isTrue, ofVpc, onResource, onStack, outside, vpcTypes } from "./checks.ts";
import { everyTemplated, templateType } from "./template.ts";

const base = { category: "logging and tracing", severity: "medium", level: "mandatory" } as const;

const logGroupType = "aws:cloudwatch/logGroup:LogGroup";
const alarmType = "aws:cloudwatch/metricAlarm:MetricAlarm";
const functionType = "aws:lambda/function:Function";
const machineType = "aws:sfn/stateMachine:StateMachine";
const jobType = "aws:glue/job:Job";
const streamType = "aws:kinesis/stream:Stream";
const queueType = "aws:sqs/queue:Queue";
const stageType = "aws:apigateway/stage:Stage";
const namespaceType = "aws:redshiftserverless/namespace:Namespace";
const emrType = "aws:emrserverless/application:Application";
const emrLogging = "monitoringConfiguration.cloudwatchLoggingConfiguration";

/** Whether an enabled alarm on one of these metrics watches the resource. */
function isWatched(
  resource: Reader,
  stack: StackView,
  dimension: string,
  metrics: readonly string[],
): boolean {
  return stack
    .ofType(alarmType)
    .some(
      (alarm) =>
        metrics.includes(alarm.text("metricName") ?? "") &&
        alarm.flag("actionsEnabled") !== false &&
        alarm.has(`dimensions.${dimension}`) &&
        stack.refers(alarm, `dimensions.${dimension}`, resource),
    );
}

const watched =
  (dimension: string, ...metrics: readonly string[]): Check =>
  (resource, stack) =>
    isWatched(resource, stack, dimension, metrics)
      ? undefined
      : `no alarm watches ${metrics.join(" or ")} of it`;

const alarmRule = (id: string, type: string, what: string, link: string, check: Check): Rule =>
  onStack(
    id,
    {
      ...base,
      category: "failure handling",
      title: `Every ${what} has an alarm.`,
      controls: controls(),
      remedy: `Add a MetricAlarm on the ${what}'s failures, with an action.`,
      link: `${docs}${link}`,
      types: [type],
    },
    check,
  );

/** The same question to one of several settings. */
const isTrueOf =
  (path: string): ((settings: Reader) => string | undefined) =>
  (settings) =>
    settings.flag(path) === true ? undefined : `${path} is not true`;

/** A glue argument that Glue takes as set when it is anything but "false". */
const argument =
  (name: string): Check =>
  (job) => {
    const values = job.fields("defaultArguments");
    const value = values?.raw(name);
    // An empty value switches on too: `--enable-metrics` takes none.
    const isOn = values?.keys.includes(name) === true && value !== "false" && value !== false;
    return isOn ? undefined : `defaultArguments has ${name} ${value === undefined ? "not set" : "off"}`;
  };

const hasGroup = (stack: StackView, name: string): boolean =>
  stack.ofType(logGroupType).some((group) => group.text("name") === name);

/** Names of the log groups that AWS would make for a resource, without retention and key, when none is declared. */
function implicitGroups(resource: Reader, stack: StackView): readonly string[] | undefined {
  const name = stack.physicalName(resource);
  if (name === undefined) return undefined;
  switch (resource.resource.type) {
    case functionType:
      return [resource.text("loggingConfig.logGroup") ?? `/aws/lambda/${name}`];
    case emrType:
      return resource.flag(`${emrLogging}.enabled`) === true
        ? [resource.text(`${emrLogging}.logGroupName`) ?? "/aws/emr-serverless"]
        : [];
    case namespaceType:
      return resource.texts("logExports").map((log) => `/aws/redshift/${name}/${log}`);
    default:
      return undefined;
  }
}

const isSpark = (application: Reader): boolean => application.text("type")?.toLowerCase() === "spark";

/** What an access log must tell of each request, by the variables of API Gateway that tell it. */
const toldOfAccess: readonly (readonly [what: string, variables: RegExp])[] = [
  ["the request's id", /\$context\.(requestId|extendedRequestId)\b/],
  ["the time", /\$context\.requestTime(Epoch)?\b/],
  ["the caller's address", /\$context\.identity\.sourceIp\b/],
  ["the caller", /\$context\.(identity\.(userArn|user|caller|apiKeyId)|authorizer\.\w+)\b/],
  ["the method", /\$context\.httpMethod\b/],
  ["the path", /\$context\.(resourcePath|path)\b/],
  ["the answer's status", /\$context\.status\b/],
];

/** Dimensions without which a namespace has no such metric, so that an alarm never fires; `A|B` is either. */
const neededDimensions: Readonly<Record<string, readonly string[]>> = {
  "AWS/ApiGateway": ["ApiName|ApiId"],
  "AWS/EMRServerless": ["ApplicationId", "ApplicationName"],
  "AWS/Kinesis": ["StreamName"],
  "AWS/SQS": ["QueueName"],
  "AWS/States": ["StateMachineArn"],
  Glue: ["JobName", "JobRunId", "Type"],
};

/** Metrics that count failures, of which few are too many. */
const failureMetrics =
  /^(Errors|Throttles|5XXError|Executions(Failed|TimedOut|Aborted)|DeliveryErrors|DeadLetterErrors|(Read|Write)ProvisionedThroughputExceeded)$/;

export const logging: readonly Rule[] = [
  onStack(
    "s3-access-logging",
    {
      ...base,
      title: "A bucket's accesses are logged to another bucket.",
      controls: controls("checkov 18", "cdk-nag S1", "FSBP S3.9"),
      remedy: "Add a BucketLogging with a targetBucket; the target itself needs none.",
      link: `${docs}/AmazonS3/latest/userguide/ServerLogs.html`,
      types: ["aws:s3/bucket:Bucket"],
    },
    (bucket, stack) => {
      const loggingType = "aws:s3/bucketLogging:BucketLogging";
      if (stack.attached(loggingType, "targetBucket", bucket).length > 0) return notApplicable;
      const setting = stack.attached(loggingType, "bucket", bucket)[0];
      if (!setting) return "no BucketLogging belongs to it";
      return setting.refersTo("targetBucket", "aws:s3/bucket:Bucket") ? undefined : "targetBucket is not set";
    },
  ),
  onStack(
    "vpc-flow-logs",
    {
      ...base,
      title: "Every VPC logs its flows, refused and let through.",
      controls: controls("cdk-nag VPC7", "FSBP EC2.6", "checkov 2_11"),
      remedy: "Add a FlowLog with trafficType ALL.",
      link: `${docs}/vpc/latest/userguide/flow-logs.html`,
      types: vpcTypes,
    },
    ofVpc((vpc, stack) => {
      const log = stack.attached("aws:ec2/flowLog:FlowLog", "vpcId", vpc)[0];
      if (!log) return "no FlowLog belongs to it";
      const traffic = log.text("trafficType");
      return traffic === "ALL" ? undefined : `trafficType is ${traffic ?? "not set"}, not ALL`;
    }),
    ofVpc((vpc, stack) => {
      const log = stack.attached("aws:ec2/flowLog:FlowLog", "vpcId", vpc)[0];
      if (!log) return notApplicable;
      return log.has("logDestination") ? undefined : "logDestination is not set";
    }),
  ),
  onResource(
    "glue-continuous-logs",
    {
      ...base,
      title: "A job writes its log while it runs.",
      controls: controls("Prowler glue_etl_jobs_logging_enabled", "FSBP Glue.2"),
      remedy: 'Set the argument --enable-continuous-cloudwatch-log to "true".',
      link: `${docs}/glue/latest/dg/monitor-continuous-logging.html`,
      types: [jobType],
    },
    argument("--enable-continuous-cloudwatch-log"),
  ),
  onResource(
    "glue-metrics",
    {
      ...base,
      title: "A job writes metrics.",
      controls: controls("Prowler glue_etl_jobs_metrics"),
      remedy: "Set the argument --enable-metrics.",
      link: `${docs}/glue/latest/dg/monitoring-awsglue-with-cloudwatch-metrics.html`,
      types: [jobType],
    },
    argument("--enable-metrics"),
  ),
  onResource(
    "lambda-tracing",
    {
      ...base,
      title: "A function is traced.",
      controls: controls("checkov 50", "FSBP Lambda.7"),
      remedy: "Set tracingConfig.mode to Active.",
      link: `${docs}/lambda/latest/dg/services-xray.html`,
      types: [functionType],
    },
    isOneOf("tracingConfig.mode", "Active"),
  ),
  onResource(
    "sfn-logging",
    {
      ...base,
      title: "A state machine logs every event, with data.",
      controls: controls("checkov 285", "cdk-nag SF1", "FSBP StepFunctions.1"),
      remedy: "Set loggingConfiguration with level ALL, includeExecutionData and a logDestination.",
      link: `${docs}/step-functions/latest/dg/cw-logs.html`,
      types: [machineType],
    },
    isOneOf("loggingConfiguration.level", "ALL"),
    isTrue("loggingConfiguration.includeExecutionData"),
    (machine) =>
      machine.has("loggingConfiguration.logDestination")
        ? undefined
        : "loggingConfiguration.logDestination is not set",
  ),
  onResource(
    "sfn-tracing",
    {
      ...base,
      title: "A state machine is traced.",
      controls: controls("checkov 284", "cdk-nag SF2"),
      remedy: "Set tracingConfiguration.enabled to true.",
      link: `${docs}/step-functions/latest/dg/concepts-xray-tracing.html`,
      types: [machineType],
    },
    isTrue("tracingConfiguration.enabled"),
  ),
  onResource(
    "redshift-log-exports",
    {
      ...base,
      title: "A warehouse exports its three logs.",
      controls: controls("FSBP RedshiftServerless.5"),
      remedy: "Set logExports to connectionlog, useractivitylog and userlog.",
      link: `${docs}/redshift/latest/mgmt/serverless-audit-logging.html`,
      types: [namespaceType],
    },
    (namespace) => {
      const logs = namespace.texts("logExports");
      return ["connectionlog", "useractivitylog", "userlog"]
        .filter((log) => !logs.includes(log))
        .map((log) => ({ detail: `Log::${log}`, message: `logExports has no ${log}` }));
    },
  ),
  onResource(
    "rds-log-exports",
    {
      ...base,
      title: "A database exports logs.",
      controls: controls("checkov 129", "FSBP RDS.9"),
      remedy: "Set enabledCloudwatchLogsExports, for MySQL to audit, error and slowquery.",
      link: `${docs}/AmazonRDS/latest/UserGuide/USER_LogAccess.html`,
      types: ["aws:rds/instance:Instance", "aws:rds/cluster:Cluster"],
    },
    (database) => {
      const logs = database.texts("enabledCloudwatchLogsExports");
      const engine = database.text("engine") ?? "mysql";
      const needed = engine.includes("postgres") ? ["postgresql"] : ["audit", "error", "slowquery"];
      return needed
        .filter((log) => !logs.includes(log))
        .map((log) => ({
          detail: `Log::${log}`,
          message: `enabledCloudwatchLogsExports has no ${log}`,
        }));
    },
  ),
  onResource(
    "emr-serverless-logs",
    {
      ...base,
      title: "EMR Serverless writes its logs to one place of the account.",
      controls: controls(),
      remedy:
        "Set one of s3MonitoringConfiguration.logUri and cloudwatchLoggingConfiguration.enabled, with logTypes for driver and executors of Spark.",
      link: `${docs}/emr/latest/EMR-Serverless-UserGuide/logging.html`,
      types: [emrType],
    },
    (application) => {
      const bucket = application.has("monitoringConfiguration.s3MonitoringConfiguration.logUri");
      const group =
        application.flag("monitoringConfiguration.cloudwatchLoggingConfiguration.enabled") === true;
      if (bucket && group) return "logs go to two places";
      return bucket || group ? undefined : "logs go to no place of the account";
    },
    (application) => {
      if (application.flag(`${emrLogging}.enabled`) !== true || !isSpark(application)) return notApplicable;
      const kept = application
        .items(`${emrLogging}.logTypes`)
        .flatMap((type) => type.texts("values").map((value) => `${type.text("name")}/${value}`));
      return ["SPARK_DRIVER/STDOUT", "SPARK_DRIVER/STDERR", "SPARK_EXECUTOR/STDERR"]
        .filter((needed) => !kept.includes(needed))
        .map((needed) => ({ detail: `Log::${needed}`, message: `logTypes has no ${needed}` }));
    },
  ),
  onResource(
    "databrew-job-logs",
    {
      ...base,
      title: "A DataBrew job logs.",
      controls: controls(),
      remedy: "Set LogSubscription to ENABLE.",
      link: `${docs}/databrew/latest/dg/jobs.html`,
      types: [templateType],
    },
    everyTemplated("AWS::DataBrew::Job", ({ LogSubscription }) =>
      LogSubscription === "ENABLE"
        ? undefined
        : `LogSubscription is ${LogSubscription ?? "not set"}, not ENABLE`,
    ),
  ),
  onResource(
    "log-retention",
    {
      ...base,
      title: "A log group keeps its logs for the environment's time, and not for ever.",
      controls: controls("checkov 66", "checkov 338", "FSBP CloudWatch.16"),
      remedy: "Set retentionInDays within the configured bounds.",
      link: `${docs}/AmazonCloudWatch/latest/logs/Working-with-log-groups-and-streams.html`,
      types: [logGroupType],
      parameters: { leastDays: 365, mostDays: 3653 },
    },
    (group, stack) =>
      outside(
        "retentionInDays",
        group.number("retentionInDays"),
        Number(stack.parameter("leastDays")),
        Number(stack.parameter("mostDays")),
      ),
  ),
  onStack(
    "log-group-declared",
    {
      ...base,
      title: "What logs has a declared log group: one that AWS makes by itself has no key and no end.",
      controls: controls(),
      remedy: "Add the LogGroup that the finding names.",
      link: `${docs}/AmazonCloudWatch/latest/logs/Working-with-log-groups-and-streams.html`,
      types: [functionType, namespaceType, machineType, jobType, emrType],
    },
    (resource, stack) => {
      const { type } = resource.resource;
      const missing = (name: string): string => `no log group ${name} is declared`;
      if (type === machineType) {
        if (!resource.has("loggingConfiguration.logDestination")) return notApplicable;
        const path = "loggingConfiguration.logDestination";
        return stack.target(resource, path, logGroupType) ? undefined : missing("for its logDestination");
      }
      const name = stack.physicalName(resource);
      if (type === jobType) {
        const isDeclared =
          name !== undefined &&
          stack.ofType(logGroupType).some((group) => group.text("name")?.includes(`/${name}/`));
        return isDeclared ? undefined : missing(`for the job ${name ?? resource.resource.name}`);
      }
      return implicitGroups(resource, stack)
        ?.filter((needed) => !hasGroup(stack, needed))
        .map((needed) => ({ detail: `LogGroup::${needed}`, message: missing(needed) }));
    },
  ),
  onResource(
    "apigateway-access-logs",
    {
      ...base,
      title: "A stage logs every access.",
      controls: controls("checkov 76", "cdk-nag APIG1"),
      remedy:
        "Set accessLogSettings with destinationArn and a format that tells who asked what, when, from where.",
      link: `${docs}/apigateway/latest/developerguide/set-up-logging.html`,
      types: [stageType],
    },
    (stage) =>
      stage.has("accessLogSettings.destinationArn")
        ? undefined
        : "accessLogSettings.destinationArn is not set",
    (stage) => {
      const format = stage.text("accessLogSettings.format");
      if (format === undefined) return "accessLogSettings.format is not set";
      return toldOfAccess
        .filter(([, variables]) => !variables.test(format))
        .map(([what]) => ({ detail: `Field::${what}`, message: `accessLogSettings.format lacks ${what}` }));
    },
  ),
  onStack(
    "apigateway-metrics",
    {
      ...base,
      severity: "low",
      title: "A stage measures each method.",
      controls: controls(),
      remedy: "Set metricsEnabled in its MethodSettings for */*.",
      link: `${docs}/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html`,
      types: [stageType],
    },
    (stage, stack) => {
      const settings = settingsOf(stage, stack);
      if (settings.length === 0) return "no MethodSettings for */* belong to the stage";
      return each(settings, isTrueOf("settings.metricsEnabled"));
    },
  ),
  onStack(
    "apigateway-execution-logs",
    {
      ...base,
      title: "A stage logs execution, without the requests' data.",
      controls: controls("FSBP APIGateway.1", "cdk-nag APIG6"),
      remedy: "Add MethodSettings for */* with loggingLevel ERROR or INFO and dataTraceEnabled false.",
      link: `${docs}/apigateway/latest/developerguide/set-up-logging.html`,
      types: [stageType],
    },
    (stage, stack) => {
      const settings = settingsOf(stage, stack);
      if (settings.length === 0) return "no MethodSettings for */* belong to the stage";
      return each(settings, (setting) => {
        const level = setting.text("settings.loggingLevel");
        if (level !== "ERROR" && level !== "INFO") return `loggingLevel is ${level ?? "not set"}`;
        return setting.flag("settings.dataTraceEnabled") === true
          ? "dataTraceEnabled is true: bodies with personal data go to the log"
          : undefined;
      });
    },
  ),
  onResource(
    "apigateway-tracing",
    {
      ...base,
      title: "A stage is traced.",
      controls: controls("checkov 73", "FSBP APIGateway.3"),
      remedy: "Set xrayTracingEnabled to true.",
      link: `${docs}/apigateway/latest/developerguide/apigateway-xray.html`,
      types: [stageType],
    },
    isTrue("xrayTracingEnabled"),
  ),
  onResource(
    "alarm-has-action",
    {
      ...base,
      category: "failure handling",
      title: "An alarm tells somebody.",
      controls: controls("checkov 319", "FSBP CloudWatch.15"),
      remedy: "Set alarmActions and leave actionsEnabled true.",
      link: `${docs}/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html`,
      types: [alarmType, "aws:cloudwatch/compositeAlarm:CompositeAlarm"],
    },
    (alarm) => (alarm.list("alarmActions").length > 0 ? undefined : "alarmActions is empty"),
    (alarm) => (alarm.flag("actionsEnabled") === false ? "actionsEnabled is false" : undefined),
  ),
  onResource(
    "alarm-can-fire",
    {
      ...base,
      category: "failure handling",
      title: "An alarm looks at periods and at a metric that exist, and takes few failures for too many.",
      controls: controls("FSBP CloudWatch.17"),
      remedy:
        "Set period to 10, 30 or a multiple of 60 seconds up to a day, evaluationPeriods to at least 1, the dimensions of the namespace, and for counts of failures a threshold within the configured bound.",
      link: `${docs}/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html`,
      types: [alarmType],
      parameters: { mostFailures: 100 },
    },
    (alarm) => {
      const namespace = alarm.text("namespace");
      if (alarm.has("metricQueries") || namespace === undefined) return notApplicable;
      const given = alarm.fields("dimensions")?.keys ?? [];
      return (neededDimensions[namespace] ?? [])
        .filter((needed) => !needed.split("|").some((name) => given.includes(name)))
        .map((needed) => ({
          detail: `Dimension::${needed}`,
          message: `dimensions has no ${needed.replace("|", " or ")}, without which ${namespace} has no such metric`,
        }));
    },
    (alarm, stack) => {
      if (!failureMetrics.test(alarm.text("metricName") ?? "")) return notApplicable;
      return outside("threshold", alarm.number("threshold"), 0, Number(stack.parameter("mostFailures")));
    },
    (alarm) => outside("evaluationPeriods", alarm.number("evaluationPeriods"), 1, 100),
    (alarm) => {
      if (alarm.has("metricQueries")) return notApplicable;
      const period = alarm.number("period");
      const isValid =
        period !== undefined && ([10, 20, 30].includes(period) || (period % 60 === 0 && period > 0));
      return isValid && period <= 86_400 ? undefined : `period is ${period ?? "not set"}`;
    },
  ),
  alarmRule(
    "lambda-alarm",
    functionType,
    "function",
    "/lambda/latest/dg/monitoring-metrics.html",
    (resource, stack) => {
      // One that the program itself calls during a deployment fails the deployment.
      const isOfDeployment =
        stack.attached("aws:lambda/invocation:Invocation", "functionName", resource).length > 0;
      return isOfDeployment ? notApplicable : watched("FunctionName", "Errors")(resource, stack);
    },
  ),
  alarmRule(
    "sfn-alarm",
    machineType,
    "state machine",
    "/step-functions/latest/dg/procedure-cw-metrics.html",
    (resource, stack) => [
      ...["ExecutionsFailed", "ExecutionsTimedOut"]
        .filter((metric) => !isWatched(resource, stack, "StateMachineArn", [metric]))
        .map((metric) => ({ detail: `Metric::${metric}`, message: `no alarm watches ${metric} of it` })),
    ],
  ),
  alarmRule(
    "glue-alarm",
    jobType,
    "job",
    "/glue/latest/dg/automating-awsglue-with-cloudwatch-events.html",
    (job, stack) => {
      const name = stack.physicalName(job);
      const isTold = stack.ofType("aws:cloudwatch/eventRule:EventRule").some((rule) => {
        const pattern = rule.json("eventPattern");
        if (rule.text("state") === "DISABLED" || !isRecord(pattern)) return false;
        const detail = isRecord(pattern.detail) ? pattern.detail : {};
        const names = Array.isArray(detail.jobName) ? detail.jobName : undefined;
        const states = Array.isArray(detail.state) ? detail.state : [];
        const isOfGlue = Array.isArray(pattern.source) && pattern.source.includes("aws.glue");
        return isOfGlue && states.includes("FAILED") && (names === undefined || names.includes(name));
      });
      return isTold ? undefined : "no rule on 'Glue Job State Change' tells of its failures";
    },
  ),
  alarmRule(
    "kinesis-alarm",
    streamType,
    "stream",
    "/streams/latest/dev/monitoring-with-cloudwatch.html",
    watched("StreamName", "GetRecords.IteratorAgeMilliseconds", "WriteProvisionedThroughputExceeded"),
  ),
  alarmRule(
    "queue-alarm",
    queueType,
    "queue",
    "/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html",
    watched("QueueName", "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"),
  ),
  alarmRule(
    "redshift-alarm",
    "aws:redshiftserverless/workgroup:Workgroup",
    "warehouse",
    "/redshift/latest/mgmt/serverless-monitoring.html",
    (workgroup, stack) => {
      // Its metrics have the kind of query beside the workgroup: only a query over all kinds sees every failure.
      const name = stack.physicalName(workgroup);
      const isQueried = stack.ofType(alarmType).some(
        (alarm) =>
          alarm.flag("actionsEnabled") !== false &&
          alarm
            .items("metricQueries")
            .map((query) => query.text("expression") ?? "")
            .some(
              (query) =>
                /\(QueriesFailed\).*\bQueryType\b/.test(query) && query.includes(`Workgroup = '${name}'`),
            ),
      );
      return isQueried ? undefined : "no alarm queries QueriesFailed of it over every QueryType";
    },
  ),
];

/** MethodSettings for every method of a stage. */
export function settingsOf(stage: Reader, stack: StackView): readonly Reader[] {
  const name = stage.text("stageName");
  const api = stage.sources("restApi");
  return stack
    .ofType("aws:apigateway/methodSettings:MethodSettings")
    .filter(
      (settings) =>
        settings.text("methodPath") === "*/*" &&
        settings.text("stageName") === name &&
        (api.length === 0 || settings.sources("restApi").some((urn) => api.includes(urn))),
    );
}
