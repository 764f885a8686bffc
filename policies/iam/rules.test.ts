import { expect } from "chai";
import { stackGraph } from "../../infra/graph/stack-graph.ts";
import { judgeStack } from "../judge.ts";
import { type Finding, type Judgement, type Resource, unknown } from "../rule.ts";
import { StackView } from "../stack.ts";
import { actionNamed, expand, matches } from "./actions.ts";
import { DocumentError, parseDocument } from "./document.ts";
import { iamMutants } from "./mutants.ts";
import { iamNearMisses, withoutNearMiss } from "./near-misses.ts";
import { iamRules } from "./rules.ts";
import { identityTypes, resourceTypes, roleType } from "./union.ts";

const account = { partition: "aws", accountId: "444455556666", region: "eu-central-1" };

const judgements = (resources: readonly Resource[], rules = iamRules): readonly Judgement[] =>
  judgeStack(rules, new StackView(resources, account));

const findingsOf = (all: readonly Judgement[]): readonly Finding[] =>
  all.flatMap((each) => (each.state === "not applicable" ? [] : each.findings));

const resource = (type: string, name: string, inputs: Record<string, unknown>): Resource => ({
  urn: `urn:pulumi:test::test::${type}::${name}`,
  type,
  name,
  inputs,
  dependencies: [],
  propertyDependencies: {},
  protect: false,
});

const trust = (statement: object): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: "sts:AssumeRole", ...statement }],
  });
const lambdaRole = resource(roleType, "function", {
  name: "function",
  assumeRolePolicy: trust({ Principal: { Service: "lambda.amazonaws.com" } }),
});
const policy = (...statements: object[]): Resource =>
  resource("aws:iam/rolePolicy:RolePolicy", "rights", {
    role: "function",
    policy: JSON.stringify({ Version: "2012-10-17", Statement: statements }),
  });

const allowed = (action: string, on: string): object => ({ Effect: "Allow", Action: action, Resource: on });

/** Ids of the findings of one rule. */
function ids(rule: string, ...resources: Resource[]): string[] {
  const [found] = [iamRules.filter(({ id }) => id === rule)];
  expect(found, rule).to.have.length(1);
  return findingsOf(judgements(resources, found)).map(({ id }) => id);
}

describe("policy documents", () => {
  it("are read as text, as an object, and with a single statement", () => {
    const one = { Effect: "Allow", Action: "s3:GetObject", Resource: "*" };
    const [expected] = parseDocument({ Statement: [one] });
    for (const document of [{ Statement: one }, JSON.stringify({ Statement: [one] })]) {
      expect(parseDocument(document)).to.deep.equal([expected]);
    }
  });

  it("compare condition keys without case", () => {
    const [statement] = parseDocument({
      Statement: {
        Effect: "Allow",
        Action: "s3:*",
        Resource: "*",
        Condition: { Bool: { "AWS:SecureTransport": true } },
      },
    });
    expect(statement?.conditions).to.deep.equal({ Bool: { "aws:securetransport": ["true"] } });
  });

  it("are refused with what is wrong", () => {
    const cases: [unknown, string][] = [
      ["{", "not JSON"],
      ["[]", "object with a Statement"],
      [7, "object with a Statement"],
      [{}, "no Statement"],
      [{ Statement: ["x"] }, "statement 1 must be an object"],
      [{ Statement: { Effect: "allow", Action: "a:b" } }, 'not "allow"'],
      [{ Statement: { Effect: "Allow", action: "a:b" } }, "element 'action'"],
      [{ Statement: { Effect: "Allow", Resource: "*" } }, "names no action"],
      [{ Statement: { Effect: "Allow", Action: [{}] } }, "statement 1: Action must be a text"],
      [{ Statement: { Effect: "Allow", Action: "a:b", Condition: { Bool: 1 } } }, "Condition.Bool"],
      [{ Statement: { Effect: "Allow", Action: "a:b", Principal: 1 } }, 'Principal must be "*"'],
    ];
    for (const [document, message] of cases) {
      expect(() => parseDocument(document), message).to.throw(DocumentError, message);
    }
  });
});

