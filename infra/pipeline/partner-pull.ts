import path from "node:path";
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Contract } from "../../contracts/contract.ts";
import { pullDefaults } from "../../functions/partner-pull/pull.ts";
import { putObjects, readArea, readSecret, useKey } from "../lib/grants.ts";
import { Arns } from "../lib/place.ts";
import { type FunctionDefaults, PrivateFunction } from "../lib/private-function.ts";
import { createSchedule, triggerRole, type When } from "../lib/trigger.ts";
import { type Artifact, type BundleSpec, root } from "../package/artifacts.ts";
import type { Zone } from "./lake.ts";

/** What is bundled for the function. */
export const partnerPullBundle: BundleSpec = { entry: path.join(root, "functions/partner-pull/handler.ts") };

/** A partner's API. */
export interface Partner {
  /** Address of the collection, https. */
  readonly url: pulumi.Input<string>;
  /** Secret whose text is the API's bearer token. */
  readonly tokenSecretArn: pulumi.Input<string>;
  /** The key that encrypts it, when it is not the account's `aws/secretsmanager`. */
  readonly tokenSecretKeyArn?: pulumi.Input<string> | undefined;
  /** When it is asked what has changed. */
  readonly schedule: When;
  /** Where the first pull begins, ISO 8601. @default "2020-01-01T00:00:00.000Z" */
  readonly begin?: pulumi.Input<string>;
  /** Minutes by which windows overlap, for what is published late. @default 10 */
  readonly overlapMinutes?: pulumi.Input<number>;
}

export interface PartnerPullArgs extends Partner {
  /** The dataset that is pulled: its drops' folder and their dialect. */
  readonly contract: Contract;
  readonly bucketNames: Readonly<Record<Zone, pulumi.Input<string>>>;
  readonly ledgerTable: pulumi.Input<string>;
  /** ARN of the layer "AWS Parameters and Secrets Lambda Extension" (arm64) in the region. */
  readonly secretsLayerArn: pulumi.Input<string>;
  readonly functionDefaults: FunctionDefaults;
  readonly bundle: Artifact;
}

/**
 * Pulls what changed at a partner into the landing bucket, as a drop that starts a run. The one function outside the VPC,
 * which has no way out: it may write its own folder of drops, and reads nothing of the lake.
 *
 * @example
 * const contract = contracts.find(({ name }) => name === "campaigns");
 * if (contract) {
 *   new PartnerPull("shop-dev", {
 *     contract, functionDefaults, bundle,
 *     url: "https://api.partner.example.com/v1/campaigns",
 *     tokenSecretArn: "arn:aws:secretsmanager:eu-central-1:111122223333:secret:partner-token",
 *     schedule: { expression: "rate(1 hour)" },
 *     bucketNames: lake.bucketNames,
 *     ledgerTable: ledger.table.name,
 *     secretsLayerArn: "arn:aws:lambda:eu-central-1:187925254637:layer:AWS-Parameters-and-Secrets-Lambda-Extension-Arm64:12",
 *   });
 * }
 */
export class PartnerPull extends pulumi.ComponentResource {
  readonly puller: PrivateFunction;
  readonly nodes: { readonly schedule: aws.scheduler.Schedule };

  constructor(name: string, args: PartnerPullArgs, opts?: pulumi.ComponentResourceOptions) {
    const { contract, functionDefaults, bucketNames } = args;
    const { source } = contract;
    if (source?.kind !== "csv") {
      throw new pulumi.RunError(
        `${name}: the dataset '${contract.name}' is no csv; a partner's results become drops, so name one whose source is`,
      );
    }
    super("securecart:pipeline:PartnerPull", name, {}, opts);
    const parent = this;
    const arns = new Arns(functionDefaults.place);

    this.puller = createFunction(source.prefix);
    this.nodes = { schedule: schedule(this.puller) };
    this.registerOutputs({ functionArn: this.puller.arn });

    function createFunction(prefix: string): PrivateFunction {
      return new PrivateFunction(
        `${name}-partner-pull`,
        {
          ...functionDefaults,
          outside: true,
          description: "A partner's changed results into the landing bucket",
          bundle: args.bundle,
          // A page may be tried for ten minutes.
          timeoutSeconds: 900,
          // Two pulls at once would read the same window.
          reservedConcurrency: 1,
          layers: [args.secretsLayerArn],
          environment: {
            LEDGER_TABLE: args.ledgerTable,
            PIPELINE: name,
            LANDING_BUCKET: bucketNames.landing,
            STAGING_BUCKET: bucketNames.staging,
            ARTIFACTS_BUCKET: bucketNames.artifacts,
            PARTNER_URL: args.url,
            PARTNER_TOKEN_SECRET_ID: args.tokenSecretArn,
            PARTNER_DATASET: contract.name,
            PARTNER_BEGIN: args.begin ?? pullDefaults.begin,
            PARTNER_OVERLAP_MINUTES: pulumi.interpolate`${args.overlapMinutes ?? pullDefaults.overlapMinutes}`,
          },
          policies: {
            lake: [
              ...readArea(arns, {
                zone: "contracts",
                bucket: bucketNames.artifacts,
                prefixes: ["contracts.json"],
              }),
              putObjects(arns, { zone: "drops", bucket: bucketNames.landing, prefixes: [prefix] }),
            ],
            ledger: [
              {
                sid: "KeepWatermark",
                actions: ["dynamodb:BatchGetItem", "dynamodb:PutItem"],
                resources: [arns.regional("dynamodb", pulumi.interpolate`table/${args.ledgerTable}`)],
              },
            ],
            secret: [
              readSecret(args.tokenSecretArn),
              ...(args.tokenSecretKeyArn === undefined
                ? []
                : useKey(arns, args.tokenSecretKeyArn, { decrypt: ["secretsmanager"] }, "secret")),
            ],
          },
        },
        { parent },
      );
    }

    function schedule(puller: PrivateFunction): aws.scheduler.Schedule {
      const group = new aws.scheduler.ScheduleGroup(
        `${name}-partner`,
        { name: `${name}-partner` },
        { parent },
      );
      const role = triggerRole(
        `${name}-start-pull`,
        {
          ...functionDefaults,
          description: `Pulls a partner's results for ${name}`,
          service: "scheduler.amazonaws.com",
          start: { sid: "StartPull", actions: ["lambda:InvokeFunction"], resources: [puller.arn] },
          key: { decrypt: ["scheduler"] },
        },
        parent,
      );
      return createSchedule(
        `${name}-partner`,
        {
          ...functionDefaults,
          group: group.name,
          description: "Asks a partner what has changed",
          when: args.schedule,
          target: { arn: puller.arn, role, input: "{}" },
        },
        parent,
      );
    }
  }
}
