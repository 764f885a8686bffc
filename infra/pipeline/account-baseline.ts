import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { WorkloadRole } from "../lib/iam.ts";
import { Arns, type Place } from "../lib/place.ts";

export interface AccountBaselineArgs {
  readonly place: pulumi.Input<Place>;
  /** `create` makes the settings (one stack of an account), `adopt` takes them as they are (every other stack). */
  readonly mode: "create" | "adopt";
  /** Key of the catalog's metadata and connection passwords; needed to create. */
  readonly dataKeyArn: pulumi.Input<string>;
  /** Upper limit of the role made here. */
  readonly permissionsBoundary?: pulumi.Input<string> | undefined;
  /** `adopt` where the account trusts GitHub's tokens already, which it can only once. @default "create" */
  readonly githubProvider?: "create" | "adopt" | undefined;
}

/**
 * What an account and region has only once: the encryption of its Glue catalog, its trust in GitHub's tokens, and the
 * role by which API Gateway writes logs.
 * Two stacks that both set them would undo each other, so one creates and the others adopt.
 *
 * @example
 * const baseline = new AccountBaseline("shop-dev", { place, mode: "create", dataKeyArn: keys.dataKeyArn });
 * baseline.githubProviderArn;
 */
export class AccountBaseline extends pulumi.ComponentResource {
  /** ARN of the OIDC provider for GitHub Actions. */
  readonly githubProviderArn: pulumi.Output<string>;
  /** API Gateway's right to write logs, which an API's stage needs; undefined where another stack made it. */
  readonly apiLogging: aws.apigateway.Account | undefined;

  constructor(name: string, args: AccountBaselineArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:account:AccountBaseline", name, {}, opts);
    const arns = new Arns(args.place);
    const issuer = "token.actions.githubusercontent.com";
    if (args.mode === "create") {
      const catalogRole = encryptCatalog(name, args, this);
      new aws.glue.DataCatalogEncryptionSettings(
        `${name}-catalog`,
        {
          dataCatalogEncryptionSettings: {
            connectionPasswordEncryption: {
              awsKmsKeyId: args.dataKeyArn,
              returnConnectionPasswordEncrypted: true,
            },
            // With a role of its own Glue needs no right of a caller to the key, which in this account's other stacks
            // is a key that their roles know nothing of.
            encryptionAtRest: {
              catalogEncryptionMode: "SSE-KMS-WITH-SERVICE-ROLE",
              catalogEncryptionServiceRole: catalogRole.arn,
              sseAwsKmsKeyId: args.dataKeyArn,
            },
          },
        },
        { parent: this, dependsOn: [catalogRole] },
      );
      this.apiLogging = logApis(name, args, this);
    }
    if (args.mode === "create" && (args.githubProvider ?? "create") === "create") {
      const provider = new aws.iam.OpenIdConnectProvider(
        `${name}-github`,
        { url: `https://${issuer}`, clientIdLists: ["sts.amazonaws.com"] },
        // Others may have come to rely on it.
        { parent: this, retainOnDelete: true },
      );
      this.githubProviderArn = provider.arn;
    } else {
      this.githubProviderArn = arns.iam(`oidc-provider/${issuer}`);
    }
    this.registerOutputs({ githubProviderArn: this.githubProviderArn });
  }
}

/** The role with which Glue encrypts the catalog for whoever reads or changes it. */
function encryptCatalog(
  name: string,
  { place, permissionsBoundary, dataKeyArn }: AccountBaselineArgs,
  parent: AccountBaseline,
): WorkloadRole {
  return new WorkloadRole(
    `${name}-catalog`,
    {
      place,
      description: "Glue encrypts this account's catalog",
      trust: "glue.amazonaws.com",
      permissionsBoundary,
      policies: {
        key: [
          {
            sid: "EncryptCatalog",
            actions: ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
            resources: [dataKeyArn],
          },
        ],
      },
    },
    { parent },
  );
}

function logApis(
  name: string,
  { place, permissionsBoundary }: AccountBaselineArgs,
  parent: AccountBaseline,
): aws.apigateway.Account {
  const arns = new Arns(place);
  const role = new WorkloadRole(
    `${name}-api-logging`,
    {
      place,
      description: "API Gateway writes the logs of this account's APIs",
      trust: "apigateway.amazonaws.com",
      permissionsBoundary,
      policies: {
        write: [
          {
            sid: "WriteApiLogs",
            actions: [
              "logs:CreateLogGroup",
              "logs:CreateLogStream",
              "logs:DescribeLogStreams",
              "logs:PutLogEvents",
            ],
            // Execution logs lie where API Gateway wants them, access logs where a stage says.
            resources: [arns.logGroup("API-Gateway-Execution-Logs_*"), arns.logGroup("/aws/apigateway/*")],
          },
          { sid: "FindLogGroups", actions: ["logs:DescribeLogGroups"], resources: ["*"] },
        ],
      },
    },
    { parent },
  );
  return new aws.apigateway.Account(
    `${name}-apis`,
    { cloudwatchRoleArn: role.arn },
    { parent, dependsOn: [role] },
  );
}
