import { expect } from "chai";
import { judgeStack } from "./judge.ts";
import { type Finding, type Judgement, type Rule, unknown } from "./rule.ts";
import { rules } from "./rules.ts";
import { cases } from "./testing/cases.ts";
import { changedBy, mutantsOf, subjectsOf } from "./testing/mutants.ts";
import { removed } from "./testing/mutation.ts";
import { type Base, viewOf, wholeStack } from "./testing.ts";

const parameters = { "reference-own-account": { trustedAccounts: ["187925254637"] } };

const judged = (rule: Rule, base: Base): readonly Judgement[] => judgeStack([rule], viewOf(base), parameters);

const findings = (judgements: readonly Judgement[]): readonly Finding[] =>
  judgements.flatMap((judgement) => (judgement.state === "not applicable" ? [] : judgement.findings));

const keyOf = ({ id, urn, message }: Finding): string => `${id} ${urn} ${message}`;

const ruleOf = (id: string): Rule => {
  const rule = rules.find((each) => each.id === id);
  if (!rule) throw new Error(`a case names the rule ${id}, which does not exist`);
  return rule;
};

/** Properties by which one thing names another: whatever the name will be, there is one. */
const names =
  /(kms\w*Key\w*|KeyId|KeyArn|sourceArn|sourceAccount|authorizerId|requestValidatorId|subnetId|targetBucket|logDestination|destinationArn|format|[dD]eadLetterConfig|destinationConfig|securityConfiguration|accessLogSettings|physicalConnectionRequirements|referencedSecurityGroupId|availabilityZone|finalSnapshotIdentifier|dimensions\.StateMachineArn|name)$/;

/** Rules that look through every text of a stack for what must not be there: the rest is other rules' to judge. */
const scans = new Set([
  "kms-no-aws-managed-key",
  "reference-own-account",
  "reference-exact",
  "regions-allowed",
  "lambda-no-secrets",
  "glue-no-secrets",
]);

/** Cases in which an unknown value is as good as one that is there. */
const presenceIsEnough = (rule: string, path: string): boolean => scans.has(rule) || names.test(path);

type CaseKind = "compliant" | "non-compliant" | "absent" | "unknown";

const isOption = "it is an option of the program, no input: always known, and given or not";

/** Kinds of cases that a rule cannot have, with the reason. */
const impossible: Readonly<Record<string, Readonly<Partial<Record<CaseKind, string>>>>> = {
  // Held below, by taking the option away at every resource.
  "stateful-protected": { "non-compliant": isOption, absent: isOption, unknown: isOption },
};

