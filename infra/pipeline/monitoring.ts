import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { policyDocument, tlsOnly } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { type Transform, transformed } from "../lib/transform.ts";

/** What is watched, by name. */
export interface Watched {
  /** Glue jobs. */
  readonly jobs: readonly pulumi.Input<string>[];
  /** Lambda functions by the name that their alarms get. */
  readonly functions: Readonly<Record<string, pulumi.Input<string>>>;
  /** State machines: name and ARN. */
  readonly machines: readonly { readonly name: pulumi.Input<string>; readonly arn: pulumi.Input<string> }[];
  /** Queues of failed events. */
  readonly failureQueues: readonly pulumi.Input<string>[];
  /** Redshift Serverless workgroups. */
  readonly workgroups: readonly pulumi.Input<string>[];
  /** Kinesis streams by the name that their alarms get. @default {} */
  readonly streams?: Readonly<Record<string, pulumi.Input<string>>>;
  /** REST APIs. @default [] */
  readonly apis?: readonly string[];
  /** Glue jobs that run for ever; a deployment stops and starts them. @default [] */
  readonly streamingJobs?: readonly pulumi.Input<string>[];
  /** Applications of EMR Serverless by the name that their alarms get. @default {} */
  readonly applications?: Readonly<Record<string, WatchedApplication>>;
  /** Words in logs by the name that their alarm gets. @default {} */
  readonly messages?: Readonly<Record<string, WatchedMessage>>;
}

/** Words that every daily run writes into its log as long as somebody has something to do. */
export interface WatchedMessage {
  readonly logGroupName: pulumi.Input<string>;
  /** As one line of the log has them, upper and lower case. */
  readonly words: string;
  /** What is wrong, and what to do. */
  readonly description: string;
}

/** An application of EMR Serverless; its metrics carry both its name and its id. */
export interface WatchedApplication {
  readonly name: pulumi.Input<string>;
  readonly id: pulumi.Input<string>;
  /** Minutes that a job may run before it counts as slow. */
  readonly slowAfterMinutes: number;
}

export interface MonitoringArgs {
  readonly place: pulumi.Input<Place>;
  readonly logsKeyArn: pulumi.Input<string>;
  readonly watched: Watched;
  /** Who gets a mail; each address has to confirm. @default [] */
  readonly emails?: readonly string[];
  /** Minutes that a run of the workflow may take before it counts as slow. @default 240 */
  readonly slowRunMinutes?: pulumi.Input<number>;
  /** Minutes that what reads a stream may be behind. @default 15 */
  readonly streamLagMinutes?: pulumi.Input<number>;
  /** US dollars a month; a mail goes out at 80 % and when the forecast passes it. */
  readonly monthlyBudgetUsd: pulumi.Input<number>;
  readonly transform?: { readonly alarm?: Transform<aws.cloudwatch.MetricAlarmArgs> };
}

/** Events that mean a job failed or is slow. A job that dies early never emits a metric, so failures are events. */
export function jobPatterns(
  jobNames: pulumi.Input<pulumi.Input<string>[]>,
): Readonly<Record<"failed" | "slow", object>> {
  return {
    failed: {
      source: ["aws.glue"],
      "detail-type": ["Glue Job State Change"],
      detail: { jobName: jobNames, state: ["FAILED", "TIMEOUT", "STOPPED"] },
    },
    slow: {
      source: ["aws.glue"],
      "detail-type": ["Glue Job Run Status"],
      detail: { jobName: jobNames },
    },
  };
}

/** The event that a streaming job died. It is stopped on purpose by deployments and in its maintenance window. */
export function streamPattern(jobNames: pulumi.Input<pulumi.Input<string>[]>): object {
  return {
    source: ["aws.glue"],
    "detail-type": ["Glue Job State Change"],
    detail: { jobName: jobNames, state: ["FAILED", "TIMEOUT"] },
  };
}

/** The event that a job on EMR Serverless failed, or was cancelled, which one that runs too long is too. */
export function applicationPattern(applicationIds: pulumi.Input<pulumi.Input<string>[]>): object {
  return {
    source: ["aws.emr-serverless"],
    "detail-type": ["EMR Serverless Job Run State Change"],
    detail: { applicationId: applicationIds, state: ["FAILED", "CANCELLED"] },
  };
}

