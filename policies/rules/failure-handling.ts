import { isRecord, type Reader } from "../reader.ts";
import { type Check, notApplicable, type Rule } from "../rule.ts";
import { controls, docs, isWithin, onResource, onStack, outside } from "./checks.ts";
import { everyState, isTask, type State } from "./definition.ts";

const base = { category: "failure handling", severity: "medium", level: "mandatory" } as const;

const machineType = "aws:sfn/stateMachine:StateMachine";
const mappingType = "aws:lambda/eventSourceMapping:EventSourceMapping";
const queueType = "aws:sqs/queue:Queue";

const machineRule = (id: string, title: string, remedy: string, page: string, check: Check): Rule =>
  onResource(
    id,
    {
      ...base,
      title,
      controls: controls(),
      remedy,
      link: `${docs}/step-functions/latest/dg/${page}`,
      types: [machineType],
    },
    check,
  );

/** A retrier that tries again, for errors that it names. */
const retries = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.some(
    (each) =>
      isRecord(each) &&
      Array.isArray(each.ErrorEquals) &&
      each.ErrorEquals.length > 0 &&
      each.MaxAttempts !== 0,
  );

/** Fields of a retrier with their bounds and what Step Functions takes where they are left out. */
const retryBounds = [
  { field: "MaxAttempts", least: 0, most: 10, byDefault: 3 },
  { field: "IntervalSeconds", least: 1, most: 900, byDefault: 1 },
  { field: "BackoffRate", least: 1, most: 10, byDefault: 2 },
  // Absent is no bound, which so few attempts need not have.
  { field: "MaxDelaySeconds", least: 1, most: 3600, byDefault: 1 },
] as const;

/** What is out of bounds in a state's retriers. */
function unboundedRetry({ Retry }: State): string | undefined {
  const retriers: unknown[] = Array.isArray(Retry) ? Retry : [];
  for (const [index, retrier] of retriers.entries()) {
    for (const { field, least, most, byDefault } of retryBounds) {
      const value: unknown = isRecord(retrier) ? (retrier[field] ?? byDefault) : undefined;
      if (typeof value !== "number" || value < least || value > most) {
        return `has Retry[${index}].${field} ${JSON.stringify(value)}; allowed is ${least} to ${most}`;
      }
    }
  }
  return undefined;
}

const catchesAll = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.some(
    (each) => isRecord(each) && Array.isArray(each.ErrorEquals) && each.ErrorEquals.includes("States.ALL"),
  );

const isStream = (mapping: Reader): boolean => {
  const source = mapping.isKnown("eventSourceArn") ? mapping.text("eventSourceArn") : undefined;
  const types = mapping.sources("eventSourceArn").join(" ");
  return source === undefined
    ? types.includes("kinesis") || types.includes("dynamodb")
    : /:(kinesis|dynamodb):/.test(source);
};

/** Asks only mappings of streams, which are stuck until a batch passes or is given up. */
const ofStream =
  (check: Check): Check =>
  (mapping, stack) =>
    isStream(mapping) ? check(mapping, stack) : notApplicable;

const retryPolicy = (path: string): readonly Check[] => [
  (target) => outside(`${path}.maximumRetryAttempts`, target.number(`${path}.maximumRetryAttempts`), 1, 185),
  (target) =>
    outside(
      `${path}.maximumEventAgeInSeconds`,
      target.number(`${path}.maximumEventAgeInSeconds`),
      60,
      86_400,
    ),
];

/** A queue's `redrivePolicy` or `redriveAllowPolicy`. @throws UnexpectedType when it is no object */
function redrive(queue: Reader, path: string): Readonly<Record<string, unknown>> | undefined {
  const value = queue.json(path);
  return isRecord(value) ? value : undefined;
}

