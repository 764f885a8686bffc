/** What a role may do: every policy of it, wherever in the stack it is written. */
import { type Reader, UnknownValue } from "../reader.ts";
import type { Resource } from "../rule.ts";
import type { StackView } from "../stack.ts";
import { expand, hasWildcard, matches } from "./actions.ts";
import { DocumentError, type PolicyStatement, parseDocument } from "./document.ts";

export const roleType = "aws:iam/role:Role";
export const policyType = "aws:iam/policy:Policy";
const rolePolicyType = "aws:iam/rolePolicy:RolePolicy";
const attachmentType = "aws:iam/rolePolicyAttachment:RolePolicyAttachment";

const managedAttachmentType = "aws:iam/policyAttachment:PolicyAttachment";

/** Types that attach a managed policy to an identity, by the property that names it. */
const attachingTypes: Readonly<Record<string, string>> = {
  [attachmentType]: "policyArn",
  [managedAttachmentType]: "policyArn",
  "aws:iam/userPolicyAttachment:UserPolicyAttachment": "policyArn",
  "aws:iam/groupPolicyAttachment:GroupPolicyAttachment": "policyArn",
};

/** Types that carry a policy of an identity, in `policy`. */
export const identityTypes = [
  rolePolicyType,
  policyType,
  "aws:iam/userPolicy:UserPolicy",
  "aws:iam/groupPolicy:GroupPolicy",
] as const;

/** Types that carry a policy of a resource, in `policy`. */
export const resourceTypes = [
  "aws:s3/bucketPolicy:BucketPolicy",
  "aws:s3/bucket:Bucket",
  "aws:s3/accessPoint:AccessPoint",
  "aws:s3control/accessPointPolicy:AccessPointPolicy",
  "aws:ecr/repositoryPolicy:RepositoryPolicy",
  "aws:efs/fileSystemPolicy:FileSystemPolicy",
  "aws:backup/vaultPolicy:VaultPolicy",
  "aws:kms/key:Key",
  "aws:kms/keyPolicy:KeyPolicy",
  "aws:sqs/queuePolicy:QueuePolicy",
  "aws:sqs/queue:Queue",
  "aws:sns/topicPolicy:TopicPolicy",
  "aws:sns/topic:Topic",
  "aws:secretsmanager/secretPolicy:SecretPolicy",
  "aws:secretsmanager/secret:Secret",
  "aws:glue/resourcePolicy:ResourcePolicy",
  "aws:cloudwatch/eventBusPolicy:EventBusPolicy",
  "aws:kinesis/resourcePolicy:ResourcePolicy",
  "aws:dynamodb/resourcePolicy:ResourcePolicy",
  "aws:apigateway/restApiPolicy:RestApiPolicy",
] as const;

/** The statements of a document; none where it is no document, which a rule of its own reports. */
function tolerant(document: unknown): readonly PolicyStatement[] {
  if (document === undefined) return [];
  try {
    return parseDocument(document);
  } catch (error) {
    if (error instanceof DocumentError) return [];
    throw error;
  }
}

/** The policy documents written in a resource itself, by path. */
export function documentPaths(resource: Reader): readonly string[] {
  if (resource.resource.type !== roleType) return resource.has("policy") ? ["policy"] : [];
  return resource.list("inlinePolicies").map((_, index) => `inlinePolicies[${index}].policy`);
}

/** Remembers what was read of a resource: every rule asks for the same documents again, a role's even for every path. */
function once(read: (resource: Reader) => readonly PolicyStatement[]): typeof read {
  const known = new WeakMap<Resource, readonly PolicyStatement[]>();
  return (resource) => {
    const before = known.get(resource.resource);
    if (before) return before;
    const statements = read(resource);
    known.set(resource.resource, statements);
    return statements;
  };
}

/** The identity statements written in a resource itself. @throws UnknownValue */
export const ownStatements = once((resource) =>
  documentPaths(resource).flatMap((path) => tolerant(resource.raw(path))),
);

