/** Rules on who may assume a role. */
import { each } from "../reader.ts";
import { type Check, type Defect, notApplicable, type Rule } from "../rule.ts";
import type { StackView } from "../stack.ts";
import { hasWildcard } from "./actions.ts";
import type { PolicyStatement } from "./document.ts";
import { accountOf, namesAnyone, restrictingKeys, restrictions, roleType, trustOf } from "./union.ts";

const trusted =
  (ask: (statement: PolicyStatement, stack: StackView) => readonly Defect[]): Check =>
  (role, stack) => {
    const allowed = trustOf(role).filter(({ effect }) => effect === "Allow");
    return allowed.length === 0 ? notApplicable : each(allowed, (statement) => ask(statement, stack));
  };

const nobodyElse = trusted((statement) =>
  namesAnyone(statement)
    ? [
        {
          detail: "Principal::*",
          message: `statement ${statement.id} of the trust policy lets anyone assume the role`,
        },
      ]
    : [],
);

const assumeOnly = new Set([
  "sts:assumerole",
  "sts:assumerolewithwebidentity",
  "sts:assumerolewithsaml",
  "sts:tagsession",
  "sts:setsourceidentity",
]);
const onlyAssuming = trusted((statement) =>
  [...statement.actions, ...statement.notActions]
    .filter((action) => !assumeOnly.has(action.toLowerCase()))
    .map((action) => ({
      detail: `Action::${action}`,
      message: `statement ${statement.id} of the trust policy allows '${action}'`,
    })),
);

const outsiderKeys = ["sts:externalid", "aws:principalorgid"];
const ownAccount = trusted((statement, { account }) =>
  (statement.principals.AWS ?? [])
    .filter((principal) => principal !== "*")
    .filter((principal) => {
      const owner = accountOf(principal);
      return owner !== undefined && account.accountId !== undefined && owner !== account.accountId;
    })
    .filter(() => !outsiderKeys.some((key) => restrictingKeys(statement).has(key)))
    .map((principal) => ({
      detail: `Principal::${principal}`,
      message: `another account's ${principal} may assume the role without sts:ExternalId or aws:PrincipalOrgID`,
    })),
);

const wholeAccount = trusted((statement) =>
  (statement.principals.AWS ?? [])
    .filter((principal) => /^\d{12}$|:root$/.test(principal))
    .filter(() => !restrictingKeys(statement).has("aws:principalarn"))
    .map((principal) => ({
      detail: `Principal::${principal}`,
      message: `every identity of ${principal} may assume the role that its own account lets`,
    })),
);

/** Services that say for which account they assume a role; asking the others locks them out. */
export const statesSource = [
  "databrew.amazonaws.com",
  "emr-serverless.amazonaws.com",
  "firehose.amazonaws.com",
  "glue.amazonaws.com",
  "pipes.amazonaws.com",
  "scheduler.amazonaws.com",
  "states.amazonaws.com",
  "vpc-flow-logs.amazonaws.com",
];

const namesSource = trusted((statement, stack) => {
  const services = stack.parameter("services");
  const stating = new Set(Array.isArray(services) ? services.map(String) : []);
  const keys = restrictingKeys(statement);
  if (["aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid"].some((key) => keys.has(key))) return [];
  return (statement.principals.Service ?? [])
    .filter((service) => stating.has(service))
    .map((service) => ({
      detail: `Service::${service}`,
      message: `${service} may assume the role for any account: no condition on aws:SourceAccount or aws:SourceArn`,
    }));
});

/** The condition's values of a key that ends so, whatever its issuer. */
const valuesOf = (statement: PolicyStatement, suffix: string): readonly string[] =>
  restrictions(statement).flatMap(([key, values]) => (key.endsWith(suffix) ? values : []));

const oneSubject: Check = (role) => {
  const federated = trustOf(role).filter(
    ({ effect, principals }) => effect === "Allow" && "Federated" in principals,
  );
  if (federated.length === 0) return notApplicable;
  return federated.flatMap((statement): Defect[] => {
    const audience = valuesOf(statement, ":aud");
    const subjects = valuesOf(statement, ":sub");
    const open = (value: string): boolean => {
      const [, repository = "", ...rest] = value.split(":");
      return hasWildcard(repository) || rest.length === 0 || rest.join(":") === "*";
    };
    return [
      ...(audience.length === 0 || audience.some(hasWildcard)
        ? [{ detail: "Audience", message: "tokens for any audience are taken: no exact condition on aud" }]
        : []),
      ...(subjects.length === 0
        ? [{ detail: "Subject", message: "tokens of any subject are taken: no condition on sub" }]
        : []),
      ...subjects.filter(open).map((subject) => ({
        detail: `Subject::${subject}`,
        message: `tokens of '${subject}' are taken, which is more than one repository's branch or environment`,
      })),
    ];
  });
};

const base = { category: "least privilege", types: [roleType], scope: "resource" } as const;

export const trustRules: readonly Rule[] = [
  {
    ...base,
    id: "iam-trust-no-anyone",
    title: "No role can be assumed by anyone",
    severity: "critical",
    level: "mandatory",
    controls: [{ framework: "checkov", id: "CKV_AWS_60" }],
    remedy: "Name the service or the roles that assume this one.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-anonymous",
    checks: [nobodyElse],
  },
  {
    ...base,
    id: "iam-trust-only-assume",
    title: "A trust policy allows assuming the role and nothing else",
    severity: "medium",
    level: "mandatory",
    controls: [{ framework: "none", id: "trust" }],
    remedy: "Allow sts:AssumeRole, or the form of it that the principal uses.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-trust-policy.html",
    checks: [onlyAssuming],
  },
  {
    ...base,
    id: "iam-trust-own-account",
    title: "Another account assumes a role only with an external id, or from within the organisation",
    severity: "high",
    level: "mandatory",
    controls: [{ framework: "checkov", id: "CKV_AWS_61" }],
    remedy: "Add a condition on sts:ExternalId or aws:PrincipalOrgID, or leave the account out.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html",
    checks: [ownAccount],
    scope: "stack",
  },
  {
    ...base,
    id: "iam-trust-exact-principals",
    title: "A trust policy names roles and users, not an account as a whole",
    severity: "medium",
    level: "mandatory",
    controls: [{ framework: "checkov", id: "CKV_AWS_61" }],
    remedy: "Name the roles, or add a condition on aws:PrincipalArn.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-accounts",
    checks: [wholeAccount],
  },
  {
    ...base,
    id: "iam-trust-source-account",
    title: "A service that acts for many accounts assumes a role for this one only",
    severity: "medium",
    level: "mandatory",
    controls: [{ framework: "none", id: "aws:SourceAccount" }],
    remedy: "Add a condition StringEquals on aws:SourceAccount, or ArnLike on aws:SourceArn.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html#cross-service-confused-deputy-prevention",
    checks: [namesSource],
    parameters: { services: statesSource },
    scope: "stack",
  },
  {
    ...base,
    id: "iam-trust-one-subject",
    title:
      "Tokens of an identity provider are taken of one audience and one repository's branch or environment",
    severity: "critical",
    level: "mandatory",
    controls: [{ framework: "checkov", id: "CKV_AWS_358" }],
    remedy: "Add StringEquals conditions on aud and sub.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html#idp_oidc_Create_GitHub",
    checks: [oneSubject],
  },
];
