import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { policyDocument, type Statement } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";
import { type DataSafety, statefulOptions } from "../lib/retention.ts";
import { type Transform, transformed } from "../lib/transform.ts";

/** What a key protects. */
export const keyPurposes = ["data", "logs", "secrets"] as const;
export type KeyPurpose = (typeof keyPurposes)[number];

export interface EncryptionArgs {
  readonly place: pulumi.Input<Place>;
  readonly safety?: DataSafety;
  /** Days in which a deletion can be taken back, 7 to 30. @default 30 */
  readonly deletionWindowInDays?: pulumi.Input<number>;
  /** Days between two rotations, 90 to 2560. @default 365 */
  readonly rotationPeriodInDays?: pulumi.Input<number>;
  readonly transform?: { readonly key?: Transform<aws.kms.KeyArgs> };
}

/** Services through which data is kept; the key works for nothing else in the account. */
const dataServices = [
  "dynamodb",
  "emr-serverless",
  "glue",
  "kinesis",
  "lambda",
  "redshift",
  "redshift-serverless",
  "s3",
  "scheduler",
  "sns",
  "sqs",
  "states",
];

const administration = [
  "kms:CancelKeyDeletion",
  "kms:CreateAlias",
  "kms:DeleteAlias",
  "kms:DescribeKey",
  "kms:DisableKey",
  "kms:DisableKeyRotation",
  "kms:EnableKey",
  "kms:EnableKeyRotation",
  "kms:GetKeyPolicy",
  "kms:GetKeyRotationStatus",
  "kms:ListGrants",
  "kms:ListKeyPolicies",
  "kms:ListKeyRotations",
  "kms:ListResourceTags",
  "kms:PutKeyPolicy",
  "kms:RevokeGrant",
  "kms:RotateKeyOnDemand",
  "kms:ScheduleKeyDeletion",
  "kms:TagResource",
  "kms:UntagResource",
  "kms:UpdateAlias",
  "kms:UpdateKeyDescription",
];
const use = [
  "kms:Decrypt",
  "kms:DescribeKey",
  "kms:Encrypt",
  "kms:GenerateDataKey",
  "kms:GenerateDataKeyWithoutPlaintext",
  "kms:ReEncryptFrom",
  "kms:ReEncryptTo",
];

/**
 * Customer-managed keys, one a purpose, so that reading a log needs no right to the data.
 *
 * A key's policy lets the account administer it, lets identities of the account use it only through the services
 * that keep data of this purpose, and lets AWS services use it for this component's own resources alone.
 *
 * @example
 * const encryption = new Encryption("shop-dev", { place: currentPlace() });
 * new aws.sns.Topic("alerts", { kmsMasterKeyId: encryption.logsKey.keyId });
 */
export class Encryption extends pulumi.ComponentResource {
  readonly dataKey: aws.kms.Key;
  readonly logsKey: aws.kms.Key;
  readonly secretsKey: aws.kms.Key;
  readonly nodes: {
    readonly keys: Readonly<Record<KeyPurpose, aws.kms.Key>>;
    readonly aliases: readonly aws.kms.Alias[];
  };

  constructor(name: string, args: EncryptionArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:pipeline:Encryption", name, {}, opts);
    const parent = this;
    const arns = new Arns(args.place);
    const account = arns.place.apply(({ accountId }) => accountId);

    this.dataKey = createKey("data", "Data at rest: lake, ledger, queues, functions, workflow, warehouse", [
      useThroughServices(dataServices),
      useByOwnRoles(),
      grantsForServices(["dynamodb", "glue", "redshift", "redshift-serverless", "lambda"]),
      useByEvents("Queues", "sqs"),
      exportLogs(),
      workerDisks(),
      // Glue has one key for all that a job writes, its logs included.
      logGroups("JobLogGroups", `/aws-glue/jobs/${name}-*`),
    ]);
    this.logsKey = createKey("logs", "Logs, alarms and traces", [
      logGroups("LogGroups", `*${name}*`),
      useByService("Alarms", ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]),
      useByEvents("Topics", "sns"),
      useThroughServices(["emr-serverless", "logs", "sns", "s3"]),
    ]);
    this.secretsKey = createKey("secrets", "Passwords and other secrets", [
      useThroughServices(["secretsmanager"]),
      grantsForServices(["secretsmanager", "redshift-serverless"]),
    ]);
    this.nodes = {
      keys: { data: this.dataKey, logs: this.logsKey, secrets: this.secretsKey },
      aliases: keyPurposes.map(createAlias.bind(this)),
    };
    this.registerOutputs({
      dataKeyArn: this.dataKey.arn,
      logsKeyArn: this.logsKey.arn,
      secretsKeyArn: this.secretsKey.arn,
    });

