import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { contractsDir, loadAll } from "../../contracts/bundle.ts";
import type { Contract } from "../../contracts/contract.ts";
import { matches } from "../graph/event-pattern.ts";
import { fileArtifact } from "../package/artifacts.ts";
import {
  bucketNames,
  functionDefaults,
  isRecord,
  keyArns,
  ofType,
  one,
  place,
  record,
  rightsOf,
  statementsOf,
  textsIn,
} from "../testing.ts";
import { AccountBaseline } from "./account-baseline.ts";
import { Ingestion, logPrefixes } from "./ingestion.ts";
import { putRecordTemplate, RestApi, type RestApiArgs } from "./rest-api.ts";

const bundle = fileArtifact(import.meta.filename);
const streamArn = "arn:aws:kinesis:eu-central-1:111122223333:stream/shop-api-events";
const stream = () => ({ name: pulumi.output("shop-api-events"), arn: pulumi.output(streamArn) });
const secret = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:hash-key-AbCdEf";
const layer =
  "arn:aws:lambda:eu-central-1:187925254637:layer:AWS-Parameters-and-Secrets-Lambda-Extension-Arm64:12";

let contract: Contract;
before(async () => {
  const found = (await loadAll([contractsDir])).find(({ source }) => source?.kind === "logs");
  if (!found) throw new Error("no contract of logs");
  contract = found;
});

