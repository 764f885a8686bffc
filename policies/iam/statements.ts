/** Rules on what a policy of an identity says, statement by statement. */
import { each, type Reader } from "../reader.ts";
import { type Check, type Defect, notApplicable, type Rule } from "../rule.ts";
import type { StackView } from "../stack.ts";
import { actionNamed, expand, hasWildcard } from "./actions.ts";
import { DocumentError, type PolicyStatement, parseDocument } from "./document.ts";
import {
  actionsOf,
  documentPaths,
  identityTypes,
  names,
  onlyBounds,
  onlyWhere,
  ownStatements,
  resourceTypes,
  restrictingKeys,
  roleType,
  unionOf,
} from "./union.ts";

const allow = ({ effect }: PolicyStatement): boolean => effect === "Allow";

/** Asks about every statement that gives something; a boundary gives nothing. */
function givenBy(ask: (statement: PolicyStatement, stack: StackView) => readonly Defect[]): Check {
  return (resource, stack) => {
    if (documentPaths(resource).length === 0 || onlyBounds(resource, stack)) return notApplicable;
    return each(ownStatements(resource).filter(allow), (statement) => ask(statement, stack));
  };
}

/** The same with boundaries, which must be as exact in their actions. */
function writtenIn(ask: (statement: PolicyStatement) => readonly Defect[]): Check {
  return (resource) =>
    documentPaths(resource).length === 0 ? notApplicable : each(ownStatements(resource).filter(allow), ask);
}

/** A document that IAM or the resource's service would refuse, or read otherwise than it is meant. */
const wellFormed: Check = (resource: Reader) => {
  const paths =
    resource.resource.type === roleType
      ? ["assumeRolePolicy", ...documentPaths(resource)]
      : documentPaths(resource);
  if (paths.length === 0) return notApplicable;
  return each(paths, (path) => {
    try {
      parseDocument(resource.raw(path));
      return undefined;
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      return { detail: `Document::${path}`, message: `${path}: ${error.message}` };
    }
  });
};

const knownActions = writtenIn((statement) =>
  [...statement.actions, ...statement.notActions]
    .filter((pattern) => expand(pattern).length === 0)
    .map((pattern) => ({
      detail: `Action::${pattern}`,
      message: `statement ${statement.id} names '${pattern}', which is no action of IAM`,
    })),
);

const exactActions = writtenIn((statement) =>
  statement.actions.filter(hasWildcard).map((pattern) => ({
    detail: `Action::${pattern}`,
    message: `statement ${statement.id} allows '${pattern}', ${expand(pattern).length} actions`,
  })),
);

const noNotAction = writtenIn((statement) =>
  statement.notActions.length === 0
    ? []
    : [
        {
          detail: `NotAction::${statement.notActions.join(",")}`,
          message: `statement ${statement.id} allows everything but ${statement.notActions.join(", ")}`,
        },
      ],
);

const noNotResource = writtenIn((statement) =>
  statement.notResources.length === 0
    ? []
    : [
        {
          detail: `NotResource::${statement.notResources.join(",")}`,
          message: `statement ${statement.id} allows all resources but ${statement.notResources.join(", ")}`,
        },
      ],
);

/** Keys that say no more than who calls or how; with them alone, `*` is still every resource. */
const weakKeys = new Set([
  "aws:securetransport",
  "aws:multifactorauthpresent",
  "aws:requestedregion",
  "aws:calledvia",
  "aws:useragent",
]);

const scoped = givenBy((statement) => {
  if (!statement.resources.includes("*")) return [];
  if ([...restrictingKeys(statement)].some((key) => !weakKeys.has(key))) return [];
  return actionsOf(statement)
    .filter((name) => !actionNamed(name)?.wildcardOnly)
    .map((name) => ({
      detail: `Resource::*::${name}`,
      message: `statement ${statement.id} allows ${name} on every resource, though it can be given for one`,
    }));
});

/** Services whose ARNs have no account or no region; for the others an empty or wild part is a wild resource. */
const noAccount = new Set(["s3", "apigateway"]);
const noRegion = new Set(["s3", "iam", "cloudfront", "route53", "organizations", "cloudwatch"]);

