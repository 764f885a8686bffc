import type * as pulumi from "@pulumi/pulumi";
import type { Statement } from "../lib/iam.ts";
import type { Arns } from "../lib/place.ts";

/**
 * What CI may do to deploy a stack: make, change and delete resources whose names begin with the component's name.
 * Roles only with the permissions boundary on them, so that a changed program cannot give itself more.
 *
 * It covers what changes from one deployment to the next. What is made once (VPC, keys, boundary, these rights, account
 * settings, warehouse, queue and topic policies, the REST API itself with its policy) is an administrator's deployment.
 *
 * @returns statements by topic, each of which is a managed policy: together they are longer than IAM takes inline
 */
export function deploymentStatements(
  name: string,
  arns: Arns,
  boundaryArn: pulumi.Input<string>,
): Record<string, Statement[]> {
  const underscored = name.replaceAll("-", "_");
  const roles = arns.iam(`role/${name}-*`);
  // A bucket's ARN names no account, and anybody may have made one with such a name.
  const inAccount = {
    StringEqualsIfExists: { "aws:ResourceAccount": arns.place.apply(({ accountId }) => accountId) },
  };
  return {
    identity: [
      {
        sid: "BoundedRoles",
        actions: [
          "iam:CreateRole",
          "iam:DeleteRolePolicy",
          "iam:PutRolePermissionsBoundary",
          "iam:PutRolePolicy",
        ],
        resources: [roles],
        conditions: { StringEquals: { "iam:PermissionsBoundary": boundaryArn } },
      },
      {
        sid: "ManageRoles",
        actions: [
          "iam:DeleteRole",
          "iam:GetRole",
          "iam:GetRolePolicy",
          "iam:ListAttachedRolePolicies",
          "iam:ListInstanceProfilesForRole",
          "iam:ListRolePolicies",
          "iam:TagRole",
          "iam:UntagRole",
          "iam:UpdateRole",
        ],
        resources: [roles],
      },
      {
        sid: "PassRolesToServices",
        actions: ["iam:PassRole"],
        resources: [roles],
        conditions: {
          StringEquals: {
            "iam:PassedToService": [
              "databrew.amazonaws.com",
              "events.amazonaws.com",
              "glue.amazonaws.com",
              "lambda.amazonaws.com",
              "redshift-serverless.amazonaws.com",
              "scheduler.amazonaws.com",
              "states.amazonaws.com",
              "vpc-flow-logs.amazonaws.com",
            ],
          },
        },
      },
      // The boundary and these policies themselves are read, never changed: that takes a person.
      {
        sid: "ReadPolicies",
        actions: ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicyVersions"],
        resources: [boundaryArn, arns.iam(`policy/${name}-deploy-*`)],
      },
    ],
    storage: [
      {
        sid: "Buckets",
        actions: [
          "s3:CreateBucket",
          "s3:DeleteBucket",
          "s3:DeleteBucketPolicy",
          "s3:GetBucketAcl",
          "s3:GetBucketLocation",
          "s3:GetBucketLogging",
          "s3:GetBucketNotification",
          "s3:GetBucketOwnershipControls",
          "s3:GetBucketPolicy",
          "s3:GetBucketPublicAccessBlock",
          "s3:GetBucketTagging",
          "s3:GetBucketVersioning",
          "s3:GetEncryptionConfiguration",
          "s3:GetLifecycleConfiguration",
          "s3:ListBucket",
          "s3:ListBucketVersions",
          "s3:PutBucketLogging",
          "s3:PutBucketNotification",
          "s3:PutBucketOwnershipControls",
          "s3:PutBucketPolicy",
          "s3:PutBucketPublicAccessBlock",
          "s3:PutBucketTagging",
          "s3:PutBucketVersioning",
          "s3:PutEncryptionConfiguration",
          "s3:PutLifecycleConfiguration",
        ],
        resources: [arns.bucket(`${name}-*`)],
        conditions: inAccount,
      },
      {
        sid: "Artifacts",
        actions: [
          "s3:DeleteObject",
          "s3:GetObject",
          "s3:GetObjectTagging",
          "s3:PutObject",
          "s3:PutObjectTagging",
        ],
        resources: [arns.objects(`${name}-artifacts-*`)],
        conditions: inAccount,
      },
      {
        sid: "Tables",
        actions: [
          "dynamodb:CreateTable",
          "dynamodb:DescribeContinuousBackups",
          "dynamodb:DescribeTable",
          "dynamodb:DescribeTimeToLive",
          "dynamodb:ListTagsOfResource",
          "dynamodb:TagResource",
          "dynamodb:UpdateContinuousBackups",
          "dynamodb:UpdateTable",
          "dynamodb:UpdateTimeToLive",
        ],
        resources: [arns.regional("dynamodb", `table/${name}-*`)],
      },
      {
        sid: "Streams",
        actions: [
          "kinesis:AddTagsToStream",
          "kinesis:CreateStream",
          "kinesis:DecreaseStreamRetentionPeriod",
          "kinesis:DescribeStreamSummary",
          "kinesis:IncreaseStreamRetentionPeriod",
          "kinesis:ListTagsForStream",
          "kinesis:StartStreamEncryption",
        ],
        resources: [arns.regional("kinesis", `stream/${name}-*`)],
      },
      {
        sid: "TaggedKeys",
        actions: [
          "kms:Decrypt",
          "kms:DescribeKey",
          "kms:EnableKeyRotation",
          "kms:GenerateDataKey",
          "kms:GetKeyPolicy",
          "kms:GetKeyRotationStatus",
          "kms:ListResourceTags",
          "kms:PutKeyPolicy",
          "kms:TagResource",
          "kms:UpdateKeyDescription",
        ],
        resources: [arns.regional("kms", "key/*")],
        conditions: { StringEquals: { "aws:ResourceTag/pipeline": name } },
      },
      {
        // Tables, functions and the warehouse take grants for themselves; nobody else gets one.
        sid: "GrantsForServices",
        actions: ["kms:CreateGrant"],
        resources: [arns.regional("kms", "key/*")],
        conditions: {
          StringEquals: { "aws:ResourceTag/pipeline": name },
          Bool: { "kms:GrantIsForAWSResource": "true" },
        },
      },
      {
        sid: "CreateTaggedKeys",
        actions: ["kms:CreateKey"],
        resources: ["*"],
        conditions: { StringEquals: { "aws:RequestTag/pipeline": name } },
      },
    ],
    processing: [
      {
        sid: "Jobs",
        actions: [
          "glue:CreateJob",
          "glue:DeleteJob",
          "glue:GetJob",
          "glue:GetTags",
          "glue:TagResource",
          "glue:UpdateJob",
        ],
        resources: [arns.regional("glue", `job/${name}-*`)],
      },
      {
        sid: "Catalog",
        actions: [
          "glue:CreateConnection",
          "glue:CreateDatabase",
          "glue:CreatePartitionIndex",
          "glue:CreateTable",
          "glue:GetConnection",
          "glue:GetDatabase",
          "glue:GetPartitionIndexes",
          "glue:GetTable",
          "glue:UpdateConnection",
          "glue:UpdateDatabase",
          "glue:UpdateTable",
        ],
        resources: [
          arns.regional("glue", "catalog"),
          arns.regional("glue", `connection/${name}-*`),
          arns.regional("glue", `database/${underscored}_*`),
          arns.regional("glue", `table/${underscored}_*/*`),
        ],
      },
      {
        sid: "Functions",
        actions: [
          "lambda:AddPermission",
          "lambda:CreateFunction",
          "lambda:DeleteFunction",
          "lambda:GetFunction",
          "lambda:GetFunctionCodeSigningConfig",
          "lambda:GetFunctionConfiguration",
          "lambda:InvokeFunction",
          "lambda:GetPolicy",
          "lambda:ListVersionsByFunction",
          "lambda:PutFunctionConcurrency",
          "lambda:PutFunctionEventInvokeConfig",
          "lambda:RemovePermission",
          "lambda:TagResource",
          "lambda:UpdateFunctionCode",
          "lambda:UpdateFunctionConfiguration",
        ],
        resources: [arns.regional("lambda", `function:${name}-*`)],
      },
      {
        // A mapping has no ARN before it exists; the function that it calls is what bounds it.
        sid: "CreateMappings",
        actions: ["lambda:CreateEventSourceMapping"],
        resources: ["*"],
        conditions: { ArnLike: { "lambda:FunctionArn": arns.regional("lambda", `function:${name}-*`) } },
      },
      {
        sid: "Mappings",
        actions: [
          "lambda:DeleteEventSourceMapping",
          "lambda:GetEventSourceMapping",
          "lambda:UpdateEventSourceMapping",
        ],
        resources: [arns.regional("lambda", "event-source-mapping:*")],
        conditions: { ArnLike: { "lambda:FunctionArn": arns.regional("lambda", `function:${name}-*`) } },
      },
      {
        sid: "SparkApplications",
        actions: [
          "emr-serverless:DeleteApplication",
          "emr-serverless:GetApplication",
          "emr-serverless:ListTagsForResource",
          "emr-serverless:StopApplication",
          "emr-serverless:TagResource",
          "emr-serverless:UpdateApplication",
        ],
        resources: [arns.regional("emr-serverless", "/applications/*")],
        conditions: { StringEquals: { "aws:ResourceTag/pipeline": name } },
      },
      {
        // An application has no ARN before it exists; the tag that it is made with bounds it.
        sid: "CreateTaggedApplications",
        actions: ["emr-serverless:CreateApplication"],
        resources: ["*"],
        conditions: { StringEquals: { "aws:RequestTag/pipeline": name } },
      },
      {
        // What a REST API is made of bears the API's tags. A contract's new column changes its model and deployment.
        sid: "RestApi",
        actions: [
          "apigateway:DELETE",
          "apigateway:GET",
          "apigateway:PATCH",
          "apigateway:POST",
          "apigateway:PUT",
        ],
        resources: [
          arns.place.apply(({ partition, region }) => `arn:${partition}:apigateway:${region}::/restapis/*`),
        ],
        conditions: { StringEquals: { "aws:ResourceTag/pipeline": name } },
      },
      {
        sid: "Workflow",
        actions: [
          "states:CreateStateMachine",
          "states:DescribeStateMachine",
          "states:ListTagsForResource",
          "states:TagResource",
          "states:UpdateStateMachine",
        ],
        resources: [arns.regional("states", `stateMachine:${name}`)],
      },
      {
        sid: "Recipes",
        actions: [
          "cloudformation:CreateStack",
          "cloudformation:DescribeStacks",
          "cloudformation:GetTemplate",
          "cloudformation:UpdateStack",
        ],
        resources: [arns.regional("cloudformation", `stack/${name}-*/*`)],
      },
    ],
    platform: [
      {
        // These know no resource, says the service authorization reference. The program looks its subnets and zones up;
        // streams are resized; a usage limit has no ARN that a policy could name.
        sid: "WithoutResource",
        actions: [
          "ec2:DescribeAvailabilityZones",
          "ec2:DescribeSubnets",
          "kinesis:UpdateShardCount",
          "kinesis:UpdateStreamMode",
          "redshift-serverless:UpdateUsageLimit",
        ],
        resources: ["*"],
      },
      {
        sid: "Warehouse",
        actions: [
          "redshift-serverless:GetNamespace",
          "redshift-serverless:GetWorkgroup",
          "redshift-serverless:ListTagsForResource",
          "redshift-serverless:UpdateNamespace",
          "redshift-serverless:UpdateWorkgroup",
        ],
        resources: [
          arns.regional("redshift-serverless", "namespace/*"),
          arns.regional("redshift-serverless", "workgroup/*"),
        ],
        conditions: { StringEquals: { "aws:ResourceTag/pipeline": name } },
      },
      {
        sid: "Dashboard",
        actions: ["cloudwatch:GetDashboard", "cloudwatch:PutDashboard"],
        resources: [
          arns.place.apply(
            ({ partition, accountId }) => `arn:${partition}:cloudwatch::${accountId}:dashboard/${name}`,
          ),
        ],
      },
    ],
    events: [
      {
        sid: "Rules",
        actions: [
          "events:DescribeRule",
          "events:ListTagsForResource",
          "events:ListTargetsByRule",
          "events:PutRule",
          "events:PutTargets",
          "events:TagResource",
        ],
        resources: [arns.regional("events", `rule/${name}-*`)],
      },
      {
        sid: "Schedules",
        actions: [
          "scheduler:CreateSchedule",
          "scheduler:CreateScheduleGroup",
          "scheduler:GetSchedule",
          "scheduler:GetScheduleGroup",
          "scheduler:UpdateSchedule",
        ],
        resources: [
          arns.regional("scheduler", `schedule/${name}/*`),
          arns.regional("scheduler", `schedule/${name}-*/*`),
          arns.regional("scheduler", `schedule-group/${name}`),
          arns.regional("scheduler", `schedule-group/${name}-*`),
        ],
      },
      {
        sid: "QueuesAndTopics",
        actions: [
          "sns:CreateTopic",
          "sns:GetTopicAttributes",
          "sns:ListTagsForResource",
          "sns:SetTopicAttributes",
          "sns:Subscribe",
          "sns:TagResource",
          "sqs:CreateQueue",
          "sqs:GetQueueAttributes",
          "sqs:ListQueueTags",
          "sqs:SetQueueAttributes",
          "sqs:TagQueue",
        ],
        resources: [arns.regional("sns", `${name}-*`), arns.regional("sqs", `${name}-*`)],
      },
      {
        sid: "LogGroups",
        actions: [
          "logs:AssociateKmsKey",
          "logs:CreateLogGroup",
          "logs:DescribeMetricFilters",
          "logs:ListTagsForResource",
          "logs:PutMetricFilter",
          "logs:PutRetentionPolicy",
          "logs:TagResource",
        ],
        // The services' own folders, and in them the names that are this component's and not another's that begin alike.
        // CloudWatch Logs asks for a group with something behind its name, `:*` or `:log-stream:`.
        resources: ["", ":*", "-*", "/*"].map((rest) => arns.logGroup(`*/${name}${rest}`)),
      },
      {
        // A group is read back by looking for its name among all, which CloudWatch Logs asks for without a name.
        sid: "FindLogGroups",
        actions: ["logs:DescribeLogGroups"],
        resources: [arns.regional("logs", "log-group:*")],
      },
      {
        sid: "Alarms",
        actions: [
          "cloudwatch:DescribeAlarms",
          "cloudwatch:ListTagsForResource",
          "cloudwatch:PutMetricAlarm",
          "cloudwatch:TagResource",
        ],
        resources: [arns.regional("cloudwatch", `alarm:${name}-*`)],
      },
    ],
  };
}
