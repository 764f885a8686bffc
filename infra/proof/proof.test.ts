/**
 * What this does not prove: that AWS asks for no more than its documentation says. Calls are recorded here; those of
 * Spark are file operations of a local run, taken for the calls that Glue's file systems make for them.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { parseDocument } from "../../policies/iam/document.ts";
import { stackGraph } from "../graph/stack-graph.ts";
import { root } from "../package/artifacts.ts";
import { type Call, policiesFor, requestOf, Stack } from "./calls.ts";
import { decide } from "./evaluate.ts";
import { jobCalls, readRecording } from "./jobs.ts";
import { simulated } from "./oracle.ts";
import { record } from "./recorder/record.ts";
import {
  actionsOfOthers,
  areas,
  objectRights,
  objectsOfOthers,
  particularCalls,
  rolesOfOthers,
  takeoverCalls,
  twistedCalls,
} from "./refused.ts";
import { groupForms, serviceCalls } from "./services.ts";
import { counts, documentOf, recordedCalls, tableOf } from "./table.ts";

const told = ({ role, action, resource, context }: Call): string =>
  `${role}: ${action} on ${resource} ${JSON.stringify(context)}`;

describe("least privilege of the stack prod", function () {
  this.timeout(120_000);
  let stack: Stack;
  let calls: readonly Call[];
  before(async () => {
    stack = new Stack(await stackGraph("prod"));
    calls = await recordedCalls(stack);
  });

  const decided = (call: Call) => decide(requestOf(stack, call), policiesFor(stack, call));
  const allowed = (given: readonly Call[]): string[] =>
    given.filter((call) => decided(call) === "Allowed").map(told);
  const notAllowed = (given: readonly Call[]): string[] =>
    given.filter((call) => decided(call) !== "Allowed").map(told);

  it("allows every recorded call, with its resource and its conditions", () => {
    expect(calls.length).to.be.greaterThan(500);
    expect(notAllowed(calls)).to.deep.equal([]);
  });

  it("allows every call that a service makes with a role, as the stack configures it", () => {
    expect(serviceCalls(stack, calls).length).to.be.greaterThan(500);
    expect(notAllowed(serviceCalls(stack, calls))).to.deep.equal([]);
  });

  it("lets who deploys make each log group and count words in it, as AWS names it and as CloudWatch Logs asks for it", () => {
    const groups = stack.ofType("aws:cloudwatch/logGroup:LogGroup").map(({ inputs }) => String(inputs.name));
    expect(groups).to.include(`/aws/vendedlogs/states/${stack.name}`);
    const making = groups.flatMap((name) =>
      groupForms(stack.arn("logs", `log-group:${name}`)).flatMap((resource) =>
        [
          "logs:AssociateKmsKey",
          "logs:CreateLogGroup",
          "logs:DescribeMetricFilters",
          "logs:ListTagsForResource",
          "logs:PutMetricFilter",
          "logs:PutRetentionPolicy",
          "logs:TagResource",
        ].map((action) => ({ role: "deploy", action, resource, context: {} })),
      ),
    );
    // Pulumi's provider reads a group back by looking for its name among all.
    const reading = { role: "deploy", action: "logs:DescribeLogGroups", context: {} };
    const found = groupForms(stack.arn("logs", "log-group:")).map((resource) => ({ ...reading, resource }));
    expect(notAllowed([...making, ...found])).to.deep.equal([]);
  });

  // Except to who deploys, whose parts have no call to hold them against.
  it("gives nothing that is neither exercised nor a service's, by action, resource and condition", () => {
    const rows = tableOf(stack, calls);
    const open = rows.filter(({ exercised, reason }) => exercised === 0 && !reason);
    expect(
      open.map(({ part: { role, sid, action, resource, picked = "" } }) =>
        [role, sid, action, resource, picked].join(" "),
      ),
    ).to.deep.equal([]);
    // A right too much is found: the same table without the calls of one function.
    const without = tableOf(
      stack,
      calls.filter(({ role }) => role !== "commit"),
    );
    const lost = without.filter(
      ({ part, exercised, reason }) => part.role === "commit" && exercised === 0 && !reason,
    );
    expect(new Set(lost.map(({ part }) => part.sid))).to.include.all.keys(
      "ReadLanding",
      "UseLedger",
      "WriteSummary",
    );
  });

  it("counts what is for deployment apart, since neither a call nor a service stands for it", () => {
    const rows = tableOf(stack, calls);
    const deploys = rows.filter(({ part }) => part.role === "deploy");
    const { parts, exercised, byServices, byDeployment, open } = counts(rows);
    expect(byDeployment).to.equal(deploys.length);
    expect(counts(rows.filter(({ part }) => part.role !== "deploy"))).to.deep.equal({
      ...{ parts: parts - deploys.length, exercised, byServices, byDeployment: 0, open },
    });
    const heading = documentOf(rows).split("\n## ")[0] ?? "";
    expect(heading).to.include(`${byDeployment} for deployment, which nothing here exercises`);
  });

  it("takes lookups in the catalog for Iceberg's only where a job is recorded to read a table", () => {
    const lookups = (made: readonly Call[]): string[] =>
      serviceCalls(stack, made)
        .filter(({ role, action }) => role === "curate" && action === "glue:GetTables")
        .map(({ resource }) => resource.split(":").at(-1) ?? "");
    const database = (zone: string): string => `database/${stack.name.replaceAll("-", "_")}_${zone}`;
    expect(lookups(calls)).to.include.members([database("staging"), database("curated")]);
    const unread = calls.filter(({ role, action, resource }) =>
      [role !== "curate", action !== "glue:GetTable", !resource.endsWith(database("staging"))].some(Boolean),
    );
    expect(lookups(unread)).to.include(database("curated")).and.not.include(database("staging"));
    // Nor does a right make one up.
    const open = tableOf(stack, unread).filter(({ exercised, reason }) => exercised === 0 && !reason);
    expect(new Set(open.map(({ part }) => `${part.role} ${part.action}`))).to.include.all.keys(
      "curate glue:GetDatabase",
      "curate glue:GetPartitions",
      "curate glue:GetTables",
    );
  });

  it("has recorded calls of every role that runs code of ours", () => {
    const silent = stack.roles.filter((role) => !calls.some((call) => call.role === role));
    // Services and people act with these, and nothing of ours.
    expect(silent).to.deep.equal([
      "api",
      "api-logging",
      "bi",
      "catalog",
      "copy",
      "deploy",
      "flow-logs",
      "recipes",
      "start-drop",
      "start-pull",
      "start-schedule",
      "start-stream",
    ]);
  });

  it("lets own roles use a key directly for what some of them do only so", () => {
    const all = [...calls, ...serviceCalls(stack, calls)];
    const isDirect = ({ id }: { readonly id: string }): boolean => id === "UseByOwnRoles";
    for (const key of [stack.dataKey, stack.logsKey]) {
      const given = stack.resourceStatements(key)?.filter(isDirect) ?? [];
      const needed = all
        .filter(({ resource }) => resource === key)
        .filter((call) => {
          const policies = policiesFor(stack, call);
          const resource = policies.resource?.filter((statement) => !isDirect(statement));
          return decide(requestOf(stack, call), { ...policies, resource }) !== "Allowed";
        });
      expect([...new Set(needed.map(({ action }) => action))].sort(), key).to.deep.equal(
        given.flatMap(({ actions }) => actions),
      );
    }
  });

  describe("what a role must not do", () => {
    it("with objects of the lake: nothing but what is written down for it, and that", () => {
      const others = objectsOfOthers(stack);
      expect(new Set(others.map(({ role }) => role)).size).to.equal(stack.roles.length);
      expect(allowed(others)).to.deep.equal([]);
      const own = areas.flatMap(({ zone, key, rights }) =>
        Object.entries(rights).flatMap(([right, roles]) =>
          roles.map((role) => ({
            role,
            action: objectRights[right as keyof typeof objectRights],
            resource: `arn:aws:s3:::${stack.bucket(zone)}/${key}`,
            context: {},
          })),
        ),
      );
      expect(notAllowed(own)).to.deep.equal([]);
    });

    it("hand a role on, to whatever service", () => {
      expect(allowed(rolesOfOthers(stack))).to.deep.equal([]);
      const handed = {
        role: "workflow",
        action: "iam:PassRole",
        resource: stack.roleArn("fraud-score"),
        context: { "iam:PassedToService": "emr-serverless.amazonaws.com" },
      };
      expect(decided(handed)).to.equal("Allowed");
    });

    it("gain rights, or take away what guards data", () => {
      expect(allowed(takeoverCalls(stack))).to.deep.equal([]);
    });

    it("use an action that it was not given, or do what its workload has no need of", () => {
      expect(allowed(actionsOfOthers(stack))).to.deep.equal([]);
      expect(allowed(particularCalls(stack))).to.deep.equal([]);
      expect(new Set(particularCalls(stack).map(({ role }) => role)).size).to.be.greaterThan(30);
    });

    it("reach beyond its stack, account and region, without TLS, with another key or for another's context", () => {
      const twisted = twistedCalls(stack);
      expect(allowed(twisted)).to.deep.equal([]);
      const roles = new Map<string, Set<string>>();
      for (const { twist, role } of twisted) roles.set(twist, (roles.get(twist) ?? new Set()).add(role));
      const counted = Object.fromEntries([...roles].map(([twist, of]) => [twist, of.size]));
      // Of 40 roles; who deploys is the only one without a boundary, and so without a region.
      expect(counted).to.deep.equal({
        "another account's resource": 40,
        "another region": 39,
        "another stack's resource": 37,
        "no TLS": 34,
        "an object under another key": 23,
        "another key": 37,
        "a key without its service or context": 36,
        "a key through another service": 35,
        "a key in another context": 3,
        "a folder of another name": 22,
        "another's statement": 3,
        "metrics in another's namespace": 13,
      });
    });

    it("and would be able to with wider policies: each refusal is a policy's, not a slip of the call", () => {
      const all = parseDocument({ Statement: { Effect: "Allow", Action: "*", Resource: "*" } });
      const refused = [
        ...objectsOfOthers(stack),
        ...rolesOfOthers(stack),
        ...takeoverCalls(stack),
        ...particularCalls(stack),
        ...twistedCalls(stack),
      ];
      const still = refused.filter((call) => {
        const { resource } = policiesFor(stack, call);
        return decide(requestOf(stack, call), { identity: all, resource }) !== "Allowed";
      });
      // What even such a policy does not open: keys whose own policy lets nobody in, and what a bucket's, queue's or
      // topic's policy refuses to all.
      const why = (call: Call): string => ("twist" in call ? String(call.twist) : call.action);
      expect([...new Set(still.map(why))].sort()).to.deep.equal([
        "a key through another service",
        "a key without its service or context",
        "an object under another key",
        "another account's resource",
        "another key",
        "kms:CreateGrant",
        "kms:Decrypt",
        "no TLS",
      ]);
      const foreign = still.filter((call) => why(call) === "another account's resource");
      expect(foreign.filter(({ action }) => !action.startsWith("kms:"))).to.deep.equal([]);
    });
  });

  describe("when a policy changes", () => {
    interface Written {
      Sid: string;
      Action: string | string[];
      Resource: string | string[];
      Condition?: object;
    }

    /** The stack with one policy of a role changed. */
    function altered(role: string, change: (statements: Written[]) => Written[]): Stack {
      const resources = stack.graph.resources.map((resource) => {
        const { type, inputs } = resource;
        if (type !== "aws:iam/rolePolicy:RolePolicy" || inputs.role !== `${stack.name}-${role}`)
          return resource;
        const document = JSON.parse(String(inputs.policy)) as { Statement: Written[] };
        const policy = JSON.stringify({ ...document, Statement: change(document.Statement) });
        return { ...resource, inputs: { ...inputs, policy } };
      });
      return new Stack({ ...stack.graph, resources });
    }
    const allowedIn = (changed: Stack, given: readonly Call[]): Call[] =>
      given.filter((call) => decide(requestOf(changed, call), policiesFor(changed, call)) === "Allowed");

    it("a right that is missing is a recorded call that is refused", () => {
      const changed = altered("abort", (statements) =>
        statements.map((one) =>
          one.Sid === "UseLedger" ? { ...one, Action: ["dynamodb:GetItem", "dynamodb:UpdateItem"] } : one,
        ),
      );
      const own = calls.filter(({ role }) => role === "abort");
      const refused = own.filter((call) => !allowedIn(changed, [call]).length).map(({ action }) => action);
      expect(new Set(refused)).to.deep.equal(new Set(["dynamodb:DeleteItem", "dynamodb:PutItem"]));
    });

    it("a right too much is one that nobody uses, and a refused call that is allowed", () => {
      const changed = altered("verdict", (statements) =>
        statements.map((one) =>
          one.Sid === "ReadStaging" ? { ...one, Action: ["s3:GetObject", "s3:PutObject"] } : one,
        ),
      );
      const open = tableOf(changed, calls).filter(({ exercised, reason }) => exercised === 0 && !reason);
      expect(open.map(({ part }) => `${part.role} ${part.action}`)).to.deep.equal(["verdict s3:PutObject"]);
      expect(allowedIn(changed, objectsOfOthers(stack)).map(told)).to.have.length(1);
    });

    it("a condition that is gone, or a role that may be handed on, is a refused call that is allowed", () => {
      const open = altered("clean", (statements) => statements.map(({ Condition: _, ...one }) => one));
      const twists = twistedCalls(stack).filter((call) => allowedIn(open, [call]).length > 0);
      expect([...new Set(twists.map(({ twist }) => twist))].sort()).to.deep.equal([
        "a folder of another name",
        "a key through another service",
        "a key without its service or context",
        "metrics in another's namespace",
      ]);
      const passing = altered("workflow", (statements) =>
        statements.map((one) => (one.Sid === "PassJobRole" ? { ...one, Resource: stack.roleArn("*") } : one)),
      );
      // The boundary still holds what the role's own policy lets go.
      expect(allowedIn(passing, rolesOfOthers(stack))).to.deep.equal([]);
    });
  });

  /** The same decision by an independent implementation. */
  async function decidedThere(call: Call): Promise<string> {
    const boundary = stack.named("aws:iam/policy:Policy", `${stack.name}-boundary`);
    const bounded = stack.role(call.role).inputs.permissionsBoundary !== undefined;
    const own = stack.resourcePolicy(call.resource);
    return simulated(requestOf(stack, call), {
      identity: stack.policies(call.role),
      ...(bounded && { boundary: JSON.parse(String(boundary.inputs.policy)) as unknown }),
      ...(own !== undefined && { resource: JSON.parse(own) as unknown }),
    });
  }

  /** Where the two differ; what the other cannot judge is left out, and is a handful that is named here. */
  async function differences(given: readonly Call[]): Promise<string[]> {
    const differ: string[] = [];
    for (const call of given) {
      // It knows no keys of an encryption context; there are few, whose twists are refused above.
      if (Object.keys(call.context).some((key) => /^kms:encryptioncontext:/i.test(key))) continue;
      // It takes no wildcard for a kind of resource, as Lambda's documentation writes it: arn:aws:ec2:…:*/*.
      if (call.action === "ec2:DeleteNetworkInterface") continue;
      const theirs = await decidedThere(call);
      // IAM's data says that an action takes no such resource: of statements that list actions of several kinds together,
      // and of those for which the documentation of the service has other resources than IAM's.
      const unknown = /no\.resource\.types|must\.use\.wildcard/.test(theirs);
      if (unknown && (call.role === "deploy" || /^logs:(Create|Put|Describe)/.test(call.action))) continue;
      const ours = decided(call);
      if (theirs !== ours) differ.push(`${told(call)}: ${ours} here, ${theirs} there`);
    }
    return differ;
  }

  it("is decided the same way by an independent implementation of IAM", async () => {
    const given = [...calls, ...serviceCalls(stack, calls), ...particularCalls(stack)];
    expect(await differences(given)).to.deep.equal([]);
  });

  it("is decided the same way there for every call that is refused @slow", async function () {
    this.timeout(600_000);
    const given = [
      ...takeoverCalls(stack),
      ...twistedCalls(stack),
      ...objectsOfOthers(stack),
      ...rolesOfOthers(stack),
    ];
    expect(given.length).to.be.greaterThan(25_000);
    expect(await differences(given)).to.deep.equal([]);
  });

  it("is documented as it is: docs/least-privilege.md (npm run least-privilege)", () => {
    const kept = readFileSync(path.join(root, "docs/least-privilege.md"), "utf8");
    expect(kept === documentOf(tableOf(stack, calls)), "stale: npm run least-privilege").to.equal(true);
  });

  it("is proven with jobs recorded as they are now: recorded-jobs.json (npm run least-privilege:record) @slow", async function () {
    this.timeout(1_800_000);
    const asked = (recording: Parameters<typeof jobCalls>[1]): string[] =>
      [...new Set(jobCalls(stack, recording).map(told))].sort();
    expect(asked(await record()), "stale: npm run least-privilege:record").to.deep.equal(
      asked(readRecording()),
    );
  });
});
