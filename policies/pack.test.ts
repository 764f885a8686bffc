import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { PolicyConfigError, readConfig } from "./config.ts";
import { judge } from "./judge.ts";
import { printReport, report } from "./report.ts";
import { currentType, GraphError, readGraph } from "./resources.ts";
import { categories, type Resource, unknown } from "./rule.ts";
import { rules } from "./rules.ts";
import { isCurrent } from "./rules-md.ts";
import { toSarif } from "./sarif.ts";
import { StackView } from "./stack.ts";
import { withInputs } from "./testing/mutation.ts";
import { prodStack, viewOf } from "./testing.ts";

const here = import.meta.dirname;
const today = "2026-11-22";
const json = (file: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path.join(here, file), "utf8")) as Record<string, unknown>;
const configOf = (config: unknown) => readConfig(config, rules, { where: "test.json", today });

const waiver = {
  finding: "s3-object-lock",
  resource: "securecart-prod-logs",
  reason: "The target of access logs cannot have a lock of its own.",
  owner: "data-platform",
  expires: "2027-06-30",
};

const problemsOf = (config: unknown): readonly string[] => {
  try {
    configOf(config);
  } catch (error) {
    if (error instanceof PolicyConfigError) return error.problems;
    throw error;
  }
  throw new Error("the configuration was read, a refusal was expected");
};

const ruleOf = (id: string) => {
  const rule = rules.find((each) => each.id === id);
  if (!rule) throw new Error(`there is no rule ${id}`);
  return rule;
};

const resource = (type: string, inputs: Resource["inputs"], references = {}): Resource => ({
  urn: `urn:pulumi:t::p::${type}::r`,
  type,
  name: "r",
  inputs,
  dependencies: [],
  propertyDependencies: references,
  protect: false,
});

const judged = (id: string, subject: Resource) => judge(ruleOf(id), subject, new StackView([subject]));

