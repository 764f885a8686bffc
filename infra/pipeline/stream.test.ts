import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { fileArtifact } from "../package/artifacts.ts";
import {
  bucketNames,
  failureOf,
  functionDefaults,
  isRecord,
  keyArns,
  network,
  ofType,
  one,
  place,
  record,
  rightsOf,
} from "../testing.ts";
import { Batch, type BatchArgs } from "./batch.ts";
import { Sources, type SourcesArgs } from "./sources.ts";
import { Stream } from "./stream.ts";

const streamArn = "arn:aws:kinesis:eu-central-1:111122223333:stream/shop-clickstream";
const bundle = fileArtifact(import.meta.filename);

describe("Sources: streams", () => {
  const args: SourcesArgs = {
    place,
    dataKeyArn: keyArns.dataKeyArn,
    subnetId: "subnet-1",
    availabilityZone: "eu-central-1a",
    securityGroupId: "sg-1",
    tables: [],
  };

  it("makes a Kinesis stream on demand, under the data key, kept a day", async () => {
    const graph = await record(() => ({
      streams: new Sources("shop", { ...args, streams: ["clickstream"] }).streams,
    }));
    expect(one(graph, "aws:kinesis/stream:Stream", "shop-clickstream").inputs).to.deep.equal({
      name: "shop-clickstream",
      encryptionType: "KMS",
      kmsKeyId: keyArns.dataKeyArn,
      retentionPeriod: 24,
      streamModeDetails: { streamMode: "ON_DEMAND" },
    });
    expect(graph.outputs.streams).to.deep.equal({
      clickstream: { name: "shop-clickstream", arn: streamArn },
    });
  });

  it("takes shards and hours instead", async () => {
    const streamSize = { capacity: 3, retentionHours: 168 } as const;
    const graph = await record(() => new Sources("shop", { ...args, streams: ["apiEvents"], streamSize }));
    expect(one(graph, "aws:kinesis/stream:Stream", "shop-api-events").inputs).to.deep.include({
      streamModeDetails: { streamMode: "PROVISIONED" },
      shardCount: 3,
      retentionPeriod: 168,
    });
  });

  it("makes none where none is wanted", async () => {
    const graph = await record(() => new Sources("shop", args));
    expect(ofType(graph, "aws:kinesis/stream:Stream")).to.deep.equal([]);
  });
});

describe("Batch: the streaming job", () => {
  const packageDir = mkdtempSync(path.join(tmpdir(), "jobs-"));
  writeFileSync(path.join(packageDir, "clickstream.py"), "print(1)\n");
  const args: BatchArgs = {
    place,
    jobs: ["clickstream"],
    packageDir,
    bucketNames,
    databaseNames: { staging: "shop_staging", curated: "shop_curated", quarantine: "shop_quarantine" },
    dataKeyArn: keyArns.dataKeyArn,
    contractsJson: "{}",
    geoDatabase: bundle,
    wheels: { name: "wheels.zip", asset: new pulumi.asset.StringAsset("wheels") },
    network,
    connections: { network: "shop-network" },
    streamArns: { clickstream: streamArn },
  };

  it("runs once, until it is stopped, in a maintenance window, on what bills least", async () => {
    const { inputs } = one(
      await record(() => new Batch("shop", args)),
      "aws:glue/job:Job",
      "shop-clickstream",
    );
    expect(inputs).to.deep.include({
      glueVersion: "5.1",
      executionClass: "STANDARD",
      executionProperty: { maxConcurrentRuns: 1 },
      workerType: "G.025X",
      numberOfWorkers: 2,
      maintenanceWindow: "Sun:3",
      maxRetries: 0,
      securityConfiguration: "shop-batch",
      connections: ["shop-network"],
    });
    expect(inputs).not.to.have.any.keys("timeout", "notificationProperty");
    expect(isRecord(inputs.command) && inputs.command.name).to.equal("gluestreaming");
    expect(isRecord(inputs.command) && inputs.command.scriptLocation).to.match(
      /^s3:\/\/shop-artifacts\/code\/clickstream-[0-9a-f]{16}\.py$/,
    );
    expect(inputs.defaultArguments).to.deep.include({
      "--stream-arn": streamArn,
      "--checkpoint": "s3://shop-staging/checkpoints/clickstream/",
      "--job-bookmark-option": "job-bookmark-disable",
    });
  });

  it("takes its own size, and none of the batch jobs'", async () => {
    const streamingSize = { workerType: "G.1X", maxWorkers: 5, maintenanceWindow: "Tue:4" };
    const size = { workerType: "G.2X", maxWorkers: 9, flex: true };
    const graph = await record(() => new Batch("shop", { ...args, size, streamingSize }));
    expect(one(graph, "aws:glue/job:Job", "shop-clickstream").inputs).to.deep.include({
      workerType: "G.1X",
      numberOfWorkers: 5,
      maintenanceWindow: "Tue:4",
      executionClass: "STANDARD",
    });
  });

  it("reads its stream and no other, and writes no landing batch", async () => {
    const rights = rightsOf(await record(() => new Batch("shop", args)), "shop-clickstream");
    const read = rights.filter(({ actions }) => actions.includes("kinesis:GetRecords"));
    expect(read.map(({ resources }) => resources)).to.deep.equal([[streamArn]]);
    expect(rights.flatMap(({ actions }) => actions)).not.to.include.members(["kinesis:PutRecord"]);
    const written = rights.filter(({ actions }) => actions.includes("s3:PutObject"));
    expect(written.flatMap(({ resources }) => resources)).to.have.members([
      "arn:aws:s3:::shop-landing/plans/streams/*",
      "arn:aws:s3:::shop-staging/checkpoints/clickstream/*",
      "arn:aws:s3:::shop-curated/tables/*",
      "arn:aws:s3:::shop-quarantine/records/*",
      "arn:aws:s3:::shop-artifacts/temporary/*",
      "arn:aws:s3:::shop-logs/spark/*",
    ]);
  });

  it("refuses a job whose stream is not given", async () => {
    const error = await failureOf(() => new Batch("shop", { ...args, streamArns: {} }));
    expect(error.message).to.contain("'streamArns' has no clickstream");
  });
});

