/**
 * IAM's decision on a call within one account, by its documented logic: an explicit denial wins, then somebody has to
 * allow it, and a boundary limits what identity policies give.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html
 *
 * Organisations' and sessions' policies are not known here. A test holds every decision against an independent
 * implementation, so that a mistake has to be made twice.
 */
import { matches } from "../../policies/iam/actions.ts";
import type { ConditionBlock, PolicyStatement } from "../../policies/iam/document.ts";

export type Decision = "Allowed" | "ImplicitlyDenied" | "ExplicitlyDenied";

/** What IAM decides on: condition keys in lower case, each with its values. */
export interface Request {
  readonly principalArn: string;
  readonly accountArn: string;
  readonly action: string;
  readonly resource: string;
  readonly context: ReadonlyMap<string, readonly string[]>;
}

export interface Policies {
  readonly identity: readonly PolicyStatement[];
  /** Absent: the role has no boundary. */
  readonly boundary?: readonly PolicyStatement[] | undefined;
  /** Absent: the resource has no policy. */
  readonly resource?: readonly PolicyStatement[] | undefined;
}

type Compare = (wanted: string, given: string) => boolean;

const compares: Readonly<Record<string, Compare>> = {
  StringEquals: (wanted, given) => wanted === given,
  StringLike: (wanted, given) => matches(wanted, given),
  // Both compare each part of an ARN, and both know wildcards.
  ArnEquals: arnLike,
  ArnLike: arnLike,
  Bool: (wanted, given) => wanted.toLowerCase() === given.toLowerCase(),
};

function arnLike(wanted: string, given: string): boolean {
  const parts = (arn: string): string[] => {
    const all = arn.split(":");
    return [...all.slice(0, 5), all.slice(5).join(":")];
  };
  const [one, other] = [parts(wanted), parts(given)];
  return one.length === other.length && one.every((part, index) => matches(part, other[index] ?? ""));
}

/** `${aws:userid}` and the like, which stand for what the request says of itself. */
function filled(value: string, context: Request["context"]): string | undefined {
  let missing = false;
  const text = value.replaceAll(/\$\{([^}]+)\}/g, (_, name: string) => {
    const found = context.get(name.toLowerCase())?.[0];
    if (found === undefined) missing = true;
    return found ?? "";
  });
  return missing ? undefined : text;
}

/** @throws Error for an operator that no document of ours has, rather than guess */
function conditionHolds(operator: string, key: string, values: readonly string[], request: Request): boolean {
  const [, quantifier, name = "", ifExists] =
    operator.match(/^(?:(ForAllValues|ForAnyValue):)?(\w+?)(IfExists)?$/) ?? [];
  const given = request.context.get(key) ?? [];
  if (name === "Null") return values.some((value) => (value === "true") === (given.length === 0));
  const negated = name.includes("Not");
  const compare = compares[name.replace("Not", "")];
  if (!compare) throw new Error(`a policy has the condition operator '${operator}', which is not evaluated`);
  if (given.length === 0) return quantifier === "ForAllValues" || ifExists !== undefined || negated;
  const wanted = values.map((value) => filled(value, request.context)).filter((value) => value !== undefined);
  const one = (each: string): boolean => wanted.some((value) => compare(value, each)) !== negated;
  return quantifier === "ForAllValues" || (negated && quantifier === undefined)
    ? given.every(one)
    : given.some(one);
}

const conditionsHold = (conditions: ConditionBlock, request: Request): boolean =>
  Object.entries(conditions).every(([operator, keys]) =>
    Object.entries(keys).every(([key, values]) => conditionHolds(operator, key, values, request)),
  );

/** Whether a statement speaks of a request: of its action, its resource and its circumstances. */
export function applies(statement: PolicyStatement, request: Request): boolean {
  const { actions, notActions, resources, notResources, conditions } = statement;
  const named = (patterns: readonly string[]): boolean =>
    patterns.some((pattern) => matches(pattern, request.action, true));
  const meant = (patterns: readonly string[]): boolean =>
    patterns.some((pattern) => matches(filled(pattern, request.context) ?? "", request.resource));
  return (
    (notActions.length > 0 ? !named(notActions) : named(actions)) &&
    (notResources.length > 0 ? !meant(notResources) : meant(resources)) &&
    conditionsHold(conditions, request)
  );
}

/** Whether a resource's statement names the caller, itself or with its whole account. */
function speaksTo({ principals }: PolicyStatement, { principalArn, accountArn }: Request): boolean {
  return (principals.AWS ?? []).some((each) => each === "*" || each === principalArn || each === accountArn);
}

/** @throws Error for a policy that names those who are not meant, which none of ours does */
export function decide(request: Request, { identity, boundary, resource }: Policies): Decision {
  const has = (statements: readonly PolicyStatement[], effect: PolicyStatement["effect"]): boolean =>
    statements.some((statement) => statement.effect === effect && applies(statement, request));
  if (resource?.some(({ notPrincipals }) => Object.keys(notPrincipals).length > 0)) {
    throw new Error("a resource's policy has NotPrincipal, which is not evaluated");
  }
  const ofResource = (resource ?? []).filter((statement) => speaksTo(statement, request));
  if ([identity, boundary ?? [], ofResource].some((each) => has(each, "Deny"))) return "ExplicitlyDenied";
  const byIdentity = has(identity, "Allow") && (boundary === undefined || has(boundary, "Allow"));
  // A key is nobody's whom its own policy does not let in, the account as a whole or the role.
  if (request.resource.includes(":kms:"))
    return byIdentity && has(ofResource, "Allow") ? "Allowed" : "ImplicitlyDenied";
  const byResource = has(
    ofResource.filter(({ principals }) => !(principals.AWS ?? []).includes(request.accountArn)),
    "Allow",
  );
  return byIdentity || byResource ? "Allowed" : "ImplicitlyDenied";
}
