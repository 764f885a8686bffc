import { judge, judgeStack } from "../judge.ts";
import type { Judgement, Resource, Rule } from "../rule.ts";
import { rules } from "../rules.ts";
import { StackView } from "../stack.ts";
import { type Base, viewOf } from "../testing.ts";
import { type BlindMutant, blindMutants } from "./blind.ts";
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

export interface BlindRun {
  /** Mutants by their kind. */
  readonly counts: ReadonlyMap<string, { readonly made: number; readonly found: number }>;
  /** Those that no rule finds, by what they change; of the same, how many. */
  readonly survivors: ReadonlyMap<string, { readonly mutant: BlindMutant; readonly count: number }>;
}

/** `<type> <property> <kind>`, by which a survivor is told of and explained. */
export const nameOf = ({ type, property, kind }: BlindMutant): string => `${type} ${property} ${kind}`;

/** Makes the blind mutants of a stack, one of those alike, and asks the rules about each. */
export function tryBlind(base: Base): BlindRun {
  const before = said(judgeStack(rules, viewOf(base), parameters));
  const done = new Set<string>();
  const counts = new Map<string, { made: number; found: number }>();
  const survivors = new Map<string, { mutant: BlindMutant; count: number }>();
  for (const resource of base.resources.filter(({ type }) => type.startsWith("aws"))) {
    for (const mutant of blindMutants(resource)) {
      if (done.has(mutant.key)) continue;
      done.add(mutant.key);
      const count = counts.get(mutant.kind) ?? { made: 0, found: 0 };
      counts.set(mutant.kind, count);
      count.made += 1;
      if (isFound(base, before, resource, mutant.inputs)) count.found += 1;
      else {
        const name = nameOf(mutant);
        const alike = survivors.get(name);
        if (alike) alike.count += 1;
        else survivors.set(name, { mutant, count: 1 });
      }
    }
  }
  return { counts, survivors };
}