describe("IAM's actions", () => {
  it("are found without case, and expanded by pattern", () => {
    expect(actionNamed("S3:GETOBJECT")?.name).to.equal("s3:GetObject");
    expect(expand("glue:?etTable").map(({ name }) => name)).to.deep.equal(["glue:GetTable"]);
    expect(expand("s3:Get*").length).to.be.greaterThan(40);
    expect(expand("s*:GetObject").map(({ name }) => name)).to.include("s3:GetObject");
    expect(expand("s3:Nothing*")).to.deep.equal([]);
    expect(expand("*").length).to.be.greaterThan(10_000);
  });

  it("are matched with every other character as itself", () => {
    expect(matches("a.b*", "a.bc")).to.equal(true);
    expect(matches("a.b*", "aXbc")).to.equal(false);
    expect(matches("arn:*:(x)", "arn:aws:(x)")).to.equal(true);
    expect(matches("S3:*", "s3:GetObject")).to.equal(false);
    expect(matches("S3:*", "s3:GetObject", true)).to.equal(true);
  });
});

describe("rules on identities", () => {
  it("name the action or resource in the finding's id, so that a waiver stays narrow", () => {
    const wide = policy({ Sid: "Wide", Effect: "Allow", Action: ["s3:*", "S3:get*"], Resource: "*" });
    expect(ids("iam-exact-actions", lambdaRole, wide)).to.deep.equal([
      "iam-exact-actions[Action::s3:*]",
      "iam-exact-actions[Action::S3:get*]",
    ]);
  });

  it("let `*` stand with actions that know no resource, and with a condition that chooses", () => {
    const good = [
      { Effect: "Allow", Action: "xray:PutTraceSegments", Resource: "*" },
      { Effect: "Deny", Action: "s3:GetObject", Resource: "*" },
      {
        Effect: "Allow",
        Action: "redshift-data:DescribeStatement",
        Resource: "*",
        Condition: { StringEquals: { "redshift-data:statement-owner-iam-userid": "u" } },
      },
    ];
    expect(ids("iam-resource-scoped", lambdaRole, policy(...good))).to.deep.equal([]);
  });

  it("find an escalation whose parts stand in different policies, inline and attached", () => {
    const pass = {
      Effect: "Allow",
      Action: "iam:PassRole",
      Resource: "arn:aws:iam::444455556666:role/x",
      Condition: { StringEquals: { "iam:PassedToService": "glue.amazonaws.com" } },
    };
    const create = {
      Effect: "Allow",
      Action: "glue:CreateJob",
      Resource: "arn:aws:glue:eu-central-1:444455556666:job/x",
    };
    const managed = resource("aws:iam/policy:Policy", "managed", {
      name: "managed",
      policy: JSON.stringify({ Version: "2012-10-17", Statement: [create] }),
    });
    const attachment = resource("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "attachment", {
      role: "function",
      policyArn: "arn:aws:iam::444455556666:policy/managed",
    });
    const inRole = {
      ...lambdaRole,
      inputs: { ...lambdaRole.inputs, inlinePolicies: [{ policy: JSON.stringify({ Statement: create }) }] },
    };
    const expected = ["iam-no-escalation[Path::PassRole+glue:CreateJob]"];
    expect(ids("iam-no-escalation", lambdaRole, policy(pass), managed, attachment)).to.deep.equal(expected);
    expect(ids("iam-no-escalation", inRole, policy(pass))).to.deep.equal(expected);
    expect(ids("iam-no-escalation", lambdaRole, policy(pass), managed), "not attached").to.deep.equal([]);
    expect(ids("iam-no-escalation", lambdaRole, policy(pass))).to.deep.equal([]);
  });

  it("take a policy for attached however it is: to several at once, in the role, to a user", () => {
    const edit = allowed("iam:PutRolePolicy", "arn:aws:iam::444455556666:role/x");
    const managed = resource("aws:iam/policy:Policy", "managed", {
      name: "managed",
      policy: JSON.stringify({ Version: "2012-10-17", Statement: edit }),
    });
    const arn = "arn:aws:iam::444455556666:policy/managed";
    const several = resource("aws:iam/policyAttachment:PolicyAttachment", "several", {
      roles: ["another", "function"],
      policyArn: arn,
    });
    const inRole = { ...lambdaRole, inputs: { ...lambdaRole.inputs, managedPolicyArns: [arn] } };
    const expected = ["iam-no-escalation[Path::iam:PutRolePolicy]"];
    expect(ids("iam-no-escalation", lambdaRole, managed, several)).to.deep.equal(expected);
    expect(ids("iam-no-escalation", inRole, managed)).to.deep.equal(expected);
    expect(ids("iam-no-escalation", lambdaRole, managed)).to.deep.equal([]);

    // A boundary gives nothing and may be wide, until somebody has it as a policy.
    const wide = resource("aws:iam/policy:Policy", "managed", {
      name: "managed",
      policy: JSON.stringify({ Version: "2012-10-17", Statement: allowed("s3:GetObject", "*") }),
    });
    const bounded = { ...lambdaRole, inputs: { ...lambdaRole.inputs, permissionsBoundary: arn } };
    const toUser = resource("aws:iam/userPolicyAttachment:UserPolicyAttachment", "u", {
      user: "u",
      policyArn: arn,
    });
    const other = {
      ...inRole,
      urn: `${inRole.urn}-2`,
      name: "other",
      inputs: { ...inRole.inputs, name: "other" },
    };
    expect(ids("iam-resource-scoped", bounded, wide)).to.deep.equal([]);
    for (const attaching of [several, toUser, other]) {
      expect(ids("iam-resource-scoped", bounded, wide, attaching), attaching.type).to.have.length(1);
    }
  });

  it("take a part of an account's number for no account, and read a policy that stands in the bucket", () => {
    const statement = { Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: "*" };
    const inBucket = (Condition: object): Resource =>
      resource("aws:s3/bucket:Bucket", "b", {
        policy: JSON.stringify({ Statement: { ...statement, Condition } }),
      });
    const limited = { StringEquals: { "aws:PrincipalAccount": "444455556666" } };
    const partly = { StringLike: { "aws:PrincipalAccount": "4*" } };
    expect(ids("iam-resource-policy-no-anyone", inBucket(limited))).to.deep.equal([]);
    expect(ids("iam-resource-policy-no-anyone", inBucket(partly))).to.have.length(1);
    expect(ids("iam-resource-policy-no-anyone", inBucket({}))).to.have.length(1);
  });

  it("take a Deny on everything into account, and no narrower one", () => {
    const edit = {
      Effect: "Allow",
      Action: "iam:PutRolePolicy",
      Resource: "arn:aws:iam::444455556666:role/x",
    };
    const deny = { Effect: "Deny", Action: "iam:Put*", Resource: "*" };
    expect(ids("iam-no-escalation", lambdaRole, policy(edit, deny))).to.deep.equal([]);
    const narrow = { ...deny, Condition: { Bool: { "aws:MultiFactorAuthPresent": "false" } } };
    expect(ids("iam-no-escalation", lambdaRole, policy(edit, narrow))).to.have.length(1);
  });

  it("take an external id, an organisation and a principal's ARN as limits of trust", () => {
    const foreign = (Condition?: object): Resource => ({
      ...lambdaRole,
      inputs: {
        ...lambdaRole.inputs,
        assumeRolePolicy: trust({
          Principal: { AWS: "arn:aws:iam::999999999999:role/x" },
          ...(Condition && { Condition }),
        }),
      },
    });
    expect(ids("iam-trust-own-account", foreign())).to.have.length(1);
    expect(ids("iam-trust-own-account", foreign({ StringEquals: { "sts:ExternalId": "1" } }))).to.deep.equal(
      [],
    );
    expect(
      ids("iam-trust-own-account", foreign({ StringEqualsIfExists: { "sts:ExternalId": "1" } })),
    ).to.have.length(1);
  });

  describe("with documents in odd forms", () => {
    /** Every place where a policy document may stand. */
    const places: readonly (readonly [
      type: string,
      place: (document: unknown) => Record<string, unknown>,
    ])[] = [
      [roleType, (document) => ({ name: "r", assumeRolePolicy: document })],
      [
        roleType,
        (document) => ({
          name: "r",
          assumeRolePolicy: lambdaRole.inputs.assumeRolePolicy,
          inlinePolicies: [{ policy: document }],
        }),
      ],
      ...[...identityTypes, ...resourceTypes].map(
        (type) => [type, (document: unknown) => ({ name: "r", policy: document })] as const,
      ),
    ];
    const open = { Effect: "Allow", Principal: "*", Action: "S3:gEtObJeCt", Resource: "*" };

    it("finds one that is no JSON, no document, or spells an element otherwise, wherever it stands", () => {
      for (const [type, place] of places) {
        for (const document of [
          "{ not json",
          "[]",
          "7",
          '{"Statement":{"effect":"Allow","Action":"a:b"}}',
          7,
        ]) {
          const found = ids("iam-document-valid", resource(type, "r", place(document)));
          expect(found, `${type}: ${document}`).to.have.length(1);
          expect(found[0]).to.match(
            /^iam-document-valid\[Document::(assumeRolePolicy|policy|inlinePolicies\[0\]\.policy)\]$/,
          );
        }
      }
    });

    it("reads a single statement object like a list, as text and as an object", () => {
      for (const [type, place] of places) {
        for (const Statement of [open, [open]]) {
          for (const document of [{ Statement }, JSON.stringify({ Statement })]) {
            expect(ids("iam-document-valid", resource(type, "r", place(document))), type).to.deep.equal([]);
          }
        }
      }
      for (const type of resourceTypes) {
        const found = ids(
          "iam-resource-policy-no-anyone",
          resource(type, "r", { policy: JSON.stringify({ Statement: open }) }),
        );
        expect(found, type).to.have.length(1);
      }
    });

    it("finds an action in odd case like any other, inline and beside the role", () => {
      const wide = JSON.stringify({ Statement: { ...open, Principal: undefined } });
      for (const [type, place] of places) {
        if (!identityTypes.includes(type as never) && !("inlinePolicies" in place(wide))) continue;
        expect(ids("iam-resource-scoped", resource(type, "r", place(wide))), type).to.deep.equal([
          "iam-resource-scoped[Resource::*::s3:GetObject]",
        ]);
      }
    });
  });

  describe("with what is absent, unknown or of a wrong type", () => {
    // What a rule does not read of a role cannot hide anything from it.
    const unread = ["iam-no-aws-managed-policies", "iam-boundary-in-stack", "iam-one-role-per-workload"];
    const documentTypes: readonly string[] = [roleType, ...identityTypes, ...resourceTypes];
    for (const rule of iamRules) {
      it(`${rule.id} ends in a finding or none, never in an error of its own`, () => {
        for (const type of rule.types) {
          for (const value of [undefined, 7, "{", { Statement: 1 }, [], true]) {
            const inputs = { name: "r", policy: value, assumeRolePolicy: value, policyArn: value };
            const found = findingsOf(judgements([resource(type, "r", inputs)], [rule]));
            expect(
              found.filter(({ id }) => id.includes("[Error]")),
              `${type}: ${String(value)}`,
            ).to.deep.equal([]);
          }
        }
      });
      if (unread.includes(rule.id)) continue;
      it(`${rule.id} passes nothing that is unknown`, () => {
        for (const type of rule.types.filter((each) => documentTypes.includes(each))) {
          const inputs = { name: "r", policy: unknown, assumeRolePolicy: unknown };
          const rights = resource("aws:iam/rolePolicy:RolePolicy", "of", { role: "r", policy: unknown });
          for (const each of judgements([resource(type, "r", inputs), rights], [rule])) {
            const silent = each.state === "judged" && each.findings.length === 0;
            expect(silent, JSON.stringify(each)).to.equal(false);
          }
        }
      });
    }
  });
});

