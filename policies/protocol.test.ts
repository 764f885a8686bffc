import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import type * as grpcJs from "@grpc/grpc-js";
import type * as analyzerPb from "@pulumi/pulumi/proto/analyzer_pb.js";
import { expect } from "chai";
import { judgeStack } from "./judge.ts";
import { knownWherePossible } from "./pack.ts";
import { plainValue } from "./resources.ts";
import { type Resource, unknown } from "./rule.ts";
import { rules } from "./rules.ts";
import { StackView } from "./stack.ts";
import { type Base, prodStack } from "./testing.ts";

const fromSdk = createRequire(createRequire(import.meta.url).resolve("@pulumi/pulumi"));
const grpc = fromSdk("@grpc/grpc-js") as typeof grpcJs;
const messages = fromSdk("@pulumi/pulumi/proto/analyzer_pb.js") as typeof analyzerPb;
const { AnalyzerClient } = fromSdk("@pulumi/pulumi/proto/analyzer_grpc_pb.js") as {
  AnalyzerClient: new (address: string, credentials: grpcJs.ChannelCredentials, options: object) => Client;
};
const { Struct } = fromSdk("google-protobuf/google/protobuf/struct_pb.js") as {
  Struct: { fromJavaScript(value: object): ReturnType<analyzerPb.AnalyzeRequest["getProperties"]> };
};
const { Empty } = fromSdk("google-protobuf/google/protobuf/empty_pb.js") as { Empty: new () => object };

type Answer<T> = (error: Error | null, response: T) => void;

/** What is called of the SDK's client, whose generated class has no types of its own. */
interface Client {
  analyze(request: analyzerPb.AnalyzeRequest, answer: Answer<analyzerPb.AnalyzeResponse>): void;
  analyzeStack(request: analyzerPb.AnalyzeStackRequest, answer: Answer<analyzerPb.AnalyzeResponse>): void;
  getAnalyzerInfo(request: object, answer: Answer<analyzerPb.AnalyzerInfo>): void;
  configure(request: analyzerPb.ConfigureAnalyzerRequest, answer: Answer<object>): void;
  close(): void;
}

const call = <Request, Response>(
  client: Client,
  method: (request: Request, answer: Answer<Response>) => void,
  request: Request,
): Promise<Response> =>
  new Promise((resolve, reject) => {
    method.call(client, request, (error, response) => (error ? reject(error) : resolve(response)));
  });

/** The pack as the CLI starts it: the SDK's runner in the pack's folder. @returns its port */
async function startPack(cwd = import.meta.dirname): Promise<{ process: ChildProcess; port: number }> {
  const runner = fromSdk.resolve("@pulumi/pulumi/cmd/run-policy-pack");
  const child = spawn(process.execPath, [runner, "127.0.0.1:1", "."], { cwd });
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors += String(chunk);
  });
  const port = await new Promise<number>((resolve, reject) => {
    let out = "";
    child.stdout.on("data", (chunk) => {
      out += String(chunk);
      if (/^\d+\n/.test(out)) resolve(Number.parseInt(out, 10));
    });
    child.once("exit", (code) => reject(new Error(`the pack ended with ${code}: ${errors}`)));
  });
  return { process: child, port };
}

const stringSentinel = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

const manifestOf = (file: string): Manifest => JSON.parse(readFileSync(file, "utf8")) as Manifest;

/** A copy of the pack's folder elsewhere, with no packages but those that its package.json names. */
function copyOfPack(): string {
  const here = import.meta.dirname;
  const root = path.dirname(here);
  const copy = path.join(mkdtempSync(path.join(tmpdir(), "pack-")), "policies");
  cpSync(here, copy, { recursive: true, filter: (file) => !file.endsWith(".test.ts") });
  for (const name of Object.keys(manifestOf(path.join(here, "package.json")).dependencies)) {
    const link = path.join(copy, "node_modules", name);
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(path.join(root, "node_modules", name), link);
  }
  return copy;
}

/** Values in the form in which the engine sends them. */
function wire(value: unknown): unknown {
  if (value === unknown) return stringSentinel;
  if (Array.isArray(value)) return value.map(wire);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, wire(item)]));
}

