/** Rules on identities: users, managed policies, boundaries, who shares a role. */
import { type Check, notApplicable, type Rule } from "../rule.ts";
import { hasWildcard } from "./actions.ts";
import {
  boundaryOf,
  isDeployer,
  names,
  ofAnyAccount,
  onlyBounds,
  ownStatements,
  passesExactly,
  policyType,
  roleType,
} from "./union.ts";

const userTypes = [
  "aws:iam/user:User",
  "aws:iam/accessKey:AccessKey",
  "aws:iam/userLoginProfile:UserLoginProfile",
  "aws:iam/userPolicy:UserPolicy",
  "aws:iam/userPolicyAttachment:UserPolicyAttachment",
  "aws:iam/group:Group",
];
const attachmentTypes = [
  "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
  "aws:iam/userPolicyAttachment:UserPolicyAttachment",
  "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
  "aws:iam/policyAttachment:PolicyAttachment",
];

const managedByAws = /^arn:[^:]*:iam::aws:policy\//;

const noManaged: Check = (resource) => {
  const arns =
    resource.resource.type === roleType
      ? [...resource.texts("managedPolicyArns"), resource.text("permissionsBoundary")]
      : [resource.text("policyArn")];
  return arns
    .filter((arn) => arn !== undefined)
    .filter((arn) => managedByAws.test(arn))
    .map((arn) => ({
      detail: `Policy::${arn}`,
      message: `${arn} is AWS's: it allows more than this needs, and changes without notice`,
    }));
};

const bounded: Check = (role) => {
  if (isDeployer(role)) return notApplicable;
  return role.has("permissionsBoundary") ? [] : "nothing bounds what the role's policies may come to allow";
};

/** A boundary that allows identities to be changed bounds nothing. */
const boundaryHolds: Check = (policy, stack) => {
  if (!onlyBounds(policy, stack)) return notApplicable;
  const never = [
    "iam:AttachRolePolicy",
    "iam:CreatePolicyVersion",
    "iam:CreateRole",
    "iam:CreateUser",
    "iam:DeleteRolePermissionsBoundary",
    "iam:PassRole",
    "iam:PutRolePolicy",
    "iam:UpdateAssumeRolePolicy",
    "organizations:LeaveOrganization",
    "sts:AssumeRole",
  ];
  return ownStatements(policy)
    .filter(({ effect }) => effect === "Allow")
    .flatMap((statement) =>
      never
        .filter((action) => names(statement, action))
        // A role with this boundary can be passed on, as the role of a job by what starts the job.
        .filter((action) => action !== "iam:PassRole" || !passesExactly(statement))
        .map((action) => ({
          detail: `Action::${action}`,
          message: `statement ${statement.id} of the boundary allows ${action}`,
        })),
    );
};

/** Where what a boundary allows on everything must stay, by the key that says so. */
const places = [
  ["aws:resourceaccount", "resources of any account"],
  ["aws:requestedregion", "any region"],
] as const;

/**
 * What a boundary allows on resources of any account is within an account and a region. IfExists will do, since not
 * every service tells.
 */
const boundaryStays: Check = (policy, stack) => {
  if (!onlyBounds(policy, stack)) return notApplicable;
  return ownStatements(policy)
    .filter(
      ({ effect, resources, notResources }) =>
        effect === "Allow" && (resources.some(ofAnyAccount) || notResources.length > 0),
    )
    .flatMap((statement) => {
      const keys = Object.entries(statement.conditions).flatMap(([operator, own]) =>
        /Not|^Null$/i.test(operator)
          ? []
          : Object.entries(own).flatMap(([key, values]) => (values.some(hasWildcard) ? [] : [key])),
      );
      return places
        .filter(([key]) => !keys.includes(key))
        .map(([key, what]) => ({
          detail: `Condition::${statement.id}::${key}`,
          message: `statement ${statement.id} of the boundary reaches ${what}: no condition on ${key}`,
        }));
    });
};

const workloadTypes: Readonly<Record<string, string>> = {
  "aws:glue/job:Job": "roleArn",
  "aws:lambda/function:Function": "role",
  "aws:sfn/stateMachine:StateMachine": "roleArn",
};

const oneWorkload: Check = (role, stack) => {
  const users = Object.entries(workloadTypes).flatMap(([type, path]) =>
    stack.ofType(type).filter((workload) => workload.has(path) && stack.refers(workload, path, role)),
  );
  if (users.length === 0) return notApplicable;
  return users.length === 1
    ? []
    : `${users.map(({ resource }) => resource.name).join(", ")} share the role, so each may do what the others need`;
};

const boundaryKnown: Check = (role, stack) => {
  if (!role.has("permissionsBoundary")) return notApplicable;
  return boundaryOf(role, stack)
    ? []
    : "the role's boundary is no policy of this stack, so nothing here checks it";
};

const base = { category: "least privilege", scope: "stack" } as const;

export const identityRules: readonly Rule[] = [
  {
    ...base,
    id: "iam-no-users",
    title: "There are no users, groups or access keys",
    severity: "high",
    level: "mandatory",
    controls: [{ framework: "checkov", id: "CKV_AWS_273" }],
    remedy: "Give people and CI roles that they assume.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#bp-workloads-use-roles",
    types: userTypes,
    scope: "resource",
    checks: [() => "a user or its keys: credentials that do not expire"],
  },
  {
    ...base,
    id: "iam-no-aws-managed-policies",
    title: "No policy that AWS manages is attached",
    severity: "medium",
    level: "mandatory",
    controls: [{ framework: "cdk-nag", id: "AwsSolutions-IAM4" }],
    remedy: "Write a policy with what is needed of it.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html",
    types: [roleType, ...attachmentTypes],
    scope: "resource",
    checks: [noManaged],
  },
  {
    ...base,
    id: "iam-role-bounded",
    title: "Every role of a workload carries a permissions boundary",
    severity: "medium",
    level: "mandatory",
    controls: [{ framework: "none", id: "boundary" }],
    remedy: "Set permissionsBoundary to the stack's boundary.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html",
    types: [roleType],
    checks: [bounded],
  },
  {
    ...base,
    id: "iam-boundary-in-stack",
    title: "The boundary of a role is a policy that this pack judges too",
    severity: "low",
    level: "advisory",
    controls: [{ framework: "none", id: "boundary" }],
    remedy: "Use a boundary that the stack makes, or check it where it is made.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html",
    types: [roleType],
    checks: [boundaryKnown],
  },
  {
    ...base,
    id: "iam-boundary-holds",
    title: "A boundary lets nobody change identities or take on another",
    severity: "critical",
    level: "mandatory",
    controls: [{ framework: "none", id: "boundary" }],
    remedy:
      "List the actions of the workloads in the boundary, without those of IAM; iam:PassRole for roles by name, to services by name.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-delegate",
    types: [policyType],
    checks: [boundaryHolds],
  },
  {
    ...base,
    id: "iam-boundary-own-account",
    title: "What a boundary allows on resources of any account stays within one account and region",
    severity: "medium",
    level: "mandatory",
    controls: [{ framework: "none", id: "boundary" }],
    remedy:
      "Name the account in the resources, or add conditions on aws:ResourceAccount and aws:RequestedRegion.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-resourceaccount",
    types: [policyType],
    checks: [boundaryStays],
  },
  {
    ...base,
    id: "iam-one-role-per-workload",
    title: "Every job, function and state machine has a role of its own",
    severity: "low",
    level: "advisory",
    controls: [{ framework: "none", id: "role" }],
    remedy: "Give each workload a role with what it needs.",
    link: "https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html",
    types: [roleType],
    checks: [oneWorkload],
  },
];
