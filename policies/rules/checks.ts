import type { Reader } from "../reader.ts";
import { type Check, type Control, notApplicable, type Rule } from "../rule.ts";

/** `C53`-style abbreviations of controls, one framework each. */
const frameworks = {
  FSBP: (id: string): string => id,
  checkov: (id: string): string => `CKV${id.startsWith("2_") ? "2" : ""}_AWS_${id.replace(/^2_/, "")}`,
  "cdk-nag": (id: string): string => `AwsSolutions-${id}`,
  Prowler: (id: string): string => id,
} as const;

/** Controls from `"FSBP S3.8"`, `"checkov 53"`, `"checkov 2_12"`, `"cdk-nag S2"`, `"Prowler name"`; none at all: new. */
export function controls(...names: readonly string[]): readonly Control[] {
  if (names.length === 0) return [{ framework: "none", id: "new" }];
  return names.map((name) => {
    const [framework = "", id = ""] = name.split(" ");
    if (!(framework in frameworks)) throw new Error(`'${name}' names no framework`);
    const known = framework as keyof typeof frameworks;
    return { framework: known, id: frameworks[known](id) };
  });
}

/** A rule on literal inputs of single resources. */
export const onResource = (
  id: string,
  rest: Omit<Rule, "id" | "scope" | "checks">,
  ...checks: readonly Check[]
): Rule => ({ id, scope: "resource", checks, ...rest });

/** A rule that joins resources or follows references. */
export const onStack = (
  id: string,
  rest: Omit<Rule, "id" | "scope" | "checks">,
  ...checks: readonly Check[]
): Rule => ({ id, scope: "stack", checks, ...rest });

export const docs = "https://docs.aws.amazon.com";

/** The property is true. Absent is not true. */
export const isTrue =
  (path: string): Check =>
  (resource) => {
    const value = resource.flag(path);
    return value === true ? undefined : `${path} is ${value ?? "not set"}, not true`;
  };

/** The property is not true. Absent is fine: AWS's default is false. */
export const isNotTrue =
  (path: string): Check =>
  (resource) =>
    resource.flag(path) === true ? `${path} is true` : undefined;

/** The property is explicitly false. */
export const isFalse =
  (path: string): Check =>
  (resource) => {
    const value = resource.flag(path);
    return value === false ? undefined : `${path} is ${value ?? "not set"}, not false`;
  };

export const isOneOf =
  (path: string, ...allowed: readonly string[]): Check =>
  (resource) => {
    const value = resource.text(path);
    if (value !== undefined && allowed.includes(value)) return undefined;
    return `${path} is ${value ?? "not set"}, not ${allowed.join(" or ")}`;
  };

/** A number within bounds, both included. */
export const isWithin =
  (path: string, least: number, most = Number.POSITIVE_INFINITY): Check =>
  (resource) =>
    outside(path, resource.number(path), least, most);

/** The same, where absent means a default of AWS within the bounds. */
export const isAbsentOrWithin =
  (path: string, least: number, most = Number.POSITIVE_INFINITY): Check =>
  (resource) => {
    const value = resource.number(path);
    return value === undefined ? undefined : outside(path, value, least, most);
  };

export function outside(
  path: string,
  value: number | undefined,
  least: number,
  most: number,
): string | undefined {
  if (value !== undefined && value >= least && value <= most) return undefined;
  const bounds = most === Number.POSITIVE_INFINITY ? `at least ${least}` : `${least} to ${most}`;
  return `${path} is ${value ?? "not set"}; allowed is ${bounds}`;
}

export const keyType = "aws:kms/key:Key";
const keyTypes = [keyType, "aws:kms/alias:Alias"];

/**
 * What is wrong with a key reference: absent, or AWS's own key, for which nobody in the account writes the policy.
 * A value that is unknown because it comes from a key of the stack is fine.
 */
export function keyDefect(resource: Reader, path: string): string | undefined {
  if (!resource.refersTo(path, ...keyTypes)) return `${resource.fullPath(path)} names no key of the account`;
  const value = resource.isKnown(path) ? resource.text(path) : undefined;
  return value !== undefined && isAwsKey(value)
    ? `${resource.fullPath(path)} is ${value}, a key of AWS`
    : undefined;
}

/** Whether a key reference means one of AWS's managed keys. */
export const isAwsKey = (value: string): boolean =>
  /(^|:)alias\/aws\//.test(value) || value === "AWS_OWNED_KEY" || value === "AWS_OWNED_KMS_KEY";

/** The property names a key that is not AWS's own. */
export const customerKey =
  (path: string): Check =>
  (resource) =>
    keyDefect(resource, path);

export const awsxVpc = "awsx:ec2:Vpc";
const ownVpc = "aws:ec2/vpc:Vpc";
export const vpcTypes: readonly string[] = [ownVpc, awsxVpc];

/**
 * A question to a VPC of its own, or to the arguments of one from awsx. The engine shows awsx's without arguments and
 * with its parts, which are asked in its place; the offline graph has the arguments alone.
 */
export const ofVpc =
  (check: Check): Check =>
  (vpc, stack) => {
    const { urn, type } = vpc.resource;
    const isShown = type === awsxVpc && stack.ofType(ownVpc).some(({ resource }) => resource.parent === urn);
    return isShown ? notApplicable : check(vpc, stack);
  };

/** Asks only resources for which a condition holds. */
export const when =
  (condition: (resource: Reader) => boolean, check: Check): Check =>
  (resource, stack) =>
    condition(resource) ? check(resource, stack) : notApplicable;