/** The event that a statement in the warehouse failed; only statements that asked for events send one. */
export function loadPattern(): object {
  return {
    source: ["aws.redshift-data"],
    "detail-type": ["Redshift Data Statement Status Change"],
    detail: { state: ["FAILED", "ABORTED"], statementName: [{ prefix: "load-" }] },
  };
}

/**
 * Alarms on failure, slowness and lag, one topic that tells people, a dashboard, and a budget.
 *
 * @example
 * new Monitoring("shop-dev", { place, watched, ...keys, emails: ["data@example.com"], monthlyBudgetUsd: 150 });
 */
export class Monitoring extends pulumi.ComponentResource {
  readonly topic: aws.sns.Topic;
  readonly dashboardName: string;
  readonly nodes: {
    readonly alarms: Readonly<Record<string, aws.cloudwatch.MetricAlarm>>;
    readonly rules: Readonly<Record<string, aws.cloudwatch.EventRule>>;
  };

  constructor(name: string, args: MonitoringArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Monitoring", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);
    const account = arns.place.apply(({ accountId }) => accountId);
    const alarms: Record<string, aws.cloudwatch.MetricAlarm> = {};
    const { watched } = args;
    this.dashboardName = name;

    this.topic = createTopic();
    const topicArn = arns.regional("sns", this.topic.name);
    subscribe(topicArn);
    watchMachines(topicArn);
    watchFunctions(topicArn);
    watchQueues(topicArn);
    watchWorkgroups(topicArn);
    const streams = watched.streams ?? {};
    const streamingJobs = watched.streamingJobs ?? [];
    const applications = Object.entries(watched.applications ?? {});
    watchStreams(topicArn);
    watchApis(topicArn);
    watchApplications(topicArn);
    watchMessages(topicArn);
    const rules = {
      ...(watched.jobs.length > 0 && watchJobs(topicArn)),
      ...(watched.workgroups.length > 0 && watchLoads(topicArn)),
      ...(streamingJobs.length > 0 && watchStreamingJobs(topicArn)),
      ...(applications.length > 0 && watchSparkRuns(topicArn)),
    };
    createDashboard();
    createBudget();
    this.nodes = { alarms, rules };
    this.registerOutputs({ topicArn });

    function createTopic(): aws.sns.Topic {
      const topic = new aws.sns.Topic(
        `${name}-alerts`,
        { name: `${name}-alerts`, kmsMasterKeyId: args.logsKeyArn },
        { parent },
      );
      const arn = arns.regional("sns", topic.name);
      new aws.sns.TopicPolicy(
        `${name}-alerts`,
        {
          arn,
          policy: policyDocument([
            {
              sid: "PublishAlerts",
              principals: { Service: ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"] },
              actions: ["sns:Publish"],
              resources: [arn],
              conditions: { StringEquals: { "aws:SourceAccount": account } },
            },
            {
              // EventBridge publishes to no topic whose policy puts a condition on it:
              // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
              sid: "PublishEvents",
              principals: { Service: "events.amazonaws.com" },
              actions: ["sns:Publish"],
              resources: [arn],
            },
            tlsOnly("sns:Publish", arn),
          ]),
        },
        { parent },
      );
      return topic;
    }

    function subscribe(topicArn: pulumi.Output<string>): void {
      for (const email of args.emails ?? []) {
        new aws.sns.TopicSubscription(
          `${name}-${email}`,
          { topic: topicArn, protocol: "email", endpoint: email },
          { parent },
        );
      }
    }

    function alarm(
      kind: string,
      topicArn: pulumi.Output<string>,
      own: Pick<
        aws.cloudwatch.MetricAlarmArgs,
        "alarmDescription" | "namespace" | "metricName" | "dimensions" | "metricQueries"
      > &
        Partial<aws.cloudwatch.MetricAlarmArgs>,
    ): void {
      alarms[kind] = new aws.cloudwatch.MetricAlarm(
        ...transformed(
          args.transform?.alarm,
          `${name}-${kind}`,
          {
            name: `${name}-${kind}`,
            ...(own.metricQueries === undefined && { statistic: "Sum", period: 300 }),
            evaluationPeriods: 1,
            comparisonOperator: "GreaterThanThreshold",
            threshold: 0,
            // No data means that nothing ran, which is no failure.
            treatMissingData: "notBreaching",
            alarmActions: [topicArn],
            okActions: [topicArn],
            ...own,
          },
          { parent },
        ),
      );
    }

    function watchMachines(topicArn: pulumi.Output<string>): void {
      watched.machines.forEach(({ arn }, index) => {
        const own = index === 0 ? "workflow" : `workflow-${index}`;
        const common = { namespace: "AWS/States", dimensions: { StateMachineArn: arn } };
        alarm(`${own}-failed`, topicArn, {
          ...common,
          metricName: "ExecutionsFailed",
          alarmDescription: "A run failed. Its execution in Step Functions says at which step and why.",
        });
        alarm(`${own}-timed-out`, topicArn, {
          ...common,
          metricName: "ExecutionsTimedOut",
          alarmDescription: "A run was stopped because it took too long. Redrive it when the cause is gone.",
        });
        alarm(`${own}-slow`, topicArn, {
          ...common,
          metricName: "ExecutionTime",
          statistic: "Maximum",
          threshold: pulumi.output(args.slowRunMinutes ?? 240).apply((minutes) => minutes * 60_000),
          alarmDescription: "A run took longer than usual. The dashboard shows which step.",
        });
      });
    }

    function watchFunctions(topicArn: pulumi.Output<string>): void {
      Object.entries(watched.functions).forEach(([own, functionName]) => {
        const common = { namespace: "AWS/Lambda", dimensions: { FunctionName: functionName } };
        alarm(`${own}-errors`, topicArn, {
          ...common,
          metricName: "Errors",
          alarmDescription: pulumi.interpolate`${functionName} failed. Its log group says why.`,
        });
        alarm(`${own}-throttles`, topicArn, {
          ...common,
          metricName: "Throttles",
          alarmDescription: pulumi.interpolate`${functionName} was throttled. Raise functions.reservedConcurrency.`,
        });
      });
    }

    function watchQueues(topicArn: pulumi.Output<string>): void {
      watched.failureQueues.forEach((queueName, index) => {
        alarm(index === 0 ? "failures" : `failures-${index}`, topicArn, {
          namespace: "AWS/SQS",
          metricName: "ApproximateNumberOfMessagesVisible",
          dimensions: { QueueName: queueName },
          statistic: "Maximum",
          alarmDescription: pulumi.interpolate`Events could not be delivered or processed: look at the messages of ${queueName}.`,
        });
      });
    }

    function watchWorkgroups(topicArn: pulumi.Output<string>): void {
      watched.workgroups.forEach((workgroup, index) => {
        alarm(index === 0 ? "warehouse-queries-failed" : `warehouse-${index}-queries-failed`, topicArn, {
          // Redshift counts by kind of query, never by workgroup alone: an alarm on that dimension would never fire.
          // https://docs.aws.amazon.com/redshift/latest/mgmt/serverless-monitoring.html
          metricQueries: [
            {
              id: "failed",
              expression: pulumi.interpolate`SELECT SUM(QueriesFailed) FROM SCHEMA("AWS/Redshift-Serverless", QueryType, Workgroup) WHERE Workgroup = '${workgroup}'`,
              period: 300,
              returnData: true,
            },
          ],
          threshold: 10,
          alarmDescription: "More than ten queries failed in five minutes.",
        });
      });
    }

    function watchStreams(topicArn: pulumi.Output<string>): void {
      const lag = pulumi.output(args.streamLagMinutes ?? 15).apply((minutes) => minutes * 60_000);
      Object.entries(streams).forEach(([own, streamName]) => {
        const common = { namespace: "AWS/Kinesis", dimensions: { StreamName: streamName } };
        alarm(`${own}-lag`, topicArn, {
          ...common,
          metricName: "GetRecords.IteratorAgeMilliseconds",
          statistic: "Maximum",
          evaluationPeriods: 3,
          threshold: lag,
          alarmDescription: pulumi.interpolate`What reads ${streamName} is behind. Give its consumer more workers, or look why it is slow.`,
        });
        alarm(`${own}-throttled`, topicArn, {
          ...common,
          metricName: "WriteProvisionedThroughputExceeded",
          alarmDescription: pulumi.interpolate`${streamName} refused records: it has too few shards, or one key has most of the records.`,
        });
      });
      streamingJobs.forEach((jobName, index) => {
        alarm(index === 0 ? "streaming-lag" : `streaming-lag-${index}`, topicArn, {
          namespace: "Glue",
          metricName: "glue.driver.streaming.maxConsumerLagInMs",
          dimensions: { JobName: jobName, JobRunId: "ALL", Type: "gauge" },
          statistic: "Maximum",
          evaluationPeriods: 3,
          threshold: lag,
          alarmDescription: pulumi.interpolate`${jobName} is behind its stream. Its batches take longer than the records that come in the meantime.`,
        });
      });
    }

    function watchApis(topicArn: pulumi.Output<string>): void {
      for (const ApiName of watched.apis ?? []) {
        alarm(`${ApiName.replace(`${name}-`, "")}-refused`, topicArn, {
          namespace: "AWS/ApiGateway",
          metricName: "5XXError",
          dimensions: { ApiName },
          alarmDescription: `${ApiName} could not take events: its execution log says why. Producers try again.`,
        });
      }
    }

    function watchStreamingJobs(topicArn: pulumi.Output<string>): Record<string, aws.cloudwatch.EventRule> {
      return {
        streamFailed: tell(
          "stream-failed",
          "A streaming job died",
          streamPattern([...streamingJobs]),
          topicArn,
        ),
      };
    }

    function watchApplications(topicArn: pulumi.Output<string>): void {
      for (const [own, { name: ApplicationName, id: ApplicationId, slowAfterMinutes }] of applications) {
        const periods = Math.ceil(slowAfterMinutes / 5);
        alarm(`${own}-slow`, topicArn, {
          namespace: "AWS/EMRServerless",
          metricName: "RunningJobs",
          dimensions: { ApplicationId, ApplicationName },
          statistic: "Minimum",
          // There is no metric of a run's duration: a job was running in each of so many periods.
          evaluationPeriods: periods,
          datapointsToAlarm: periods,
          alarmDescription: pulumi.interpolate`A job of ${ApplicationName} takes longer than usual. Its trace in X-Ray shows which stage.`,
        });
      }
    }

    function watchMessages(topicArn: pulumi.Output<string>): void {
      for (const [own, { logGroupName, words, description }] of Object.entries(watched.messages ?? {})) {
        const filter = new aws.cloudwatch.LogMetricFilter(
          `${name}-${own}`,
          {
            name: `${name}-${own}`,
            logGroupName,
            // In quotes it is one phrase: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
            pattern: `"${words}"`,
            // Only fields of a line can be dimensions, so the metric's name says whose it is.
            metricTransformation: { namespace: "SecureCart", name: `${name}-${own}`, value: "1" },
          },
          { parent },
        );
        alarm(own, topicArn, {
          namespace: filter.metricTransformation.namespace,
          metricName: filter.metricTransformation.name,
          // Longer than from one daily run to the next, so that the alarm tells once that it began and once that it is
          // over. CloudWatch judges more than a day once an hour.
          period: 3600,
          evaluationPeriods: 30,
          datapointsToAlarm: 1,
          alarmDescription: description,
        });
      }
    }

    function watchSparkRuns(topicArn: pulumi.Output<string>): Record<string, aws.cloudwatch.EventRule> {
      return {
        sparkFailed: tell(
          "spark-failed",
          "A job on EMR Serverless failed or was cancelled",
          applicationPattern(applications.map(([, { id }]) => id)),
          topicArn,
        ),
      };
    }

    function watchJobs(topicArn: pulumi.Output<string>): Record<string, aws.cloudwatch.EventRule> {
      const patterns = jobPatterns([...watched.jobs]);
      return {
        jobFailed: tell(
          "job-failed",
          "A Glue job failed, timed out or was stopped",
          patterns.failed,
          topicArn,
        ),
        jobSlow: tell(
          "job-slow",
          "A Glue job takes longer than its slowAfterMinutes",
          patterns.slow,
          topicArn,
        ),
      };
    }

    function watchLoads(topicArn: pulumi.Output<string>): Record<string, aws.cloudwatch.EventRule> {
      return { loadFailed: tell("load-failed", "A load of the warehouse failed", loadPattern(), topicArn) };
    }

    function tell(
      kind: string,
      description: string,
      pattern: object,
      topicArn: pulumi.Output<string>,
    ): aws.cloudwatch.EventRule {
      const rule = new aws.cloudwatch.EventRule(
        `${name}-${kind}`,
        { name: `${name}-${kind}`, description, eventPattern: pulumi.jsonStringify(pattern) },
        { parent },
      );
      const queue = watched.failureQueues[0];
      new aws.cloudwatch.EventTarget(
        `${name}-${kind}`,
        {
          rule: rule.name,
          arn: topicArn,
          ...(queue !== undefined && { deadLetterConfig: { arn: arns.regional("sqs", queue) } }),
          retryPolicy: { maximumEventAgeInSeconds: 3600, maximumRetryAttempts: 10 },
        },
        { parent },
      );
      return rule;
    }

    function createDashboard(): void {
      const region = arns.place.apply((place) => place.region);
      const widget = (title: string, x: number, y: number, metrics: pulumi.Input<unknown>[]): object => ({
        type: "metric",
        x,
        y,
        width: 12,
        height: 6,
        properties: { title, region, metrics, stat: "Sum", period: 300, view: "timeSeries" },
      });
      new aws.cloudwatch.Dashboard(
        name,
        {
          dashboardName: name,
          dashboardBody: pulumi.jsonStringify({
            widgets: [
              widget(
                "Runs",
                0,
                0,
                watched.machines.flatMap(({ arn }) =>
                  ["ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut"].map((metric) => [
                    "AWS/States",
                    metric,
                    "StateMachineArn",
                    arn,
                  ]),
                ),
              ),
              widget(
                "Jobs: time on the driver",
                12,
                0,
                watched.jobs.map((job) => [
                  "Glue",
                  "glue.driver.aggregate.elapsedTime",
                  "JobName",
                  job,
                  "JobRunId",
                  "ALL",
                  "Type",
                  "count",
                ]),
              ),
              widget(
                "Functions: errors",
                0,
                6,
                Object.values(watched.functions).map((each) => [
                  "AWS/Lambda",
                  "Errors",
                  "FunctionName",
                  each,
                ]),
              ),
              widget(
                "Warehouse: compute",
                12,
                6,
                watched.workgroups.map((each) => [
                  "AWS/Redshift-Serverless",
                  "ComputeSeconds",
                  "Workgroup",
                  each,
                ]),
              ),
              ...(applications.length > 0
                ? [
                    widget(
                      "EMR Serverless: jobs that run",
                      12,
                      12,
                      applications.map(([, { name: ApplicationName, id }]) => [
                        "AWS/EMRServerless",
                        "RunningJobs",
                        "ApplicationId",
                        id,
                        "ApplicationName",
                        ApplicationName,
                        { stat: "Maximum" },
                      ]),
                    ),
                  ]
                : []),
              ...(Object.keys(streams).length > 0
                ? [
                    widget(
                      "Streams: age of the oldest unread record",
                      0,
                      12,
                      Object.values(streams).map((each) => [
                        "AWS/Kinesis",
                        "GetRecords.IteratorAgeMilliseconds",
                        "StreamName",
                        each,
                        { stat: "Maximum" },
                      ]),
                    ),
                  ]
                : []),
            ],
          }),
        },
        { parent },
      );
    }

    function createBudget(): void {
      const notification = (type: "ACTUAL" | "FORECASTED", percent: number) => ({
        notificationType: type,
        comparisonOperator: "GREATER_THAN",
        threshold: percent,
        thresholdType: "PERCENTAGE",
        subscriberSnsTopicArns: [arns.regional("sns", `${name}-alerts`)],
      });
      new aws.budgets.Budget(
        name,
        {
          name,
          budgetType: "COST",
          timeUnit: "MONTHLY",
          limitAmount: pulumi.interpolate`${args.monthlyBudgetUsd}`,
          limitUnit: "USD",
          costFilters: [{ name: "TagKeyValue", values: [`user:pipeline$${name}`] }],
          notifications: [notification("ACTUAL", 80), notification("FORECASTED", 100)],
        },
        { parent, dependsOn: [parent.topic] },
      );
    }
  }
}