describe("policy rules", () => {
  it("are these: a rule that goes or is renamed breaks configurations and waivers of others", () => {
    const ids = rules.map(({ id }) => id);
    expect(ids).to.deep.equal(
      readFileSync(path.join(here, "testing/rule-ids.txt"), "utf8").trim().split("\n"),
    );
    expect(new Set(ids).size).to.equal(ids.length);
    expect(ids.length).to.be.at.least(100);
  });

  it("say what to do, where it is documented, and what other packs have", () => {
    for (const { id, title, remedy, link, controls, types, category } of rules) {
      expect(id).to.match(/^[a-z0-9]+(-[a-z0-9]+)+$/);
      expect(title, id).to.match(/^\S+ .+/);
      expect(remedy, id).to.match(/^\S+ .+/);
      expect(link, id).to.match(/^https:\/\/(docs\.aws\.amazon\.com|www\.pulumi\.com)\//);
      expect(controls, id).not.to.be.empty;
      expect(types, id).not.to.be.empty;
      expect(categories).to.include(category);
    }
  });

  it("are described in RULES.md (npm run policy:rules)", () => {
    expect(isCurrent()).to.equal(true);
  });
});

describe("unknown values", () => {
  const key = "urn:pulumi:t::p::aws:kms/key:Key::k";
  const bucket = "urn:pulumi:t::p::aws:s3/bucket:Bucket::b";
  const topic = "aws:sns/topic:Topic";

  it("that come from a key of the stack are a key", () => {
    const subject = resource(topic, { kmsMasterKeyId: unknown }, { kmsMasterKeyId: [key] });
    expect(judged("sns-customer-key", subject)).to.deep.include({ state: "judged", findings: [] });
  });

  it("that the program can make known are a finding where encryption hangs on them", () => {
    const subject = resource(topic, { kmsMasterKeyId: unknown }, { kmsMasterKeyId: [bucket] });
    const judgement = judged("sns-customer-key", subject);
    expect(judgement.state === "judged" && judgement.findings[0]?.id).to.equal(
      "sns-customer-key[Unknown::kmsMasterKeyId]",
    );
  });

  it("are reported with their property where a rule is not about encryption or access", () => {
    const subject = resource("aws:glue/job:Job", { numberOfWorkers: unknown });
    expect(judged("glue-workers", subject)).to.deep.include({
      state: "could not judge",
      property: "numberOfWorkers",
    });
  });

  it("hide no violation beside them", () => {
    const inputs = { enableKeyRotation: unknown, rotationPeriodInDays: 0 };
    const judgement = judged("kms-rotation", resource("aws:kms/key:Key", inputs));
    expect(
      judgement.state !== "not applicable" && judgement.findings.map(({ message }) => message),
    ).to.include("rotationPeriodInDays is 0; allowed is 90 to 365");
  });
});

describe("a VPC from awsx", () => {
  const byItself = ["subnet-no-public-address", "vpc-no-internet-route", "vpc-private-dns"];
  const byOthers = ["vpc-default-group-closed", "vpc-flow-logs", "vpc-needed-endpoints"];
  const vpc = resource("awsx:ec2:Vpc", {});
  const part = (type: string, inputs: Resource["inputs"]): Resource => ({
    ...resource(`awsx:ec2:Vpc$${type}`, inputs),
    type,
    parent: vpc.urn,
  });
  const inner = part("aws:ec2/vpc:Vpc", { enableDnsHostnames: true, enableDnsSupport: true });
  const parts = (mapPublicIpOnLaunch: boolean): Resource[] => [
    vpc,
    inner,
    part("aws:ec2/internetGateway:InternetGateway", {}),
    part("aws:ec2/subnet:Subnet", { mapPublicIpOnLaunch }),
  ];
  const found = (ids: readonly string[], resources: readonly Resource[]): readonly string[] => {
    const view = new StackView(resources);
    return resources.flatMap((each) =>
      ids.flatMap((id) => {
        if (!ruleOf(id).types.includes(each.type)) return [];
        const judgement = judge(ruleOf(id), each, view);
        if (judgement.state === "could not judge") return [`${id} cannot judge ${each.type}`];
        return judgement.state === "judged" ? judgement.findings.map((it) => `${it.id} ${each.type}`) : [];
      }),
    );
  };
  /** What belongs to a VPC, by an id that is unknown, or known after the first deployment. */
  const belonging = (sources: readonly string[], vpcId: unknown): Resource[] => {
    const of = (type: string, inputs: Resource["inputs"]): Resource =>
      resource(type, { ...inputs, vpcId }, { vpcId: sources });
    return [
      of("aws:ec2/flowLog:FlowLog", { trafficType: "ALL", logDestination: "arn" }),
      of("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", {}),
      of("aws:ec2/vpcEndpoint:VpcEndpoint", { serviceName: "com.amazonaws.eu-central-1.s3" }),
    ];
  };

  it("is judged by its arguments where they are all there is", () => {
    expect(found(byItself, [vpc])).to.deep.equal(byItself.map((id) => `${id} awsx:ec2:Vpc`));
  });

  it("is judged by its parts where the engine shows them, without its arguments", () => {
    expect(found(byItself, parts(false))).to.deep.equal([]);
    const gateway = `urn:pulumi:t::p::aws:ec2/internetGateway:InternetGateway::r`;
    const route = resource("aws:ec2/route:Route", { gatewayId: unknown }, { gatewayId: [gateway] });
    expect(found(byItself, [...parts(true), route])).to.deep.equal([
      "subnet-no-public-address[Property::mapPublicIpOnLaunch] aws:ec2/subnet:Subnet",
      "vpc-no-internet-route[Gateway::gatewayId] aws:ec2/route:Route",
    ]);
  });

  it("has what belongs to it, whether the reference names the whole, the part or both", () => {
    for (const vpcId of [unknown, "vpc-0123456789abcdef0"]) {
      for (const sources of [[vpc.urn], [inner.urn], [vpc.urn, inner.urn]]) {
        const all = [...parts(false), ...belonging(sources, vpcId)];
        expect(found([...byItself, ...byOthers], all), sources.join()).to.deep.equal([]);
      }
      expect(found(byOthers, [vpc, ...belonging([vpc.urn], vpcId)])).to.deep.equal([]);
    }
  });

  it("is judged once where it lacks what belongs to it", () => {
    const once = (type: string): readonly string[] => byOthers.map((id) => `${id} ${type}`);
    expect(found(byOthers, parts(false))).to.deep.equal(once("aws:ec2/vpc:Vpc"));
    expect(found(byOthers, [vpc])).to.deep.equal(once("awsx:ec2:Vpc"));
    const elsewhere = belonging([inner.urn.replace("::r", "::other")], unknown);
    expect(found(byOthers, [...parts(false), ...elsewhere])).to.deep.equal(once("aws:ec2/vpc:Vpc"));
  });

  it("lends its references to no VPC but its own", () => {
    const own: Resource = {
      ...resource("aws:ec2/vpc:Vpc", inner.inputs),
      parent: "urn:pulumi:t::p::x:y:Z::r",
    };
    expect(found(byOthers, [vpc, own, ...belonging([vpc.urn], unknown)])).to.deep.equal(
      byOthers.map((id) => `${id} aws:ec2/vpc:Vpc`),
    );
  });
});

describe("an old rule of a security group", () => {
  const group = resource("aws:ec2/securityGroup:SecurityGroup", { name: "workers" });
  const path = "physicalConnectionRequirements";
  const connection = resource(
    "aws:glue/connection:Connection",
    { [path]: { subnetId: "subnet-1", securityGroupIdLists: unknown } },
    { [path]: [group.urn] },
  );
  const from = (source: string): Resource =>
    resource(
      "aws:ec2/securityGroupRule:SecurityGroupRule",
      { type: "ingress", securityGroupId: unknown, sourceSecurityGroupId: unknown },
      { securityGroupId: [group.urn], sourceSecurityGroupId: [source] },
    );

  it("that names its own group is one for itself, and one that names another is not", () => {
    const found = (source: string): number => {
      const view = new StackView([group, connection, from(source)]);
      const judgement = judge(ruleOf("glue-connection-private"), connection, view);
      return judgement.state === "judged" ? judgement.findings.length : Number.NaN;
    };
    expect(found(group.urn)).to.equal(0);
    expect(found(group.urn.replace("::r", "::other"))).to.equal(1);
  });
});

describe("a firewall before a stage", () => {
  const type = "aws:wafv2/webAclAssociation:WebAclAssociation";
  const stage = (restApi: unknown): Resource =>
    resource("aws:apigateway/stage:Stage", { restApi, stageName: "v1" });
  const association = (name: string, resourceArn: unknown, sources: readonly string[] = []): Resource => ({
    ...resource(type, { resourceArn }, { resourceArn: sources }),
    urn: `urn:pulumi:t::p::${type}::${name}`,
    name,
  });
  const arn = (api: string, name: string) =>
    `arn:aws:apigateway:eu-central-1::/restapis/${api}/stages/${name}`;
  const asked = (...resources: readonly [Resource, ...Resource[]]) => {
    const judgement = judge(ruleOf("apigateway-waf"), resources[0], new StackView(resources));
    return judgement.state === "judged" ? judgement.findings.length : judgement.state;
  };

  it("is told by the API's id and the stage's name, where both are known", () => {
    expect(asked(stage("abc"), association("a", arn("abc", "v1")))).to.equal(0);
    expect(asked(stage("abc"), association("a", arn("other", "v1")))).to.equal(1);
    expect(
      asked(stage("abc"), association("a", arn("other", "v1")), association("b", arn("abc", "v1"))),
    ).to.equal(0);
  });

  it("cannot be told by the name alone while the API's id is unknown", () => {
    expect(asked(stage(unknown), association("a", arn("abc", "v1")))).to.equal("could not judge");
    expect(asked(stage(unknown), association("a", arn("abc", "v2")))).to.equal(1);
  });

  it("is told by the reference, whatever else is unknown", () => {
    const { urn } = stage("abc");
    expect(asked(stage(unknown), association("a", unknown, [urn]))).to.equal(0);
    expect(asked(stage(unknown), association("a", arn("abc", "v1"), [urn]))).to.equal(0);
    const unclear = association("b", unknown);
    expect(asked(stage("abc"), unclear, association("a", unknown, [urn]))).to.equal(0);
    expect(asked(stage("abc"), unclear)).to.equal("could not judge");
  });
});

describe("policy configuration", () => {
  it("of dev and prod can be used, and prod waives nothing about access or encryption", () => {
    configOf(json("config/dev.json"));
    const prod = configOf(json("config/prod.json"));
    const waived = rules.filter(({ id }) => (prod.get(id)?.waivers.length ?? 0) > 0);
    const categoriesWaived = waived.map(({ category }) => category);
    expect(categoriesWaived).not.to.include.members(["least privilege"]);
    expect(categoriesWaived.filter((category) => category.startsWith("encryption"))).to.deep.equal([]);
    const relaxed = rules.filter(
      ({ id, level }) => level !== "advisory" && prod.get(id)?.level !== "mandatory",
    );
    expect(relaxed).to.deep.equal([]);
  });

  it("of dev relaxes what is mandatory in production only, and nothing else", () => {
    const dev = configOf(json("config/dev.json"));
    const relaxed = rules.filter(
      ({ id, level }) => level !== "advisory" && dev.get(id)?.level !== "mandatory",
    );
    const inProd = rules.filter(({ level }) => level === "prod");
    expect(relaxed.map(({ id }) => id)).to.deep.equal(inProd.map(({ id }) => id));
  });

  it("of a rule that does not exist is refused", () => {
    expect(problemsOf({ "s3-tls": "mandatory" })).to.deep.equal([
      "there is no rule 's3-tls'; policies/RULES.md lists them",
    ]);
  });

  it("with a parameter, level or type that a rule does not have is refused", () => {
    const problems = problemsOf({
      "log-retention": { leastDays: "7", most: 1 },
      "s3-tls-only": "never",
      "kms-rotation": [],
    });
    expect(problems.join("\n")).to.include("log-retention.leastDays must be number");
    expect(problems.join("\n")).to.include("additional properties: most");
    expect(problems.join("\n")).to.include("s3-tls-only.enforcementLevel");
    expect(problems.join("\n")).to.include("kms-rotation must be object");
  });

  it("with a waiver without reason, owner or end, past its end, or of another rule is refused", () => {
    const { reason: _, ...noReason } = waiver;
    const one = (given: unknown): string => problemsOf({ "s3-object-lock": { waivers: [given] } }).join("\n");
    expect(one(noReason)).to.include("'reason'");
    expect(one({ ...waiver, reason: "because" })).to.include("fewer than 20");
    expect(one({ ...waiver, owner: "" })).to.include("owner");
    expect(one({ ...waiver, expires: "2026-11-21" })).to.include("expired on 2026-11-21");
    expect(one({ ...waiver, expires: "2027-02-30" })).to.include("no day");
    expect(one({ ...waiver, finding: "s3-tls-only" })).to.include("stands under s3-object-lock");
    expect(one({ ...waiver, finding: "s3-object-lock-2" })).to.include("stands under s3-object-lock");
    configOf({ "s3-object-lock": { waivers: [{ ...waiver, expires: today }] } });
  });
});

describe("policy report", () => {
  it("lets a waived finding pass at its resource alone, and says when a waiver is not needed", async () => {
    const view = viewOf(await prodStack());
    const before = report(rules, view, configOf(json("config/prod.json")));
    const after = report(
      rules,
      view,
      configOf({
        ...json("config/prod.json"),
        "s3-object-lock": { waivers: [waiver] },
        "lambda-code-signing": {
          waivers: [{ ...waiver, finding: "lambda-code-signing", resource: "securecart-prod-nothing" }],
        },
      }),
    );
    expect(before.findings.map(({ id }) => id)).to.include("s3-object-lock");
    expect(after.findings.map(({ id }) => id)).not.to.include("s3-object-lock");
    expect(after.findings.map(({ id }) => id)).to.include("lambda-code-signing");
    const used = after.waivers.map((each) => [each.waiver.resource, each.used]);
    expect(used).to.have.deep.members([
      ["securecart-prod-partner-pull", true],
      [waiver.resource, true],
      ["securecart-prod-nothing", false],
    ]);
    expect(printReport(after)).to.include("not needed");
  });

  it("fails when a mandatory rule cannot judge, unless a reason is listed", async () => {
    const base = await prodStack();
    const machine = base.resources.find(({ type }) => type === "aws:sfn/stateMachine:StateMachine");
    if (!machine) throw new Error("the prod stack has no state machine");
    const changed = viewOf(
      withInputs(base, machine.urn, { ...machine.inputs, tracingConfiguration: unknown }),
    );
    const config = json("config/prod.json");
    const strict = report(rules, changed, configOf(config));
    expect(strict.failed).to.equal(true);
    expect(strict.unjudged.map(({ rule }) => rule)).to.deep.equal(["sfn-tracing"]);
    const unknowns = [
      {
        resource: machine.name,
        property: "tracingConfiguration.enabled",
        reason: "It is read from a parameter at the deployment.",
      },
    ];
    const accepted = report(rules, changed, configOf({ ...config, "sfn-tracing": { unknowns } }));
    expect(accepted.failed).to.equal(false);
    expect(printReport(accepted)).to.include("It is read from a parameter");
  });

  it("is SARIF with one result a finding, each with its rule, place and fingerprint", async () => {
    const result = report(rules, viewOf(await prodStack()), configOf({}));
    const sarif = toSarif(result, rules, { file: "infra/index.ts", version: "1.0.0" }) as {
      runs: {
        tool: { driver: { rules: { id: string }[] } };
        results: {
          ruleId: string;
          ruleIndex: number;
          level: string;
          partialFingerprints: Record<string, string>;
        }[];
      }[];
    };
    const [run] = sarif.runs;
    expect(run?.results.length).to.equal(result.findings.length);
    expect(run?.results.map(({ level }) => level)).to.include.members(["error", "warning"]);
    for (const { ruleId, ruleIndex } of run?.results ?? []) {
      expect(run?.tool.driver.rules[ruleIndex]?.id).to.equal(ruleId);
    }
    const prints = run?.results.map(({ partialFingerprints }) => partialFingerprints["finding/v1"]);
    expect(new Set(prints).size).to.equal(result.findings.length);
  });
});

describe("code scanning", () => {
  it("is told what a rule could not judge, unless that is accepted", () => {
    const subject = resource("aws:glue/job:Job", { numberOfWorkers: unknown });
    const ofUnknown = (config: unknown) => {
      const result = report(rules, new StackView([subject]), configOf(config));
      const sarif = toSarif(result, rules, { file: "infra/index.ts", version: "1.0.0" }) as {
        runs: { results: { ruleId: string; level: string; message: { text: string } }[] }[];
      };
      return sarif.runs[0]?.results.filter(({ message }) => message.text.includes("could not judge"));
    };
    expect(ofUnknown({})).to.have.length(1);
    expect(ofUnknown({})?.[0]).to.deep.include({ ruleId: "glue-workers", level: "error" });
    const unknowns = [
      {
        resource: "r",
        property: "numberOfWorkers",
        reason: "It is read from a parameter at the deployment.",
      },
    ];
    expect(ofUnknown({ "glue-workers": { unknowns } })).to.deep.equal([]);
  });
});

describe("types under older names", () => {
  it("are judged as those that they are", () => {
    expect(currentType("aws:s3/bucketV2:BucketV2")).to.equal("aws:s3/bucket:Bucket");
    expect(currentType("aws:s3/bucketVersioningV2:BucketVersioningV2")).to.equal(
      "aws:s3/bucketVersioning:BucketVersioning",
    );
    // These are other resources, not older names.
    for (const type of [
      "aws:s3/bucketObjectv2:BucketObjectv2",
      "aws:apigatewayv2/api:Api",
      "aws:wafv2/webAcl:WebAcl",
    ]) {
      expect(currentType(type)).to.equal(type);
    }
    const { resources } = readGraph({
      resources: [{ ...resource("aws:s3/bucketV2:BucketV2", { bucket: "b", forceDestroy: true }) }],
    });
    const found = report(rules, new StackView(resources), configOf({})).findings.map(({ id }) => id);
    expect(found).to.include.members(["s3-no-force-destroy", "s3-kms-encryption", "s3-tls-only"]);
  });
});

describe("graphs that are none", () => {
  it("are refused with the place", () => {
    expect(() => readGraph([])).to.throw(GraphError, "no list of resources");
    expect(() => readGraph({ resources: [{ urn: "u", type: "t", name: "n", inputs: 3 }] })).to.throw(
      GraphError,
      "resources[0].inputs (n) is no object",
    );
    expect(() => readGraph({ resources: ["x"] })).to.throw(GraphError, "resources[0] is no object");
  });
});

// What it prints of the whole stack is held above; here it is the command's own part.
describe("npm run policy", function () {
  this.timeout(60_000);
  let folder: string;

  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), "policy-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, ["--import", "tsx", path.join(here, "cli.ts"), ...args], {
      encoding: "utf8",
    });

  it("exits with 1 at a mandatory finding of a graph, and writes SARIF and JSON", () => {
    const graph = path.join(folder, "graph.json");
    const sarif = path.join(folder, "found.sarif");
    const inputs = { enableKeyRotation: false, tags: {} };
    writeFileSync(
      graph,
      JSON.stringify({ stack: "prod", resources: [{ ...resource("aws:kms/key:Key", inputs) }] }),
    );
    const { status, stdout, stderr } = run("--stack", "prod", "--graph", graph, "--sarif", sarif, "--json");
    expect(stderr).to.equal("");
    expect(status).to.equal(1);
    const result = JSON.parse(stdout) as {
      rules: unknown[];
      findings: { id: string }[];
      waivers: { used: boolean }[];
    };
    expect(result.findings.map(({ id }) => id)).to.include("kms-rotation");
    expect(result.rules.length).to.equal(rules.length);
    // The graph has no function that prod's waiver is for.
    expect(result.waivers.map(({ used }) => used)).to.deep.equal([false]);
    expect(readFileSync(sarif, "utf8")).to.include('"ruleId": "kms-rotation"');
  });

  it("judges nothing by a configuration that is wrong, and says each problem", () => {
    const graph = path.join(folder, "empty.json");
    const config = path.join(folder, "config.json");
    writeFileSync(graph, JSON.stringify({ stack: "prod", resources: [] }));
    const { reason: _, ...noReason } = waiver;
    writeFileSync(
      config,
      JSON.stringify({
        "s3-tls": "mandatory",
        "s3-object-lock": { waivers: [noReason, { ...waiver, expires: "2020-01-01" }] },
        "s3-versioning": { waivers: [{ ...waiver, finding: "s3-versioning", expires: "2020-01-01" }] },
      }),
    );
    const { status, stdout, stderr } = run("--stack", "prod", "--graph", graph, "--config", config);
    expect(status).to.equal(2);
    expect(stdout).to.equal("");
    expect(stderr).to.include("there is no rule 's3-tls'");
    expect(stderr).to.include("s3-object-lock.waivers.0 must have required property 'reason'");
    expect(stderr).to.include("waiver of s3-versioning at securecart-prod-logs: expired on 2020-01-01");
  });

  it("says what is wrong with its input, and judges nothing", () => {
    const broken = path.join(folder, "broken.json");
    writeFileSync(broken, "{");
    const { status, stderr } = run("--stack", "prod", "--graph", broken);
    expect(status).to.equal(2);
    expect(stderr).to.include("is no JSON");
    expect(run("--stak", "prod").stderr).to.include("--stak");
  });
});