describe("rules on identities over the stack prod", () => {
  let resources: readonly Resource[] = [];
  before(async () => {
    resources = (await stackGraph("prod")).resources;
  });

  const only = (rule: string) => iamRules.filter(({ id }) => id === rule);

  /** What a rule finds in a changed stack beyond what it finds in the stack as it is. */
  const added = (rule: string, changed: readonly Resource[]): readonly Finding[] => {
    const before = new Set(
      findingsOf(judgements(resources, only(rule))).map(({ id, urn }) => `${id} ${urn}`),
    );
    return findingsOf(judgements(changed, only(rule))).filter(({ id, urn }) => !before.has(`${id} ${urn}`));
  };

  it("find nothing but lists that look for an object whose absence must be seen", () => {
    const shown = findingsOf(judgements(resources)).map(({ id, resource: name }) => `${name}: ${id}`);
    expect(shown).to.have.members([
      "securecart-prod-deploy-storage: iam-list-by-prefix[Action::s3:ListBucket::Buckets]",
      "securecart-prod-deploy-storage: iam-list-by-prefix[Action::s3:ListBucketVersions::Buckets]",
      "securecart-prod-plan-lake: iam-list-by-prefix[Action::s3:ListBucketVersions::ListDrops]",
      "securecart-prod-api-logs-lake: iam-list-by-prefix[Action::s3:ListBucket::FindFailedBatches]",
      "securecart-prod-redrive-lake: iam-list-by-prefix[Action::s3:ListBucket::FindNotes]",
    ]);
  });

  it("have judged what they are about", () => {
    const judged = new Set(
      judgements(resources).flatMap((each) => (each.state === "judged" ? [each.rule] : [])),
    );
    const idle = iamRules.map(({ id }) => id).filter((id) => !judged.has(id));
    // Nobody assumes a role from a role here, and there are no users.
    expect(idle).to.deep.equal(["iam-no-role-chain", "iam-no-users"]);
  });

  for (const { rule, what, apply } of iamMutants) {
    it(`${rule} finds: ${what}`, () => {
      const found = added(rule, apply(resources));
      expect(found.map((each) => each.rule)).to.include(rule);
      expect(found.filter(({ id }) => id.includes("[Error]"))).to.deep.equal([]);
    });
  }

  for (const { rule, what, apply } of iamNearMisses) {
    it(`${rule} lets pass: ${what}`, () => {
      const changed = apply(resources);
      expect(added(rule, changed).map(({ id, message }) => `${id}: ${message}`)).to.deep.equal([]);
      const judged = judgements(changed, only(rule)).filter(({ state }) => state === "judged");
      expect(judged).not.to.be.empty;
    });
  }

  it("have a near miss each, or a reason why there is none", () => {
    const covered = new Set(iamNearMisses.map(({ rule }) => rule));
    const ids = iamRules.map(({ id }) => id);
    expect(ids.filter((id) => !covered.has(id))).to.have.members(Object.keys(withoutNearMiss));
  });

  it("have a mutant each", () => {
    const covered = new Set(iamMutants.map(({ rule }) => rule));
    expect(iamRules.map(({ id }) => id).filter((id) => !covered.has(id))).to.deep.equal([]);
  });
});
