import * as aws from "@pulumi/aws";
import type * as pulumi from "@pulumi/pulumi";
import { type KeyUse, sendTo, useKeyFor } from "./grants.ts";
import { type Statement, WorkloadRole } from "./iam.ts";
import { Arns, type Place } from "./place.ts";

/** What starts things has in common. */
export interface TriggerArgs {
  readonly place: pulumi.Input<Place>;
  readonly dataKeyArn: pulumi.Input<string>;
  /** Queue for events that could start nothing. */
  readonly failures: aws.sqs.Queue;
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
}

/** When a schedule fires. */
export interface When {
  /** `cron(…)` or `rate(…)` */
  readonly expression: pulumi.Input<string>;
  /** IANA name. @default "UTC" */
  readonly timeZone?: pulumi.Input<string> | undefined;
  /** @default true */
  readonly enabled?: boolean | undefined;
}

/**
 * The role of a rule or schedule: it may start one thing. What it could not start a schedule keeps with the role too;
 * a rule does so by the queue's own policy.
 */
export function triggerRole(
  name: string,
  args: TriggerArgs & {
    readonly description: string;
    /** The service that starts: `events.amazonaws.com` or `scheduler.amazonaws.com`. */
    readonly service: string;
    readonly start: Statement;
    /** Services through which the key is used beside the queue. */
    readonly key: KeyUse;
  },
  parent: pulumi.Resource,
): WorkloadRole {
  const arns = new Arns(args.place);
  const failed = args.service === "scheduler.amazonaws.com" ? [sendTo(arns, args.failures.name)] : [];
  return new WorkloadRole(
    name,
    {
      place: args.place,
      description: args.description,
      trust: args.service,
      permissionsBoundary: args.permissionsBoundary,
      policies: {
        start: [args.start, ...failed, ...useKeyFor(arns, args.dataKeyArn, failed, args.key)],
      },
    },
    { parent },
  );
}

/** Where an event goes that started nothing, and how often that is tried. */
export function deliveryOf(
  { place, failures }: TriggerArgs,
  maximumRetryAttempts: number,
): {
  deadLetterConfig: { arn: pulumi.Output<string> };
  retryPolicy: { maximumEventAgeInSeconds: number; maximumRetryAttempts: number };
} {
  return {
    deadLetterConfig: { arn: new Arns(place).regional("sqs", failures.name) },
    retryPolicy: { maximumEventAgeInSeconds: 3600, maximumRetryAttempts },
  };
}

/** A schedule in a group of its own, in a time zone, encrypted, its failures kept. */
export function createSchedule(
  name: string,
  args: TriggerArgs & {
    readonly group: pulumi.Input<string>;
    readonly description: string;
    readonly when: When;
    readonly target: {
      readonly arn: pulumi.Input<string>;
      readonly role: WorkloadRole;
      readonly input: pulumi.Input<string>;
    };
  },
  parent: pulumi.Resource,
): aws.scheduler.Schedule {
  const { when, target } = args;
  return new aws.scheduler.Schedule(
    name,
    {
      name,
      groupName: args.group,
      description: args.description,
      scheduleExpression: when.expression,
      scheduleExpressionTimezone: when.timeZone ?? "UTC",
      state: (when.enabled ?? true) ? "ENABLED" : "DISABLED",
      flexibleTimeWindow: { mode: "OFF" },
      kmsKeyArn: args.dataKeyArn,
      target: { arn: target.arn, roleArn: target.role.arn, input: target.input, ...deliveryOf(args, 5) },
    },
    { parent, dependsOn: [target.role] },
  );
}
