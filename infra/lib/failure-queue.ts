import * as aws from "@pulumi/aws";
import type * as pulumi from "@pulumi/pulumi";
import { policyDocument, tlsOnly } from "./iam.ts";
import { Arns, type Place } from "./place.ts";

export interface FailureQueueArgs {
  readonly place: pulumi.Input<Place>;
  readonly dataKeyArn: pulumi.Input<string>;
}

/**
 * A queue for events that could not be delivered or processed: encrypted, kept for two weeks, over TLS only. Nothing
 * consumes it; an alarm on its depth tells a person.
 */
export function createFailureQueue(
  name: string,
  { place, dataKeyArn }: FailureQueueArgs,
  parent: pulumi.Resource,
): aws.sqs.Queue {
  const arns = new Arns(place);
  const queue = new aws.sqs.Queue(
    name,
    {
      name,
      kmsMasterKeyId: dataKeyArn,
      kmsDataKeyReusePeriodSeconds: 3600,
      messageRetentionSeconds: 14 * 24 * 3600,
    },
    { parent },
  );
  const arn = arns.regional("sqs", queue.name);
  new aws.sqs.QueuePolicy(
    name,
    {
      queueUrl: queue.url,
      policy: policyDocument([
        tlsOnly("sqs:*", arn),
        {
          sid: "FailedEvents",
          principals: { Service: "events.amazonaws.com" },
          actions: ["sqs:SendMessage"],
          resources: [arn],
          // By rule, as EventBridge documents it: it states no account by itself.
          conditions: { ArnLike: { "aws:SourceArn": arns.regional("events", "rule/*") } },
        },
      ]),
    },
    { parent },
  );
  return queue;
}