function options(resource: Resource): analyzerPb.AnalyzerResourceOptions {
  const result = new messages.AnalyzerResourceOptions();
  result.setProtect(resource.protect);
  return result;
}

function provider(all: readonly Resource[]): analyzerPb.AnalyzerProviderResource | undefined {
  const found = all.find(({ type }) => type === "pulumi:providers:aws");
  if (!found) return undefined;
  const result = new messages.AnalyzerProviderResource();
  result.setType(found.type);
  result.setUrn(found.urn);
  result.setName(found.name);
  result.setProperties(Struct.fromJavaScript(wire(found.inputs) as object));
  return result;
}

function single(resource: Resource, all: readonly Resource[]): analyzerPb.AnalyzeRequest {
  const request = new messages.AnalyzeRequest();
  request.setType(resource.type);
  request.setUrn(resource.urn);
  request.setName(resource.name);
  request.setProperties(Struct.fromJavaScript(wire(resource.inputs) as object));
  request.setOptions(options(resource));
  request.setProvider(provider(all));
  return request;
}

function whole(resources: readonly Resource[]): analyzerPb.AnalyzeStackRequest {
  const request = new messages.AnalyzeStackRequest();
  request.setResourcesList(
    resources.map((resource) => {
      const each = new messages.AnalyzerResource();
      each.setType(resource.type);
      each.setUrn(resource.urn);
      each.setName(resource.name);
      each.setProperties(Struct.fromJavaScript(wire(resource.inputs) as object));
      each.setOptions(options(resource));
      each.setProvider(provider(resources));
      each.setParent(resource.parent ?? "");
      each.setDependenciesList([...resource.dependencies]);
      for (const [property, urns] of Object.entries(resource.propertyDependencies)) {
        const dependencies = new messages.AnalyzerPropertyDependencies();
        dependencies.setUrnsList([...urns]);
        each.getPropertydependenciesMap().set(property, dependencies);
      }
      return each;
    }),
  );
  return request;
}

interface Said {
  readonly policy: string;
  readonly urn: string;
  readonly message: string;
  readonly level: number;
}

const saidBy = (response: analyzerPb.AnalyzeResponse, urn?: string): readonly Said[] =>
  response.getDiagnosticsList().map((diagnostic) => ({
    policy: diagnostic.getPolicyname(),
    urn: urn ?? diagnostic.getUrn(),
    message: diagnostic.getMessage(),
    level: diagnostic.getEnforcementlevel(),
  }));

/** `<finding's id> <urn>`, in order. */
const named = (findings: readonly { readonly id: string; readonly urn: string }[]): readonly string[] =>
  findings.map(({ id, urn }) => `${id} ${urn.split("::").at(-1)}`).toSorted();

const idsOf = (said: readonly Said[]): readonly string[] =>
  named(
    said.flatMap(({ message, urn }) => {
      const id = message.match(/\[([a-z0-9-]+(\[.*?\])?)\] /)?.[1];
      return id === undefined ? [] : [{ id, urn }];
    }),
  );

/** The stack with inputs of some resources replaced. */
function changed(
  base: Base,
  changes: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
): readonly Resource[] {
  return base.resources.map((resource) => {
    const replaced = changes[`${resource.type} ${resource.name}`];
    return replaced ? { ...resource, inputs: { ...resource.inputs, ...replaced } } : resource;
  });
}

const findings = (resources: readonly Resource[], account: Base["account"]) =>
  judgeStack(rules, new StackView(resources, account));

