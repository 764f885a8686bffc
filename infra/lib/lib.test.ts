import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { failureOf, keyArns, one, place, record, rightsOf, statementsOf } from "../testing.ts";
import { isVpcRange, parseCidr, rangesOverlap } from "./cidr.ts";
import { createFailureQueue } from "./failure-queue.ts";
import { readArea, writeArea } from "./grants.ts";
import { policyDocument, type Statement, WorkloadRole, type WorkloadRoleArgs } from "./iam.ts";
import { checkSize, fitting, iamQuotas, mostAttached, sizeOf } from "./iam-quotas.ts";
import { Arns } from "./place.ts";
import { mayDestroyData, statefulOptions } from "./retention.ts";
import { transformed } from "./transform.ts";

describe("parts' tools", () => {
  it("takes failed events of this account's rules into the failure queue", async () => {
    const graph = await record(() => {
      const parent = new pulumi.ComponentResource("test:Parent", "parent");
      createFailureQueue("shop-failures", { place, ...keyArns }, parent);
    });
    const statements = statementsOf(
      one(graph, "aws:sqs/queuePolicy:QueuePolicy", "shop-failures").inputs.policy,
    );
    expect(statements.find(({ Sid }) => Sid === "FailedEvents")?.Condition).to.deep.equal({
      ArnLike: { "aws:SourceArn": "arn:aws:events:eu-central-1:111122223333:rule/*" },
    });
  });

  it("makes ARNs for the partition of the place", async () => {
    const graph = await record(
      () => {
        const arns = new Arns({ partition: "aws-cn", accountId: "111122223333", region: "cn-north-1" });
        return {
          bucket: arns.bucket("b"),
          objects: arns.objects("b", "p/"),
          role: arns.iam("role/r"),
          job: arns.regional("glue", "job/j"),
          logs: arns.logGroup("/g"),
          via: arns.viaService("s3"),
        };
      },
      { partition: "aws-cn", accountId: "111122223333", region: "cn-north-1" },
    );
    expect(graph.outputs).to.deep.equal({
      bucket: "arn:aws-cn:s3:::b",
      objects: "arn:aws-cn:s3:::b/p/*",
      role: "arn:aws-cn:iam::111122223333:role/r",
      job: "arn:aws-cn:glue:cn-north-1:111122223333:job/j",
      logs: "arn:aws-cn:logs:cn-north-1:111122223333:log-group:/g",
      via: "s3.cn-north-1.amazonaws.com.cn",
    });
  });

  it("overrides a child's properties, or changes arguments and options by a function", () => {
    const args = { a: 1, b: 2 };
    expect(transformed(undefined, "n", args, {})).to.deep.equal(["n", { a: 1, b: 2 }, {}]);
    expect(transformed({ b: 3 }, "n", args, {})[1]).to.deep.equal({ a: 1, b: 3 });
    const changed = transformed(
      (own, opts, name) => {
        own.a = name.length;
        opts.protect = true;
      },
      "name",
      args,
      {} as pulumi.CustomResourceOptions,
    );
    expect(changed).to.deep.equal(["name", { a: 4, b: 2 }, { protect: true }]);
    expect(args, "the component's own arguments stay as they are").to.deep.equal({ a: 1, b: 2 });
  });

  it("protects and retains data unless told otherwise, and destroys it only by two settings", () => {
    expect(statefulOptions({})).to.deep.equal({ protect: true, retainOnDelete: true });
    expect(statefulOptions({ protect: false })).to.deep.equal({ protect: false, retainOnDelete: false });
    expect(mayDestroyData({})).to.equal(false);
    expect(mayDestroyData({ destroyData: true })).to.equal(false);
    expect(mayDestroyData({ protect: false })).to.equal(false);
    expect(mayDestroyData({ protect: false, destroyData: true })).to.equal(true);
  });

  it("refuses a statement without actions or resources", () => {
    expect(() => policyDocument([{ sid: "Empty", actions: [], resources: ["*"] }])).to.throw(
      /'Empty' needs at least one action/,
    );
    expect(() => policyDocument([{ sid: "Empty", actions: ["s3:GetObject"], resources: [] }])).to.throw(
      /'Empty'/,
    );
  });

  it("grants folders by prefix and single objects by their whole key", async () => {
    const area = { zone: "landing", bucket: "b", prefixes: ["in/", "contracts.json"] };
    const graph = await record(() => ({
      read: policyDocument(readArea(new Arns(place), area)),
      write: policyDocument(writeArea(new Arns(place), { ...area, prefixes: ["contracts.json"] })),
    }));
    const [list, read] = statementsOf(graph.outputs.read);
    expect(list).to.deep.include({
      resources: ["arn:aws:s3:::b"],
      actions: ["s3:ListBucket"],
      Condition: { StringLike: { "s3:prefix": ["in/*"] } },
    });
    expect(read?.resources).to.deep.equal(["arn:aws:s3:::b/in/*", "arn:aws:s3:::b/contracts.json"]);
    const write = statementsOf(graph.outputs.write);
    expect(write, "nothing to list").to.have.length(1);
    expect(write[0]?.resources).to.deep.equal(["arn:aws:s3:::b/contracts.json"]);
  });

  it("makes a role that one service may assume for this account, with one inline policy a concern", async () => {
    const graph = await record(() => {
      new WorkloadRole("shop-job", {
        place,
        description: "A job",
        trust: "glue.amazonaws.com",
        permissionsBoundary: "arn:aws:iam::111122223333:policy/b",
        maxSessionDuration: 7200,
        policies: {
          lake: [{ sid: "Read", actions: ["s3:GetObject"], resources: ["arn:aws:s3:::b/*"] }],
          nothing: [],
        },
        transform: { role: { path: "/jobs/" } },
      });
    });
    const { inputs } = one(graph, "aws:iam/role:Role", "shop-job");
    expect(inputs).to.deep.equal({
      name: "shop-job",
      description: "A job",
      maxSessionDuration: 7200,
      path: "/jobs/",
      permissionsBoundary: "arn:aws:iam::111122223333:policy/b",
      assumeRolePolicy: inputs.assumeRolePolicy,
    });
    expect(JSON.parse(String(inputs.assumeRolePolicy))).to.deep.equal({
      Version: "2012-10-17",
      Statement: [
        {
          Sid: "AssumedByService",
          Effect: "Allow",
          Action: "sts:AssumeRole",
          Principal: { Service: "glue.amazonaws.com" },
          Condition: { StringEquals: { "aws:SourceAccount": "111122223333" } },
        },
      ],
    });
    expect(one(graph, "aws:iam/rolePolicy:RolePolicy", "shop-job-lake").inputs).to.deep.include({
      name: "lake",
      role: "shop-job",
    });
    expect(graph.resources.filter(({ name }) => name === "shop-job-nothing")).to.deep.equal([]);
  });

  it("attaches managed policies to a role, named after it and known before they are there", async () => {
    const graph = await record(() => {
      new WorkloadRole("shop-ci", {
        place,
        description: "CI",
        trust: "glue.amazonaws.com",
        policies: {},
        managedPolicies: {
          lake: [{ sid: "Read", actions: ["s3:GetObject"], resources: ["arn:aws:s3:::b/*"] }],
        },
      });
    });
    const policy = one(graph, "aws:iam/policy:Policy", "shop-ci-lake");
    expect(policy.inputs).to.include({ name: "shop-ci-lake" });
    const attachment = one(graph, "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "shop-ci-lake");
    expect(attachment.inputs).to.deep.equal({
      role: "shop-ci",
      policyArn: "arn:aws:iam::111122223333:policy/shop-ci-lake",
    });
    expect(attachment.propertyDependencies.policyArn).to.deep.equal([policy.urn]);
    expect(rightsOf(graph, "shop-ci").map(({ Sid }) => Sid)).to.deep.equal(["Read"]);
  });

  it("counts a policy as IAM does, and refuses what is one character too long", () => {
    const { inline, managed, trust } = iamQuotas;
    expect([inline.most, managed.most, trust.most, mostAttached]).to.deep.equal([10_240, 6_144, 2_048, 10]);
    expect(sizeOf(' { "a":\n\t"b" } ')).to.equal(9);
    const document = "x".repeat(5_120);
    expect(() => checkSize(inline, "shop-job", { a: document, b: `${document} \n` })).not.to.throw();
    expect(() => checkSize(inline, "shop-job", { a: document, b: `${document}x` })).to.throw(
      pulumi.RunError,
      "the inline policies of the role 'shop-job': 10241 characters (b 5121, a 5120), of which IAM takes 10240, white " +
        "space not counted; make managed policies of some",
    );
    expect(fitting(managed, "p")("x".repeat(6_144))).to.have.length(6_144);
    expect(() => fitting(managed, "p")("x".repeat(6_145))).to.throw(
      pulumi.RunError,
      "the managed policy 'p': 6145 characters, of which IAM takes 6144",
    );
  });

  it("ends a program whose role has longer policies than IAM takes, whichever they are", async () => {
    const lists = (count: number): Statement[] => [
      {
        sid: "Long",
        actions: Array.from({ length: count }, (_, index) => `s3:Action${index}`),
        resources: [pulumi.output("arn:aws:s3:::b/*")],
      },
    ];
    const role = (more: Partial<WorkloadRoleArgs>): Promise<Error> =>
      failureOf(
        () =>
          new WorkloadRole("shop-long", {
            ...{ place, description: "Long", trust: "glue.amazonaws.com", policies: {}, ...more },
          }),
      );
    const half = lists(400);
    const inline = await role({ policies: { one: half, other: half } });
    expect(inline.message).to.contain("the inline policies of the role 'shop-long': ");
    expect(inline.message).to.match(/\(one \d+, other \d+\)/);
    const managed = await role({ managedPolicies: { lake: lists(500) } });
    expect(managed.message).to.contain("the managed policy 'shop-long-lake': ");
    const principals = { Statement: [{ Principal: { AWS: "x".repeat(2_048) } }] };
    const trust = await role({ trust: { document: pulumi.jsonStringify(principals) } });
    expect(trust.message).to.contain("the trust policy of the role 'shop-long': ");
    const many = Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`p${index}`, lists(1)]));
    expect((await role({ managedPolicies: many })).message).to.contain(
      "has 11 managed policies, of which IAM takes 10",
    );
    // Half of it fits.
    await record(
      () =>
        new WorkloadRole("shop-long", {
          ...{ place, description: "Long", trust: "glue.amazonaws.com", policies: { one: half } },
        }),
    );
  });

  it("does not ask a service for an account that it does not say", async () => {
    const graph = await record(() => {
      new WorkloadRole("f", { place, description: "F", trust: "lambda.amazonaws.com", policies: {} });
    });
    const [statement] = statementsOf(one(graph, "aws:iam/role:Role", "f").inputs.assumeRolePolicy);
    expect(statement).not.to.have.property("Condition");
  });

  it("reads IPv4 ranges", () => {
    expect(parseCidr("10.0.0.0/8")).to.deep.equal({ first: 167772160, last: 184549375, prefix: 8 });
    for (const text of ["10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "256.0.0.0/8", "x"])
      expect(parseCidr(text), text).to.equal(undefined);
    expect(["10.20.0.0/23", "10.20.0.0/16", "172.16.0.0/16"].every(isVpcRange)).to.equal(true);
    for (const text of ["10.20.0.0/24", "10.0.0.0/15", "8.8.0.0/16", "172.32.0.0/16", "10.20.1.0/16", "x"]) {
      expect(isVpcRange(text), text).to.equal(false);
    }
    expect(rangesOverlap("172.16.0.0/16", "172.16.8.0/24")).to.equal(true);
    expect(rangesOverlap("172.16.0.0/16", "172.17.0.0/16")).to.equal(false);
  });

  it("keeps the graph known: an Output in a template literal would show", async () => {
    const graph = await record(() => {
      const bucket = new aws.s3.Bucket("b", { bucket: "b" });
      new aws.s3.BucketPolicy("p", { bucket: bucket.bucket, policy: `${bucket.arn}` });
    });
    expect(String(one(graph, "aws:s3/bucketPolicy:BucketPolicy", "p").inputs.policy)).to.contain(
      "Calling [toString] on an [Output<T>]",
    );
  });
});
