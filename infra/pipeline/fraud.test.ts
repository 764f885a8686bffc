import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import {
  bucketNames,
  failureOf,
  keyArns,
  network,
  ofType,
  one,
  place,
  record,
  rightsOf,
  statementsOf,
} from "../testing.ts";
import { Fraud, type FraudArgs, rulesMessage } from "./fraud.ts";
import { jobsPackage } from "./jobs.ts";

const packageDir = mkdtempSync(path.join(tmpdir(), "fraud-"));
for (const job of ["score", "train"])
  writeFileSync(path.join(packageDir, `fraud_${job}.py`), `print("${job}")\n`);

const args: FraudArgs = {
  place,
  packageDir,
  bucketNames,
  databaseNames: { staging: "shop_staging", curated: "shop_curated", quarantine: "shop_quarantine" },
  dataKeyArn: keyArns.dataKeyArn,
  logsKeyArn: keyArns.logsKeyArn,
  network,
  shared: {
    contracts: "s3://shop-artifacts/contracts.json",
    library: "s3://shop-artifacts/code/securecart-1.zip",
    geoDatabase: "s3://shop-artifacts/code/geo-1.mmdb",
  },
  environment: { name: "emr-aarch64-1.tar.gz", asset: new pulumi.asset.StringAsset("packages") },
};

const logGroup = "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/emr-serverless/shop-fraud";