// What this does not show: that the rules ask for enough. Blind mutants do (policy:mutants).
describe("every rule, one change at a time", function () {
  this.timeout(60_000);
  let base: Base;
  const clean = new Map<string, ReadonlySet<string>>();

  before(async () => {
    base = await wholeStack();
    for (const rule of rules) clean.set(rule.id, new Set(findings(judged(rule, base)).map(keyOf)));
  });

  /** What the rule finds that it does not find in the stack as it is. */
  const added = (rule: Rule, changed: Base): readonly Finding[] =>
    findings(judged(rule, changed)).filter((finding) => !clean.get(rule.id)?.has(keyOf(finding)));

  it("finds nothing mandatory in the stack as it is, but what its configuration waives", () => {
    const found = rules
      .filter(({ level }) => level !== "advisory")
      .flatMap((rule) => [...(clean.get(rule.id) ?? [])].map((finding) => ({ rule: rule.id, finding })));
    const waived = new Set(found.map(({ rule, finding }) => `${rule} ${finding.match(/::([\w-]+) /)?.[1]}`));
    expect([...waived]).to.deep.equal(["lambda-in-vpc securecart-prod-partner-pull"]);
  });

  describe("has of every rule that is not about IAM", () => {
    const others = rules.filter(({ id }) => !id.startsWith("iam-"));
    const casesOf = ({ id }: Rule) => cases.filter(({ rule }) => rule === id);
    const values = (rule: Rule): readonly unknown[] =>
      casesOf(rule).flatMap(({ bad, good = [] }) => [...bad, ...good]);
    /** Ids of the rules without one of a kind, those left out for which it is said why they can have none. */
    const without = (kind: CaseKind, has: (rule: Rule) => boolean): readonly string[] =>
      others.filter((rule) => !has(rule) && !impossible[rule.id]?.[kind]).map(({ id }) => id);

    it("a compliant resource in the stack, or a value that makes one so", () => {
      const isClean = (rule: Rule): boolean =>
        judged(rule, base).some((each) => each.state === "judged" && each.findings.length === 0) ||
        casesOf(rule).some(({ good = [] }) => good.some((value) => value !== removed));
      expect(without("compliant", isClean)).to.deep.equal([]);
    });

    it("a non-compliant value, another than none", () => {
      const isBroken = (rule: Rule): boolean =>
        casesOf(rule).some(({ at, bad }) => at !== undefined && bad.some((value) => value !== removed));
      expect(without("non-compliant", isBroken)).to.deep.equal([]);
    });

    it("an absent value or resource", () => {
      const isAbsent = (rule: Rule): boolean => values(rule).includes(removed);
      expect(without("absent", isAbsent)).to.deep.equal([]);
    });

    it("a property that is tried unknown", () => {
      const isUnknown = (rule: Rule): boolean => casesOf(rule).some(({ at }) => at !== undefined);
      expect(without("unknown", isUnknown)).to.deep.equal([]);
    });

    it("values on both sides of a bound, where it has a number for one", () => {
      // A rule without a number asks for one of a few values, or for something to be there: nothing is between.
      const isBounded = (rule: Rule): boolean =>
        casesOf(rule).some((one) =>
          mutantsOf(one, base).some((mutant) =>
            added(rule, mutant.base).some(({ message }) => /allowed (is|are) (at least )?-?\d/.test(message)),
          ),
        );
      const hasBothSides = (rule: Rule): boolean =>
        casesOf(rule).some(
          ({ bad, good = [] }) =>
            bad.some((value) => value !== removed) && good.some((value) => value !== removed),
        );
      const bounded = others.filter(isBounded);
      expect(bounded.length).to.be.greaterThan(30);
      expect(bounded.filter((rule) => !hasBothSides(rule)).map(({ id }) => id)).to.deep.equal([]);
    });

    it("a reason for each kind that it cannot have, and none beside", () => {
      for (const [id, kinds] of Object.entries(impossible)) {
        const rule = ruleOf(id);
        for (const [kind, reason] of Object.entries(kinds))
          expect(reason, `${id} ${kind}`).to.match(/\w+ \w+/);
        expect(casesOf(rule), `${id} has cases by now`).to.deep.equal([]);
      }
    });
  });

  it("has a case for every rule that is not about IAM", () => {
    // Protection is an option, not an input: below.
    const covered = new Set([...cases.map(({ rule }) => rule), "stateful-protected"]);
    const left = rules.filter(({ id }) => !id.startsWith("iam-") && !covered.has(id)).map(({ id }) => id);
    expect(left).to.deep.equal([]);
  });

  it("finds every mutant, by the rule that is meant", () => {
    let count = 0;
    const survivors: string[] = [];
    for (const one of cases) {
      const rule = ruleOf(one.rule);
      const mutants = mutantsOf(one, base);
      expect(mutants, `${one.rule} ${one.at ?? ""}: the stack has no ${one.type} for the case`).not.to.be
        .empty;
      for (const mutant of mutants) {
        count += 1;
        // A rule that is not content with the stack as it is has nothing to add.
        const isKnown = (clean.get(one.rule)?.size ?? 0) > 0;
        const isCaught = isKnown
          ? findings(judged(rule, mutant.base)).length > 0
          : added(rule, mutant.base).length > 0;
        if (!isCaught) survivors.push(`${one.rule}: ${mutant.name}`);
      }
    }
    expect(survivors).to.deep.equal([]);
    expect(count).to.be.greaterThan(800);
  });

  it("finds every resource with data whose protection is taken away", () => {
    const rule = ruleOf("stateful-protected");
    const stateful = base.resources.filter(({ type }) => rule.types.includes(type));
    expect(stateful.length).to.be.greaterThan(10);
    for (const { urn } of stateful) {
      const resources = base.resources.map((each) => (each.urn === urn ? { ...each, protect: false } : each));
      expect(added(rule, { ...base, resources }).map((finding) => finding.urn)).to.deep.equal([urn]);
    }
  });

  it("lets pass what is within bounds", () => {
    const refused: string[] = [];
    for (const one of cases) {
      const rule = ruleOf(one.rule);
      for (const resource of subjectsOf(one, base)) {
        for (const value of one.good ?? []) {
          const mutant = changedBy(base, resource, one.at, value);
          refused.push(
            ...added(rule, mutant.base).map((finding) => `${one.rule}: ${mutant.name}: ${finding.message}`),
          );
        }
      }
    }
    expect(refused).to.deep.equal([]);
  });

  it("never takes an unknown value for a good one", () => {
    const taken = new Set<string>();
    for (const one of cases) {
      if (one.at === undefined) continue;
      const rule = ruleOf(one.rule);
      for (const resource of subjectsOf(one, base).slice(0, 1)) {
        const mutant = changedBy(base, resource, one.at, unknown);
        const judgements = judged(rule, mutant.base);
        const isTold = judgements.some(({ state }) => state === "could not judge");
        const isSilent = !isTold && findings(judgements).length === 0;
        if (isSilent && !presenceIsEnough(one.rule, one.at)) taken.add(`${one.rule} ${one.at}`);
      }
    }
    expect([...taken]).to.deep.equal([]);
  });

  it("turns a value of an unexpected type into a finding, never into a pass or a crash", () => {
    const passed: string[] = [];
    for (const one of cases) {
      if (one.at === undefined || one.bad.every((value) => value === removed)) continue;
      const rule = ruleOf(one.rule);
      for (const resource of subjectsOf(one, base).slice(0, 1)) {
        for (const odd of [{ odd: { odd: 1 } }, [[[]]]]) {
          const judgements = judged(rule, changedBy(base, resource, one.at, odd).base);
          const failed = findings(judgements).filter(({ id }) => id.includes("[Error]"));
          passed.push(...failed.map(({ id, message }) => `${id}: ${message}`));
        }
      }
    }
    expect(passed).to.deep.equal([]);
  });
});
