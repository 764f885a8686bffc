import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { managedDocument, type Statement, WorkloadRole } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { deploymentStatements } from "./deploy-rights.ts";

/** Every action that a workload of the pipeline may ever be given. A test holds the roles to this list. */
export const workloadActions = [
  "cloudwatch:PutMetricData",
  "databrew:DescribeRecipe",
  "databrew:ListJobRuns",
  "databrew:PublishRecipe",
  "databrew:StartJobRun",
  "databrew:StopJobRun",
  "dynamodb:BatchGetItem",
  "dynamodb:DeleteItem",
  "dynamodb:DescribeContinuousBackups",
  "dynamodb:DescribeExport",
  "dynamodb:ExportTableToPointInTime",
  "dynamodb:GetItem",
  "dynamodb:PutItem",
  "dynamodb:Query",
  "dynamodb:UpdateItem",
  "ec2:AssignPrivateIpAddresses",
  "ec2:CreateNetworkInterface",
  "ec2:CreateTags",
  "ec2:DeleteNetworkInterface",
  "ec2:DescribeNetworkInterfaces",
  "ec2:DescribeRouteTables",
  "ec2:DescribeSecurityGroups",
  "ec2:DescribeSubnets",
  "ec2:DescribeVpcAttribute",
  "ec2:DescribeVpcEndpoints",
  "ec2:UnassignPrivateIpAddresses",
  "emr-serverless:CancelJobRun",
  "emr-serverless:GetJobRun",
  "emr-serverless:StartJobRun",
  "events:DescribeRule",
  "events:PutRule",
  "events:PutTargets",
  "glue:BatchCreatePartition",
  "glue:BatchStopJobRun",
  "glue:CreateTable",
  "glue:GetConnection",
  "glue:GetDatabase",
  "glue:GetJobRun",
  "glue:GetJobRuns",
  "glue:GetPartitions",
  "glue:GetTable",
  "glue:GetTables",
  "glue:StartJobRun",
  "glue:UpdateTable",
  "kinesis:DescribeStream",
  "kinesis:DescribeStreamSummary",
  "kinesis:GetRecords",
  "kinesis:GetShardIterator",
  "kinesis:ListShards",
  "kinesis:PutRecord",
  "kms:Decrypt",
  "kms:DescribeKey",
  "kms:Encrypt",
  "kms:GenerateDataKey",
  "lambda:InvokeFunction",
  "logs:AssociateKmsKey",
  "logs:CreateLogDelivery",
  "logs:CreateLogGroup",
  "logs:CreateLogStream",
  "logs:DeleteLogDelivery",
  "logs:DescribeLogGroups",
  "logs:DescribeLogStreams",
  "logs:DescribeResourcePolicies",
  "logs:GetLogDelivery",
  "logs:ListLogDeliveries",
  "logs:PutLogEvents",
  "logs:PutResourcePolicy",
  "logs:UpdateLogDelivery",
  "redshift-data:BatchExecuteStatement",
  "redshift-data:CancelStatement",
  "redshift-data:DescribeStatement",
  "redshift-data:ExecuteStatement",
  "redshift-data:GetStatementResult",
  "redshift-serverless:GetCredentials",
  "s3:AbortMultipartUpload",
  "s3:DeleteObject",
  "s3:GetObject",
  "s3:GetObjectVersion",
  "s3:ListBucket",
  "s3:ListBucketMultipartUploads",
  "s3:ListBucketVersions",
  "s3:ListMultipartUploadParts",
  "s3:PutObject",
  "secretsmanager:GetSecretValue",
  "sns:Publish",
  "sqs:SendMessage",
  "states:StartExecution",
  "xray:PutTelemetryRecords",
  "xray:PutTraceSegments",
] as const;

/**
 * The permissions boundary that every role of the pipeline carries. IAM refuses a role whose boundary does not exist, so
 * it is a resource that roles wait for, and not a name.
 *
 * @example
 * const boundary = new Boundary("shop-dev", { place });
 * new WorkloadRole("shop-dev-job", {
 *   place, description: "A job", trust: "glue.amazonaws.com", policies: {}, permissionsBoundary: boundary.arn,
 * });
 */