// What this does not show: what the CLI makes of the answers, and the states that a real provider returns.
describe("policy pack over the engine's protocol", function () {
  this.timeout(120_000);
  let base: Base;
  let child: ChildProcess;
  let client: Client;

  before(async () => {
    [base, { process: child, client }] = await Promise.all([
      prodStack(),
      startPack().then(({ process, port }) => ({
        process,
        client: new AnalyzerClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {}),
      })),
    ]);
  });

  after(() => {
    client?.close();
    child?.kill();
  });

  it("tells the engine every rule with its level, severity, remedy and configuration", async () => {
    const info = await call(client, client.getAnalyzerInfo, new Empty());
    const policies = info.getPoliciesList();
    expect(policies.map((policy) => policy.getName())).to.include.members(rules.map(({ id }) => id));
    const region = policies.find((policy) => policy.getName() === "log-retention");
    expect(region?.getConfigschema()?.getProperties()?.toJavaScript()).to.have.property("leastDays");
    expect(region?.getRemediationSteps()).to.include("retentionInDays");
  });

  it("finds the same in each resource as the rules do in process", async () => {
    const faults = {
      "aws:kms/key:Key securecart-prod-data": { enableKeyRotation: false, deletionWindowInDays: 7 },
      "aws:lambda/function:Function securecart-prod-plan": {
        tracingConfig: { mode: "PassThrough" },
        timeout: 0,
      },
      "aws:dynamodb/table:Table securecart-prod-ledger": { pointInTimeRecovery: [{ enabled: false }] },
      "aws:glue/job:Job securecart-prod-clean": { timeout: "soon", numberOfWorkers: unknown },
    };
    const resources = changed(base, faults);
    const ofResources = new Set(rules.filter(({ scope }) => scope === "resource").map(({ id }) => id));
    const touched = resources.filter(({ type, name }) => Object.hasOwn(faults, `${type} ${name}`));
    const said: Said[] = [];
    for (const resource of touched) {
      const response = await call(client, client.analyze, single(resource, resources));
      said.push(...saidBy(response, resource.urn));
    }
    const urns = new Set(touched.map(({ urn }) => urn));
    const expected = findings(resources, base.account)
      .flatMap((judgement) => (judgement.state === "not applicable" ? [] : judgement.findings))
      .filter(({ rule, urn }) => ofResources.has(rule) && urns.has(urn));
    expect(idsOf(said)).to.deep.equal(named(expected));
    expect(idsOf(said)).to.include.members([
      "kms-rotation securecart-prod-data",
      "kms-deletion-window securecart-prod-data",
      "lambda-tracing securecart-prod-plan",
      "lambda-timeout securecart-prod-plan",
      "dynamodb-recovery securecart-prod-ledger",
      "glue-timeout[Type::timeout] securecart-prod-clean",
    ]);
  });

  it("finds the same in the stack, and tells what is unknown without hiding a violation", async () => {
    const resources = changed(base, {
      // A key's ARN is AWS's to give: no defect.
      "aws:sqs/queue:Queue securecart-prod-failures": { kmsMasterKeyId: unknown },
      // Nothing that comes from AWS is in it: the program can make it known.
      "aws:s3/bucketVersioning:BucketVersioning securecart-prod-landing": {
        versioningConfiguration: { status: "Suspended" },
      },
      "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration securecart-prod-logs":
        { rules: unknown },
      "aws:sfn/stateMachine:StateMachine securecart-prod": { loggingConfiguration: unknown },
    });
    const sent = plainValue(wire(resources.map(({ inputs }) => inputs))) as Resource["inputs"][];
    expect(sent).to.deep.equal(resources.map(({ inputs }) => inputs));
    const said = saidBy(await call(client, client.analyzeStack, whole(resources)));
    const ofStack = new Set(rules.filter(({ scope }) => scope === "stack").map(({ id }) => id));
    const judgements = findings(resources, base.account);
    const expected = judgements
      .flatMap((judgement) => (judgement.state === "not applicable" ? [] : judgement.findings))
      .filter(({ rule }) => ofStack.has(rule));
    expect(idsOf(said.filter(({ policy }) => policy !== knownWherePossible))).to.deep.equal(named(expected));
    expect(idsOf(said)).to.include.members([
      "s3-versioning securecart-prod-landing",
      "s3-kms-encryption[Unknown::rules] securecart-prod-logs",
    ]);
    const unjudged = said.filter(({ policy }) => policy === "could-not-judge");
    const missed = judgements.flatMap((judgement) =>
      judgement.state === "could not judge" ? [judgement] : [],
    );
    for (const { rule, property, urn } of missed) {
      const told = unjudged.filter(
        (each) => each.urn === urn && each.message.includes(`${property} is unknown`),
      );
      expect(told.map(({ message }) => message).join(), rule).to.include(rule);
    }
    // Once for a resource and property, however many rules miss it.
    expect(unjudged).to.have.lengthOf(new Set(missed.map(({ urn, property }) => `${urn} ${property}`)).size);
    expect(unjudged.some(({ message }) => message.includes("sfn-logging"))).to.equal(true);
    expect(unjudged.every(({ level }) => level === messages.EnforcementLevel.ADVISORY)).to.equal(true);
  });

  it("lets a waived finding pass until the waiver's end, and takes parameters and levels from the configuration", async () => {
    const finding = "s3-object-lock securecart-prod-logs";
    const waiver = (expires: string) => ({
      finding: "s3-object-lock",
      resource: "securecart-prod-logs",
      reason: "The target of access logs cannot have a lock of its own.",
      owner: "data-platform",
      expires,
    });
    const configured = async (config: Readonly<Record<string, Readonly<Record<string, unknown>>>>) => {
      const request = new messages.ConfigureAnalyzerRequest();
      for (const [rule, { enforcementLevel, ...properties }] of Object.entries(config)) {
        const policy = new messages.PolicyConfig();
        if (enforcementLevel === "mandatory") policy.setEnforcementlevel(messages.EnforcementLevel.MANDATORY);
        policy.setProperties(Struct.fromJavaScript(properties));
        request.getPolicyconfigMap().set(rule, policy);
      }
      await call(client, client.configure, request);
      return saidBy(await call(client, client.analyzeStack, whole(base.resources)));
    };
    const ofLock = (said: readonly Said[]) => said.filter(({ policy }) => policy === "s3-object-lock");
    try {
      expect(idsOf(ofLock(await configured({})))).to.deep.equal([finding]);
      expect(
        ofLock(await configured({ "s3-object-lock": { waivers: [waiver("2999-12-31")] } })),
      ).to.deep.equal([]);
      const [expired] = ofLock(
        await configured({
          "s3-object-lock": { enforcementLevel: "mandatory", waivers: [waiver("2020-01-01")] },
        }),
      );
      expect(expired?.message).to.include("expired on 2020-01-01");
      expect(expired?.level).to.equal(messages.EnforcementLevel.MANDATORY);
      const [capped] = (await configured({ "redshift-usage-limit": { mostRpuHours: 1 } })).filter(
        ({ policy }) => policy === "redshift-usage-limit",
      );
      expect(capped?.message).to.include("allowed is 1 to 1");
    } finally {
      await configured({});
    }
  });

  it("starts from a copy of its folder, with the packages that its package.json names in the installed versions", async () => {
    const { dependencies } = manifestOf(path.join(import.meta.dirname, "package.json"));
    const installed = path.join(import.meta.dirname, "../node_modules");
    for (const [name, version] of Object.entries(dependencies)) {
      const { version: found } = manifestOf(path.join(installed, name, "package.json"));
      // Pulumi's policy SDK writes a v before its version.
      expect(found.replace(/^v/, ""), name).to.equal(version);
    }
    const folder = copyOfPack();
    const { process: copied, port } = await startPack(folder);
    const ofCopy = new AnalyzerClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {});
    try {
      const info = await call(ofCopy, ofCopy.getAnalyzerInfo, new Empty());
      expect(info.getName()).to.equal("securecart-policies");
      expect(info.getPoliciesList().length).to.equal(rules.length + 2);
      const said = saidBy(await call(ofCopy, ofCopy.analyzeStack, whole(base.resources)));
      const here = saidBy(await call(client, client.analyzeStack, whole(base.resources)));
      expect(said).to.deep.equal(here);
    } finally {
      ofCopy.close();
      copied.kill();
      rmSync(path.dirname(folder), { recursive: true });
    }
  });

  it("passes the unchanged stack but for advisories", async () => {
    const said = saidBy(await call(client, client.analyzeStack, whole(base.resources)));
    const blocking = said.filter(({ level }) => level === messages.EnforcementLevel.MANDATORY);
    // Without its configuration the pack trusts no account but the stack's own.
    expect(idsOf(blocking)).to.deep.equal([
      "reference-own-account[Account::187925254637] securecart-prod-api-logs",
      "reference-own-account[Account::187925254637] securecart-prod-partner-pull",
      "reference-own-account[Account::187925254637] securecart-prod-plan",
      "reference-own-account[Account::187925254637] securecart-prod-redrive",
    ]);
  });
});
