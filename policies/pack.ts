import type {
  Policies,
  PolicyResource,
  ResourceValidationArgs,
  ResourceValidationPolicy,
  StackValidationArgs,
  StackValidationPolicy,
} from "@pulumi/policy";
import {
  type AcceptedUnknown,
  acceptanceOf,
  configSchema,
  defaultLevel,
  type Waiver,
  waiverOf,
  waiverProblems,
} from "./config.ts";
import { judge, judgeStack } from "./judge.ts";
import { accountOf, currentType, plainValue } from "./resources.ts";
import type { Finding, Judgement, Resource, Rule } from "./rule.ts";
import { StackView } from "./stack.ts";

/** Name of the advisory policy that tells what could not be judged. */
export const couldNotJudge = "could-not-judge";

/** Name of the policy that holds a program to making known what it can. */
export const knownWherePossible = "known-where-possible";

interface GivenConfig extends Readonly<Record<string, unknown>> {
  readonly waivers?: readonly Waiver[];
  readonly unknowns?: readonly AcceptedUnknown[];
}

/** Properties as they are behind the SDK's proxy, which throws at the first unknown value that is touched. */
function inputsOf(props: Readonly<Record<string, unknown>>): Resource["inputs"] {
  const target: unknown = props.__getSpecialProxyTarget;
  return plainValue(target ?? props) as Resource["inputs"];
}

function fromArgs({ urn, type, name, props, opts }: ResourceValidationArgs): Resource {
  return {
    urn,
    type: currentType(type),
    name,
    parent: opts.parent,
    inputs: inputsOf(props),
    dependencies: [],
    propertyDependencies: {},
    protect: opts.protect,
  };
}

function fromStack(resource: PolicyResource): Resource {
  const urns = (resources: readonly PolicyResource[]): string[] => resources.map(({ urn }) => urn);
  const { urn, type, name, props, opts, parent, dependencies, propertyDependencies } = resource;
  return {
    urn,
    type: currentType(type),
    name,
    parent: parent?.urn,
    inputs: inputsOf(props),
    dependencies: urns(dependencies),
    propertyDependencies: Object.fromEntries(
      Object.entries(propertyDependencies).map(([property, resources]) => [property, urns(resources)]),
    ),
    protect: opts.protect,
  };
}

const today = (): string => new Date().toISOString().slice(0, 10);

/** What a policy reports: findings without a waiver, and waivers that do not hold. */
function messages(
  rule: Rule,
  findings: readonly Finding[],
  config: GivenConfig,
): readonly [string, string][] {
  const waivers = config.waivers ?? [];
  const broken = new Set(waivers.filter((waiver) => waiverProblems(rule.id, [waiver], today()).length > 0));
  const left = findings.filter((finding) => {
    const waiver = waiverOf(finding, waivers);
    return !waiver || broken.has(waiver);
  });
  return left.map((finding) => {
    const waiver = waiverOf(finding, waivers);
    const problem = waiver ? ` (${waiverProblems(rule.id, [waiver], today()).join("; ")})` : "";
    return [`[${finding.id}] ${finding.message}${problem}. ${rule.remedy}`, finding.urn];
  });
}

const isUnknown = ({ id }: Finding): boolean => id.includes("[Unknown::");

const findingsOf = (judgement: Judgement): readonly Finding[] =>
  judgement.state === "not applicable" ? [] : judgement.findings;

/** What the SDK wants to know of a rule beside its code. */
const described = (rule: Rule) => ({
  name: rule.id,
  description: rule.title,
  displayName: rule.id,
  enforcementLevel: defaultLevel(rule),
  severity: rule.severity,
  remediationSteps: rule.remedy,
  url: rule.link,
  tags: [rule.category.replaceAll(" ", "-"), ...rule.controls.map(({ id }) => id)],
  configSchema: configSchema(rule),
});

const parametersOf = (rule: Rule, config: GivenConfig): Readonly<Record<string, unknown>> => ({
  ...rule.parameters,
  ...config,
});