/** The statements of a trust policy. @throws UnknownValue */
export const trustOf = once((role) => tolerant(role.raw("assumeRolePolicy")));

/** The policy of the stack that a property names, as one of a list where it has an index. */
const policyAt = (from: Reader, path: string, stack: StackView): readonly Reader[] => {
  const policy = stack.target(from, path, policyType);
  return policy ? [policy] : [];
};

const indexed = (from: Reader, path: string): readonly string[] =>
  from.list(path).map((_, index) => `${path}[${index}]`);

/** Policies of the stack that are attached to a role: one by one, to several at once, or in the role itself. */
function attachedPolicies(role: Reader, stack: StackView): readonly Reader[] {
  const toSeveral = stack
    .ofType(managedAttachmentType)
    .filter((attachment) =>
      indexed(attachment, "roles").some((path) => stack.refers(attachment, path, role)),
    );
  return [
    ...[...stack.attached(attachmentType, "role", role), ...toSeveral].flatMap((attachment) =>
      policyAt(attachment, "policyArn", stack),
    ),
    ...indexed(role, "managedPolicyArns").flatMap((path) => policyAt(role, path, stack)),
  ];
}

/** Every statement of a role: inline, in resources of their own, and attached. @throws UnknownValue */
export function unionOf(role: Reader, stack: StackView): readonly PolicyStatement[] {
  return [role, ...stack.attached(rolePolicyType, "role", role), ...attachedPolicies(role, stack)].flatMap(
    ownStatements,
  );
}

/** The policy that bounds a role; undefined when it has none, or one of outside the stack. */
export const boundaryOf = (role: Reader, stack: StackView): Reader | undefined =>
  role.has("permissionsBoundary") ? stack.target(role, "permissionsBoundary", policyType) : undefined;

/** Whether a managed policy bounds roles and gives nobody anything. */
export function onlyBounds(policy: Reader, stack: StackView): boolean {
  if (policy.resource.type !== policyType) return false;
  const named = (from: Reader, path: string): boolean => {
    try {
      return from.has(path) && stack.refers(from, path, policy);
    } catch (error) {
      // What is not known might attach it.
      if (error instanceof UnknownValue) return path !== "permissionsBoundary";
      throw error;
    }
  };
  return (
    stack.ofType(roleType).some((role) => named(role, "permissionsBoundary")) &&
    !Object.entries(attachingTypes).some(([type, path]) =>
      stack.ofType(type).some((attachment) => named(attachment, path)),
    ) &&
    !stack
      .ofType(roleType)
      .some((role) =>
        role.isKnown("managedPolicyArns")
          ? indexed(role, "managedPolicyArns").some((path) => named(role, path))
          : role.sources("managedPolicyArns").includes(policy.resource.urn),
      )
  );
}

/** Whether a statement names this action, by pattern or by leaving it out of `NotAction`. */
export function names(statement: PolicyStatement, action: string): boolean {
  if (statement.notActions.length > 0)
    return !statement.notActions.some((pattern) => matches(pattern, action, true));
  return statement.actions.some((pattern) => matches(pattern, action, true));
}

/** Names of all actions that a statement allows, its patterns expanded. Those that IAM does not know are left out. */
export function actionsOf(statement: PolicyStatement): readonly string[] {
  const patterns = statement.notActions.length > 0 ? ["*"] : statement.actions;
  const found = patterns.flatMap(expand).map(({ name }) => name);
  return [...new Set(found)].filter((name) => names(statement, name));
}

/**
 * Conditions of a statement, key with values, that say which values it is for: a missing key does not satisfy them,
 * as it does IfExists, ForAllValues, every Not, and Null, which asks whether there is a value and never for which.
 */
