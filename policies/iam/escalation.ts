/** Ways for a role to get more than it was given, over the union of its policies. */

import type { Reader } from "../reader.ts";
import { type Check, type Defect, notApplicable, type Rule } from "../rule.ts";
import type { StackView } from "../stack.ts";
import { actionNamed, hasWildcard, matches } from "./actions.ts";
import type { PolicyStatement } from "./document.ts";
import {
  actionsOf,
  assumedOnlyBy,
  isDeployer,
  names,
  passesExactly,
  passesTo,
  restrictingKeys,
  roleType,
  trustOf,
  unionOf,
} from "./union.ts";

/** A set of actions that together give another role's rights, or rights to one's own. */
export interface Path {
  readonly id: string;
  /** All of these are needed. */
  readonly actions: readonly string[];
  /** The service that a role is passed to on this way. */
  readonly service?: string;
  readonly what: string;
}

const pass = (service: string, ...actions: readonly string[]): Path => ({
  id: `PassRole+${actions.join("+")}`,
  actions: ["iam:PassRole", ...actions],
  service: `${service}.amazonaws.com`,
  what: `runs code of its own with any role that it can pass to ${service}`,
});

const change = (what: string, ...actions: readonly string[]): Path => ({
  id: actions.join("+"),
  actions,
  what,
});

const rewrites = "changes what itself or another identity may do";
const takesOver = "runs code of its own with the role of what exists";

/**
 * The known ways (Rhino Security Labs' catalogue, Prowler's and checkov's lists), with Glue, Step Functions, EMR
 * Serverless and DataBrew, which those leave out.
 */
export const paths: readonly Path[] = [
  ...[
    "iam:AddUserToGroup",
    "iam:AttachGroupPolicy",
    "iam:AttachRolePolicy",
    "iam:AttachUserPolicy",
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:CreatePolicyVersion",
    "iam:DeleteRolePermissionsBoundary",
    "iam:DeleteUserPermissionsBoundary",
    "iam:PutGroupPolicy",
    "iam:PutRolePermissionsBoundary",
    "iam:PutRolePolicy",
    "iam:PutUserPolicy",
    "iam:SetDefaultPolicyVersion",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateLoginProfile",
  ].map((action) => change(rewrites, action)),
  pass("lambda", "lambda:CreateFunction"),
  pass("lambda", "lambda:UpdateFunctionConfiguration"),
  pass("glue", "glue:CreateJob"),
  pass("glue", "glue:UpdateJob"),
  pass("glue", "glue:CreateDevEndpoint"),
  pass("glue", "glue:CreateSession"),
  pass("glue", "glue:CreateCrawler"),
  pass("states", "states:CreateStateMachine"),
  pass("states", "states:UpdateStateMachine"),
  pass("emr-serverless", "emr-serverless:StartJobRun"),
  pass("databrew", "databrew:CreateRecipeJob"),
  pass("databrew", "databrew:CreateProfileJob"),
  pass("databrew", "databrew:UpdateRecipeJob"),
  pass("events", "events:PutTargets"),
  pass("scheduler", "scheduler:CreateSchedule"),
  pass("scheduler", "scheduler:UpdateSchedule"),
  pass("pipes", "pipes:CreatePipe"),
  pass("cloudformation", "cloudformation:CreateStack"),
  pass("cloudformation", "cloudformation:UpdateStack"),
  pass("ec2", "ec2:RunInstances"),
  pass("ec2", "ec2:AssociateIamInstanceProfile"),
  pass("ecs-tasks", "ecs:RegisterTaskDefinition"),
  pass("codebuild", "codebuild:CreateProject"),
  pass("sagemaker", "sagemaker:CreateNotebookInstance"),
  pass("sagemaker", "sagemaker:CreateTrainingJob"),
  pass("datapipeline", "datapipeline:CreatePipeline"),
  pass("elasticmapreduce", "elasticmapreduce:RunJobFlow"),
  change(takesOver, "lambda:UpdateFunctionCode"),
  change(takesOver, "lambda:PublishLayerVersion", "lambda:UpdateFunctionConfiguration"),
  change(takesOver, "glue:UpdateJob"),
  change(takesOver, "glue:UpdateDevEndpoint"),
  change(takesOver, "states:UpdateStateMachine"),
  change(takesOver, "ssm:SendCommand"),
  change(takesOver, "ssm:StartSession"),
  change(takesOver, "codebuild:UpdateProject"),
  change(takesOver, "cloudformation:UpdateStack"),
  change(takesOver, "cloudformation:ExecuteChangeSet"),
];

