import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { Arns } from "../lib/place.ts";
import { type FunctionDefaults, PrivateFunction } from "../lib/private-function.ts";
import type { Artifact } from "../package/artifacts.ts";
import type { PrivateServices } from "./network.ts";

/** What running the migration calls from inside the VPC. */
export const lakeMigrationServices: PrivateServices = { glue: ["glue:GetJobRun", "glue:StartJobRun"] };

export interface LakeMigrationArgs {
  /** Name of the `migrate` job. */
  readonly jobName: pulumi.Input<string>;
  /** Hashes whose change runs the job again: contracts, code. */
  readonly triggers: Readonly<Record<string, pulumi.Input<string>>>;
  readonly functionDefaults: FunctionDefaults;
  readonly bundle: Artifact;
}

/**
 * Runs the `migrate` job at a deployment whenever contracts or code changed, so that the Iceberg tables are as the
 * contracts say before the first run needs them. A failed migration fails the deployment.
 *
 * @example
 * new LakeMigration("shop-dev", { jobName: "shop-dev-migrate", triggers: { contracts: "…" }, functionDefaults, bundle });
 */
export class LakeMigration extends pulumi.ComponentResource {
  readonly nodes: { readonly runner: PrivateFunction; readonly run: aws.lambda.Invocation };

  constructor(name: string, args: LakeMigrationArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:LakeMigration", name, {}, opts);
    const arns = new Arns(args.functionDefaults.place);
    const runner = new PrivateFunction(
      `${name}-migrate-lake`,
      {
        ...args.functionDefaults,
        description: "Runs the migration of the lake's tables at deployment",
        bundle: args.bundle,
        timeoutSeconds: 900,
        policies: {
          migrate: [
            {
              sid: "RunMigration",
              actions: ["glue:GetJobRun", "glue:StartJobRun"],
              resources: [arns.regional("glue", pulumi.interpolate`job/${args.jobName}`)],
            },
          ],
        },
      },
      { parent: this },
    );
    const run = new aws.lambda.Invocation(
      `${name}-migrate-lake`,
      {
        functionName: runner.function.name,
        input: pulumi.jsonStringify({ job: args.jobName }),
        triggers: { ...args.triggers, code: args.bundle.sha256 },
      },
      { parent: this, dependsOn: [runner] },
    );
    this.nodes = { runner, run };
    this.registerOutputs({});
  }
}