/** Types whose names are the program's, so that a policy can have their prefix: all of them is more than is needed. */
const namedByProgram = new Set([
  "cloudwatch:alarm",
  "cloudwatch:dashboard",
  "databrew:job",
  "databrew:recipe",
  "dynamodb:table",
  "events:rule",
  "glue:connection",
  "glue:crawler",
  "glue:database",
  "glue:job",
  "iam:policy",
  "iam:role",
  "kinesis:stream",
  "lambda:function",
  "rds:db",
  "scheduler:schedule",
  "scheduler:schedule-group",
  "secretsmanager:secret",
  "states:stateMachine",
]);

const anyOfType = (service: string, rest: string): boolean => {
  const type = rest.match(/^([A-Za-z-]+)[:/]\*$/)?.[1];
  return type !== undefined && namedByProgram.has(`${service}:${type}`);
};

const ownResources = givenBy((statement, stack) => {
  const accepted = stack.parameter("accepted");
  const open = Array.isArray(accepted) ? accepted.map(String) : [];
  if (actionsOf(statement).every((action) => open.includes(action))) return [];
  const chosen = chooses(statement);
  return statement.resources
    .filter((resource) => resource !== "*")
    .flatMap((resource) => {
      const parts = resource.split(":");
      const [prefix, partition = "", service = "", region = "", account = ""] = parts;
      const rest = parts.slice(5).join(":");
      const wild =
        prefix !== "arn" || hasWildcard(partition) || hasWildcard(service)
          ? "the service"
          : !noRegion.has(service) && hasWildcard(region)
            ? "the region"
            : !noAccount.has(service) && hasWildcard(account)
              ? "the account"
              : /^\**$/.test(rest.replace("/", "")) || (anyOfType(service, rest) && !chosen)
                ? "the resource"
                : undefined;
      return wild === undefined
        ? []
        : [
            {
              detail: `Resource::${resource}`,
              message: `statement ${statement.id} leaves ${wild} of '${resource}' open`,
            },
          ];
    });
});

/** All resources of a type whose ids AWS makes up, so that only a condition can choose among them. */
const namedByAws =
  /^arn:[^:]*:(kms:[^:]*:[^:]*:key\/|redshift-serverless:[^:]*:[^:]*:(namespace|workgroup)\/|apigateway:[^:]*::\/restapis\/|emr-serverless:[^:]*:[^:]*:\/applications\/|lambda:[^:]*:[^:]*:event-source-mapping:)\*$/;

/** Whether a condition chooses among resources: a key that says more than who calls, with values that name something. */
function chooses(statement: PolicyStatement): boolean {
  const keys = [...restrictingKeys(statement)].filter((key) => !weakKeys.has(key));
  const isOpen = (value: string): boolean => {
    const [prefix, , service = "", , , ...rest] = value.split(":");
    return prefix === "arn" && anyOfType(service, rest.join(":"));
  };
  return keys.some((key) => !Object.values(statement.conditions).some((own) => own[key]?.some(isOpen)));
}

/** Actions that know no resource, and the key that says on what they act all the same. */
const chosenByKey: Readonly<Record<string, string>> = {
  "lambda:CreateEventSourceMapping": "lambda:functionarn",
};

const keyChosen = givenBy((statement) =>
  Object.entries(chosenByKey)
    .filter(
      ([action, key]) =>
        names(statement, action) && !(restrictingKeys(statement).has(key) && chooses(statement)),
    )
    .map(([action, key]) => ({
      detail: `Action::${action}`,
      message: `statement ${statement.id} allows ${action} for everything: no condition on ${key}`,
    })),
);

const idsChosen = givenBy((statement) => {
  const open = statement.resources.filter((resource) => namedByAws.test(resource));
  if (open.length === 0 || chooses(statement)) return [];
  const changing = actionsOf(statement).filter((name) => actionNamed(name)?.readOnly === false);
  return changing.map((name) => ({
    detail: `Action::${name}`,
    message: `statement ${statement.id} allows ${name} on every ${open.join(", ")}, whosever it is`,
  }));
});

