import type { PolicyConfigSchema } from "@pulumi/policy";
import { Ajv, type ErrorObject } from "ajv";
import { isRecord } from "./reader.ts";
import { type Finding, type Judgement, type Level, levels, type Rule } from "./rule.ts";

/** A finding that is let pass for a time: one id at one resource, never a pattern. */
export interface Waiver {
  /** The finding's id, with its detail. */
  readonly finding: string;
  /** The resource's name. */
  readonly resource: string;
  readonly reason: string;
  readonly owner: string;
  /** Last day on which it holds, `2027-03-31`. */
  readonly expires: string;
}

/** A value whose being unknown is accepted: what could not be judged is then no failure. */
export interface AcceptedUnknown {
  readonly resource: string;
  readonly property: string;
  readonly reason: string;
}

/** What a configuration says of one rule. */
export interface RuleConfig {
  readonly level: Level;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly waivers: readonly Waiver[];
  readonly unknowns: readonly AcceptedUnknown[];
}

/** Says every problem of a configuration at once. */
export class PolicyConfigError extends Error {
  override readonly name = "PolicyConfigError";
  readonly problems: readonly string[];

  constructor(where: string, problems: readonly string[]) {
    super(`${where} cannot be used; nothing was judged:\n${problems.map((each) => `  ${each}`).join("\n")}`);
    this.problems = problems;
  }
}

const text = { type: "string", minLength: 1 } as const;

/** The schema of a rule's configuration, as the engine and the offline check hold it. */
export function configSchema(rule: Rule): PolicyConfigSchema {
  const parameters = Object.entries(rule.parameters ?? {}).map(([name, value]) => [
    name,
    typeof value === "number"
      ? { type: "number", default: value }
      : { type: "array", items: { type: "string" }, default: [...value] },
  ]);
  return {
    properties: {
      ...Object.fromEntries(parameters),
      waivers: {
        type: "array",
        items: {
          type: "object",
          additionalProperties: false,
          required: ["finding", "resource", "reason", "owner", "expires"],
          properties: {
            finding: text,
            resource: text,
            reason: { type: "string", minLength: 20 },
            owner: text,
            expires: { type: "string", pattern: "^\\d{4}-\\d{2}-\\d{2}$" },
          },
        },
      },
      unknowns: {
        type: "array",
        items: {
          type: "object",
          additionalProperties: false,
          required: ["resource", "property", "reason"],
          properties: { resource: text, property: text, reason: { type: "string", minLength: 20 } },
        },
      },
    },
  };
}

/** The level without configuration: what is mandatory in production is so everywhere until a configuration relaxes it. */
export const defaultLevel = (rule: Rule): Level => (rule.level === "advisory" ? "advisory" : "mandatory");

const ajv = new Ajv({ allErrors: true, strict: false });

/** What is wrong with waivers beyond their form. */
export function waiverProblems(rule: string, waivers: readonly Waiver[], today: string): readonly string[] {
  return waivers.flatMap((waiver) => {
    const where = `waiver of ${waiver.finding} at ${waiver.resource}`;
    const isOwn = waiver.finding === rule || waiver.finding.startsWith(`${rule}[`);
    const isDate = new Date(`${waiver.expires}T00:00:00Z`).toJSON()?.startsWith(waiver.expires) === true;
    return [
      ...(isOwn ? [] : [`${where}: it stands under ${rule}, whose findings begin with that name`]),
      ...(isDate ? [] : [`${where}: expires is ${waiver.expires}, which is no day`]),
      ...(isDate && waiver.expires < today
        ? [`${where}: expired on ${waiver.expires}; mend the resource, or decide again`]
        : []),
    ];
  });
}

function schemaProblem(rule: string, { instancePath, message, params }: ErrorObject): string {
  const extra = isRecord(params) && typeof params.additionalProperty === "string" ? params : undefined;
  return `${rule}${instancePath.replaceAll("/", ".")} ${message}${extra ? `: ${extra.additionalProperty}` : ""}`;
}

/**
 * Reads a configuration in the form of `pulumi preview --policy-pack-config`: rule → level, or an object with
 * `enforcementLevel`, the rule's parameters, `waivers` and `unknowns`.
 *
 * @param where what messages call it, for example its file
 * @param today a day like 2026-11-22
 * @throws PolicyConfigError with every problem: no such rule, no such parameter, a waiver without reason or expired
 */
export function readConfig(
  config: unknown,
  rules: readonly Rule[],
  { where, today }: { readonly where: string; readonly today: string },
): ReadonlyMap<string, RuleConfig> {
  if (!isRecord(config)) throw new PolicyConfigError(where, ["it is no object of rules"]);
  const known = new Map(rules.map((rule) => [rule.id, rule]));
  const problems = Object.keys(config)
    .filter((id) => !known.has(id))
    .map((id) => `there is no rule '${id}'; policies/RULES.md lists them`);
  const byRule = rules.map((rule): readonly [string, RuleConfig] => {
    const given = config[rule.id];
    // Compiling a schema takes longer than judging a stack by its rule.
    if (given === undefined) {
      return [rule.id, { level: defaultLevel(rule), parameters: {}, waivers: [], unknowns: [] }];
    }
    const object = typeof given === "string" ? { enforcementLevel: given } : given;
    const { properties } = configSchema(rule);
    const schema = {
      type: "object",
      additionalProperties: false,
      properties: { ...properties, enforcementLevel: { enum: [...levels] } },
    };
    if (!ajv.validate(schema, object)) {
      problems.push(...(ajv.errors ?? []).map((error) => schemaProblem(rule.id, error)));
      return [rule.id, { level: defaultLevel(rule), parameters: {}, waivers: [], unknowns: [] }];
    }
    const {
      enforcementLevel = defaultLevel(rule),
      waivers = [],
      unknowns = [],
      ...parameters
    } = object as { enforcementLevel?: Level; waivers?: Waiver[]; unknowns?: AcceptedUnknown[] };
    problems.push(...waiverProblems(rule.id, waivers, today));
    return [rule.id, { level: enforcementLevel, parameters, waivers, unknowns }];
  });
  if (problems.length > 0) throw new PolicyConfigError(where, problems);
  return new Map(byRule);
}

/** The waiver that lets a finding pass. */
export const waiverOf = (finding: Finding, waivers: readonly Waiver[]): Waiver | undefined =>
  waivers.find(({ finding: id, resource }) => id === finding.id && resource === finding.resource);

/** The reason for which a value may be unknown. */
export const acceptanceOf = (
  judgement: Extract<Judgement, { state: "could not judge" }>,
  unknowns: readonly AcceptedUnknown[],
): AcceptedUnknown | undefined =>
  unknowns.find(
    ({ resource, property }) => judgement.urn.endsWith(`::${resource}`) && property === judgement.property,
  );
