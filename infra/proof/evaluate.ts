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
  if (given.length === 0) {
    // Of no value there is none that differs either.
    const without = negated && quantifier !== "ForAnyValue";
    return quantifier === "ForAllValues" || ifExists !== undefined || without;
  }
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

/** How a resource's statement names the caller. */
type Naming = "role" | "account" | "everybody";

/** @throws Error for a kind of principal that is not evaluated: sessions, unique ids, canonical users */
function namings({ principals }: PolicyStatement, { principalArn, accountArn }: Request): readonly Naming[] {
  if (principals.CanonicalUser)
    throw new Error("a resource's policy has a CanonicalUser, which is not evaluated");
  return (principals.AWS ?? []).flatMap((each): Naming[] => {
    if (each === "*") return ["everybody"];
    if (each === principalArn) return ["role"];
    if (each === accountArn || each === accountArn.split(":")[4]) return ["account"];
    if (/^\d{12}$|^arn:[^:]+:iam::/.test(each)) return [];
    throw new Error(`a resource's policy has the principal '${each}', which is not evaluated`);
  });
}

/** @throws Error for a policy that names its callers in a way that none of ours does */
export function decide(request: Request, { identity, boundary, resource = [] }: Policies): Decision {
  const has = (given: readonly PolicyStatement[], effect: PolicyStatement["effect"]): boolean =>
    given.some((statement) => statement.effect === effect && applies(statement, request));
  if (resource.some(({ notPrincipals }) => Object.keys(notPrincipals).length > 0)) {
    throw new Error("a resource's policy has NotPrincipal, which is not evaluated");
  }
  const named = resource.map((statement) => ({ statement, as: namings(statement, request) }));
  const to = (...as: readonly Naming[]): readonly PolicyStatement[] =>
    named.filter((one) => one.as.some((each) => as.includes(each))).map(({ statement }) => statement);
  if ([identity, boundary ?? [], to("role", "account", "everybody")].some((each) => has(each, "Deny")))
    return "ExplicitlyDenied";
  const bounded = boundary === undefined || has(boundary, "Allow");
  // A key is nobody's whom its own policy does not let in; where that names the account, identity policies decide.
  const byIdentity =
    has(identity, "Allow") && (!request.resource.includes(":kms:") || has(to("account"), "Allow"));
  // What is given to a role's ARN the boundary limits; what is given to everybody, who is a session here, it does not:
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html
  const allowed = ((byIdentity || has(to("role"), "Allow")) && bounded) || has(to("everybody"), "Allow");
  return allowed ? "Allowed" : "ImplicitlyDenied";
}
