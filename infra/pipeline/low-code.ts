import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { readArea, useKeyThrough, writeArea } from "../lib/grants.ts";
import { WorkloadRole } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { type FunctionDefaults, PrivateFunction } from "../lib/private-function.ts";
import { type Transform, transformed } from "../lib/transform.ts";
import { type Artifact, sha256 } from "../package/artifacts.ts";
import type { PrivateServices } from "./network.ts";

/** What publishing a recipe calls from inside the VPC. */
export const lowCodeServices: PrivateServices = {
  databrew: ["databrew:DescribeRecipe", "databrew:PublishRecipe"],
};

/** A dataset whose records a recipe cleans. */
export interface RecipeDataset {
  readonly dataset: string;
  /** Name of the recipe's file without `.json`. */
  readonly recipe: string;
  /** The file's content: DataBrew's own format, and the one that the local run executes. */
  readonly stepsJson: string;
}

export interface LowCodeArgs {
  readonly place: pulumi.Input<Place>;
  readonly datasets: readonly RecipeDataset[];
  readonly landingBucket: pulumi.Input<string>;
  readonly dataKeyArn: pulumi.Input<string>;
  readonly logsKeyArn: pulumi.Input<string>;
  /** What the publishing function has in common with others. */
  readonly functionDefaults: FunctionDefaults;
  readonly publishBundle: Artifact;
  /** DataBrew nodes of one job, at most. @default 2 */
  readonly maxNodes?: number;
  /** Minutes until a run is stopped. @default 60 */
  readonly timeoutMinutes?: number;
  /** Days, one of CloudWatch's values. @default 30 */
  readonly logRetentionDays?: pulumi.Input<number>;
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
  readonly transform?: { readonly stack?: Transform<aws.cloudformation.StackArgs> };
}

/**
 * DataBrew: for each dataset with a recipe its input, the recipe as it lies in `recipes/`, published, and a job pinned
 * to the published version. The classic provider has no DataBrew, so CloudFormation makes them; and CloudFormation
 * does not publish, so a function does, between the stack of the recipe and the stack of the job.
 *
 * @example
 * const lowCode = new LowCode("shop-dev", {
 *   place, functionDefaults, publishBundle: bundle, ...keys,
 *   landingBucket: lake.bucketNames.landing,
 *   datasets: [{ dataset: "campaigns", recipe: "campaigns", stepsJson }],
 * });
 * lowCode.jobNames.campaigns;
 */
export class LowCode extends pulumi.ComponentResource {
  /** Names of the DataBrew jobs by dataset. */
  readonly jobNames: Readonly<Record<string, pulumi.Output<string>>>;
  readonly nodes: {
    readonly publisher: PrivateFunction | undefined;
    readonly role: WorkloadRole | undefined;
    readonly stacks: readonly aws.cloudformation.Stack[];
  };