describe("RestApi", () => {
  const args = (): RestApiArgs => ({
    place,
    stream: stream(),
    paths: [{ path: "events", schema: { type: "object" } }],
    producers: ["arn:aws:iam::111122223333:role/checkout"],
    dataKeyArn: keyArns.dataKeyArn,
    logsKeyArn: keyArns.logsKeyArn,
  });
  const apigateway = (type: string): string => `aws:apigateway/${type}`;

  it("takes signed requests with a valid body, and hands them to Kinesis", async () => {
    const graph = await record(() => new RestApi("shop", args()));
    expect(one(graph, apigateway("method:Method"), "shop-events").inputs).to.deep.include({
      httpMethod: "POST",
      authorization: "AWS_IAM",
      requestModels: { "application/json": "events" },
    });
    expect(one(graph, apigateway("requestValidator:RequestValidator"), "shop-events").inputs).to.deep.include(
      {
        validateRequestBody: true,
        validateRequestParameters: true,
      },
    );
    expect(one(graph, apigateway("integration:Integration"), "shop-events").inputs).to.deep.include({
      type: "AWS",
      integrationHttpMethod: "POST",
      uri: "arn:aws:apigateway:eu-central-1:kinesis:action/PutRecord",
      credentials: "arn:aws:iam::111122223333:role/shop-api",
      passthroughBehavior: "NEVER",
      requestTemplates: { "application/json": putRecordTemplate },
    });
    expect(ofType(graph, "aws:wafv2/webAclAssociation:WebAclAssociation")).to.deep.equal([]);
  });

  it("answers 500, which an alarm counts, to whatever Kinesis refuses but too much and too large", async () => {
    const graph = await record(() => new RestApi("shop", args()));
    const responses = ofType(graph, apigateway("integrationResponse:IntegrationResponse"));
    const answering = (status: number) =>
      responses.filter(({ inputs }) => new RegExp(`^${inputs.selectionPattern}$`).test(String(status)));
    expect(answering(400).map(({ inputs }) => inputs.statusCode)).to.deep.equal(["500"]);
    expect(answering(503).map(({ inputs }) => inputs.statusCode)).to.deep.equal(["503"]);
    // Every error of a caller has status 400; the body's branches tell them apart, and the last one keeps the 500.
    const [template] = answering(400).map(({ inputs }) => textsIn(inputs.responseTemplates)[0] ?? "");
    const branches = (template ?? "").split(/^#(?=if|elseif|else|end)/m).slice(1, -1);
    expect(
      branches.map((branch) => [
        /^\w+/.exec(branch)?.[0],
        /contains\("(\w+)"\)/.exec(branch)?.[1],
        /status = (\d+)/.exec(branch)?.[1],
        Object.keys(JSON.parse(/^\{.*\}$/m.exec(branch)?.[0] ?? "{}")),
      ]),
    ).to.deep.equal([
      ["if", "ProvisionedThroughputExceeded", "429", ["message"]],
      ["elseif", "ValidationException", "413", ["message"]],
      ["else", undefined, undefined, ["message"]],
    ]);
  });

  it("lets the named principals post and nobody else, and its own role put into its stream alone", async () => {
    const graph = await record(() => new RestApi("shop", args()));
    const policy = one(graph, apigateway("restApiPolicy:RestApiPolicy"), "shop-events").inputs.policy;
    expect(statementsOf(policy)).to.have.length(1);
    expect(statementsOf(policy)[0]).to.deep.include({
      Principal: { AWS: ["arn:aws:iam::111122223333:role/checkout"] },
      actions: ["execute-api:Invoke"],
    });
    const put = rightsOf(graph, "shop-api").filter(({ actions }) => actions.includes("kinesis:PutRecord"));
    expect(put.map(({ resources }) => resources)).to.deep.equal([[streamArn]]);
  });

  it("limits, traces and logs requests, but no body", async () => {
    const graph = await record(
      () =>
        new RestApi("shop", {
          ...args(),
          requestsPerSecond: 7,
          burst: 9,
          logRetentionDays: 90,
          webAclArn: "acl",
        }),
    );
    const settings = one(graph, apigateway("methodSettings:MethodSettings"), "shop-events").inputs;
    expect(settings).to.deep.include({ methodPath: "*/*", stageName: "v1" });
    expect(settings.settings).to.deep.equal({
      metricsEnabled: true,
      loggingLevel: "ERROR",
      dataTraceEnabled: false,
      throttlingRateLimit: 7,
      throttlingBurstLimit: 9,
    });
    const stage = one(graph, apigateway("stage:Stage"), "shop-events").inputs;
    expect(stage.variables).to.deep.equal({ stream: "shop-api-events" });
    expect(stage.xrayTracingEnabled).to.equal(true);
    expect(isRecord(stage.accessLogSettings) && stage.accessLogSettings.format).not.to.contain("body");
    expect(one(graph, "aws:cloudwatch/logGroup:LogGroup", "shop-events").inputs).to.deep.equal({
      name: "/aws/apigateway/shop-events",
      retentionInDays: 90,
      kmsKeyId: keyArns.logsKeyArn,
    });
    expect(ofType(graph, "aws:wafv2/webAclAssociation:WebAclAssociation")[0]?.inputs.webAclArn).to.equal(
      "acl",
    );
  });

  it("deploys anew when a path's schema changes, and only then", async () => {
    const trigger = async (schema: object): Promise<unknown> => {
      const paths = [{ path: "events", schema }];
      const graph = await record(() => new RestApi("shop", { ...args(), paths }));
      return one(graph, apigateway("deployment:Deployment"), "shop-events").inputs.triggers;
    };
    expect(await trigger({ type: "object" })).to.deep.equal(await trigger({ type: "object" }));
    expect(await trigger({ type: "object" })).not.to.deep.equal(await trigger({ type: "array" }));
  });
});

describe("Ingestion", () => {
  const deploy = (more: object = {}) =>
    new Ingestion("shop", {
      contract,
      stream: stream(),
      bucketNames,
      databaseNames: { staging: "s", curated: "shop_curated", quarantine: "shop_quarantine" },
      hashKeySecretArn: secret,
      secretsLayerArn: layer,
      functionDefaults: functionDefaults(),
      bundle,
      redriveBundle: bundle,
      ...more,
    });

  it("reads the stream with partial responses, halves, bounded retries, and keeps what fails with its records", async () => {
    const { inputs } = one(
      await record(() => deploy()),
      "aws:lambda/eventSourceMapping:EventSourceMapping",
      "shop-api-logs",
    );
    expect(inputs).to.deep.equal({
      functionName: "shop-api-logs",
      eventSourceArn: streamArn,
      startingPosition: "TRIM_HORIZON",
      batchSize: 1000,
      maximumBatchingWindowInSeconds: 60,
      functionResponseTypes: ["ReportBatchItemFailures"],
      bisectBatchOnFunctionError: true,
      maximumRetryAttempts: 5,
      maximumRecordAgeInSeconds: 43_200,
      destinationConfig: { onFailure: { destinationArn: "arn:aws:s3:::shop-quarantine" } },
    });
  });

  it("is given what functions/api-logs asks for, and no more", async () => {
    const graph = await record(() => deploy());
    const { inputs } = one(graph, "aws:lambda/function:Function", "shop-api-logs");
    expect(isRecord(inputs.environment) && inputs.environment.variables).to.deep.equal({
      ARTIFACTS_BUCKET: "shop-artifacts",
      CURATED_BUCKET: "shop-curated",
      QUARANTINE_BUCKET: "shop-quarantine",
      CURATED_DATABASE: "shop_curated",
      QUARANTINE_DATABASE: "shop_quarantine",
      IDEMPOTENCY_TABLE: "shop-processed",
      HASH_KEY_SECRET_ID: secret,
      DATASET: "api_events",
    });
    expect(inputs.layers).to.deep.equal([layer]);
    const rights = rightsOf(graph, "shop-api-logs");
    const of = (action: string): string[] =>
      rights.filter(({ actions }) => actions.includes(action)).flatMap(({ resources }) => resources);
    expect(of("s3:PutObject")).to.have.members([
      "arn:aws:s3:::shop-curated/logs/api_events/*",
      "arn:aws:s3:::shop-quarantine/records/*",
      "arn:aws:s3:::shop-quarantine/aws/lambda/*",
    ]);
    expect(of("s3:GetObjectVersion")).to.deep.equal(
      logPrefixes(contract).map((prefix) => `arn:aws:s3:::shop-landing/${prefix}*`),
    );
    expect(of("glue:BatchCreatePartition")).to.have.members([
      "arn:aws:glue:eu-central-1:111122223333:catalog",
      "arn:aws:glue:eu-central-1:111122223333:database/shop_curated",
      "arn:aws:glue:eu-central-1:111122223333:table/shop_curated/api_events",
      "arn:aws:glue:eu-central-1:111122223333:database/shop_quarantine",
      "arn:aws:glue:eu-central-1:111122223333:table/shop_quarantine/records",
    ]);
    expect(of("dynamodb:PutItem")).to.deep.equal([
      "arn:aws:dynamodb:eu-central-1:111122223333:table/shop-processed",
    ]);
    expect(of("kinesis:GetRecords")).to.deep.equal([streamArn]);
    expect(of("secretsmanager:GetSecretValue")).to.deep.equal([secret]);
    for (const absent of ["s3:DeleteObject", "kinesis:PutRecord", "glue:UpdateTable"])
      expect(of(absent), absent).to.deep.equal([]);
  });

  it("remembers objects in a table whose items expire", async () => {
    const table = one(
      await record(() => deploy({ safety: { protect: false } })),
      "aws:dynamodb/table:Table",
      "shop-processed",
    );
    expect(table.inputs).to.deep.include({
      hashKey: "id",
      ttl: { attributeName: "expiration", enabled: true },
      serverSideEncryption: { enabled: true, kmsKeyArn: keyArns.dataKeyArn },
      deletionProtectionEnabled: false,
    });
    expect(table.protect).to.equal(false);
  });

  it("delivers again with the function's own settings, and may read what was kept but not the stream", async () => {
    const graph = await record(() => deploy());
    const [failing, redrive] = ["shop-api-logs", "shop-redrive"].map((each) =>
      one(graph, "aws:lambda/function:Function", each),
    );
    expect(redrive?.inputs.environment).to.deep.equal(failing?.inputs.environment);
    expect(redrive?.inputs.layers).to.deep.equal(failing?.inputs.layers);
    const rights = rightsOf(graph, "shop-redrive");
    const on = (action: string): string[] =>
      rights.filter(({ actions }) => actions.includes(action)).flatMap(({ resources }) => [...resources]);
    const quarantine = "arn:aws:s3:::shop-quarantine";
    expect(on("s3:GetObject")).to.include.members([`${quarantine}/aws/lambda/*`, `${quarantine}/redriven/*`]);
    expect(on("s3:PutObject")).to.have.members([
      "arn:aws:s3:::shop-curated/logs/api_events/*",
      `${quarantine}/records/*`,
      `${quarantine}/redriven/*`,
    ]);
    expect(on("s3:ListBucketVersions")).to.deep.equal([quarantine]);
    expect(on("secretsmanager:GetSecretValue")).to.have.length(1);
    expect(on("kinesis:GetRecords")).to.deep.equal([]);
  });

  it("is started by dropped log files, and by nothing beside them", async () => {
    const graph = await record(() => deploy());
    const pattern: unknown = JSON.parse(
      String(one(graph, "aws:cloudwatch/eventRule:EventRule", "shop-log-drop").inputs.eventPattern),
    );
    const drop = (key: string, name = "shop-landing"): object => ({
      source: "aws.s3",
      "detail-type": "Object Created",
      detail: { bucket: { name }, object: { key, size: 1 } },
    });
    expect(matches(pattern, drop("drops/api-logs/alb/a.log.gz"))).to.equal(true);
    for (const miss of [
      drop("drops/transactions/a.csv"),
      drop("drops/api-logs/unknown/a.log"),
      drop("drops/api-logs/alb/a.log", "shop-curated"),
    ])
      expect(matches(pattern, miss), JSON.stringify(miss)).to.equal(false);
    expect(one(graph, "aws:lambda/permission:Permission", "shop-log-drop").inputs).to.deep.equal({
      action: "lambda:InvokeFunction",
      function: "shop-api-logs",
      principal: "events.amazonaws.com",
      sourceArn: "arn:aws:events:eu-central-1:111122223333:rule/shop-log-drop",
    });
    expect(one(graph, "aws:cloudwatch/eventTarget:EventTarget", "shop-log-drop").inputs).to.deep.include({
      arn: "arn:aws:lambda:eu-central-1:111122223333:function:shop-api-logs",
      deadLetterConfig: { arn: "arn:aws:sqs:eu-central-1:111122223333:shop-failures" },
    });
  });
});

describe("AccountBaseline: logs of APIs", () => {
  it("lets API Gateway write its log groups, in the stack that creates the account's settings", async () => {
    const graph = await record(
      () =>
        new AccountBaseline("shop", {
          place,
          mode: "create",
          dataKeyArn: keyArns.dataKeyArn,
          permissionsBoundary: "arn:aws:iam::111122223333:policy/shop-boundary",
        }),
    );
    expect(one(graph, "aws:apigateway/account:Account", "shop-apis").inputs).to.deep.equal({
      cloudwatchRoleArn: "arn:aws:iam::111122223333:role/shop-api-logging",
    });
    expect(one(graph, "aws:iam/role:Role", "shop-api-logging").inputs.permissionsBoundary).to.equal(
      "arn:aws:iam::111122223333:policy/shop-boundary",
    );
  });
});