function resourcePolicy(rule: Rule): ResourceValidationPolicy {
  const types = new Set(rule.types);
  const validate: ResourceValidationPolicy["validateResource"] = (args, report) => {
    if (!types.has(currentType(args.type))) return;
    const resource = fromArgs(args);
    const provider = args.provider && {
      ...resource,
      type: args.provider.type,
      inputs: inputsOf(args.provider.props),
    };
    const config = args.getConfig<GivenConfig>();
    const view = new StackView([resource], accountOf(provider ? [provider] : []), parametersOf(rule, config));
    const findings = findingsOf(judge(rule, resource, view));
    // What an unknown value comes from is told to stack policies alone: they judge it.
    for (const [message] of messages(
      rule,
      findings.filter((finding) => !isUnknown(finding)),
      config,
    )) {
      report(message);
    }
  };
  // The mark by which the SDK passes over resources of other types before it reads them: one has no other name.
  const [only] = rule.types;
  if (rule.types.length === 1 && only?.startsWith("aws:s3/") === false) {
    Object.assign(validate, { __pulumiType: only });
  }
  return { ...described(rule), validateResource: validate };
}

/** The stack that a policy is given. */
function viewOf({ resources }: StackValidationArgs): StackView {
  const plain = resources.map(fromStack);
  const providers = resources.flatMap(({ provider }) =>
    provider
      ? [
          {
            ...provider,
            inputs: inputsOf(provider.props),
            dependencies: [],
            propertyDependencies: {},
            protect: false,
          },
        ]
      : [],
  );
  return new StackView(plain, accountOf([...plain, ...providers]));
}

function stackPolicy(rule: Rule): StackValidationPolicy {
  return {
    ...described(rule),
    validateStack: (args, report) => {
      const config = args.getConfig<GivenConfig>();
      const judgements = judgeStack([rule], viewOf(args), { [rule.id]: parametersOf(rule, config) });
      for (const [message, urn] of messages(rule, judgements.flatMap(findingsOf), config)) {
        report(message, urn);
      }
    },
  };
}

/** What could not be judged, by resource and property: one document that is unknown is no news twenty times. */
function missedOf(
  judgements: readonly Judgement[],
): readonly [urn: string, property: string, rules: string[]][] {
  const missed = new Map<string, [string, string, string[]]>();
  for (const judgement of judgements) {
    if (judgement.state !== "could not judge" || acceptanceOf(judgement, [])) continue;
    const { urn, property, rule } = judgement;
    const same = missed.get(`${urn} ${property}`);
    if (same) same[2].push(rule);
    else missed.set(`${urn} ${property}`, [urn, property, [rule]]);
  }
  return [...missed.values()];
}

/** Two policies on the rules themselves: what is unknown, and what need not be. */
function unknownPolicies(rules: readonly Rule[]): readonly StackValidationPolicy[] {
  const ofResources = rules.filter(({ scope }) => scope === "resource");
  return [
    {
      name: couldNotJudge,
      description: "Every rule can judge every resource.",
      enforcementLevel: "advisory",
      severity: "low",
      remediationSteps:
        "Preview again after the first deployment, or run the pack offline with every value known.",
      validateStack: (args, report) => {
        for (const [urn, property, ids] of missedOf(judgeStack(rules, viewOf(args)))) {
          report(`${property} is unknown, which these need to judge: ${ids.join(", ")}`, urn);
        }
      },
    },
    {
      name: knownWherePossible,
      description:
        "A value that a rule on encryption or access needs is known where the program can make it so.",
      enforcementLevel: "mandatory",
      severity: "high",
      remediationSteps: "Give resources names of their own and build ARNs from them.",
      validateStack: (args, report) => {
        const findings = judgeStack(ofResources, viewOf(args)).flatMap(findingsOf);
        for (const { id, urn, message } of findings.filter(isUnknown)) report(`[${id}] ${message}`, urn);
      },
    },
  ];
}

/**
 * The rules as policies of CrossGuard, one each, so that a configuration can set each one's level.
 *
 * Rules on literal values are asked before a resource is made, the others once a preview knows the whole stack.
 */
export const toPolicies = (rules: readonly Rule[]): Policies => [
  ...rules.map((rule) => (rule.scope === "resource" ? resourcePolicy(rule) : stackPolicy(rule))),
  ...unknownPolicies(rules),
];