  constructor(name: string, args: LowCodeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:LowCode", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);
    const stacks: aws.cloudformation.Stack[] = [];

    const any = args.datasets.length > 0;
    const role = any ? createRole() : undefined;
    const publisher = any ? createPublisher() : undefined;
    this.jobNames = Object.fromEntries(
      args.datasets.map((dataset) => {
        const recipe = createRecipe(dataset);
        const version = publisher && publish(dataset, recipe, publisher);
        return [dataset.dataset, createJob(dataset, recipe, version, role)];
      }),
    );
    this.nodes = { publisher, role, stacks };
    this.registerOutputs({ jobNames: this.jobNames });

    function createRole(): WorkloadRole {
      const prefixes = (side: string): string[] =>
        args.datasets.map(({ dataset }) => `recipes/${dataset}/${side}/`);
      return new WorkloadRole(
        `${name}-recipes`,
        {
          place: args.place,
          description: `DataBrew jobs of ${name}`,
          trust: "databrew.amazonaws.com",
          permissionsBoundary: args.permissionsBoundary,
          policies: {
            lake: [
              ...readArea(arns, {
                zone: "recipe-input",
                bucket: args.landingBucket,
                prefixes: prefixes("in"),
              }),
              ...writeArea(arns, {
                zone: "recipe-output",
                bucket: args.landingBucket,
                prefixes: prefixes("out"),
              }),
            ],
            keys: [useKeyThrough(arns, args.dataKeyArn, ["s3"])],
            logs: [
              {
                sid: "WriteLogs",
                actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
                resources: args.datasets.map(
                  (dataset) => pulumi.interpolate`${arns.logGroup(logGroupName(dataset))}:*`,
                ),
              },
            ],
          },
        },
        { parent },
      );
    }

    /** DataBrew never gives a job that exists another recipe version: with other steps it is another job. */
    function jobName({ dataset, stepsJson }: RecipeDataset): string {
      return `${name}-${dataset}-${sha256(stepsJson).slice(0, 8)}`;
    }

    function logGroupName(dataset: RecipeDataset): string {
      return `/aws-glue-databrew/jobs/${jobName(dataset)}`;
    }

    function createPublisher(): PrivateFunction {
      const recipes = args.datasets.map(({ dataset }) =>
        arns.regional("databrew", `recipe/${name}-${dataset}`),
      );
      return new PrivateFunction(
        `${name}-publish-recipe`,
        {
          ...args.functionDefaults,
          description: "Publishes a DataBrew recipe at deployment",
          bundle: args.publishBundle,
          policies: {
            publish: [
              {
                sid: "PublishRecipes",
                actions: ["databrew:DescribeRecipe", "databrew:PublishRecipe"],
                resources: recipes,
              },
            ],
          },
        },
        { parent },
      );
    }

    function createStack(own: string, resources: object): aws.cloudformation.Stack {
      const stack = new aws.cloudformation.Stack(
        ...transformed(
          args.transform?.stack,
          own,
          {
            name: own,
            templateBody: pulumi.jsonStringify({
              AWSTemplateFormatVersion: "2010-09-09",
              Resources: resources,
            }),
            onFailure: "DELETE",
            timeoutInMinutes: 15,
          },
          { parent },
        ),
      );
      stacks.push(stack);
      return stack;
    }

    function createRecipe({ dataset, stepsJson }: RecipeDataset): aws.cloudformation.Stack {
      return createStack(`${name}-${dataset}-recipe`, {
        Dataset: {
          Type: "AWS::DataBrew::Dataset",
          Properties: {
            Name: `${name}-${dataset}`,
            Format: "PARQUET",
            Input: { S3InputDefinition: { Bucket: args.landingBucket, Key: `recipes/${dataset}/in/` } },
          },
        },
        Recipe: {
          Type: "AWS::DataBrew::Recipe",
          Properties: {
            Name: `${name}-${dataset}`,
            Description: `recipes/${dataset}.json`,
            Steps: JSON.parse(stepsJson) as unknown,
          },
        },
      });
    }

    function publish(
      { dataset, stepsJson }: RecipeDataset,
      recipe: aws.cloudformation.Stack,
      by: PrivateFunction,
    ): pulumi.Output<string> {
      const invocation = new aws.lambda.Invocation(
        `${name}-${dataset}-publish`,
        {
          functionName: by.function.name,
          input: JSON.stringify({ recipe: `${name}-${dataset}`, sha256: sha256(stepsJson) }),
        },
        { parent, dependsOn: [recipe, by] },
      );
      return invocation.result.apply((result) => (JSON.parse(result) as { version: string }).version);
    }

    function createJob(
      of: RecipeDataset,
      recipe: aws.cloudformation.Stack,
      version: pulumi.Output<string> | undefined,
      jobRole: WorkloadRole | undefined,
    ): pulumi.Output<string> {
      const { dataset } = of;
      const logGroup = new aws.cloudwatch.LogGroup(
        `${name}-${dataset}-recipe`,
        {
          name: logGroupName(of),
          retentionInDays: args.logRetentionDays ?? 30,
          kmsKeyId: args.logsKeyArn,
        },
        { parent },
      );
      const stack = createStack(`${name}-${dataset}-recipe-job`, {
        Job: {
          Type: "AWS::DataBrew::Job",
          Properties: {
            Name: jobName(of),
            Type: "RECIPE",
            DatasetName: recipe.name.apply(() => `${name}-${dataset}`),
            Recipe: { Name: `${name}-${dataset}`, Version: version },
            RoleArn: jobRole?.arn,
            EncryptionMode: "SSE-KMS",
            EncryptionKeyArn: args.dataKeyArn,
            LogSubscription: "ENABLE",
            MaxCapacity: args.maxNodes ?? 2,
            // The workflow retries.
            MaxRetries: 0,
            Timeout: args.timeoutMinutes ?? 60,
            Outputs: [
              {
                Location: { Bucket: args.landingBucket, Key: `recipes/${dataset}/out/` },
                Format: "PARQUET",
                CompressionFormat: "SNAPPY",
                Overwrite: true,
              },
            ],
          },
        },
      });
      // CloudFormation names what it makes as it is told: the stack's name stands for the job being there.
      return pulumi.all([stack.name, logGroup.name]).apply(() => jobName(of));
    }
  }
}
