// npm run policy:mutants: how many changes of the prod stack the rules find, those made by someone who knows them and
// those made blindly; with the blind ones that nothing finds.
import { iamMutants } from "../iam/mutants.ts";
import { judge, judgeStack } from "../judge.ts";
import type { Judgement, Resource, Rule } from "../rule.ts";
import { rules } from "../rules.ts";
import { StackView } from "../stack.ts";
import { type Base, prodStack, viewOf, wholeStack } from "../testing.ts";
import { blindMutants } from "./blind.ts";
import { cases } from "./cases.ts";
import { explanationOf } from "./explanations.ts";
import { mutantsOf } from "./mutants.ts";
import { withInputs } from "./mutation.ts";

const parameters = { "reference-own-account": { trustedAccounts: ["187925254637"] } };

/** What the rules say, as text that can be compared. */
const said = (judgements: readonly Judgement[]): ReadonlySet<string> =>
  new Set(
    judgements.flatMap((judgement) =>
      judgement.state === "not applicable"
        ? []
        : judgement.findings.map(({ id, urn, message }) => `${id} ${urn} ${message}`),
    ),
  );

const hasMore = (now: ReadonlySet<string>, before: ReadonlySet<string>): boolean =>
  [...now].some((each) => !before.has(each));

/** Rules that may see a change of this type beyond the changed resource itself. */
const others = (type: string): readonly Rule[] =>
  rules.filter(
    ({ scope, id }) => scope === "stack" && (!id.startsWith("iam-") || type.startsWith("aws:iam/")),
  );

function isFound(
  base: Base,
  before: ReadonlySet<string>,
  resource: Resource,
  inputs: Resource["inputs"],
): boolean {
  const changed = withInputs(base, resource.urn, inputs);
  const view = new StackView(changed.resources, changed.account);
  const mutant = view.byUrn(resource.urn)?.resource ?? resource;
  const own = rules
    .filter(({ types }) => types.includes(resource.type))
    .map((rule) => judge(rule, mutant, view.withParameters({ ...rule.parameters })));
  if (hasMore(said(own), before)) return true;
  return hasMore(said(judgeStack(others(resource.type), view, parameters)), before);
}

async function main(): Promise<void> {
  const whole = await wholeStack();
  const known = cases.reduce((sum, one) => sum + mutantsOf(one, whole).length, 0);
  const lines = [
    `${rules.length} rules`,
    `mutants made for a rule: ${known + iamMutants.length} (${known} on settings, ${iamMutants.length} on IAM); ` +
      "the tests hold that each is found by its rule",
  ];
  const base = await prodStack();
  const before = said(judgeStack(rules, viewOf(base), parameters));
  const done = new Set<string>();
  const counts = new Map<string, { made: number; found: number }>();
  const survivors = new Map<string, string[]>();
  for (const resource of base.resources.filter(({ type }) => type.startsWith("aws"))) {
    for (const { type, property, kind, inputs } of blindMutants(resource)) {
      const name = `${type} ${property} ${kind}`;
      if (done.has(name)) continue;
      done.add(name);
      const count = counts.get(kind) ?? { made: 0, found: 0 };
      counts.set(kind, count);
      count.made += 1;
      if (isFound(base, before, resource, inputs)) count.found += 1;
      else {
        const reason = explanationOf(name) ?? "NOT EXPLAINED";
        survivors.set(reason, [...(survivors.get(reason) ?? []), name]);
      }
    }
  }
  for (const [kind, { made, found }] of counts) lines.push(`blind, ${kind}: ${found} of ${made} found`);
  for (const [reason, names] of [...survivors].toSorted()) {
    lines.push("", `${names.length} not found: ${reason}`, ...names.map((name) => `  ${name}`));
  }
  process.stdout.write(`${lines.join("\n")}\n`);
  if (survivors.has("NOT EXPLAINED")) process.exitCode = 1;
}

await main();