export const restrictions = (statement: PolicyStatement): readonly (readonly [string, readonly string[]])[] =>
  Object.entries(statement.conditions)
    .filter(([operator]) => !/IfExists$|Not|^ForAllValues:|^Null$/i.test(operator))
    .flatMap(([, keys]) => Object.entries(keys));

/** Keys of a statement's conditions that restrict it. */
export const restrictingKeys = (statement: PolicyStatement): ReadonlySet<string> =>
  new Set(
    restrictions(statement)
      .filter(([, values]) => values.length > 0 && !values.includes("*"))
      .map(([key]) => key),
  );

/** Whether a statement holds only where a key's truth value is true. */
export const onlyWhere = (statement: PolicyStatement, key: string): boolean =>
  Object.entries(statement.conditions).some(([operator, keys]) => {
    const values = keys[key] ?? [];
    return /^Bool$/i.test(operator) && values.length > 0 && values.every((value) => /^true$/i.test(value));
  });

const passedTo = "iam:passedtoservice";

/** Whether a statement about iam:PassRole lets a role be passed to a service. */
export function passesTo(statement: PolicyStatement, service: string): boolean {
  if (!restrictingKeys(statement).has(passedTo)) return true;
  return restrictions(statement)
    .filter(([key]) => key === passedTo)
    .every(([, services]) => services.some((pattern) => matches(pattern, service, true)));
}

/** Whether a statement passes roles that it names one by one, to services that it names. */
export const passesExactly = (statement: PolicyStatement): boolean =>
  statement.notResources.length === 0 &&
  statement.resources.every((resource) => !hasWildcard(resource)) &&
  restrictingKeys(statement).has(passedTo);

/** Services that may assume a role; undefined where anybody else may too. */
export function assumedOnlyBy(role: Reader): readonly string[] | undefined {
  const allowed = trustOf(role).filter(({ effect }) => effect === "Allow");
  const onlyServices = allowed.every(
    ({ principals, notPrincipals }) =>
      Object.keys(principals).every((kind) => kind === "Service") && Object.keys(notPrincipals).length === 0,
  );
  return onlyServices ? allowed.flatMap(({ principals }) => principals.Service ?? []) : undefined;
}

/** Whether anyone in the world may be meant by a statement's principals. */
export const namesAnyone = (statement: PolicyStatement): boolean =>
  Object.values(statement.principals).some((list) => list.includes("*")) ||
  Object.keys(statement.notPrincipals).length > 0;

/** The account of a principal, an ARN or twelve digits. */
export const accountOf = (principal: string): string | undefined =>
  /^\d{12}$/.test(principal) ? principal : principal.match(/^arn:[^:]*:[^:]*:[^:]*:(\d{12}):/)?.[1];

/** Whether a value of a condition, or a resource, stands for any account; a bucket has no account in its ARN, and one name in the world. */
export function ofAnyAccount(value: string): boolean {
  // A path in an organisation begins with the organisation's id.
  if (!value.startsWith("arn:")) return hasWildcard(value) && !/^o-[a-z0-9]+\//.test(value);
  const [, , service, , account = "", resource = ""] = value.split(":");
  return service === "s3" && account === "" ? /^[*?]/.test(resource) : !/^\d{12}$/.test(account);
}

/** Whether a condition on one of these keys keeps a statement to accounts, organisations or things that it names. */
export function limitedBy(statement: PolicyStatement, keys: readonly string[]): boolean {
  const restricting = restrictingKeys(statement);
  return keys.some(
    (key) =>
      restricting.has(key) &&
      !Object.values(statement.conditions).some((own) => own[key]?.some(ofAnyAccount)),
  );
}

/** Whether a role is CI's: trusted through an identity provider's tokens alone. */
export function isDeployer(role: Reader): boolean {
  const allowed = trustOf(role).filter(({ effect }) => effect === "Allow");
  return (
    allowed.length > 0 &&
    allowed.every(({ principals }) => Object.keys(principals).every((kind) => kind === "Federated"))
  );
}
