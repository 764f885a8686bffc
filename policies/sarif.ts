import { createHash } from "node:crypto";
import type { Report } from "./report.ts";
import type { Rule, Severity } from "./rule.ts";

/** What code scanning sorts by; its own bounds: over 9 critical, 7 high, 4 medium. */
const scores: Readonly<Record<Severity, string>> = {
  critical: "9.5",
  high: "8.0",
  medium: "5.5",
  low: "2.0",
};

/**
 * The report as SARIF 2.1.0, for code scanning in pull requests.
 *
 * @param file a resource has no line of its own in a program; results point to this file, and to the URN
 */
export function toSarif(
  { findings }: Report,
  rules: readonly Rule[],
  { file, version }: { readonly file: string; readonly version: string },
): unknown {
  const index = new Map(rules.map(({ id }, position) => [id, position]));
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
        results: findings.map((finding) => ({
          ruleId: finding.rule,
          ruleIndex: index.get(finding.rule),
          level: finding.level === "mandatory" ? "error" : "warning",
          message: { text: `${finding.resource}: ${finding.message}. ${finding.remedy}` },
          locations: [
            {
              physicalLocation: { artifactLocation: { uri: file }, region: { startLine: 1 } },
              logicalLocations: [
                { name: finding.resource, fullyQualifiedName: finding.urn, kind: "resource" },
              ],
            },
          ],
          partialFingerprints: {
            "finding/v1": createHash("sha256")
              .update(`${finding.id}\n${finding.urn}\n${finding.message}`)
              .digest("hex"),
          },
        })),
      },
    ],
  };
}
