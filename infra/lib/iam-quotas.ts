import * as pulumi from "@pulumi/pulumi";

/** How long documents may be, together where there are several. */
export interface Quota {
  /** Characters, white space not counted. */
  readonly most: number;
  readonly what: string;
  readonly remedy: string;
}

/**
 * What IAM takes: "IAM and AWS STS quotas" of its user guide
 * (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html). The first two are fixed; the length of a
 * trust policy is the one that an account has by default.
 */
export const iamQuotas = {
  inline: {
    most: 10_240,
    what: "the inline policies of the role",
    remedy: "make managed policies of some ('managedPolicies'): each of those is counted by itself",
  },
  managed: {
    most: 6_144,
    what: "the managed policy",
    remedy: "divide its statements between two",
  },
  trust: {
    most: 2_048,
    what: "the trust policy of the role",
    remedy:
      "name fewer principals, or one role that all of them can assume; an account's raised quota is not known here",
  },
} as const satisfies Readonly<Record<string, Quota>>;

/** Managed policies that can be attached to one role, by default. */
export const mostAttached = 10;

/** A policy document's length in characters as IAM counts them. */
export const sizeOf = (document: string): number => document.replace(/\s/g, "").length;

/**
 * Holds documents to a quota, so that a program says which is too long before AWS refuses it.
 *
 * @param name of the role or policy
 * @param documents JSON by a name that tells them apart
 * @throws RunError when they are longer together than IAM takes, with the length of each and the remedy
 */
export function checkSize(
  { most, what, remedy }: Quota,
  name: string,
  documents: Readonly<Record<string, string>>,
): void {
  const sizes = Object.entries(documents)
    .map(([each, document]) => ({ each, size: sizeOf(document) }))
    .toSorted((a, b) => b.size - a.size);
  const total = sizes.reduce((sum, { size }) => sum + size, 0);
  if (total <= most) return;
  const parts = sizes.length === 1 ? "" : ` (${sizes.map(({ each, size }) => `${each} ${size}`).join(", ")})`;
  throw new pulumi.RunError(
    `${what} '${name}': ${total} characters${parts}, of which IAM takes ${most}, white space not counted; ${remedy}`,
  );
}

/** Passes a document on that is within a quota. @throws RunError as `checkSize` does */
export const fitting =
  (quota: Quota, name: string) =>
  (document: string): string => {
    checkSize(quota, name, { [name]: document });
    return document;
  };
