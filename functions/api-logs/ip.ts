import { isIPv4, isIPv6 } from "node:net";

/** An address as bytes: 4 of IPv4 (also of one inside IPv6), 16 of IPv6. */
export type Address = readonly number[];

function groupsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((part) => {
    if (part.includes(".")) return part.split(".").map(Number);
    const value = Number.parseInt(part, 16);
    return [value >> 8, value & 0xff];
  });
}

const dot = 46;

/** The bytes of a plain IPv4 address, which nearly all are; undefined for any other text. */
function plainIPv4(text: string): Address | undefined {
  const bytes = [0, 0, 0, 0];
  let part = 0;
  let digits = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === dot) {
      if (digits === 0 || part === 3) return undefined;
      part += 1;
      digits = 0;
      continue;
    }
    const value = (bytes[part] ?? 0) * 10 + code - 48;
    // A second digit after a zero is an octal number to some, and no address to Node.
    if (code < 48 || code > 57 || value > 255 || (digits > 0 && bytes[part] === 0)) return undefined;
    bytes[part] = value;
    digits += 1;
  }
  return part === 3 && digits > 0 ? bytes : undefined;
}

/**
 * The address in a log's text: alone, with a port (`1.2.3.4:80`, `[::1]:80`), with a zone, or the first of a
 * comma-separated list.
 * @returns undefined when there is none
 */
export function parseAddress(text: string): Address | undefined {
  return plainIPv4(text) ?? anyAddress(text);
}

function anyAddress(text: string): Address | undefined {
  let address = text.split(",", 1)[0]?.trim() ?? "";
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(address);
  if (bracketed) address = bracketed[1] ?? "";
  else if (/^[\d.]+:\d+$/.test(address)) address = address.slice(0, address.indexOf(":"));
  address = address.replace(/%.*$/, "");
  if (isIPv4(address)) return plainIPv4(address);
  // A load balancer adds the port to an IPv6 address without brackets.
  if (!isIPv6(address)) address = address.replace(/:\d+$/, "");
  if (!isIPv6(address)) return undefined;
  const [head = "", tail] = address.split("::");
  const first = groupsOf(head);
  const last = groupsOf(tail ?? "");
  const bytes = [...first, ...new Array<number>(16 - first.length - last.length).fill(0), ...last];
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return mapped ? bytes.slice(12) : bytes;
}

/** The shortest usual text of an address (RFC 5952). */
export function formatAddress(bytes: Address): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from(
    { length: 8 },
    (_, index) => (bytes[index * 2] ?? 0) * 256 + (bytes[index * 2 + 1] ?? 0),
  );
  let longest = { from: 0, length: 1 };
  for (let from = 0; from < 8; from += 1) {
    let length = 0;
    while (groups[from + length] === 0) length += 1;
    if (length > longest.length) longest = { from, length };
  }
  const hex = groups.map((group) => group.toString(16));
  if (longest.length < 2) return hex.join(":");
  return `${hex.slice(0, longest.from).join(":")}::${hex.slice(longest.from + longest.length).join(":")}`;
}

/** The network of an address: its first `bits` bits, in CIDR notation. */
export function networkOf(bytes: Address, bits: number): string {
  const masked = bytes.map((byte, index) => {
    const kept = Math.min(8, Math.max(0, bits - index * 8));
    return byte & (0xff << (8 - kept)) & 0xff;
  });
  return `${formatAddress(masked)}/${bits}`;
}

/** Blocks that are not on the public internet (IANA's special-purpose registries). */
const special: readonly (readonly [Address, number])[] = [
  [[0], 8],
  [[10], 8],
  [[100, 64], 10],
  [[127], 8],
  [[169, 254], 16],
  [[172, 16], 12],
  [[192, 0, 0], 24],
  [[192, 0, 2], 24],
  [[192, 168], 16],
  [[198, 18], 15],
  [[198, 51, 100], 24],
  [[203, 0, 113], 24],
  [[224], 3],
];

function startsWith(bytes: Address, block: Address, bits: number): boolean {
  for (let index = 0; index * 8 < bits; index += 1) {
    const kept = Math.min(8, bits - index * 8);
    const mask = (0xff << (8 - kept)) & 0xff;
    if (((bytes[index] ?? 0) & mask) !== ((block[index] ?? 0) & mask)) return false;
  }
  return true;
}

/** Whether an address is one of the public internet; of IPv6 that is 2000::/3 without the documentation's. */
export function isPublic(bytes: Address): boolean {
  if (bytes.length === 4) return !special.some(([block, bits]) => startsWith(bytes, block, bits));
  return startsWith(bytes, [0x20], 3) && !startsWith(bytes, [0x20, 0x01, 0x0d, 0xb8], 32);
}