const lists = ["s3:ListBucket", "s3:ListBucketVersions"];

const listedByPrefix = givenBy((statement) =>
  lists
    .filter((action) => names(statement, action) && !restrictingKeys(statement).has("s3:prefix"))
    .map((action) => ({
      detail: `Action::${action}::${statement.id}`,
      message: `statement ${statement.id} allows ${action} of everything: no condition on s3:prefix`,
    })),
);

const statementReads = [
  "redshift-data:CancelStatement",
  "redshift-data:DescribeStatement",
  "redshift-data:GetStatementResult",
  "redshift-data:GetStatementResultV2",
];

const ownStatementsOnly = givenBy((statement) =>
  statementReads
    .filter(
      (action) =>
        names(statement, action) &&
        !restrictingKeys(statement).has("redshift-data:statement-owner-iam-userid"),
    )
    .map((action) => ({
      detail: `Action::${action}::${statement.id}`,
      message: `statement ${statement.id} allows ${action} of what others have run`,
    })),
);

const decrypts = ["kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"];
/** A pattern that stands for all keys or aliases of a region. */
const anyKey = /^(\*|arn:[^:]*:kms:[^:]*:[^:]*:(\*|key\/\*|alias\/\*)?)$/;

const decryptScoped = givenBy((statement) =>
  decrypts
    .filter((action) => names(statement, action))
    .flatMap((action) =>
      [...statement.resources, ...(statement.notResources.length > 0 ? ["*"] : [])]
        .filter((resource) => anyKey.test(resource))
        .filter(() => ![...restrictingKeys(statement)].some((key) => key.startsWith("aws:resourcetag/")))
        .map((resource) => ({
          detail: `Key::${resource}::${action}`,
          message: `statement ${statement.id} allows ${action} with every key (${resource})`,
        })),
    ),
);

const keyUses = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"];
const limitsKeyUse = (key: string): boolean =>
  key === "kms:viaservice" || key.startsWith("kms:encryptioncontext") || key.startsWith("aws:resourcetag/");

/** Glue itself calls KMS with the role of its catalog, directly, and documents no encryption context. */
function encryptsCatalog(policy: Reader, stack: StackView): boolean {
  if (policy.resource.type !== "aws:iam/rolePolicy:RolePolicy") return false;
  const at = "dataCatalogEncryptionSettings.encryptionAtRest.catalogEncryptionServiceRole";
  const role = policy.text("role");
  return stack
    .ofType("aws:glue/dataCatalogEncryptionSettings:DataCatalogEncryptionSettings")
    .some((settings) => settings.text(at)?.endsWith(`:role/${role}`) === true);
}

const keyThroughService: Check = (policy, stack) =>
  encryptsCatalog(policy, stack) ? notApplicable : usedThroughService(policy, stack);

const usedThroughService = givenBy((statement) => {
  const used = keyUses.filter((action) => names(statement, action));
  if (used.length === 0 || [...restrictingKeys(statement)].some(limitsKeyUse)) return [];
  return used.map((action) => ({
    detail: `Action::${action}`,
    message: `statement ${statement.id} allows ${action} without kms:ViaService or an encryption context`,
  }));
});

/** Resource patterns on which a role may make roles with nothing but a boundary on them. */
function boundedCreation(statements: readonly PolicyStatement[]): readonly string[] {
  return statements
    .filter(
      (statement) =>
        allow(statement) &&
        names(statement, "iam:CreateRole") &&
        restrictingKeys(statement).has("iam:permissionsboundary"),
    )
    .flatMap(({ resources }) => resources);
}

const passExact: Check = (role, stack) => {
  const union = unionOf(role, stack);
  const passes = union.filter((statement) => allow(statement) && names(statement, "iam:PassRole"));
  if (passes.length === 0) return notApplicable;
  // Who may only make roles that are bounded may hand on what it made.
  const bounded = boundedCreation(union);
  return passes.flatMap((statement) =>
    [...statement.resources, ...(statement.notResources.length > 0 ? ["*"] : [])]
      .filter((resource) => hasWildcard(resource) && !bounded.includes(resource))
      .map((resource) => ({
        detail: `PassRole::${resource}`,
        message: `statement ${statement.id} may pass any role of '${resource}'`,
      })),
  );
};

