import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { Arns } from "../lib/place.ts";
import { type FunctionDefaults, PrivateFunction } from "../lib/private-function.ts";
import { createSchedule, triggerRole } from "../lib/trigger.ts";
import type { Artifact } from "../package/artifacts.ts";
import type { PrivateServices } from "./network.ts";

const runActions = ["glue:BatchStopJobRun", "glue:GetJobRuns", "glue:StartJobRun"] as const;

/** What keeping the job running calls from inside the VPC. */
export const streamServices: PrivateServices = { glue: runActions };

export interface StreamArgs {
  /** Name of the streaming job. */
  readonly jobName: pulumi.Input<string>;
  /** Hashes whose change puts new code in the place of what runs. */
  readonly triggers: Readonly<Record<string, pulumi.Input<string>>>;
  /** Whether a job that is not running is started. False leaves that to a person. @default true */
  readonly keepRunning?: boolean | undefined;
  /** How often that is looked at. @default "rate(15 minutes)" */
  readonly check?: pulumi.Input<string>;
  readonly functionDefaults: FunctionDefaults;
  readonly bundle: Artifact;
}

/**
 * Keeps a Glue streaming job alive: a schedule starts it when it is not running, and a deployment that changed its
 * code, contracts or settings ends the run and starts the next, which goes on at the checkpoint.
 *
 * @example
 * const stream = new Stream("shop-dev", {
 *   jobName: "shop-dev-clickstream", triggers: { contracts: "…" }, keepRunning: false, functionDefaults, bundle,
 * });
 * stream.nodes.schedule.state;
 */
export class Stream extends pulumi.ComponentResource {
  readonly nodes: {
    readonly keeper: PrivateFunction;
    readonly schedule: aws.scheduler.Schedule;
    readonly restart: aws.lambda.Invocation;
  };

  constructor(name: string, args: StreamArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Stream", name, {}, opts);
    const parent = this;
    const { functionDefaults } = args;
    const arns = new Arns(functionDefaults.place);
    const start = args.keepRunning ?? true;

    const keeper = createKeeper();
    this.nodes = { keeper, schedule: schedule(), restart: restart() };
    this.registerOutputs({});

    function createKeeper(): PrivateFunction {
      return new PrivateFunction(
        `${name}-keep-running`,
        {
          ...functionDefaults,
          description: "Starts the streaming job when it is not running, and anew after a deployment",
          bundle: args.bundle,
          timeoutSeconds: 900,
          policies: {
            stream: [
              {
                sid: "KeepRunning",
                actions: runActions,
                resources: [arns.regional("glue", pulumi.interpolate`job/${args.jobName}`)],
              },
            ],
          },
        },
        { parent },
      );
    }

    function input(restarts: boolean): pulumi.Output<string> {
      return pulumi.jsonStringify({ job: args.jobName, start, restart: restarts });
    }

    function schedule(): aws.scheduler.Schedule {
      const group = new aws.scheduler.ScheduleGroup(`${name}-stream`, { name: `${name}-stream` }, { parent });
      const role = triggerRole(
        `${name}-start-stream`,
        {
          ...functionDefaults,
          description: `Keeps the stream of ${name} running`,
          service: "scheduler.amazonaws.com",
          start: { sid: "KeepRunning", actions: ["lambda:InvokeFunction"], resources: [keeper.arn] },
          key: { decrypt: ["scheduler"] },
        },
        parent,
      );
      return createSchedule(
        `${name}-stream`,
        {
          ...functionDefaults,
          group: group.name,
          description: "Starts the streaming job when it is not running",
          when: { expression: args.check ?? "rate(15 minutes)", enabled: start },
          target: { arn: keeper.arn, role, input: input(false) },
        },
        parent,
      );
    }

    function restart(): aws.lambda.Invocation {
      return new aws.lambda.Invocation(
        `${name}-restart-stream`,
        {
          functionName: keeper.function.name,
          input: input(true),
          triggers: { ...args.triggers, code: args.bundle.sha256 },
        },
        { parent, dependsOn: [keeper] },
      );
    }
  }
}
