/** Takes out of texts what identifies a person or opens a door. */
import { createHmac } from "node:crypto";
import { remembered } from "./cache.ts";
import { type Address, formatAddress, networkOf } from "./ip.ts";

const email = /[\p{L}\p{N}._%+'-]{1,64}(?:@|%40)[\p{L}\p{N}-]{1,63}(?:\.[\p{L}\p{N}-]{1,63}){1,8}/giu;
const jsonWebToken = /\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?/g;
const authorization = /\b(bearer|basic|digest|token|apikey)(\s+|=|:\s*)[\w+/=.~-]{8,}/gi;
const awsKey = /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g;
const longSecret = /\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{32,}\b/g;
const cardNumber = /\b\d(?:[ -]?\d){12,18}\b/g;
const address = /\b(?:\d{1,3}\.){3}\d{1,3}\b/g;
const assignment =
  /\b(password|passwd|pwd|secret|api[_-]?key|access[_-]?token|session(?:[_-]?id)?)(["']?\s*[=:]\s*["']?)[^\s"',;&]+/gi;

/** Names of parameters whose value is secret or personal, whatever it looks like. */
const sensitiveName =
  /^(?:.*(?:token|secret|passw|signature|credential|session|apikey|api_key|api-key|email|phone|auth).*|key|sig|code|pwd|jwt|otp|pin|ssn|iban|card|name|first_?name|last_?name|address|dob)$/i;

/** Whether any pattern below could match; spares most texts the patterns. */
const suspicious = /[@=:]|%40|eyJ|AKIA|ASIA|\d{2}|bearer|basic|digest|token|apikey|[\w-]{32}/i;

/** A text without e-mail addresses, tokens, keys, card numbers and IP addresses: each is replaced by what it was. */
export function redacted(text: string): string {
  if (!suspicious.test(text)) return text;
  return text
    .replace(jsonWebToken, "[token]")
    .replace(authorization, "$1$2[token]")
    .replace(assignment, "$1$2[secret]")
    .replace(awsKey, "[key]")
    .replace(email, "[email]")
    .replace(longSecret, "[token]")
    .replace(address, "[address]")
    .replace(cardNumber, "[number]");
}

/** A query without secret or personal values; names of parameters and harmless values stay as they were sent. */
export function redactedQuery(query: string): string {
  return query
    .split("&")
    .map((pair) => {
      const at = pair.indexOf("=");
      if (at < 0) return redacted(pair);
      const name = pair.slice(0, at);
      const value = pair.slice(at + 1);
      if (value === "") return pair;
      return sensitiveName.test(name) ? `${name}=[redacted]` : `${name}=${redacted(decoded(value, value))}`;
    })
    .join("&");
}

/** %-decoding that gives up on what is not valid. */
function decoded(text: string, otherwise: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return otherwise;
  }
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const number = /^\d+$/;
const hexadecimal = /^(?=.*\d)[0-9a-f]{12,}$/i;
/** Letters and a number, as in ORD-2026-000123, C00017, sku_42; versions of an API (v1, v2.1) are none. */
const code = /^[a-z]{0,12}(?:[-_]?\d+)*[-_]?\d{2,}[a-z]?$/i;
const version = /^v\d{1,3}(?:\.\d{1,3})*$/i;
const random = /^(?=.*\d)(?=.*[a-z])[\w~-]{20,}$/i;

function templatedSegment(segment: string): string {
  if (segment === "" || version.test(segment)) return segment;
  const text = decoded(segment, segment);
  if (number.test(text) || uuid.test(text) || hexadecimal.test(text) || code.test(text)) return "{id}";
  if (text.startsWith("eyJ") || random.test(text)) return "{token}";
  const clean = redacted(text);
  if (clean !== text) return clean === "[email]" ? "{email}" : "{redacted}";
  return segment;
}

/** A path with its ids replaced, so that requests for the same thing are the same path: /orders/O-17 is /orders/{id}. */
export const templatedPath = remembered((path: string): string =>
  path.split("/").map(templatedSegment).join("/"),
);

/** Protects values with a key of the deployment. */
export interface Protector {
  /** HMAC-SHA-256 in hexadecimal: the same value has the same hash, and without the key it cannot be guessed. */
  readonly hash: (value: string) => string;
}

/** @param key secret of at least 32 characters: the 2^32 addresses of IPv4 are quickly tried without one */
export function protectorOf(key: string): Protector {
  if (key.length < 32) throw new Error(`the hash key has ${key.length} characters; it needs at least 32`);
  return { hash: (value) => createHmac("sha256", key).update(value).digest("hex") };
}

/** The network that stands for an address: /24 of IPv4, /48 of IPv6. */
export const truncated = (bytes: Address): string => networkOf(bytes, bytes.length === 4 ? 24 : 48);

/** The text of an address that is hashed: the same for every way to write it. */
export const canonical = (bytes: Address): string => formatAddress(bytes);