export class Boundary extends pulumi.ComponentResource {
  readonly policy: aws.iam.Policy;
  /** Made from the name, so that a preview knows it before the policy exists; who uses it waits for the policy. */
  readonly arn: pulumi.Output<string>;

  constructor(
    name: string,
    args: { readonly place: pulumi.Input<Place> },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("securecart:pipeline:Boundary", name, {}, opts);
    const arns = new Arns(args.place);
    this.policy = new aws.iam.Policy(
      `${name}-boundary`,
      {
        name: `${name}-boundary`,
        description: `The most that a role of ${name} can ever do`,
        policy: managedDocument(`${name}-boundary`, [withinAccount(arns), passJobRole(name, arns)]),
      },
      { parent: this },
    );
    this.arn = arns.iam(pulumi.interpolate`policy/${this.policy.name}`);
    this.registerOutputs({ arn: this.arn });
  }
}

export interface AccessArgs {
  readonly place: pulumi.Input<Place>;
  /** ARN of the boundary that every role made with the deploy role has to carry. */
  readonly boundaryArn: pulumi.Output<string>;
  /** CI that may deploy. Without it there is no deploy role. */
  readonly deploy?:
    | {
        /** `owner/name` on GitHub. */
        readonly repository: pulumi.Input<string>;
        /** GitHub environment, whose protection rules then guard the role. */
        readonly environment: pulumi.Input<string>;
        /** ARN of the account's OIDC provider for GitHub. */
        readonly providerArn: pulumi.Input<string>;
      }
    | undefined;
}

/**
 * The role that CI deploys with, which can make roles only with the boundary on them, and change neither its own policies
 * nor the boundary.
 *
 * @example
 * const { arn } = new Boundary("shop-dev", { place });
 * const access = new Access("shop-dev", {
 *   place, boundaryArn: arn, deploy: { repository: "shop/etl", environment: "dev", providerArn: "arn:aws:iam::…" },
 * });
 * access.deployRole?.arn;
 */
export class Access extends pulumi.ComponentResource {
  readonly deployRole: WorkloadRole | undefined;

  constructor(name: string, args: AccessArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Access", name, {}, opts);
    this.deployRole = args.deploy && createDeployRole(name, args.place, args.deploy, args.boundaryArn, this);
    this.registerOutputs({});
  }
}

/** Nothing outside the account and, for what has a region, nothing outside the stack's. */
function withinAccount(arns: Arns): Statement {
  return {
    sid: "WithinAccountAndRegion",
    actions: workloadActions,
    resources: ["*"],
    conditions: {
      StringEqualsIfExists: {
        "aws:RequestedRegion": arns.place.apply(({ region }) => region),
        "aws:ResourceAccount": arns.place.apply(({ accountId }) => accountId),
      },
    },
  };
}

/** A role of a job that one workload starts with it; nothing else can be handed on. */
function passJobRole(name: string, arns: Arns): Statement {
  return {
    sid: "PassJobRole",
    actions: ["iam:PassRole"],
    resources: [arns.iam(`role/${name}-fraud-score`)],
    conditions: { StringEquals: { "iam:PassedToService": "emr-serverless.amazonaws.com" } },
  };
}

function createDeployRole(
  name: string,
  place: pulumi.Input<Place>,
  deploy: NonNullable<AccessArgs["deploy"]>,
  boundaryArn: pulumi.Output<string>,
  parent: pulumi.Resource,
): WorkloadRole {
  const issuer = "token.actions.githubusercontent.com";
  return new WorkloadRole(
    `${name}-deploy`,
    {
      place,
      description: `CI deploys ${name} with this role`,
      trust: {
        document: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [
            {
              Sid: "OneRepositoryAndEnvironment",
              Effect: "Allow",
              Action: "sts:AssumeRoleWithWebIdentity",
              Principal: { Federated: deploy.providerArn },
              Condition: {
                StringEquals: {
                  [`${issuer}:aud`]: "sts.amazonaws.com",
                  [`${issuer}:sub`]: pulumi.interpolate`repo:${deploy.repository}:environment:${deploy.environment}`,
                },
              },
            },
          ],
        }),
      },
      policies: {},
      managedPolicies: deploymentStatements(name, new Arns(place), boundaryArn),
    },
    { parent },
  );
}