    function createKey(purpose: KeyPurpose, description: string, statements: Statement[]): aws.kms.Key {
      return new aws.kms.Key(
        ...transformed(
          args.transform?.key,
          `${name}-${purpose}`,
          {
            description: `${name}: ${description}`,
            enableKeyRotation: true,
            rotationPeriodInDays: args.rotationPeriodInDays ?? 365,
            deletionWindowInDays: args.deletionWindowInDays ?? 30,
            policy: policyDocument([administer(), ...statements]),
          },
          { parent, ...statefulOptions(args.safety ?? {}) },
        ),
      );
    }

    function createAlias(this: Encryption, purpose: KeyPurpose): aws.kms.Alias {
      return new aws.kms.Alias(
        `${name}-${purpose}`,
        { name: `alias/${name}-${purpose}`, targetKeyId: purposeKey(this, purpose).keyId },
        { parent },
      );
    }

    // In a key's policy the resource "*" is the key itself.
    function administer(): Statement {
      return {
        sid: "Administer",
        principals: { AWS: arns.iam("root") },
        actions: administration,
        resources: ["*"],
      };
    }

    function useThroughServices(services: readonly string[]): Statement {
      return {
        sid: "UseThroughServices",
        principals: { AWS: arns.iam("root") },
        actions: use,
        resources: ["*"],
        conditions: {
          StringEquals: {
            "kms:CallerAccount": account,
            "kms:ViaService": services.map((service) => arns.viaService(service)),
          },
        },
      };
    }

    // What services do with a role and the key itself: Step Functions encrypts executions, EMR Serverless workers' disks,
    // Glue the catalog and, through CloudWatch Logs, which keeps no data otherwise, the logs of jobs.
    function useByOwnRoles(): Statement {
      return {
        sid: "UseByOwnRoles",
        principals: { AWS: arns.iam("root") },
        actions: ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
        resources: ["*"],
        conditions: { ArnLike: { "aws:PrincipalArn": arns.iam(`role/${name}-*`) } },
      };
    }

    function grantsForServices(services: readonly string[]): Statement {
      return {
        sid: "GrantsForServices",
        principals: { AWS: arns.iam("root") },
        actions: ["kms:CreateGrant"],
        resources: ["*"],
        conditions: {
          Bool: { "kms:GrantIsForAWSResource": "true" },
          StringEquals: { "kms:ViaService": services.map((service) => arns.viaService(service)) },
        },
      };
    }

    function useByService(what: string, services: string[]): Statement {
      return {
        sid: `${what}ByService`,
        principals: { Service: services },
        actions: ["kms:Decrypt", "kms:GenerateDataKey"],
        resources: ["*"],
        conditions: { StringEquals: { "aws:SourceAccount": account } },
      };
    }

    /**
     * EventBridge, into this component's encrypted topics or queues. For topics a condition on the source's account or
     * ARN is not supported: https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html. What the key encrypts is.
     */
    function useByEvents(what: "Queues" | "Topics", service: "sqs" | "sns"): Statement {
      const context = service === "sqs" ? "aws:sqs:arn" : "aws:sns:topicArn";
      return {
        sid: `EventsInto${what}`,
        principals: { Service: "events.amazonaws.com" },
        actions: ["kms:Decrypt", "kms:GenerateDataKey"],
        resources: ["*"],
        conditions: {
          ArnLike: { [`kms:EncryptionContext:${context}`]: arns.regional(service, `${name}-*`) },
        },
      };
    }

    // Step Functions hands its log events over encrypted with the machine's key; delivery has to read them.
    function exportLogs(): Statement {
      return {
        sid: "WorkflowLogDelivery",
        principals: { Service: "delivery.logs.amazonaws.com" },
        actions: ["kms:Decrypt"],
        resources: ["*"],
        conditions: {
          StringEquals: { "aws:SourceAccount": account },
          ArnLike: { "aws:SourceArn": arns.regional("logs", "*") },
        },
      };
    }

    // https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/disk-encryption-cmk.html
    function workerDisks(): Statement {
      return {
        sid: "WorkerDisks",
        principals: { Service: "emr-serverless.amazonaws.com" },
        actions: ["kms:Decrypt", "kms:GenerateDataKey"],
        resources: ["*"],
        conditions: {
          StringEquals: { "aws:SourceAccount": account },
          // An application's id is known only when it exists, which it does after its key.
          ArnLike: { "aws:SourceArn": arns.regional("emr-serverless", "/applications/*") },
        },
      };
    }

    function logGroups(sid: string, groups: string): Statement {
      return {
        sid,
        principals: { Service: arns.place.apply(({ region }) => `logs.${region}.amazonaws.com`) },
        actions: [
          "kms:Decrypt",
          "kms:DescribeKey",
          "kms:Encrypt",
          "kms:GenerateDataKey",
          "kms:ReEncryptFrom",
          "kms:ReEncryptTo",
        ],
        resources: ["*"],
        conditions: {
          ArnLike: { "kms:EncryptionContext:aws:logs:arn": arns.logGroup(groups) },
        },
      };
    }
  }
}

function purposeKey(encryption: Encryption, purpose: KeyPurpose): aws.kms.Key {
  if (purpose === "data") return encryption.dataKey;
  return purpose === "logs" ? encryption.logsKey : encryption.secretsKey;
}
