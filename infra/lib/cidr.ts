/** An IPv4 range as numbers. */
export interface Range {
  readonly first: number;
  readonly last: number;
  readonly prefix: number;
}

/** Reads `a.b.c.d/n`; undefined when it is none, or has bits set beyond its prefix. */
export function parseCidr(text: string): Range | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text);
  if (!match) return undefined;
  const [a = 0, b = 0, c = 0, d = 0, prefix = 0] = match.slice(1).map(Number);
  if ([a, b, c, d].some((octet) => octet > 255) || prefix > 32) return undefined;
  const first = ((a * 256 + b) * 256 + c) * 256 + d;
  const size = 2 ** (32 - prefix);
  return first % size === 0 ? { first, last: first + size - 1, prefix } : undefined;
}

const privateRanges = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
const within = (inner: Range, outer: Range): boolean =>
  inner.first >= outer.first && inner.last <= outer.last;
const overlap = (a: Range, b: Range): boolean => a.first <= b.last && b.first <= a.last;

/** What a VPC's range may be. */
export const vpcRange =
  "a private IPv4 range from /16 to /23, on its own boundary (a smaller one is too small for three zones), for example 10.20.0.0/16";

/**
 * Whether a range can be a VPC's over three zones: each zone gets a quarter of it (a power of two), and Glue, Redshift
 * and the endpoints together want at least 128 addresses a zone.
 */
export function isVpcRange(text: string): boolean {
  const range = parseCidr(text);
  if (!range || range.prefix < 16 || range.prefix > 23) return false;
  return privateRanges.some((outer) => {
    const parsed = parseCidr(outer);
    return parsed !== undefined && within(range, parsed);
  });
}

/** Whether two ranges share an address; false when one of them is none. */
export function rangesOverlap(a: string, b: string): boolean {
  const [first, second] = [parseCidr(a), parseCidr(b)];
  return first !== undefined && second !== undefined && overlap(first, second);
}
