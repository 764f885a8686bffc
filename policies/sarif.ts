import { createHash } from "node:crypto";
import type { Report } from "./report.ts";
import type { Level, Rule, Severity } from "./rule.ts";

/** What code scanning sorts by; its own bounds: over 9 critical, 7 high, 4 medium. */
const scores: Readonly<Record<Severity, string>> = {
  critical: "9.5",
  high: "8.0",
  medium: "5.5",
  low: "2.0",
};

interface ResultArgs {
  readonly rule: string;
  readonly urn: string;
  readonly level: Level;
  readonly text: string;
  /** What two runs know the result by. */
  readonly fingerprint: string;
}

const nameIn = (urn: string): string => urn.split("::").at(-1) ?? urn;

/**
 * The report as SARIF 2.1.0, for code scanning in pull requests.
 *
 * @param file a resource has no line of its own in a program; results point to this file, and to the URN
 */
export function toSarif(
  { findings, unjudged }: Report,
  rules: readonly Rule[],
  { file, version }: { readonly file: string; readonly version: string },
): unknown {
  const index = new Map(rules.map(({ id }, position) => [id, position]));
  const resultOf = ({ rule, urn, level, text, fingerprint }: ResultArgs) => ({
    ruleId: rule,
    ruleIndex: index.get(rule),
    level: level === "mandatory" ? "error" : "warning",
    message: { text },
    locations: [
      {
        physicalLocation: { artifactLocation: { uri: file }, region: { startLine: 1 } },
        logicalLocations: [{ name: nameIn(urn), fullyQualifiedName: urn, kind: "resource" }],
      },
    ],
    partialFingerprints: { "finding/v1": createHash("sha256").update(fingerprint).digest("hex") },
  });
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "securecart-policies",
            semanticVersion: version,
            rules: rules.map((rule) => ({
              id: rule.id,
              shortDescription: { text: rule.title },
              fullDescription: { text: `${rule.title} ${rule.remedy}` },
              help: { text: rule.remedy, markdown: `${rule.remedy}\n\n[Documentation](${rule.link})` },
              helpUri: rule.link,
              properties: {
                tags: ["security", rule.category],
                "security-severity": scores[rule.severity],
              },
            })),
          },
        },
        results: [
          ...findings.map(({ rule, id, urn, resource, level, message, remedy }) =>
            resultOf({
              rule,
              urn,
              level,
              text: `${resource}: ${message}. ${remedy}`,
              fingerprint: `${id}\n${urn}\n${message}`,
            }),
          ),
          // What fails the check must be seen where its findings are.
          ...unjudged
            .filter(({ reason }) => reason === undefined)
            .map(({ rule, urn, property, level }) =>
              resultOf({
                rule,
                urn,
                level,
                text: `${nameIn(urn)}: ${rule} could not judge, since ${property} is unknown`,
                fingerprint: `${rule}[could not judge]\n${urn}\n${property}`,
              }),
            ),
        ],
      },
    ],
  };
}
