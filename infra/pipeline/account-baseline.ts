import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { Arns, type Place } from "../lib/place.ts";

export interface AccountBaselineArgs {
  readonly place: pulumi.Input<Place>;
  /** `create` makes the settings (one stack of an account), `adopt` takes them as they are (every other stack). */
  readonly mode: "create" | "adopt";
  /** Key of the catalog's metadata and connection passwords; needed to create. */
  readonly dataKeyArn: pulumi.Input<string>;
}

/**
 * What an account and region has only once: the encryption of its Glue catalog, and its trust in GitHub's tokens.
 * Two stacks that both set them would undo each other, so one creates and the others adopt.
 *
 * @example
 * const baseline = new AccountBaseline("shop-dev", { place, mode: "create", dataKeyArn: keys.dataKeyArn });
 * baseline.githubProviderArn;
 */
export class AccountBaseline extends pulumi.ComponentResource {
  /** ARN of the OIDC provider for GitHub Actions. */
  readonly githubProviderArn: pulumi.Output<string>;

  constructor(name: string, args: AccountBaselineArgs, opts?: pulumi.ComponentResourceOptions) {
    super("securecart:account:AccountBaseline", name, {}, opts);
    const arns = new Arns(args.place);
    const issuer = "token.actions.githubusercontent.com";
    if (args.mode === "create") {
      new aws.glue.DataCatalogEncryptionSettings(
        `${name}-catalog`,
        {
          dataCatalogEncryptionSettings: {
            connectionPasswordEncryption: {
              awsKmsKeyId: args.dataKeyArn,
              returnConnectionPasswordEncrypted: true,
            },
            encryptionAtRest: { catalogEncryptionMode: "SSE-KMS", sseAwsKmsKeyId: args.dataKeyArn },
          },
        },
        { parent: this },
      );
      const provider = new aws.iam.OpenIdConnectProvider(
        `${name}-github`,
        { url: `https://${issuer}`, clientIdLists: ["sts.amazonaws.com"] },
        { parent: this, retainOnDelete: true },
      );
      this.githubProviderArn = provider.arn;
    } else {
      this.githubProviderArn = arns.iam(`oidc-provider/${issuer}`);
    }
    this.registerOutputs({ githubProviderArn: this.githubProviderArn });
  }
}