const given = (union: readonly PolicyStatement[], action: string): readonly PolicyStatement[] =>
  union.filter((statement) => statement.effect === "Allow" && names(statement, action));

/** A Deny without a condition on everything takes an action away; a narrower one does not. */
const takenAway = (union: readonly PolicyStatement[], action: string): boolean =>
  union.some(
    (statement) =>
      statement.effect === "Deny" &&
      names(statement, action) &&
      statement.resources.includes("*") &&
      Object.keys(statement.conditions).length === 0,
  );

const has = (union: readonly PolicyStatement[], action: string): boolean =>
  given(union, action).length > 0 && !takenAway(union, action);

/**
 * Whether what a deployment's role can reach stays within boundaries: it edits only roles with a boundary, and every
 * role that it can pass, or whose code it can change, carries one or cannot be assumed by a service.
 */
function contained(path: Path, union: readonly PolicyStatement[], stack: StackView): boolean {
  const edits = path.actions.filter(
    (action) => action.startsWith("iam:") && action !== "iam:PassRole" && !action.startsWith("iam:Get"),
  );
  if (edits.length > 0) {
    return edits.every((action) =>
      given(union, action).every(
        (statement) =>
          restrictingKeys(statement).has("iam:permissionsboundary") &&
          !Object.values(statement.conditions).some((keys) =>
            keys["iam:permissionsboundary"]?.some(hasWildcard),
          ),
      ),
    );
  }
  const passed = given(union, "iam:PassRole").flatMap(({ resources }) => resources);
  return stack
    .ofType(roleType)
    .filter((role) => {
      const name = stack.physicalName(role);
      // A role that AWS names could be any of those that are passed.
      return (
        name === undefined ||
        passed.some((pattern) =>
          matches(pattern, `${pattern.slice(0, pattern.indexOf(":role/"))}:role/${name}`),
        )
      );
    })
    .every((role) => role.has("permissionsBoundary") || !assumedByService(role));
}

const assumedByService = (role: Reader): boolean =>
  trustOf(role).some(({ effect, principals }) => effect === "Allow" && "Service" in principals);

/** Whether the union opens a path: all its actions, and a role that may be passed to its service. */
const open = (path: Path, union: readonly PolicyStatement[]): boolean =>
  path.actions.every((action) => has(union, action)) &&
  (path.service === undefined || passed(union, path.service).length > 0);

const passed = (union: readonly PolicyStatement[], service: string): readonly PolicyStatement[] =>
  given(union, "iam:PassRole").filter((statement) => passesTo(statement, service));

/**
 * Whether a state machine does no more than start a job with the role that was made for the job, which is the one way
 * to start it: Step Functions alone has the machine's role, every role that it passes is named, bounded, trusted by the
 * job's service alone, and opens no path of its own.
 */
function startsItsJob(
  path: Path,
  role: Reader,
  union: readonly PolicyStatement[],
  stack: StackView,
): boolean {
  const { service } = path;
  if (service === undefined || !path.actions.includes("emr-serverless:StartJobRun")) return false;
  if (assumedOnlyBy(role)?.join() !== "states.amazonaws.com") return false;
  const passing = passed(union, service);
  if (!passing.every(passesExactly)) return false;
  return passing
    .flatMap(({ resources }) => resources)
    .every((arn) => {
      const job = stack.ofType(roleType).find((each) => arn.endsWith(`:role/${stack.physicalName(each)}`));
      return (
        job?.has("permissionsBoundary") === true &&
        assumedOnlyBy(job)?.join() === service &&
        !paths.some((own) => open(own, unionOf(job, stack)))
      );
    });
}

