import { isRecord } from "../reader.ts";
import { type Check, type Defect, notApplicable, type Rule, stackType, unknown } from "../rule.ts";
import { controls, docs, isOneOf, isTrue, isWithin, onResource, onStack, outside } from "./checks.ts";
import { argumentsOf, calls, everyState } from "./definition.ts";
import { settingsOf } from "./logging.ts";
import { everyTemplated, templateType } from "./template.ts";

const base = { category: "cost", severity: "medium", level: "mandatory" } as const;

const jobType = "aws:glue/job:Job";
const emrType = "aws:emrserverless/application:Application";
const workgroupType = "aws:redshiftserverless/workgroup:Workgroup";

/** A number up to the rule's parameter. */
const upTo =
  (path: string, least: number, parameter: string): Check =>
  (resource, stack) =>
    outside(path, resource.number(path), least, Number(stack.parameter(parameter)));

/** A text that the rule's parameter lists. */
const listed =
  (path: string, parameter: string): Check =>
  (resource, stack) => {
    const value = resource.text(path);
    const allowed = [stack.parameter(parameter)].flat().map(String);
    return value !== undefined && allowed.includes(value)
      ? undefined
      : `${path} is ${value ?? "not set"}; allowed is ${allowed.join(", ")}`;
  };

/** Number of a capacity like "400 vCPU" or "3000 GB". */
const amount = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Number.parseFloat(text);

/** A capacity as text, up to the rule's parameter. */
const capacity =
  (path: string, parameter: string): Check =>
  (resource, stack) =>
    outside(path, amount(resource.text(path)), 1, Number(stack.parameter(parameter)));

const arnRegion = /^arn:aws[a-z-]*:[a-z0-9-]+:([a-z]{2}(?:-[a-z]+)+-\d):/;

/** Regions that ARNs in a value name, with where. */
function regionsIn(value: unknown, path: string): readonly { region: string; path: string }[] {
  if (value === unknown) return [];
  if (typeof value === "string") {
    const region = value.match(arnRegion)?.[1];
    return region === undefined ? [] : [{ region, path }];
  }
  if (Array.isArray(value)) return value.flatMap((item, index) => regionsIn(item, `${path}[${index}]`));
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, item]) =>
    regionsIn(item, path === "" ? key : `${path}.${key}`),
  );
}

