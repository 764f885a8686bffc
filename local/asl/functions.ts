/** The functions that Step Functions adds to JSONata, and the ones of JSONata that depend on time or chance. */
import { createHash } from "node:crypto";
import jsonata from "jsonata";

import type { Clock } from "./clock.ts";

/** Names of JSONata 2.0's own functions that Step Functions offers; `$eval` is the one it leaves out. */
const standardFunctions =
  "abs append assert average base64decode base64encode boolean ceil clone contains count decodeUrl " +
  "decodeUrlComponent distinct each encodeUrl encodeUrlComponent error exists filter floor formatBase " +
  "formatInteger formatNumber fromMillis join keys length lookup lowercase map match max merge millis min not " +
  "now number pad parseInteger power random reduce replace reverse round shuffle sift single sort split spread " +
  "sqrt string substring substringAfter substringBefore sum toMillis trim type uppercase zip";

/** Every function name an expression may call. */
export const functionNames: ReadonlySet<string> = new Set([
  ...standardFunctions.split(" "),
  ...["partition", "range", "hash", "uuid", "parse"],
]);

/** The longest array that $range gives. */
const longestRange = 1000;

const hashAlgorithms: Record<string, string> = {
  MD5: "md5",
  "SHA-1": "sha1",
  "SHA-256": "sha256",
  "SHA-384": "sha384",
  "SHA-512": "sha512",
};

function partition(array: unknown[], size: number): unknown[][] {
  const length = Math.floor(size);
  if (length < 1) throw new Error(`$partition: the size must be at least 1, not ${size}`);
  const parts: unknown[][] = [];
  for (let start = 0; start < array.length; start += length) parts.push(array.slice(start, start + length));
  return parts;
}

function range(first: number, last: number, step: number): number[] {
  if (step === 0) throw new Error("$range: the step must not be 0");
  const count = Math.max(0, Math.floor((last - first) / step) + 1);
  if (count > longestRange) {
    throw new Error(`$range: ${count} values asked for, ${longestRange} is the limit`);
  }
  return Array.from({ length: count }, (_, index) => first + index * step);
}

function hash(text: string, algorithm: string): string {
  const name = hashAlgorithms[algorithm];
  if (name === undefined) {
    throw new Error(`$hash: algorithm '${algorithm}' is none of ${Object.keys(hashAlgorithms).join(", ")}`);
  }
  return createHash(name).update(text, "utf8").digest("hex");
}

/** mulberry32: the same seed gives the same number (which number is not specified, AWS gives another one). */
function seeded(seed: number): number {
  let state = (Math.trunc(seed) + 0x6d2b79f5) | 0;
  state = Math.imul(state ^ (state >>> 15), state | 1);
  state ^= state + Math.imul(state ^ (state >>> 7), state | 61);
  return ((state ^ (state >>> 14)) >>> 0) / 2 ** 32;
}

/** A random UUID of version 4, from the execution's own source of chance. */
function uuid(random: () => number): string {
  return "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".replace(/[xy]/g, (place) => {
    const digit = Math.floor(random() * 16);
    return (place === "x" ? digit : (digit & 3) | 8).toString(16);
  });
}

const formatMillis = jsonata("$fromMillis($at, $picture, $zone)");

/** Adds the functions to a parsed expression. */
export function registerFunctions(expression: jsonata.Expression, clock: Clock, random: () => number): void {
  expression.registerFunction("partition", partition, "<a-n:a>");
  expression.registerFunction("range", range, "<n-nn:a>");
  expression.registerFunction("hash", hash, "<s-s:s>");
  expression.registerFunction(
    "random",
    (seed?: number) => (seed === undefined ? random() : seeded(seed)),
    "<n?:n>",
  );
  expression.registerFunction("uuid", () => uuid(random), "<:s>");
  expression.registerFunction("parse", (text: string) => JSON.parse(text), "<s-:x>");
  expression.registerFunction("millis", () => clock.now(), "<:n>");
  expression.registerFunction(
    "now",
    (picture?: string, zone?: string) => formatMillis.evaluate(undefined, { at: clock.now(), picture, zone }),
    "<s?s?:s>",
  );
}
