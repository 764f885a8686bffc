import { iamRules } from "./iam/rules.ts";
import type { Rule } from "./rule.ts";
import { access } from "./rules/access.ts";
import { cost } from "./rules/cost.ts";
import { durability } from "./rules/durability.ts";
import { encryptionAtRest } from "./rules/encryption-at-rest.ts";
import { encryptionInTransit } from "./rules/encryption-in-transit.ts";
import { failureHandling } from "./rules/failure-handling.ts";
import { logging } from "./rules/logging.ts";
import { privateNetwork } from "./rules/private-network.ts";
import { tagging } from "./rules/tagging.ts";

/** Every rule of the pack. */
export const rules: readonly Rule[] = [
  ...encryptionAtRest,
  ...encryptionInTransit,
  ...access,
  ...iamRules,
  ...privateNetwork,
  ...logging,
  ...durability,
  ...failureHandling,
  ...cost,
  ...tagging,
];
