/** Rules on policies of buckets, keys, queues, topics and secrets. */
import { each, type Reader } from "../reader.ts";
import { type Check, type Defect, notApplicable, type Rule } from "../rule.ts";
import type { StackView } from "../stack.ts";
import { hasWildcard } from "./actions.ts";
import type { PolicyStatement } from "./document.ts";
import { grantsOnly } from "./statements.ts";
import {
  accountOf,
  actionsOf,
  limitedBy,
  names,
  namesAnyone,
  ownStatements,
  resourceTypes,
  restrictingKeys,
} from "./union.ts";

const keyTypes = ["aws:kms/key:Key", "aws:kms/keyPolicy:KeyPolicy"];
const otherTypes = resourceTypes.filter((type) => !keyTypes.includes(type));

const allowed =
  (ask: (statement: PolicyStatement, stack: StackView) => readonly Defect[]): Check =>
  (resource, stack) => {
    if (!resource.has("policy")) return notApplicable;
    return each(
      ownStatements(resource).filter(({ effect }) => effect === "Allow"),
      (statement) => ask(statement, stack),
    );
  };

/**
 * Keys that say for whom a call is made, or who makes it. kms:ViaService is none of them: it says through what, and
 * every account goes through the same services.
 */
const callerKeys = [
  "aws:principalaccount",
  "aws:principalarn",
  "aws:principalorgid",
  "aws:sourceaccount",
  "aws:sourcearn",
  "aws:sourceowner",
  "aws:sourceorgid",
  "kms:calleraccount",
];

const limited = (statement: PolicyStatement): boolean => limitedBy(statement, callerKeys);

const notAnyone = allowed((statement) =>
  namesAnyone(statement) && !limited(statement)
    ? [{ detail: `Principal::*::${statement.id}`, message: `statement ${statement.id} allows anyone` }]
    : [],
);

const ownAccount = allowed((statement, { account }) =>
  (statement.principals.AWS ?? [])
    .filter((principal) => {
      const owner = accountOf(principal);
      return owner !== undefined && account.accountId !== undefined && owner !== account.accountId;
    })
    .map((principal) => ({
      detail: `Principal::${principal}`,
      message: `statement ${statement.id} allows another account's ${principal}`,
    })),
);

/**
 * EventBridge into one topic: it publishes to none whose policy puts a condition on it.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
 */
const publishesEvents = ({ principals, actions, resources }: PolicyStatement): boolean =>
  Object.values(principals)
    .flat()
    .every((principal) => principal === "events.amazonaws.com") &&
  actions.length > 0 &&
  actions.every((action) => action.toLowerCase() === "sns:publish") &&
  resources.length > 0 &&
  !resources.some(hasWildcard);

/** Services that call for one account's resources and say for which. */
const forAccount = allowed((statement) => {
  if (publishesEvents(statement)) return [];
  const keys = restrictingKeys(statement);
  const context = [...keys].some((key) => key.startsWith("kms:encryptioncontext"));
  if (limited(statement) || context) return [];
  return (statement.principals.Service ?? []).map((service) => ({
    detail: `Service::${service}`,
    message: `statement ${statement.id} allows ${service} for any account: no aws:SourceAccount or aws:SourceArn`,
  }));
});

const exactActions = allowed((statement) =>
  statement.notActions.length > 0
    ? [
        {
          detail: `NotAction::${statement.notActions.join(",")}`,
          message: `statement ${statement.id} allows all actions but ${statement.notActions.join(", ")}`,
        },
      ]
    : statement.actions.filter(hasWildcard).map((action) => ({
        detail: `Action::${action}`,
        message: `statement ${statement.id} allows '${action}'`,
      })),
);

const isRoot = (principal: string): boolean => /^\d{12}$|:root$/.test(principal);

/** In a key's policy, all of KMS is for the account itself, which then decides by IAM. */
const keyActions = allowed((statement) => {
  const principals = Object.values(statement.principals).flat();
  if (principals.length > 0 && principals.every(isRoot)) return [];
  return [
    ...statement.actions.filter(
      (action) => hasWildcard(action) && !/^kms:(GenerateDataKey|ReEncrypt)\*$/i.test(action),
    ),
    ...statement.notActions,
  ].map((action) => ({
    detail: `Action::${action}`,
    message: `statement ${statement.id} allows '${action}' to ${principals.join(", ") || "all but some"}`,
  }));
});

/** The account itself may hand grants on where its policy leaves all of KMS to IAM; a listed kms:CreateGrant must not. */
const grantForServices = allowed((statement) =>
  statement.actions.every((action) => action.toLowerCase() === "kms:*") && statement.notActions.length === 0
    ? []
    : grantsOnly(statement),
);

const keyUses = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"];