export const cost: readonly Rule[] = [
  onResource(
    "glue-workers",
    {
      ...base,
      title: "A job's workers are capped.",
      controls: controls(),
      remedy: "Set numberOfWorkers within the configured bound, and leave maxCapacity out.",
      link: `${docs}/glue/latest/dg/add-job.html`,
      types: [jobType],
      parameters: { most: 50 },
    },
    (job, stack) =>
      job.text("command.name") === "pythonshell"
        ? notApplicable
        : outside("numberOfWorkers", job.number("numberOfWorkers"), 2, Number(stack.parameter("most"))),
  ),
  onResource(
    "glue-worker-type",
    {
      ...base,
      title: "A job's workers are of an allowed size.",
      controls: controls(),
      remedy: "Set workerType to one of the configured types.",
      link: `${docs}/glue/latest/dg/add-job.html`,
      types: [jobType],
      parameters: { workerTypes: ["G.025X", "G.1X", "G.2X", "G.4X"] },
    },
    listed("workerType", "workerTypes"),
  ),
  onResource(
    "glue-timeout",
    {
      ...base,
      title: "A job ends.",
      controls: controls(),
      remedy: "Set timeout in minutes: 2880, two days, is the default; a streaming job needs none.",
      link: `${docs}/glue/latest/dg/add-job.html`,
      types: [jobType],
      parameters: { mostMinutes: 480 },
    },
    (job, stack) =>
      job.text("command.name") === "gluestreaming"
        ? notApplicable
        : outside("timeout", job.number("timeout"), 1, Number(stack.parameter("mostMinutes"))),
  ),
  onResource(
    "emr-serverless-capacity",
    {
      ...base,
      severity: "high",
      title: "An EMR Serverless application cannot grow beyond a cap.",
      controls: controls(),
      remedy: "Set maximumCapacity.cpu, memory and disk within the configured bounds.",
      link: `${docs}/emr/latest/EMR-Serverless-UserGuide/application-capacity.html`,
      types: [emrType],
      parameters: { mostCpus: 400, mostGigabytes: 3000, mostDiskGigabytes: 20_000 },
    },
    capacity("maximumCapacity.cpu", "mostCpus"),
    capacity("maximumCapacity.memory", "mostGigabytes"),
    capacity("maximumCapacity.disk", "mostDiskGigabytes"),
  ),
  onResource(
    "emr-serverless-job-timeout",
    {
      ...base,
      title: "A job that a state machine starts on EMR Serverless ends.",
      controls: controls(),
      remedy: "Set ExecutionTimeoutMinutes in the Task's arguments: 720 is the default, 0 is for ever.",
      link: `${docs}/emr/latest/EMR-Serverless-UserGuide/jobs.html`,
      types: ["aws:sfn/stateMachine:StateMachine"],
      parameters: { mostMinutes: 480 },
    },
    (machine, stack) =>
      everyState(calls(/emr-?serverless:startJobRun/i), (state) => {
        const { ExecutionTimeoutMinutes: minutes } = argumentsOf(state);
        const given = typeof minutes === "number" ? minutes : undefined;
        return outside("ExecutionTimeoutMinutes", given, 1, Number(stack.parameter("mostMinutes")));
      })(machine, stack),
  ),
  onResource(
    "sfn-map-concurrency",
    {
      ...base,
      title: "A Map works on a bounded number of items at once.",
      controls: controls(),
      remedy: "Set MaxConcurrency: 0, the default, is as many as there are.",
      link: `${docs}/step-functions/latest/dg/state-map.html`,
      types: ["aws:sfn/stateMachine:StateMachine"],
      parameters: { most: 40 },
    },
    (machine, stack) =>
      everyState(
        ({ Type }) => Type === "Map",
        ({ MaxConcurrency, MaxConcurrencyPath }) => {
          // One that is worked out while it runs is the flow's to bound.
          if (typeof MaxConcurrencyPath === "string" || typeof MaxConcurrency === "string") return undefined;
          const given = typeof MaxConcurrency === "number" ? MaxConcurrency : undefined;
          return outside("MaxConcurrency", given, 1, Number(stack.parameter("most")));
        },
      )(machine, stack),
  ),
  onResource(
    "databrew-job-bounded",
    {
      ...base,
      title: "A DataBrew job ends, on a bounded number of nodes, after a few tries.",
      controls: controls(),
      remedy: "Set Timeout in minutes, MaxCapacity and MaxRetries: 2880, 5 and 0 are the defaults.",
      link: `${docs}/databrew/latest/dg/jobs.html`,
      types: [templateType],
      parameters: { mostMinutes: 480, mostNodes: 10 },
    },
    (template, stack) =>
      everyTemplated("AWS::DataBrew::Job", (job) => {
        const number = (name: string): number | undefined => {
          const value = job[name];
          return typeof value === "number" ? value : undefined;
        };
        return (
          outside("Timeout", number("Timeout"), 1, Number(stack.parameter("mostMinutes"))) ??
          outside("MaxCapacity", number("MaxCapacity"), 1, Number(stack.parameter("mostNodes"))) ??
          (job.MaxRetries === undefined ? undefined : outside("MaxRetries", number("MaxRetries"), 0, 2))
        );
      })(template, stack),
  ),
  onResource(
    "emr-serverless-auto-stop",
    {
      ...base,
      title: "An EMR Serverless application stops when nothing runs.",
      controls: controls(),
      remedy: "Set autoStopConfiguration with enabled true and idleTimeoutMinutes of at most 60.",
      link: `${docs}/emr/latest/EMR-Serverless-UserGuide/application-capacity.html`,
      types: [emrType],
    },
    isTrue("autoStopConfiguration.enabled"),
    isWithin("autoStopConfiguration.idleTimeoutMinutes", 1, 60),
  ),
  onResource(
    "redshift-capacity",
    {
      ...base,
      title: "A warehouse cannot grow beyond a cap.",
      controls: controls(),
      remedy: "Set baseCapacity and maxCapacity within the configured bound.",
      link: `${docs}/redshift/latest/mgmt/serverless-capacity.html`,
      types: [workgroupType],
      parameters: { mostRpus: 256 },
    },
    upTo("maxCapacity", 4, "mostRpus"),
    (workgroup) => {
      const basic = workgroup.number("baseCapacity");
      return outside("baseCapacity", basic, 4, workgroup.number("maxCapacity") ?? 1024);
    },
  ),
  onStack(
    "redshift-usage-limit",
    {
      ...base,
      title: "A warehouse's compute in a month has a limit.",
      controls: controls(),
      remedy: "Add a UsageLimit of type serverless-compute with breachAction emit-metric or deactivate.",
      link: `${docs}/redshift/latest/mgmt/serverless-workgroup-max-rpu.html`,
      types: [workgroupType],
      parameters: { mostRpuHours: 10_000 },
    },
    (workgroup, stack) => {
      const limit = stack
        .attached("aws:redshiftserverless/usageLimit:UsageLimit", "resourceArn", workgroup)
        .find((each) => each.text("usageType") === "serverless-compute");
      if (!limit) return "no UsageLimit of type serverless-compute belongs to it";
      return outside("amount", limit.number("amount"), 1, Number(stack.parameter("mostRpuHours")));
    },
    (workgroup, stack) => {
      const limit = stack
        .attached("aws:redshiftserverless/usageLimit:UsageLimit", "resourceArn", workgroup)
        .find((each) => each.text("usageType") === "serverless-compute");
      const action = limit?.text("breachAction");
      return !limit || action === "emit-metric" || action === "deactivate"
        ? undefined
        : `its UsageLimit's breachAction is ${action ?? "not set"}: a line in a log that nobody is told of`;
    },
  ),
  onResource(
    "redshift-query-timeout",
    {
      ...base,
      severity: "low",
      title: "A query of the warehouse ends.",
      controls: controls(),
      remedy: "Set the configuration parameter max_query_execution_time to at most a day in seconds.",
      link: `${docs}/redshift/latest/dg/cm-c-wlm-query-monitoring-rules.html`,
      types: [workgroupType],
    },
    (workgroup) => {
      const value = workgroup
        .items("configParameters")
        .find((parameter) => parameter.text("parameterKey") === "max_query_execution_time")
        ?.text("parameterValue");
      return outside("max_query_execution_time", value === undefined ? undefined : Number(value), 1, 86_400);
    },
  ),
  onResource(
    "kinesis-shards",
    {
      ...base,
      level: "advisory",
      severity: "low",
      title: "A stream's shards are capped.",
      controls: controls(),
      remedy: "Set shardCount within the configured bound: on-demand grows to 200 MB a second by itself.",
      link: `${docs}/streams/latest/dev/how-do-i-size-a-stream.html`,
      types: ["aws:kinesis/stream:Stream"],
      parameters: { most: 32 },
    },
    upTo("shardCount", 1, "most"),
    (stream) =>
      stream.text("streamModeDetails.streamMode") === "ON_DEMAND" ? "streamMode is ON_DEMAND" : undefined,
  ),
  onResource(
    "dynamodb-capacity",
    {
      ...base,
      level: "advisory",
      severity: "low",
      title: "A table's throughput is on demand, with a cap.",
      controls: controls("FSBP DynamoDB.1"),
      remedy: "Set billingMode to PAY_PER_REQUEST and onDemandThroughput.",
      link: `${docs}/amazondynamodb/latest/developerguide/on-demand-capacity-mode-max-throughput.html`,
      types: ["aws:dynamodb/table:Table"],
      parameters: { mostUnits: 40_000 },
    },
    isOneOf("billingMode", "PAY_PER_REQUEST"),
    upTo("onDemandThroughput.maxReadRequestUnits", 1, "mostUnits"),
    upTo("onDemandThroughput.maxWriteRequestUnits", 1, "mostUnits"),
  ),
  onResource(
    "rds-instance-class",
    {
      ...base,
      title: "A database is of an allowed size.",
      controls: controls(),
      remedy: "Set instanceClass to one of the configured classes.",
      link: `${docs}/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.html`,
      types: ["aws:rds/instance:Instance", "aws:rds/clusterInstance:ClusterInstance"],
      parameters: { classes: ["db.t4g.medium", "db.t4g.large", "db.r7g.large", "db.r7g.xlarge"] },
    },
    listed("instanceClass", "classes"),
  ),
  onResource(
    "lambda-memory",
    {
      ...base,
      severity: "low",
      title: "A function's memory is capped.",
      controls: controls(),
      remedy: "Set memorySize within the configured bound.",
      link: `${docs}/lambda/latest/dg/configuration-memory.html`,
      types: ["aws:lambda/function:Function"],
      parameters: { mostMegabytes: 4096 },
    },
    upTo("memorySize", 128, "mostMegabytes"),
  ),
  onResource(
    "lambda-concurrency",
    {
      ...base,
      level: "advisory",
      severity: "low",
      title: "A function cannot use up the account's concurrency.",
      controls: controls("checkov 115"),
      remedy: "Set reservedConcurrentExecutions to 1 or more; 0 stops the function, -1 is no bound.",
      link: `${docs}/lambda/latest/dg/configuration-concurrency.html`,
      types: ["aws:lambda/function:Function"],
      parameters: { most: 200 },
    },
    upTo("reservedConcurrentExecutions", 1, "most"),
  ),
  onStack(
    "apigateway-throttling",
    {
      ...base,
      title: "A stage takes a bounded number of requests.",
      controls: controls(),
      remedy: "Set throttlingRateLimit and throttlingBurstLimit in its MethodSettings for */*.",
      link: `${docs}/apigateway/latest/developerguide/api-gateway-request-throttling.html`,
      types: ["aws:apigateway/stage:Stage"],
      parameters: { mostPerSecond: 10_000 },
    },
    (stage, stack) => {
      const most = Number(stack.parameter("mostPerSecond"));
      const settings = settingsOf(stage, stack);
      if (settings.length === 0) return "no MethodSettings for */* belong to the stage";
      return settings.flatMap((setting) =>
        ["settings.throttlingRateLimit", "settings.throttlingBurstLimit"].flatMap((path): Defect[] => {
          const message = outside(path, setting.number(path), 1, most);
          return message === undefined ? [] : [{ detail: `Property::${path}`, message }];
        }),
      );
    },
  ),
  onStack(
    "regions-allowed",
    {
      ...base,
      severity: "high",
      title: "Everything is in an allowed region.",
      controls: controls(),
      remedy: "Deploy to one of the configured regions.",
      link: `${docs}/accounts/latest/reference/manage-acct-regions.html`,
      types: [stackType],
      parameters: { regions: [] },
    },
    (_, stack) => {
      const configured = [stack.parameter("regions")].flat().map(String);
      const own = stack.account.region;
      const allowed = configured.length > 0 ? configured : own === undefined ? [] : [own];
      if (allowed.length === 0) return notApplicable;
      return stack.resources.flatMap(({ urn, type, inputs }): Defect[] => {
        const region =
          type === "pulumi:providers:aws" || typeof inputs.region === "string" ? inputs.region : undefined;
        const direct = typeof region === "string" ? [{ region, path: "region" }] : [];
        return [...direct, ...regionsIn(inputs, "")]
          .filter((found) => !allowed.includes(found.region))
          .map((found) => ({
            urn,
            detail: `Region::${found.region}`,
            message: `${found.path} is in ${found.region}; allowed is ${allowed.join(", ")}`,
          }));
      });
    },
  ),
  onStack(
    "budget-exists",
    {
      ...base,
      title: "A budget tells before a month gets dear.",
      controls: controls(),
      remedy: "Add a Budget with a limit and a notification at no more than 100 % that somebody gets.",
      link: `${docs}/cost-management/latest/userguide/budgets-managing-costs.html`,
      types: [stackType],
      parameters: { mostUsd: 20_000 },
    },
    (_, stack) => {
      const budgets = stack.ofType("aws:budgets/budget:Budget");
      if (budgets.length === 0) return "the stack has no Budget";
      const most = Number(stack.parameter("mostUsd"));
      const isGood = budgets.some((budget) => {
        const limit = Number(budget.text("limitAmount"));
        const tells = budget.items("notifications").some((notification) => {
          const threshold = notification.number("threshold") ?? 0;
          const subscribers = ["subscriberSnsTopicArns", "subscriberEmailAddresses"];
          return (
            threshold > 0 &&
            threshold <= 100 &&
            notification.text("thresholdType") === "PERCENTAGE" &&
            subscribers.some((path) => notification.has(path) && notification.list(path).length > 0)
          );
        });
        return limit > 0 && limit <= most && budget.text("timeUnit") === "MONTHLY" && tells;
      });
      return isGood ? undefined : `no monthly Budget up to ${most} USD tells anybody in time`;
    },
    (_, stack) => {
      const budgets = stack.ofType("aws:budgets/budget:Budget");
      if (budgets.length === 0) return notApplicable;
      return budgets.flatMap((budget) =>
        budget.items("notifications").flatMap((notification): Defect[] => {
          const { urn } = budget.resource;
          const hears = ["subscriberSnsTopicArns", "subscriberEmailAddresses"].some(
            (path) => notification.has(path) && notification.list(path).length > 0,
          );
          const threshold = notification.number("threshold") ?? 0;
          const isReached = notification.text("thresholdType") !== "PERCENTAGE" || threshold <= 200;
          const message = hears
            ? `${notification.path}.threshold is ${threshold}; allowed is more than 0, in percent up to 200`
            : `${notification.path} names nobody who gets it`;
          return hears && threshold > 0 && isReached
            ? []
            : [{ urn, detail: `Notification::${notification.path}`, message }];
        }),
      );
    },
  ),
];
