import { asDefects, Reader, UnexpectedType, UnknownValue } from "./reader.ts";
import {
  type Category,
  type Defect,
  type Finding,
  type Judgement,
  notApplicable,
  type Resource,
  type Rule,
} from "./rule.ts";
import { couldBeKnown, type StackView } from "./stack.ts";

/** Where an unknown value that the program could have made known is a defect of its own. */
const failClosed: ReadonlySet<Category> = new Set([
  "encryption at rest",
  "encryption in transit",
  "least privilege",
]);

/** A rule's parameters: the configured ones over its defaults. */
export type Parameters = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/**
 * Asks a rule about one resource.
 *
 * A check that fails on a value's type, or in any other way, is a finding: it never ends the judging.
 */
export function judge(rule: Rule, resource: Resource, stack: StackView): Judgement {
  const reader = new Reader(resource);
  const findings: Finding[] = [];
  let missed: string | undefined;
  let applicable = false;
  const add = (defects: readonly Defect[]): void => {
    for (const defect of defects) findings.push(findingOf(rule, resource, defect, stack));
  };
  for (const check of rule.checks) {
    try {
      const answer = check(reader, stack);
      if (answer === notApplicable) continue;
      applicable = true;
      add(asDefects(answer));
    } catch (error) {
      applicable = true;
      if (error instanceof UnknownValue) {
        add(error.defects);
        if (failClosed.has(rule.category) && couldBeKnown(error.resource, error.property)) {
          add([
            {
              detail: `Unknown::${error.property}`,
              message: `${error.message}; the program can make it known by names of its own`,
            },
          ]);
        } else missed ??= `${error.resource === resource ? "" : `${error.resource.name}: `}${error.property}`;
      } else if (error instanceof UnexpectedType) {
        add([{ detail: `Type::${error.property}`, message: error.message }]);
      } else {
        const message = error instanceof Error ? error.message : String(error);
        add([{ detail: "Error", message: `the rule itself failed: ${message}` }]);
      }
    }
  }
  const { urn } = resource;
  if (!applicable) return { state: "not applicable", rule: rule.id, urn };
  return missed === undefined
    ? { state: "judged", rule: rule.id, urn, findings }
    : { state: "could not judge", rule: rule.id, urn, property: missed, findings };
}

function findingOf(rule: Rule, judged: Resource, defect: Defect, stack: StackView): Finding {
  const at = defect.urn === undefined ? judged : (stack.byUrn(defect.urn)?.resource ?? judged);
  return {
    rule: rule.id,
    id: defect.detail === undefined ? rule.id : `${rule.id}[${defect.detail}]`,
    urn: at.urn,
    type: at.type,
    resource: at.name,
    message: defect.message,
  };
}

/** Asks every rule about every resource of its types. A rule without such a resource has no judgement. */
export function judgeStack(
  rules: readonly Rule[],
  stack: StackView,
  parameters: Parameters = {},
): readonly Judgement[] {
  return rules.flatMap((rule) => {
    const view = stack.withParameters({ ...rule.parameters, ...parameters[rule.id] });
    return stack.ofType(...rule.types).map(({ resource }) => judge(rule, resource, view));
  });
}