/** Whether a statement on a key lets it be used through services, for a context, or by identities with a name. */
function limitsUse(statement: PolicyStatement): boolean {
  const keys = restrictingKeys(statement);
  if ([...keys].some((key) => key === "kms:viaservice" || key.startsWith("kms:encryptioncontext")))
    return true;
  const callers = Object.values(statement.conditions).flatMap((own) => own["aws:principalarn"] ?? []);
  return keys.has("aws:principalarn") && callers.every((arn) => /:(role|user)\/[^*?]/.test(arn));
}

const useLimited = allowed((statement) => {
  const principals = statement.principals.AWS ?? [];
  if (!principals.some(isRoot) || statement.actions.some(hasWildcard)) return [];
  return keyUses.some((action) => names(statement, action)) && !limitsUse(statement)
    ? [
        {
          detail: `Statement::${statement.id}`,
          message: `statement ${statement.id} lets every identity of the account use the key that IAM lets`,
        },
      ]
    : [];
});

/** Without the account in its policy, a key cannot be managed any more: not even by those who made it. */
const keyManaged: Check = (key: Reader) => {
  if (!key.has("policy")) return notApplicable;
  const statements = ownStatements(key);
  const managed = statements.some(
    (statement) =>
      statement.effect === "Allow" &&
      (statement.principals.AWS ?? []).some((principal) => isRoot(principal)) &&
      actionsOf(statement).includes("kms:PutKeyPolicy"),
  );
  return managed || statements.length === 0 ? [] : "the key's account may not manage the key";
};

const base = {
  category: "least privilege",
  level: "mandatory",
  scope: "stack",
} as const;

export const resourcePolicyRules: readonly Rule[] = [
  {
    ...base,
    id: "iam-resource-policy-no-anyone",
    title: "No policy of a resource allows anyone",
    severity: "critical",
    controls: [
      { framework: "checkov", id: "CKV_AWS_70" },
      { framework: "checkov", id: "CKV_AWS_33" },
      { framework: "FSBP", id: "S3.2" },
      { framework: "FSBP", id: "KMS.5" },
    ],
    remedy: "Name the principals, or add a condition on their account or organisation.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_identity-vs-resource.html",
    types: [...resourceTypes],
    checks: [notAnyone],
  },
  {
    ...base,
    id: "iam-resource-policy-own-account",
    title: "No policy of a resource allows another account",
    severity: "high",
    controls: [{ framework: "FSBP", id: "S3.6" }],
    remedy: "Leave the account out; what must be shared gets a role with an external id.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies-cross-account-resource-access.html",
    types: [...resourceTypes],
    checks: [ownAccount],
  },
  {
    ...base,
    id: "iam-resource-policy-service-source",
    title: "A service uses a resource on behalf of this account only",
    severity: "medium",
    controls: [{ framework: "none", id: "aws:SourceAccount" }],
    remedy:
      "Add a condition on aws:SourceArn or aws:SourceAccount (or, for a key, its encryption context). EventBridge takes none on a topic: name the topic, and sns:Publish alone.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html",
    types: [...resourceTypes],
    checks: [forAccount],
  },
  {
    ...base,
    id: "iam-resource-policy-exact-actions",
    title: "Policies of resources name their actions",
    severity: "high",
    controls: [{ framework: "checkov", id: "CKV_AWS_168" }],
    remedy: "List the actions that the principal calls.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege",
    types: otherTypes,
    checks: [exactActions],
  },
  {
    ...base,
    id: "iam-key-policy-exact-actions",
    title: "A key's policy gives all of KMS to its own account alone",
    severity: "high",
    controls: [{ framework: "checkov", id: "CKV_AWS_33" }],
    remedy: "List the actions that the principal calls.",
    link: "https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html",
    types: keyTypes,
    checks: [keyActions],
  },
  {
    ...base,
    id: "iam-key-policy-use-limited",
    title: "What a key's policy lists for its account goes through services, or is for roles by name",
    severity: "low",
    level: "advisory",
    controls: [{ framework: "none", id: "kms:ViaService" }],
    remedy: "Add a condition on kms:ViaService, the encryption context, or aws:PrincipalArn.",
    link: "https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service",
    types: keyTypes,
    checks: [useLimited],
  },
  {
    ...base,
    id: "iam-key-policy-grants",
    title: "A key's policy lets grants be made for services alone",
    severity: "high",
    controls: [{ framework: "none", id: "kms:GrantIsForAWSResource" }],
    remedy: "Add the condition Bool kms:GrantIsForAWSResource true to what allows kms:CreateGrant.",
    link: "https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-grant-is-for-aws-resource",
    types: keyTypes,
    checks: [grantForServices],
  },
  {
    ...base,
    id: "iam-key-policy-managed",
    title: "A key can be managed by its own account",
    severity: "high",
    controls: [{ framework: "none", id: "lockout" }],
    remedy: "Allow kms:* to the account's root, which leaves the decision to IAM.",
    link: "https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-default-allow-root-enable-iam",
    types: keyTypes,
    checks: [keyManaged],
  },
];