describe("Fraud", () => {
  it("makes an application that is capped, stops by itself, is private, and logs under a key", async () => {
    const graph = await record(() => new Fraud("shop", args));
    expect(one(graph, "aws:emrserverless/application:Application", "shop-fraud").inputs).to.deep.equal({
      name: "shop-fraud",
      type: "spark",
      releaseLabel: "emr-7.13.0",
      architecture: "ARM64",
      maximumCapacity: { cpu: "16 vCPU", memory: "64 GB", disk: "160 GB" },
      autoStartConfiguration: { enabled: true },
      autoStopConfiguration: { enabled: true, idleTimeoutMinutes: 5 },
      interactiveConfiguration: { studioEnabled: false, livyEndpointEnabled: false },
      networkConfiguration: { subnetIds: ["subnet-1", "subnet-2", "subnet-3"], securityGroupIds: ["sg-1"] },
      monitoringConfiguration: {
        managedPersistenceMonitoringConfiguration: { enabled: false },
        cloudwatchLoggingConfiguration: {
          enabled: true,
          logGroupName: "/aws/emr-serverless/shop-fraud",
          encryptionKeyArn: keyArns.logsKeyArn,
          logTypes: [
            { name: "SPARK_DRIVER", values: ["STDERR", "STDOUT"] },
            { name: "SPARK_EXECUTOR", values: ["STDERR"] },
          ],
        },
      },
    });
    expect(one(graph, "aws:cloudwatch/logGroup:LogGroup", "shop-fraud").inputs).to.deep.equal({
      name: "/aws/emr-serverless/shop-fraud",
      retentionInDays: 30,
      kmsKeyId: keyArns.logsKeyArn,
    });
  });

  // Nobody configures logging in the jobs, so Python writes warnings and errors, and nothing below, to standard error. Spark
  // gives both streams of the driver's Python on as its own standard output: both are in the application's log types.
  it("looks in the log for the words with which scoring says that rules stepped in", () => {
    const script = readFileSync(path.join(jobsPackage, "fraud_score.py"), "utf8");
    const logged = [...script.matchAll(/\blog\.(?:warning|error)\(\s*"([^"]*)"/g)].map(([, text]) => text);
    expect(logged.map((text) => text?.slice(0, rulesMessage.length))).to.include(rulesMessage);
  });

  it("uploads scripts and packages, encrypted, under names that their content decides", async () => {
    const graph = await record(() => new Fraud("shop", args));
    const objects = ofType(graph, "aws:s3/bucketObjectv2:BucketObjectv2");
    expect(objects.map(({ name }) => name)).to.have.members([
      "shop-fraud-environment",
      "shop-fraud-score",
      "shop-fraud-train",
    ]);
    for (const { name, inputs } of objects) {
      expect(inputs, name).to.include({
        bucket: "shop-artifacts",
        serverSideEncryption: "aws:kms",
        kmsKeyId: keyArns.dataKeyArn,
      });
    }
    const keys = objects.map(({ inputs }) => inputs.key);
    expect(keys[0]).to.equal("code/emr-aarch64-1.tar.gz");
    expect(keys[1]).to.match(/^code\/[0-9a-f]{16}\/fraud_score\.py$/);
    expect(keys[2]).to.match(/^code\/[0-9a-f]{16}\/fraud_train\.py$/);
  });

  it("tells the workflow how to score: code, packages, catalogs, size, and the key of the disks", async () => {
    const graph = await record(() => ({ scoring: new Fraud("shop", args).scoring }));
    const application = one(graph, "aws:emrserverless/application:Application", "shop-fraud");
    const { sparkSubmitParameters, entryPoint, ...scoring } = graph.outputs.scoring as Record<
      string,
      unknown
    >;
    expect(scoring).to.deep.equal({
      applicationId: String(graph.computed[application.urn]?.arn).split("/").at(-1),
      executionRoleArn: "arn:aws:iam::111122223333:role/shop-fraud-score",
      arguments: {
        "--landing": "shop-landing",
        "--staging": "shop-staging",
        "--curated": "shop-curated",
        "--quarantine": "shop-quarantine",
        "--artifacts": "shop-artifacts",
        "--staging-db": "shop_staging",
        "--curated-db": "shop_curated",
        "--contracts": "s3://shop-artifacts/contracts.json",
        "--geo-database": "s3://shop-artifacts/code/geo-1.mmdb",
        "--alert-topic": "arn:aws:sns:eu-central-1:111122223333:shop-fraud-alerts",
      },
      configurationOverrides: {
        DiskEncryptionConfiguration: {
          EncryptionKeyArn: keyArns.dataKeyArn,
          EncryptionContext: { pipeline: "shop" },
        },
      },
    });
    expect(entryPoint).to.match(/^s3:\/\/shop-artifacts\/code\/[0-9a-f]{16}\/fraud_score\.py$/);
    const conf = String(sparkSubmitParameters);
    for (const setting of [
      "spark.submit.pyFiles=s3://shop-artifacts/code/securecart-1.zip",
      "spark.archives=s3://shop-artifacts/code/emr-aarch64-1.tar.gz#environment",
      "spark.sql.catalog.staging.warehouse=s3://shop-staging/tables",
      "spark.sql.catalog.curated.type=glue",
      "spark.jars=/usr/share/aws/iceberg/lib/iceberg-spark3-runtime.jar",
      "spark.emr-serverless.driverEnv.AWS_DEFAULT_REGION=eu-central-1",
      "spark.executor.memory=14g",
      "spark.dynamicAllocation.maxExecutors=3",
    ])
      expect(conf, setting).to.contain(`--conf ${setting}`);
    expect(conf).not.to.contain("dynamicAllocation.enabled");
  });

  it("gives the command that trains, with executors that are all there at once", async () => {
    const graph = await record(() => ({ train: new Fraud("shop", args).trainCommand }));
    const command = String(graph.outputs.train);
    expect(command).to.match(
      /^aws emr-serverless start-job-run --region eu-central-1 --application-id 00f\w+ /,
    );
    expect(command).to.contain("--execution-role-arn arn:aws:iam::111122223333:role/shop-fraud-train ");
    const [, driver = "", overrides = ""] =
      /--job-driver '(.*)' --configuration-overrides '(.*)'$/.exec(command) ?? [];
    const { sparkSubmit } = JSON.parse(driver) as { sparkSubmit: Record<string, unknown> };
    expect(sparkSubmit.entryPoint).to.match(/fraud_train\.py$/);
    expect(sparkSubmit.entryPointArguments).to.include.members(["--landing", "shop-landing"]);
    expect(sparkSubmit.entryPointArguments).not.to.include("--alert-topic");
    const workersOf = (text: string) => /"--workers","(\d+)"/.exec(text)?.[1];
    expect(workersOf(driver), "a core of an executor each").to.equal("12");
    const larger = await record(() => ({
      train: new Fraud("shop", { ...args, size: { maxVcpus: 64, maxMemoryGb: 256 } }).trainCommand,
    }));
    expect(workersOf(String(larger.outputs.train))).to.equal("60");
    expect(sparkSubmit.sparkSubmitParameters)
      .to.contain("--conf spark.dynamicAllocation.enabled=false --conf spark.executor.instances=3")
      .and.not.contain("maxExecutors");
    expect(JSON.parse(overrides)).to.deep.equal({
      diskEncryptionConfiguration: {
        encryptionKeyArn: keyArns.dataKeyArn,
        encryptionContext: { pipeline: "shop" },
      },
    });
  });

  it("gives each job a role of its own, with what its script touches and no more", async () => {
    const graph = await record(() => new Fraud("shop", args));
    const on = (job: string, ...actions: string[]): string[] =>
      rightsOf(graph, `shop-fraud-${job}`)
        .filter((right) => right.actions.some((action) => actions.includes(action)))
        .flatMap(({ resources }) => resources)
        .map((arn) => arn.replace("arn:aws:s3:::shop-", ""));
    const readByBoth = [
      "artifacts/code/*",
      "artifacts/contracts.json",
      "staging/tables/*",
      "landing/fraud-labels/*",
    ];
    expect(on("score", "s3:GetObject")).to.have.members([
      ...readByBoth,
      "landing/plans/*",
      "curated/fraud/models/*",
      "curated/tables/*",
    ]);
    expect(on("train", "s3:GetObject")).to.have.members([...readByBoth, "curated/fraud/models/*"]);
    expect(on("score", "s3:PutObject")).to.have.members([
      "staging/runs/*",
      "curated/tables/*",
      "curated/fraud/alerts/*",
    ]);
    expect(on("train", "s3:PutObject")).to.have.members(["staging/runs/*", "curated/fraud/models/*"]);
    expect(on("score", "s3:DeleteObject")).to.deep.equal(["curated/tables/*"]);
    expect(on("train", "s3:DeleteObject")).to.deep.equal([]);
    expect(on("score", "glue:UpdateTable").every((arn) => !arn.includes("shop_staging"))).to.equal(true);
    expect(on("train", "glue:UpdateTable", "sns:Publish")).to.deep.equal([]);
    expect(on("score", "sns:Publish")).to.deep.equal([
      "arn:aws:sns:eu-central-1:111122223333:shop-fraud-alerts",
    ]);
    expect(on("train", "logs:PutLogEvents")).to.deep.equal([`${logGroup}:*`]);
    expect(on("train", "logs:AssociateKmsKey")).to.deep.equal([logGroup, `${logGroup}:*`]);
  });

  it("lets the jobs use the keys for their own disks, their logs and what S3 and SNS keep", async () => {
    const graph = await record(() => new Fraud("shop", args));
    const keys = (job: string): unknown[] =>
      rightsOf(graph, `shop-fraud-${job}`)
        .filter(({ actions }) => actions.includes("kms:Decrypt"))
        .map(({ Sid, resources, Condition }) => [Sid, resources, Condition?.StringEquals]);
    const via = (...services: string[]): object => ({
      "kms:ViaService": services.map((service) => `${service}.eu-central-1.amazonaws.com`),
    });
    const common = [
      ["EncryptDisks", [keyArns.dataKeyArn], { "kms:EncryptionContext:pipeline": "shop" }],
      ["UseLogsKey", [keyArns.logsKeyArn], via("emr-serverless", "logs")],
    ];
    expect(keys("score")).to.deep.equal([["UseDataKey", [keyArns.dataKeyArn], via("s3", "sns")], ...common]);
    expect(keys("train")).to.deep.equal([["UseDataKey", [keyArns.dataKeyArn], via("s3")], ...common]);
    for (const { inputs } of ofType(graph, "aws:iam/role:Role")) {
      const [trust] = statementsOf(inputs.assumeRolePolicy);
      expect(trust?.Principal).to.deep.equal({ Service: "emr-serverless.amazonaws.com" });
      expect(trust?.Condition).to.deep.equal({ StringEquals: { "aws:SourceAccount": "111122223333" } });
    }
  });

  it("tells reviewers, and nobody else, over a topic under the key of the data", async () => {
    const graph = await record(() => new Fraud("shop", { ...args, reviewers: ["a@example.com"] }));
    expect(one(graph, "aws:sns/topic:Topic", "shop-fraud-alerts").inputs).to.deep.equal({
      name: "shop-fraud-alerts",
      kmsMasterKeyId: keyArns.dataKeyArn,
    });
    expect(
      ofType(graph, "aws:sns/topicSubscription:TopicSubscription").map(({ inputs }) => inputs),
    ).to.deep.equal([
      {
        topic: "arn:aws:sns:eu-central-1:111122223333:shop-fraud-alerts",
        protocol: "email",
        endpoint: "a@example.com",
      },
    ]);
    const none = await record(() => new Fraud("shop", args));
    expect(ofType(none, "aws:sns/topicSubscription:TopicSubscription")).to.deep.equal([]);
  });

  it("takes another size, retention and override", async () => {
    const graph = await record(
      () =>
        new Fraud("shop", {
          ...args,
          size: { maxVcpus: 64, maxMemoryGb: 100, idleMinutes: 12 },
          logRetentionDays: 365,
          permissionsBoundary: "arn:aws:iam::111122223333:policy/bound",
          transform: { application: { releaseLabel: "emr-7.14.0" } },
        }),
    );
    const { inputs } = one(graph, "aws:emrserverless/application:Application", "shop-fraud");
    expect(inputs).to.deep.include({
      releaseLabel: "emr-7.14.0",
      // Memory is what limits: six workers of 16 GB.
      maximumCapacity: { cpu: "64 vCPU", memory: "100 GB", disk: "240 GB" },
      autoStopConfiguration: { enabled: true, idleTimeoutMinutes: 12 },
    });
    expect(one(graph, "aws:cloudwatch/logGroup:LogGroup", "shop-fraud").inputs.retentionInDays).to.equal(365);
    for (const { inputs: role } of ofType(graph, "aws:iam/role:Role"))
      expect(role.permissionsBoundary).to.equal("arn:aws:iam::111122223333:policy/bound");
  });

  it("refuses a size without room for an executor, and a package without the scripts", async () => {
    const small = await failureOf(
      () => new Fraud("shop", { ...args, size: { maxVcpus: 8, maxMemoryGb: 31 } }),
    );
    expect(small.message).to.contain("maxVcpus of 8 and maxMemoryGb of 32");
    const empty = mkdtempSync(path.join(tmpdir(), "no-fraud-"));
    const missing = await failureOf(() => new Fraud("shop", { ...args, packageDir: empty }));
    expect(missing.message).to.contain(`fraud_score.py, fraud_train.py not found in ${empty}`);
  });
});
