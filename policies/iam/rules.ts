import type { Rule } from "../rule.ts";
import { escalationRules } from "./escalation.ts";
import { identityRules } from "./identities.ts";
import { resourcePolicyRules } from "./resources.ts";
import { statementRules } from "./statements.ts";
import { trustRules } from "./trust.ts";

/** Everything about identities and policies. */
export const iamRules: readonly Rule[] = [
  ...statementRules,
  ...escalationRules,
  ...trustRules,
  ...resourcePolicyRules,
  ...identityRules,
];