const passToService: Check = (role, stack) => {
  const passes = unionOf(role, stack).filter(
    (statement) => allow(statement) && names(statement, "iam:PassRole"),
  );
  if (passes.length === 0) return notApplicable;
  return passes
    .filter((statement) => !restrictingKeys(statement).has("iam:passedtoservice"))
    .map((statement) => ({
      detail: `Statement::${statement.id}`,
      message: `statement ${statement.id} does not say which service a role is passed to`,
    }));
};

const secretReads = [
  "secretsmanager:GetSecretValue",
  "secretsmanager:BatchGetSecretValue",
  "ssm:GetParameter",
  "ssm:GetParameters",
  "ssm:GetParametersByPath",
  "redshift:GetClusterCredentials",
  "redshift-serverless:GetCredentials",
  "rds-db:connect",
];
const credentialMakers = [
  "iam:CreateAccessKey",
  "iam:CreateLoginProfile",
  "iam:UpdateLoginProfile",
  "iam:CreateServiceSpecificCredential",
  "iam:ResetServiceSpecificCredential",
  "sts:GetFederationToken",
  "sts:GetSessionToken",
  "codeartifact:GetAuthorizationToken",
  "ecr:GetAuthorizationToken",
  "chime:CreateApiKey",
  "codepipeline:PollForJobs",
  "cognito-idp:AdminInitiateAuth",
];

const noCredentials = givenBy((statement) => [
  ...credentialMakers
    .filter((action) => names(statement, action))
    .map((action) => ({
      detail: `Action::${action}`,
      message: `statement ${statement.id} allows ${action}, which gives out credentials`,
    })),
  ...secretReads
    .filter((action) => names(statement, action))
    .flatMap((action) =>
      statement.resources
        .filter((resource) => /^(\*|.*:\*|.*[:/]\*)$/.test(resource))
        .map((resource) => ({
          detail: `Secret::${resource}::${action}`,
          message: `statement ${statement.id} allows ${action} on '${resource}', not on one secret`,
        })),
    ),
]);

const deniesNothing = givenBy((statement) =>
  Object.entries(statement.conditions).flatMap(([operator, keys]) =>
    Object.entries(keys)
      .filter(
        ([, values]) =>
          values.length === 0 || (/Like/i.test(operator) && !/Not/i.test(operator) && values.includes("*")),
      )
      .map(([key]) => ({
        detail: `Condition::${operator}::${key}`,
        message: `statement ${statement.id}: the condition ${operator} on ${key} excludes nothing`,
      })),
  ),
);

/** A grant hands a key's use on; with this condition to a service for its own resource, and to nobody else. */
const grantForServices = "kms:grantisforawsresource";

/** What is wrong with statements that let grants on keys be made. */
export const grantsOnly = (statement: PolicyStatement): readonly Defect[] =>
  names(statement, "kms:CreateGrant") && !onlyWhere(statement, grantForServices)
    ? [
        {
          detail: `Statement::${statement.id}`,
          message: `statement ${statement.id} allows kms:CreateGrant for anybody: no Bool of kms:GrantIsForAWSResource that is true`,
        },
      ]
    : [];

const assumesExactly = givenBy((statement) =>
  names(statement, "sts:AssumeRole")
    ? statement.resources.filter(hasWildcard).map((resource) => ({
        detail: `AssumeRole::${resource}`,
        message: `statement ${statement.id} may assume any role of '${resource}'`,
      }))
    : [],
);

