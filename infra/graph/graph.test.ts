import { readFileSync } from "node:fs";
import path from "node:path";
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { root } from "../package/artifacts.ts";
import { failureOf, ofType, one, place, record } from "../testing.ts";
import { toDiagram } from "./diagram.ts";
import { matches } from "./event-pattern.ts";
import { recordGraph } from "./offline.ts";
import { diffText, toJson, toText } from "./print.ts";
import { stackGraph } from "./stack-graph.ts";

describe("offline graph", () => {
  const program = (): void => {
    const provider = new aws.Provider("p", {
      region: "eu-central-1",
      defaultTags: { tags: { team: "data", own: "no" } },
    });
    const bucket = new aws.s3.Bucket(
      "b",
      { bucket: "hello", tags: { own: "yes" } },
      { provider, protect: true },
    );
    new aws.s3.BucketPolicy("c", { bucket: bucket.bucket, policy: bucket.arn }, { parent: bucket });
    new aws.s3.BucketObjectv2("o", {
      bucket: "hello",
      key: "k",
      source: new pulumi.asset.StringAsset("text"),
    });
  };

  it("records URN, parent, dependencies, provider, protection, and tags as the provider merges them", async () => {
    const graph = await record(program);
    const bucket = one(graph, "aws:s3/bucket:Bucket", "b");
    expect(bucket).to.deep.equal({
      urn: "urn:pulumi:test::securecart-etl::aws:s3/bucket:Bucket::b",
      type: "aws:s3/bucket:Bucket",
      name: "b",
      parent: "urn:pulumi:test::securecart-etl::pulumi:pulumi:Stack::securecart-etl-test",
      custom: true,
      provider: "urn:pulumi:test::securecart-etl::pulumi:providers:aws::p",
      inputs: { bucket: "hello", tags: { own: "yes", team: "data" } },
      dependencies: [],
      propertyDependencies: {},
      protect: true,
      retainOnDelete: false,
    });
    const policy = one(graph, "aws:s3/bucketPolicy:BucketPolicy", "c");
    expect(policy.inputs).to.deep.equal({ bucket: "hello", policy: "arn:aws:s3:::hello" });
    expect(policy.parent).to.equal(bucket.urn);
    expect(policy.urn).to.contain("aws:s3/bucket:Bucket$aws:s3/bucketPolicy:BucketPolicy::c");
    expect(policy.propertyDependencies).to.deep.equal({ bucket: [bucket.urn], policy: [bucket.urn] });
    expect(graph.computed[bucket.urn]).to.include({ id: "hello", arn: "arn:aws:s3:::hello" });
  });

  it("records an asset by its content, not by where it lies", async () => {
    const object = one(await record(program), "aws:s3/bucketObjectv2:BucketObjectv2", "o");
    expect(object.inputs.source).to.deep.equal({
      asset: { sha256: "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1" },
    });
  });

  it("refuses a name given twice, and a data source without an offline value", async () => {
    const twice = await failureOf(() => {
      for (const bucket of ["x", "y"]) new aws.s3.Bucket("same", { bucket });
    });
    expect(twice.message).to.contain("registered twice").and.contain("::same");
    const unknown = await failureOf(async () => {
      await aws.ec2.getAmi({ owners: ["self"] });
    });
    expect(unknown.message).to.contain("getAmi has no offline value");
  });

  it("passes the program's own error on", async () => {
    const error = await failureOf(() => {
      throw new Error("boom");
    });
    expect(error.message).to.equal("boom");
  });

  it("prints, compares, and is the same text for the same graph", async () => {
    const before = await record(program);
    const after = await record(() => {
      new aws.s3.Bucket("b", { bucket: "other" });
      new aws.s3.Bucket("new", { bucket: "new" });
    });
    expect(toJson(before)).to.equal(toJson(await record(program)));
    expect(toText(before)).to.contain("s3.Bucket b (protected)\n").and.contain("3  s3\n");
    expect(diffText(before, after)).to.equal(
      [
        "+ s3.Bucket new",
        "- s3.BucketPolicy c",
        "- s3.BucketObjectv2 o",
        "- aws p",
        "~ s3.Bucket b: bucket, -tags, protect",
        "",
      ].join("\n"),
    );
  });

  it("keeps runs apart: nothing of one is in the next", async () => {
    await recordGraph(program, { place, config: { "securecart-etl:x": "1" } });
    const graph = await record(() => ({ x: new pulumi.Config("securecart-etl").get("x") ?? "unset" }));
    expect(graph.outputs).to.deep.equal({ x: "unset" });
    expect(graph.resources).to.have.length(1);
  });
});