const noEscalation: Check = (role, stack) => {
  const union = unionOf(role, stack);
  const deployer = isDeployer(role);
  const defects: Defect[] = [];
  for (const path of paths) {
    if (!open(path, union) || startsItsJob(path, role, union, stack)) continue;
    if (deployer && contained(path, union, stack)) continue;
    defects.push({
      detail: `Path::${path.id}`,
      message: `${path.actions.join(" and ")} together: the role ${path.what}`,
    });
  }
  return defects;
};

/** Chains: roles of the stack that a role may assume, and what they may do that it may not. */
const noChain: Check = (role, stack) => {
  const own = unionOf(role, stack);
  if (!has(own, "sts:AssumeRole")) return notApplicable;
  const patterns = given(own, "sts:AssumeRole").flatMap(({ resources }) => resources);
  const defects: Defect[] = [];
  for (const other of stack.ofType(roleType)) {
    const name = stack.physicalName(other);
    if (name === undefined || other.resource.urn === role.resource.urn) continue;
    const reachable = patterns.some((pattern) =>
      matches(pattern, `${pattern.slice(0, pattern.indexOf(":role/"))}:role/${name}`),
    );
    if (!reachable) continue;
    const more = paths.filter((path) => open(path, unionOf(other, stack)) && !isDeployer(role));
    if (more.length > 0 || isDeployer(other)) {
      defects.push({
        detail: `AssumeRole::${name}`,
        message: `it may assume ${name}, which ${isDeployer(other) ? "deploys" : "can raise its own rights"}`,
      });
    }
  }
  return defects;
};

const noManagement: Check = (role, stack) => {
  // CI's role changes buckets' policies and keys' by its purpose; what it may do to identities is judged by its paths.
  if (isDeployer(role)) return notApplicable;
  const accepted = stack.parameter("accepted");
  const exempt = new Set(Array.isArray(accepted) ? accepted.map(String) : []);
  return unionOf(role, stack)
    .filter(({ effect }) => effect === "Allow")
    .flatMap((statement) =>
      actionsOf(statement)
        .filter((name) => actionNamed(name)?.managesPermissions && !exempt.has(name))
        .map((name) => ({
          detail: `Action::${name}`,
          message: `statement ${statement.id} allows ${name}, which changes who may do what`,
        })),
    );
};

export const escalationRules: readonly Rule[] = [
  {
    id: "iam-no-escalation",
    title: "No role can raise its own rights, by what all its policies allow together",
    category: "least privilege",
    severity: "critical",
    level: "mandatory",
    controls: [{ framework: "checkov", id: "CKV_AWS_286" }],
    remedy:
      "Take one of the actions away. A role of a deployment may have them when every role that it edits or passes carries a permissions boundary; a state machine, when it passes the role of its job, by name, to the job's service.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-delegate",
    types: [roleType],
    scope: "stack",
    checks: [noEscalation],
  },
  {
    id: "iam-no-role-chain",
    title: "No role can assume another that deploys or can raise its own rights",
    category: "least privilege",
    severity: "high",
    level: "mandatory",
    controls: [{ framework: "none", id: "chain" }],
    remedy: "Take sts:AssumeRole on that role away.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining",
    types: [roleType],
    scope: "stack",
    checks: [noChain],
  },
  {
    id: "iam-no-permission-management",
    title: "A workload's role changes no policies",
    category: "least privilege",
    severity: "high",
    level: "mandatory",
    controls: [
      { framework: "checkov", id: "CKV_AWS_289" },
      { framework: "checkov", id: "CKV_AWS_288" },
    ],
    remedy: "Take the action away; what a deployment sets up, a workload need not change.",
    link: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_understand-policy-summary-access-level-summaries.html",
    types: [roleType],
    scope: "stack",
    checks: [noManagement],
    parameters: {
      // A machine with logging needs them: Step Functions' documentation, "CloudWatch Logs".
      accepted: ["logs:PutResourcePolicy"],
    },
  },
];