export const statementRules: readonly Rule[] = [
  {
    id: "iam-document-valid",
    title: "A policy document is one that IAM accepts, and reads as it is meant",
    category: "least privilege",
    severity: "high",
    level: "mandatory",
    controls: [{ framework: "none", id: "document" }],
    remedy: "Write the document as the IAM grammar has it: a Statement with Effect, Action and Resource.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html",
    types: [roleType, ...identityTypes, ...resourceTypes],
    scope: "resource",
    checks: [wellFormed],
  },
  {
    id: "iam-action-known",
    title: "Every action of a policy exists",
    category: "least privilege",
    severity: "medium",
    level: "mandatory",
    controls: [{ framework: "none", id: "action" }],
    remedy: "Correct the action's name; IAM takes a name that does not exist, and then gives nothing.",
    link: "https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html",
    types: [roleType, ...identityTypes],
    scope: "resource",
    checks: [knownActions],
  },
  {
    id: "iam-exact-actions",
    title: "Policies name their actions, without wildcards",
    category: "least privilege",
    severity: "critical",
    level: "mandatory",
    controls: [
      { framework: "checkov", id: "CKV_AWS_62" },
      { framework: "checkov", id: "CKV_AWS_63" },
      { framework: "cdk-nag", id: "AwsSolutions-IAM5" },
      { framework: "FSBP", id: "IAM.1" },
      { framework: "FSBP", id: "IAM.21" },
    ],
    remedy: "List the actions that the workload calls.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege",
    types: [roleType, ...identityTypes],
    scope: "resource",
    checks: [exactActions],
  },
  {
    id: "iam-no-not-action",
    title: "No policy allows all actions but some",
    category: "least privilege",
    severity: "critical",
    level: "mandatory",
    controls: [{ framework: "checkov", id: "CKV_AWS_63" }],
    remedy: "Replace NotAction by the Action list that is meant.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html",
    types: [roleType, ...identityTypes],
    scope: "resource",
    checks: [noNotAction],
  },
  {
    id: "iam-no-not-resource",
    title: "No policy allows all resources but some",
    category: "least privilege",
    severity: "high",
    level: "mandatory",
    controls: [{ framework: "none", id: "NotResource" }],
    remedy: "Replace NotResource by the Resource list that is meant.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notresource.html",
    types: [roleType, ...identityTypes],
    scope: "resource",
    checks: [noNotResource],
  },
  {
    id: "iam-resource-scoped",
    title: "Resource * stands only with actions that know no resource, or with a condition that chooses",
    category: "least privilege",
    severity: "high",
    level: "mandatory",
    controls: [
      { framework: "checkov", id: "CKV_AWS_355" },
      { framework: "cdk-nag", id: "AwsSolutions-IAM5" },
    ],
    remedy: "Name the resources' ARNs.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html",
    types: [roleType, ...identityTypes],
    scope: "stack",
    checks: [scoped],
  },
  {
    id: "iam-resource-own",
    title: "An ARN of a policy names service, region, account and at least a part of the resource",
    category: "least privilege",
    severity: "high",
    level: "mandatory",
    controls: [{ framework: "cdk-nag", id: "AwsSolutions-IAM5" }],
    remedy: "Write the account and the region of the stack, and the resource's name or its prefix.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html",
    types: [roleType, ...identityTypes],
    scope: "stack",
    checks: [ownResources],
    parameters: {
      // Lambda refuses a role whose right to delete interfaces is narrower: its documentation, "VPC permissions".
      accepted: ["ec2:DeleteNetworkInterface"],
    },
  },
  {
    id: "iam-open-id-chosen",
    title: "Where AWS makes up ids, a tag or another condition chooses what may be changed",
    category: "least privilege",
    severity: "high",
    level: "mandatory",
    controls: [{ framework: "none", id: "aws:ResourceTag" }],
    remedy: "Add a condition on aws:ResourceTag, or name the id.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html",
    types: [roleType, ...identityTypes],
    scope: "stack",
    checks: [idsChosen, keyChosen],
  },
  {
    id: "iam-list-by-prefix",
    title: "A bucket is listed by prefixes",
    category: "least privilege",
    severity: "low",
    level: "advisory",
    controls: [{ framework: "none", id: "s3:prefix" }],
    remedy: "Add a condition on s3:prefix, where nobody asks whether an object exists.",
    link: "https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html",
    types: [roleType, ...identityTypes],
    scope: "stack",
    checks: [listedByPrefix],
  },
  {
    id: "iam-own-statements",
    title: "Results of statements in the warehouse are read by who ran them",
    category: "least privilege",
    severity: "medium",
    level: "mandatory",
    controls: [{ framework: "none", id: "redshift-data:statement-owner-iam-userid" }],
    remedy: "Add a condition on redshift-data:statement-owner-iam-userid.",
    link: "https://docs.aws.amazon.com/redshift/latest/mgmt/data-api-iam.html",
    types: [roleType, ...identityTypes],
    scope: "stack",
    checks: [ownStatementsOnly],
  },
  {
    id: "iam-decrypt-scoped",
    title: "kms:Decrypt is given for keys, never for all keys",
    category: "least privilege",
    severity: "critical",
    level: "mandatory",
    controls: [
      { framework: "FSBP", id: "KMS.1" },
      { framework: "FSBP", id: "KMS.2" },
    ],
    remedy: "Name the key's ARN, or demand a tag of the key.",
    link: "https://docs.aws.amazon.com/securityhub/latest/userguide/kms-controls.html#kms-2",
    types: [roleType, ...identityTypes],
    scope: "stack",
    checks: [decryptScoped],
  },
  {
    id: "iam-key-use-limited",
    title: "A key is used through a service or with an encryption context",
    category: "least privilege",
    severity: "medium",
    level: "mandatory",
    controls: [{ framework: "none", id: "kms:ViaService" }],
    remedy: "Add a condition on kms:ViaService, or on the encryption context that the service gives.",
    link: "https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service",
    types: [roleType, ...identityTypes],
    scope: "stack",
    checks: [keyThroughService],
  },
  {
    id: "iam-grant-for-services",
    title: "Grants on a key are made for services, so that nobody hands its use on",
    category: "least privilege",
    severity: "high",
    level: "mandatory",
    controls: [{ framework: "none", id: "kms:GrantIsForAWSResource" }],
    remedy: "Add the condition Bool kms:GrantIsForAWSResource true, or leave kms:CreateGrant out.",
    link: "https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-grant-is-for-aws-resource",
    types: [roleType, ...identityTypes],
    scope: "stack",
    checks: [givenBy(grantsOnly)],
  },
  {
    id: "iam-pass-role-exact",
    title: "PassRole names exact roles",
    category: "least privilege",
    severity: "critical",
    level: "mandatory",
    controls: [{ framework: "none", id: "PassRole" }],
    remedy:
      "Name the roles; a deployment's role may pass by a prefix when it can make roles of it only with a boundary.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html",
    types: [roleType],
    scope: "stack",
    checks: [passExact],
  },
  {
    id: "iam-pass-role-service",
    title: "PassRole says which service a role is passed to",
    category: "least privilege",
    severity: "high",
    level: "mandatory",
    controls: [{ framework: "none", id: "iam:PassedToService" }],
    remedy: "Add a condition StringEquals on iam:PassedToService.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#ck_PassedToService",
    types: [roleType],
    scope: "stack",
    checks: [passToService],
  },
  {
    id: "iam-no-credential-exposure",
    title: "No policy gives out credentials, or every secret of a kind",
    category: "least privilege",
    severity: "critical",
    level: "mandatory",
    controls: [{ framework: "checkov", id: "CKV_AWS_287" }],
    remedy: "Leave the action out, or name the one secret or workgroup that is meant.",
    link: "https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html",
    types: [roleType, ...identityTypes],
    scope: "stack",
    checks: [noCredentials],
  },
  {
    id: "iam-condition-effective",
    title: "A condition of an Allow excludes something",
    category: "least privilege",
    severity: "medium",
    level: "mandatory",
    controls: [{ framework: "none", id: "Condition" }],
    remedy: "Give the condition the values that are meant, or leave it out.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html",
    types: [roleType, ...identityTypes],
    scope: "stack",
    checks: [deniesNothing],
  },
  {
    id: "iam-assume-role-exact",
    title: "sts:AssumeRole names exact roles",
    category: "least privilege",
    severity: "critical",
    level: "mandatory",
    controls: [{ framework: "checkov", id: "CKV_AWS_286" }],
    remedy: "Name the roles that may be assumed.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_permissions-to-switch.html",
    types: [roleType, ...identityTypes],
    scope: "stack",
    checks: [assumesExactly],
  },
];