describe("the provider of a stack", () => {
  it("takes what the stack's file says of it, and the account that is allowed", async () => {
    const endpoints = [{ s3: "http://localhost:4566", sts: "http://localhost:4566" }];
    const graph = await stackGraph("dev", {
      "aws:profile": "etl",
      "aws:endpoints": JSON.stringify(endpoints),
      "aws:s3UsePathStyle": "true",
      "aws:skipCredentialsValidation": "true",
      "aws:allowedAccountIds": '["999999999999"]',
    });
    const { inputs } = one(graph, "pulumi:providers:aws", "aws");
    expect(inputs).to.include({
      profile: "etl",
      region: "eu-central-1",
      endpoints: JSON.stringify(endpoints),
      s3UsePathStyle: "true",
      skipCredentialsValidation: "true",
      allowedAccountIds: '["111122223333"]',
    });
  });
});

describe("event patterns", () => {
  it("match lists, nested objects, prefixes and existence, and refuse operators they do not know", () => {
    expect(matches({ a: ["x", "y"] }, { a: "y" })).to.equal(true);
    expect(matches({ a: ["x"] }, { a: ["z", "x"] })).to.equal(true);
    expect(matches({ a: ["x"] }, {})).to.equal(false);
    expect(matches({ a: { b: [{ prefix: "x" }] } }, { a: { b: "xy" } })).to.equal(true);
    expect(matches({ a: { b: [{ exists: false }] } }, {})).to.equal(true);
    expect(() => matches({ a: [{ wildcard: "*" }] }, { a: "x" })).to.throw("'wildcard'");
    expect(() => matches({ a: "x" }, { a: "x" })).to.throw("objects and lists");
  });
});

describe("docs/architecture.md", () => {
  it("shows the diagram of the program as it is", async () => {
    const text = readFileSync(path.join(root, "docs/architecture.md"), "utf8");
    const [, diagram] = /<!-- diagram -->\n```mermaid\n(.*?)```\n<!-- \/diagram -->/s.exec(text) ?? [];
    expect(diagram, "npm run graph -- --stack prod --diagram").to.equal(toDiagram(await stackGraph("prod")));
  });
});

describe("docs/cost.md", () => {
  it("counts what bills while idle as the program has it", async () => {
    const text = readFileSync(path.join(root, "docs/cost.md"), "utf8");
    for (const [stack, endpointZones] of [
      ["dev", 1],
      ["prod", 3],
    ] as const) {
      const graph = await stackGraph(stack);
      const interfaces = ofType(graph, "aws:ec2/vpcEndpoint:VpcEndpoint").filter(
        ({ inputs }) => inputs.vpcEndpointType === "Interface",
      );
      for (const { inputs } of interfaces) expect(inputs.subnetIds).to.have.length(endpointZones);
      expect(text).to.contain(`Interface endpoints: ${interfaces.length} services`);
      expect(text).to.contain(
        `${Math.round(interfaces.length * endpointZones * 730 * 0.012)} (${endpointZones} zone`,
      );
      const streams = ofType(graph, "aws:kinesis/stream:Stream");
      const [shards] = streams.map(({ inputs }) => Number(inputs.shardCount));
      expect(text).to.contain(`Kinesis: ${streams.length} streams`);
      expect(text).to.contain(
        `${Math.round(streams.length * Number(shards) * 730 * 0.018)} (${shards} shard`,
      );
      expect(text).to.contain(`${ofType(graph, "aws:kms/key:Key").length} keys`);
      expect(text).to.contain(`${ofType(graph, "aws:cloudwatch/metricAlarm:MetricAlarm").length} alarms`);
    }
  });
});
