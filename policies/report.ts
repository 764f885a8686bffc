import { acceptanceOf, type RuleConfig, type Waiver, waiverOf } from "./config.ts";
import { judgeStack } from "./judge.ts";
import { type Finding, type Judgement, type Level, type Rule, type Severity, severities } from "./rule.ts";
import type { StackView } from "./stack.ts";

/** A finding with what its rule says of it. */
export interface ReportedFinding extends Finding {
  readonly severity: Severity;
  readonly level: Level;
  readonly remedy: string;
  readonly link: string;
}

export interface RuleResult {
  readonly id: string;
  readonly level: Level;
  readonly severity: Severity;
  /** Resources by what became of the question. */
  readonly judged: number;
  readonly notApplicable: number;
  readonly couldNotJudge: number;
}

export interface Unjudged {
  readonly rule: string;
  readonly urn: string;
  readonly property: string;
  readonly level: Level;
  /** Why it is accepted; a mandatory rule's is a failure without. */
  readonly reason?: string;
}

/** What the pack says of a stack. */
export interface Report {
  readonly rules: readonly RuleResult[];
  /** Those that no waiver covers, the gravest first. */
  readonly findings: readonly ReportedFinding[];
  readonly waivers: readonly { readonly waiver: Waiver; readonly used: boolean }[];
  readonly unjudged: readonly Unjudged[];
  /** Whether a mandatory finding, or something that a mandatory rule could not judge, is left. */
  readonly failed: boolean;
}

const byGravity = (a: ReportedFinding, b: ReportedFinding): number =>
  Number(a.level !== "mandatory") - Number(b.level !== "mandatory") ||
  severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
  (a.id < b.id ? -1 : a.id > b.id ? 1 : 0) ||
  (a.resource < b.resource ? -1 : 1);

/** Judges a stack and sorts what is found by the configuration. */
export function report(
  rules: readonly Rule[],
  stack: StackView,
  config: ReadonlyMap<string, RuleConfig>,
): Report {
  const findings: ReportedFinding[] = [];
  const unjudged: Unjudged[] = [];
  const used = new Set<Waiver>();
  const results: RuleResult[] = [];
  for (const rule of rules) {
    const settings = config.get(rule.id);
    if (!settings) throw new Error(`the configuration was read without the rule ${rule.id}`);
    const { level, waivers, unknowns, parameters } = settings;
    const judgements = level === "disabled" ? [] : judgeStack([rule], stack, { [rule.id]: parameters });
    const count = (state: Judgement["state"]): number =>
      judgements.filter((judgement) => judgement.state === state).length;
    results.push({
      id: rule.id,
      level,
      severity: rule.severity,
      judged: count("judged"),
      notApplicable: count("not applicable"),
      couldNotJudge: count("could not judge"),
    });
    for (const judgement of judgements) {
      if (judgement.state === "could not judge") {
        const { property, urn } = judgement;
        const accepted = acceptanceOf(judgement, unknowns);
        unjudged.push({ rule: rule.id, urn, property, level, ...(accepted && { reason: accepted.reason }) });
      }
      if (judgement.state === "not applicable") continue;
      for (const finding of judgement.findings) {
        const waiver = waiverOf(finding, waivers);
        if (waiver) used.add(waiver);
        else {
          const { severity, remedy, link } = rule;
          findings.push({ ...finding, severity, level, remedy, link });
        }
      }
    }
  }
  const waivers = [...config.values()].flatMap((settings) => settings.waivers);
  return {
    rules: results,
    findings: findings.toSorted(byGravity),
    waivers: waivers.map((waiver) => ({ waiver, used: used.has(waiver) })),
    unjudged,
    failed:
      findings.some(({ level }) => level === "mandatory") ||
      unjudged.some(({ level, reason }) => level === "mandatory" && reason === undefined),
  };
}

/** Members by what `key` gives, in the order of their first. */
function grouped<T>(members: readonly T[], key: (member: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const member of members) {
    const name = key(member);
    const group = groups.get(name);
    if (group) group.push(member);
    else groups.set(name, [member]);
  }
  return groups;
}

/** The report for a person. */
export function printReport({ rules, findings, waivers, unjudged, failed }: Report): string {
  const lines: string[] = [];
  const groups = grouped(findings, ({ level, severity }) => `${level}, ${severity}`);
  for (const [heading, members] of groups) {
    lines.push(`${heading} (${members.length})`);
    for (const [id, same] of grouped(members, (finding) => finding.id)) {
      lines.push(`  ${id}`);
      for (const { resource, type, message } of same) lines.push(`    ${resource} (${type}): ${message}`);
      lines.push(`    remedy: ${same[0]?.remedy}`, `    see:    ${same[0]?.link}`);
    }
    lines.push("");
  }
  if (waivers.length > 0) {
    lines.push(`waivers (${waivers.length})`);
    for (const { waiver, used } of waivers) {
      const { finding, resource, reason, owner, expires } = waiver;
      lines.push(
        `  ${finding} at ${resource}, until ${expires}, ${owner}: ${reason}${used ? "" : " (not needed: remove it)"}`,
      );
    }
    lines.push("");
  }
  if (unjudged.length > 0) {
    lines.push(`could not judge (${unjudged.length})`);
    for (const { rule, urn, property, reason } of unjudged) {
      lines.push(
        `  ${rule} at ${urn.split("::").at(-1)}: ${property} is unknown (${reason ?? "not accepted"})`,
      );
    }
    lines.push("");
  }
  const sum = (pick: (result: RuleResult) => number): number =>
    rules.reduce((all, one) => all + pick(one), 0);
  const having = (pick: (result: RuleResult) => boolean): number => rules.filter(pick).length;
  const mandatory = findings.filter(({ level }) => level === "mandatory").length;
  lines.push(
    `${rules.length} rules: ` +
      `${having((rule) => rule.judged > 0)} judged (${sum((rule) => rule.judged)} resources), ` +
      `${having((rule) => rule.judged + rule.couldNotJudge === 0)} not applicable, ` +
      `${having((rule) => rule.couldNotJudge > 0)} could not judge (${sum((rule) => rule.couldNotJudge)} resources)`,
    `${mandatory} mandatory findings, ${findings.length - mandatory} advisory, ` +
      `${waivers.filter(({ used }) => used).length} waived: ${failed ? "FAILED" : "passed"}`,
    "",
  );
  return lines.join("\n");
}