export const failureHandling: readonly Rule[] = [
  onStack(
    "lambda-failure-destination",
    {
      ...base,
      title: "An event that a function cannot process is kept.",
      controls: controls("checkov 116"),
      remedy: "Set deadLetterConfig.targetArn, or destinationConfig.onFailure of its invoke configuration.",
      link: `${docs}/lambda/latest/dg/invocation-async-retain-records.html`,
      types: ["aws:lambda/function:Function"],
    },
    (resource, stack) => {
      if (resource.has("deadLetterConfig.targetArn")) return undefined;
      // A function that only a mapping calls has its destination there.
      const mappings = stack.attached(mappingType, "functionName", resource);
      const hasDestination = stack
        .attached("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", "functionName", resource)
        .some((config) => config.has("destinationConfig.onFailure.destination"));
      return hasDestination || mappings.length > 0 ? undefined : "neither deadLetterConfig nor a destination";
    },
  ),
  onResource(
    "lambda-bounded-retries",
    {
      ...base,
      severity: "low",
      title: "An event that comes late or again and again is given up within an hour.",
      controls: controls(),
      remedy: "Set maximumRetryAttempts to 0 to 2, maximumEventAgeInSeconds to 60 to 3600.",
      link: `${docs}/lambda/latest/dg/invocation-async-error-handling.html`,
      types: ["aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"],
    },
    isWithin("maximumRetryAttempts", 0, 2),
    isWithin("maximumEventAgeInSeconds", 60, 3600),
  ),
  onStack(
    "lambda-mapping-destination",
    {
      ...base,
      title: "A batch of a stream that a function cannot process is noted.",
      controls: controls(),
      remedy: "Set destinationConfig.onFailure.destinationArn.",
      link: `${docs}/lambda/latest/dg/kinesis-on-failure-destination.html`,
      types: [mappingType],
    },
    ofStream((mapping) =>
      mapping.has("destinationConfig.onFailure.destinationArn")
        ? undefined
        : "destinationConfig.onFailure.destinationArn is not set",
    ),
  ),
  onStack(
    "lambda-mapping-retries",
    {
      ...base,
      title: "A bad batch holds a shard up for a bounded number of tries.",
      controls: controls(),
      remedy: "Set maximumRetryAttempts to 0 to 100: -1, the default, is for ever.",
      link: `${docs}/lambda/latest/dg/services-kinesis-parameters.html`,
      types: [mappingType],
    },
    ofStream(isWithin("maximumRetryAttempts", 0, 100)),
  ),
  onStack(
    "lambda-mapping-age",
    {
      ...base,
      title: "A record that is too old is given up, so that newer ones are not late as well.",
      controls: controls(),
      remedy: "Set maximumRecordAgeInSeconds to 60 to 604800: -1, the default, is for ever.",
      link: `${docs}/lambda/latest/dg/services-kinesis-parameters.html`,
      types: [mappingType],
    },
    ofStream(isWithin("maximumRecordAgeInSeconds", 60, 604_800)),
  ),
  onStack(
    "lambda-mapping-single-record",
    {
      ...base,
      severity: "low",
      title: "One bad record does not fail the whole batch.",
      controls: controls(),
      remedy: "Set bisectBatchOnFunctionError, or functionResponseTypes to ReportBatchItemFailures.",
      link: `${docs}/lambda/latest/dg/services-kinesis-batchfailurereporting.html`,
      types: [mappingType],
    },
    (mapping) => {
      const isReported = mapping.texts("functionResponseTypes").includes("ReportBatchItemFailures");
      const isSplit = isStream(mapping) && mapping.flag("bisectBatchOnFunctionError") === true;
      return isReported || isSplit ? undefined : "a bad record fails its batch again and again";
    },
  ),
  machineRule(
    "sfn-task-retry",
    "Every Task tries again what may pass.",
    "Give the Task a Retry.",
    "concepts-error-handling.html",
    everyState(isTask, (state) => (retries(state.Retry) ? undefined : "has no Retry that tries again")),
  ),
  machineRule(
    "sfn-task-catch",
    "The failure of every Task, Map and Parallel is handled.",
    "Give the state a Catch for States.ALL.",
    "concepts-error-handling.html",
    everyState(
      ({ Type }) => Type === "Task" || Type === "Map" || Type === "Parallel",
      (state) => (catchesAll(state.Catch) ? undefined : "has no Catch for States.ALL"),
    ),
  ),
  machineRule(
    "sfn-retry-bounded",
    "A state tries again a few times, with growing pauses that end.",
    "Set a retrier's MaxAttempts to at most 10, IntervalSeconds to 1 to 900, BackoffRate to 1 to 10, MaxDelaySeconds to at most 3600.",
    "concepts-error-handling.html",
    everyState((state) => state.Retry !== undefined, unboundedRetry),
  ),
  machineRule(
    "sfn-task-timeout",
    "Every Task ends.",
    "Give the Task TimeoutSeconds: without, it waits for a year.",
    "sfn-best-practices.html",
    everyState(isTask, (state) => {
      const seconds = state.TimeoutSeconds ?? state.TimeoutSecondsPath;
      const isBounded =
        typeof seconds === "string" || (typeof seconds === "number" && seconds > 0 && seconds <= 172_800);
      return isBounded ? undefined : "has no TimeoutSeconds of at most two days";
    }),
  ),
  machineRule(
    "sfn-timeout",
    "A state machine ends.",
    "Give the definition TimeoutSeconds.",
    "sfn-best-practices.html",
    (machine) => {
      const definition = machine.json("definition");
      const seconds = isRecord(definition) ? definition.TimeoutSeconds : undefined;
      return typeof seconds === "number" && seconds > 0 && seconds <= 172_800
        ? undefined
        : "definition has no TimeoutSeconds of at most two days";
    },
  ),
  onStack(
    "sqs-dead-letter-queue",
    {
      ...base,
      title: "A queue that is consumed has a dead-letter queue.",
      controls: controls("cdk-nag SQS3"),
      remedy: "Set redrivePolicy with deadLetterTargetArn and maxReceiveCount of 1 to 20.",
      link: `${docs}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html`,
      types: [queueType],
    },
    (queue, stack) => {
      const consumed = stack.attached(mappingType, "eventSourceArn", queue).length > 0;
      const policy = redrive(queue, "redrivePolicy");
      if (!policy) return consumed ? "redrivePolicy is not set" : notApplicable;
      const count = Number(policy.maxReceiveCount);
      if (typeof policy.deadLetterTargetArn !== "string" || policy.deadLetterTargetArn === "") {
        return "redrivePolicy has no deadLetterTargetArn";
      }
      return count >= 1 && count <= 20 ? undefined : `maxReceiveCount is ${count}; allowed is 1 to 20`;
    },
  ),
  onResource(
    "sqs-retention",
    {
      ...base,
      title: "A queue keeps a message long enough for somebody to look: a dead-letter queue for 14 days.",
      controls: controls(),
      remedy: "Set messageRetentionSeconds to 1209600; a queue with a dead-letter queue to at least a day.",
      link: `${docs}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html`,
      types: [queueType],
    },
    (queue) => {
      // One that has no dead-letter queue itself is where messages end.
      const least = queue.has("redrivePolicy") ? 86_400 : 1_209_600;
      return outside("messageRetentionSeconds", queue.number("messageRetentionSeconds"), least, 1_209_600);
    },
  ),
  onStack(
    "sqs-redrive-allow",
    {
      ...base,
      severity: "low",
      title: "A dead-letter queue says which queues may send to it.",
      controls: controls(),
      remedy: "Set redriveAllowPolicy to byQueue with sourceQueueArns.",
      link: `${docs}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html`,
      types: [queueType],
    },
    (queue, stack) => {
      const name = stack.physicalName(queue);
      const isTarget = stack.ofType(queueType).some((other) => {
        if (other.resource.urn === queue.resource.urn || !other.has("redrivePolicy")) return false;
        const target = redrive(other, "redrivePolicy")?.deadLetterTargetArn;
        return typeof target === "string" && name !== undefined && target.endsWith(`:${name}`);
      });
      if (!isTarget) return notApplicable;
      const allowed = redrive(queue, "redriveAllowPolicy");
      const isNarrow = allowed?.redrivePermission === "byQueue" && Array.isArray(allowed.sourceQueueArns);
      return isNarrow ? undefined : "redriveAllowPolicy does not name queues";
    },
  ),
  onResource(
    "events-target-dead-letter",
    {
      ...base,
      title: "An event that a target did not take is kept.",
      controls: controls(),
      remedy: "Set deadLetterConfig.arn.",
      link: `${docs}/eventbridge/latest/userguide/eb-rule-dlq.html`,
      types: ["aws:cloudwatch/eventTarget:EventTarget"],
    },
    (target) => (target.has("deadLetterConfig.arn") ? undefined : "deadLetterConfig.arn is not set"),
  ),
  onResource(
    "events-target-retry",
    {
      ...base,
      severity: "low",
      title: "A target's retries are bounded.",
      controls: controls(),
      remedy: "Set retryPolicy with maximumRetryAttempts and maximumEventAgeInSeconds.",
      link: `${docs}/eventbridge/latest/userguide/eb-rule-retry-policy.html`,
      types: ["aws:cloudwatch/eventTarget:EventTarget"],
    },
    ...retryPolicy("retryPolicy"),
  ),
  onResource(
    "scheduler-dead-letter",
    {
      ...base,
      title: "A scheduled start that failed is kept.",
      controls: controls(),
      remedy: "Set target.deadLetterConfig.arn.",
      link: `${docs}/scheduler/latest/UserGuide/configuring-schedule-dlq.html`,
      types: ["aws:scheduler/schedule:Schedule"],
    },
    (schedule) =>
      schedule.has("target.deadLetterConfig.arn") ? undefined : "target.deadLetterConfig.arn is not set",
  ),
  onResource(
    "scheduler-retry",
    {
      ...base,
      severity: "low",
      title: "A schedule's retries are bounded.",
      controls: controls(),
      remedy: "Set target.retryPolicy with maximumRetryAttempts and maximumEventAgeInSeconds.",
      link: `${docs}/scheduler/latest/UserGuide/managing-targets.html`,
      types: ["aws:scheduler/schedule:Schedule"],
    },
    ...retryPolicy("target.retryPolicy"),
  ),
  onResource(
    "glue-retries",
    {
      ...base,
      severity: "low",
      title: "A job's retries are bounded.",
      controls: controls(),
      remedy: "Set maxRetries to 0 to 2.",
      link: `${docs}/glue/latest/dg/add-job.html`,
      types: ["aws:glue/job:Job"],
    },
    isWithin("maxRetries", 0, 2),
  ),
  onResource(
    "iceberg-no-concurrent-runs",
    {
      ...base,
      title: "A job that writes tables runs once at a time.",
      controls: controls(),
      remedy: "Set executionProperty.maxConcurrentRuns to 1.",
      link: `${docs}/glue/latest/dg/add-job.html`,
      types: ["aws:glue/job:Job"],
    },
    (job) => {
      const runs = job.number("executionProperty.maxConcurrentRuns");
      return runs === undefined || runs === 1 ? undefined : `maxConcurrentRuns is ${runs}`;
    },
  ),
  onResource(
    "lambda-timeout",
    {
      ...base,
      severity: "low",
      title: "A function has a timeout of its own.",
      controls: controls(),
      remedy: "Set timeout to 1 to 900 seconds: 3, the default, is for hardly anything.",
      link: `${docs}/lambda/latest/dg/configuration-timeout.html`,
      types: ["aws:lambda/function:Function"],
    },
    isWithin("timeout", 1, 900),
  ),
  onResource(
    "cloudformation-rolls-back",
    {
      ...base,
      severity: "low",
      title: "A CloudFormation stack that fails leaves nothing half made.",
      controls: controls(),
      remedy: "Set onFailure to ROLLBACK or DELETE, timeoutInMinutes, and leave disableRollback out.",
      link: `${docs}/AWSCloudFormation/latest/UserGuide/stack-failure-options.html`,
      types: ["aws:cloudformation/stack:Stack"],
    },
    (stack) => (stack.text("onFailure") === "DO_NOTHING" ? "onFailure is DO_NOTHING" : undefined),
    (stack) => (stack.flag("disableRollback") === true ? "disableRollback is true" : undefined),
    isWithin("timeoutInMinutes", 1, 60),
  ),
];
