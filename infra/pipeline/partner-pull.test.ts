import path from "node:path";
import { expect } from "chai";
import { contractsDir } from "../../contracts/bundle.ts";
import { type Contract, loadContract } from "../../contracts/contract.ts";
import { fileArtifact } from "../package/artifacts.ts";
import { bucketNames, failureOf, functionDefaults, keyArns, one, record, rightsOf } from "../testing.ts";
import { PartnerPull, type PartnerPullArgs } from "./partner-pull.ts";

const secret = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:token";
const layer =
  "arn:aws:lambda:eu-central-1:187925254637:layer:AWS-Parameters-and-Secrets-Lambda-Extension-Arm64:12";

describe("PartnerPull", () => {
  let contract: Contract;
  before(async () => {
    contract = await loadContract(path.join(contractsDir, "campaigns.yaml"));
  });
  const deploy = (more: Partial<PartnerPullArgs> = {}) =>
    new PartnerPull("shop", {
      contract,
      url: "https://partner.example.com/results",
      tokenSecretArn: secret,
      schedule: { expression: "rate(1 hour)" },
      bucketNames,
      ledgerTable: "shop-ledger",
      secretsLayerArn: layer,
      functionDefaults: functionDefaults(),
      bundle: fileArtifact(import.meta.filename),
      ...more,
    });

  it("runs outside the VPC, one at a time, with what functions/partner-pull asks for", async () => {
    const { inputs } = one(await record(() => deploy()), "aws:lambda/function:Function", "shop-partner-pull");
    expect(inputs).not.to.have.property("vpcConfig");
    expect(inputs).to.deep.include({
      timeout: 900,
      reservedConcurrentExecutions: 1,
      kmsKeyArn: keyArns.dataKeyArn,
      layers: [layer],
      tracingConfig: { mode: "Active" },
      deadLetterConfig: { targetArn: "arn:aws:sqs:eu-central-1:111122223333:shop-failures" },
      environment: {
        variables: {
          LEDGER_TABLE: "shop-ledger",
          PIPELINE: "shop",
          LANDING_BUCKET: "shop-landing",
          STAGING_BUCKET: "shop-staging",
          ARTIFACTS_BUCKET: "shop-artifacts",
          PARTNER_URL: "https://partner.example.com/results",
          PARTNER_TOKEN_SECRET_ID: secret,
          PARTNER_DATASET: "campaigns",
          PARTNER_BEGIN: "2020-01-01T00:00:00.000Z",
          PARTNER_OVERLAP_MINUTES: "10",
        },
      },
    });
  });

  it("may write its folder of drops, keep its watermark and read its token: nothing else of the lake", async () => {
    const rights = rightsOf(await record(() => deploy()), "shop-partner-pull");
    const on = (service: string): unknown[] =>
      rights
        .filter(({ actions }) => actions.some((action) => action.startsWith(service)))
        .map(({ actions, resources }) => [actions, resources]);
    expect(on("s3:")).to.deep.equal([
      [["s3:GetObject"], ["arn:aws:s3:::shop-artifacts/contracts.json"]],
      [["s3:PutObject"], ["arn:aws:s3:::shop-landing/drops/campaigns/*"]],
    ]);
    expect(on("dynamodb:")).to.deep.equal([
      [
        ["dynamodb:BatchGetItem", "dynamodb:PutItem"],
        ["arn:aws:dynamodb:eu-central-1:111122223333:table/shop-ledger"],
      ],
    ]);
    expect(on("secretsmanager:")).to.deep.equal([[["secretsmanager:GetSecretValue"], [secret]]]);
    for (const service of ["ec2:", "glue:", "states:"]) expect(on(service), service).to.deep.equal([]);
  });

  it("uses the token's own key where it has one", async () => {
    const key = "arn:aws:kms:eu-central-1:111122223333:key/token";
    const rights = rightsOf(await record(() => deploy({ tokenSecretKeyArn: key })), "shop-partner-pull");
    expect(rights.find(({ resources }) => resources.includes(key))).to.deep.include({
      actions: ["kms:Decrypt"],
      Condition: {
        StringEquals: { "kms:ViaService": ["secretsmanager.eu-central-1.amazonaws.com"] },
      },
    });
  });

  it("is called on a schedule by a role that may call it alone", async () => {
    const graph = await record(() =>
      deploy({ schedule: { expression: "cron(0 6 * * ? *)", timeZone: "Europe/Berlin", enabled: false } }),
    );
    const { inputs } = one(graph, "aws:scheduler/schedule:Schedule", "shop-partner");
    expect(inputs).to.deep.include({
      groupName: "shop-partner",
      scheduleExpression: "cron(0 6 * * ? *)",
      scheduleExpressionTimezone: "Europe/Berlin",
      state: "DISABLED",
    });
    const puller = "arn:aws:lambda:eu-central-1:111122223333:function:shop-partner-pull";
    expect(inputs.target).to.deep.include({ arn: puller, input: "{}" });
    const start = rightsOf(graph, "shop-start-pull").find(({ Sid }) => Sid === "StartPull");
    expect(start).to.deep.include({ actions: ["lambda:InvokeFunction"], resources: [puller] });
  });

  it("refuses a dataset that does not come as files", async () => {
    const orders = await loadContract(path.join(contractsDir, "clickstream_events.yaml"));
    const error = await failureOf(() => deploy({ contract: orders }));
    expect(error.message).to.contain("is no csv");
  });
});