describe("Stream", () => {
  const stream = (more: object = {}) =>
    new Stream("shop", {
      jobName: "shop-clickstream",
      triggers: { contracts: "abc" },
      functionDefaults: functionDefaults(),
      bundle,
      ...more,
    });

  it("looks at the job on a schedule and starts it when it is not running", async () => {
    const graph = await record(() => stream());
    const { inputs } = one(graph, "aws:scheduler/schedule:Schedule", "shop-stream");
    expect(inputs).to.deep.include({
      groupName: "shop-stream",
      scheduleExpression: "rate(15 minutes)",
      state: "ENABLED",
      kmsKeyArn: keyArns.dataKeyArn,
    });
    expect(inputs.target).to.deep.equal({
      arn: "arn:aws:lambda:eu-central-1:111122223333:function:shop-keep-running",
      roleArn: "arn:aws:iam::111122223333:role/shop-start-stream",
      input: '{"job":"shop-clickstream","start":true,"restart":false}',
      deadLetterConfig: { arn: "arn:aws:sqs:eu-central-1:111122223333:shop-failures" },
      retryPolicy: { maximumEventAgeInSeconds: 3600, maximumRetryAttempts: 5 },
    });
    const invoke = rightsOf(graph, "shop-start-stream").find(({ Sid }) => Sid === "KeepRunning");
    expect(invoke).to.deep.include({
      actions: ["lambda:InvokeFunction"],
      resources: ["arn:aws:lambda:eu-central-1:111122223333:function:shop-keep-running"],
    });
    const run = rightsOf(graph, "shop-keep-running").find(({ Sid }) => Sid === "KeepRunning");
    expect(run).to.deep.include({
      actions: ["glue:BatchStopJobRun", "glue:GetJobRuns", "glue:StartJobRun"],
      resources: ["arn:aws:glue:eu-central-1:111122223333:job/shop-clickstream"],
    });
  });

  it("puts new code in place at a deployment that changes it", async () => {
    const { inputs } = one(
      await record(() => stream()),
      "aws:lambda/invocation:Invocation",
      "shop-restart-stream",
    );
    expect(inputs).to.deep.include({
      functionName: "shop-keep-running",
      input: '{"job":"shop-clickstream","start":true,"restart":true}',
      triggers: { contracts: "abc", code: bundle.sha256 },
    });
  });

  it("leaves starting to a person where it is told so", async () => {
    const graph = await record(() => stream({ keepRunning: false, check: "rate(1 hour)" }));
    expect(one(graph, "aws:scheduler/schedule:Schedule", "shop-stream").inputs).to.deep.include({
      state: "DISABLED",
      scheduleExpression: "rate(1 hour)",
    });
    expect(one(graph, "aws:lambda/invocation:Invocation", "shop-restart-stream").inputs.input).to.equal(
      '{"job":"shop-clickstream","start":false,"restart":true}',
    );
  });
});
