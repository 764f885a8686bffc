import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Artifact } from "../package/artifacts.ts";
import {
  functionInterfaces,
  noNetworkFromCode,
  type Placement,
  sendTo,
  sendTraces,
  useKeyFor,
  writeLogs,
} from "./grants.ts";
import { type Statement, WorkloadRole } from "./iam.ts";
import { Arns, type Place } from "./place.ts";
import { type Transform, transformed } from "./transform.ts";

/** What all functions of a component have in common. */
export interface FunctionDefaults {
  readonly place: pulumi.Input<Place>;
  readonly network: Placement;
  readonly dataKeyArn: pulumi.Input<string>;
  readonly logsKeyArn: pulumi.Input<string>;
  /** Days, one of CloudWatch's values. @default 30 */
  readonly logRetentionDays?: pulumi.Input<number> | undefined;
  /** MB. @default 512 */
  readonly memoryMegabytes?: pulumi.Input<number> | undefined;
  /** Executions at the same time, at most. @default 2 */
  readonly reservedConcurrency?: pulumi.Input<number> | undefined;
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
  /** Queue for events that the function failed on. */
  readonly failures: aws.sqs.Queue;
  /** What a function needs as soon as it runs and names nowhere: the way to the services that it calls. @default [] */
  readonly waitFor?: readonly pulumi.Resource[] | undefined;
  readonly transform?: { readonly function?: Transform<aws.lambda.FunctionArgs> } | undefined;
}

export interface PrivateFunctionArgs extends FunctionDefaults {
  readonly description: string;
  readonly bundle: Artifact;
  /** Seconds. @default 60 */
  readonly timeoutSeconds?: number;
  readonly environment?: Readonly<Record<string, pulumi.Input<string>>>;
  /** What it may do beside logging and tracing, by concern. */
  readonly policies?: Readonly<Record<string, readonly Statement[]>>;
  readonly layers?: readonly pulumi.Input<string>[];
  /** Leaves it out of the VPC, for a function that has to reach the internet. @default false */
  readonly outside?: boolean;
}

/**
 * A Lambda function in the VPC, unless it has to be outside: arm64, traced, its environment encrypted, with a role and a log group of its own, and
 * failed events kept in a queue.
 *
 * @example
 * const report = new PrivateFunction("shop-dev-report", {
 *   ...functionDefaults, bundle, description: "Writes a report", timeoutSeconds: 120,
 *   environment: { CURATED_BUCKET: lake.bucketNames.curated },
 *   policies: { lake: readArea(new Arns(place), { zone: "curated", bucket: lake.bucketNames.curated, prefixes: ["exports/"] }) },
 * });
 * report.arn;
 */
export class PrivateFunction extends pulumi.ComponentResource {
  readonly function: aws.lambda.Function;
  readonly role: WorkloadRole;
  readonly logGroup: aws.cloudwatch.LogGroup;
  /** Made from the name, so that it is known before the function exists. */
  readonly arn: pulumi.Output<string>;

  constructor(name: string, args: PrivateFunctionArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:lambda:PrivateFunction", name, {}, opts);
    const arns = new Arns(args.place);
    const outside = args.outside ?? false;
    this.logGroup = new aws.cloudwatch.LogGroup(
      name,
      {
        name: `/aws/lambda/${name}`,
        retentionInDays: args.logRetentionDays ?? 30,
        kmsKeyId: args.logsKeyArn,
      },
      { parent: this },
    );
    const failed = sendTo(arns, args.failures.name);
    this.role = new WorkloadRole(
      name,
      {
        place: args.place,
        description: `Lambda function ${name}`,
        trust: "lambda.amazonaws.com",
        permissionsBoundary: args.permissionsBoundary,
        policies: {
          runtime: [
            writeLogs(arns, [this.logGroup.name]),
            sendTraces,
            failed,
            ...(outside
              ? []
              : [
                  ...functionInterfaces(arns, args.network),
                  noNetworkFromCode(arns.regional("lambda", `function:${name}`)),
                ]),
          ],
          keys: useKeyFor(
            arns,
            args.dataKeyArn,
            [failed, ...Object.values(args.policies ?? {}).flat()],
            // The environment.
            { decrypt: ["lambda"] },
          ),
          ...args.policies,
        },
      },
      { parent: this },
    );
    this.function = new aws.lambda.Function(
      ...transformed(
        args.transform?.function,
        name,
        {
          name,
          description: args.description,
          role: this.role.arn,
          runtime: "nodejs22.x",
          architectures: ["arm64"],
          handler: "index.handler",
          code: new pulumi.asset.FileArchive(args.bundle.file),
          memorySize: args.memoryMegabytes ?? 512,
          timeout: args.timeoutSeconds ?? 60,
          reservedConcurrentExecutions: args.reservedConcurrency ?? 2,
          kmsKeyArn: args.dataKeyArn,
          environment: { variables: { ...args.environment } },
          ...(args.layers && { layers: [...args.layers] }),
          tracingConfig: { mode: "Active" },
          loggingConfig: { logFormat: "JSON", logGroup: this.logGroup.name },
          deadLetterConfig: { targetArn: arns.regional("sqs", args.failures.name) },
          ...(!outside && {
            vpcConfig: {
              subnetIds: args.network.subnetIds,
              securityGroupIds: [args.network.securityGroupId],
            },
          }),
        },
        { parent: this, dependsOn: [this.role, ...(args.waitFor ?? [])] },
      ),
    );
    new aws.lambda.FunctionEventInvokeConfig(
      name,
      { functionName: this.function.name, maximumRetryAttempts: 2, maximumEventAgeInSeconds: 3600 },
      { parent: this },
    );
    this.arn = arns.regional("lambda", pulumi.interpolate`function:${this.function.name}`);
    this.registerOutputs({ arn: this.arn });
  }
}
