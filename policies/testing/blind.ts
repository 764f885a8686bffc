import { isRecord } from "../reader.ts";
import type { Resource } from "../rule.ts";
import { removed, replaced } from "./mutation.ts";

/** A change by someone who knows no rules. */
export interface BlindMutant {
  readonly urn: string;
  readonly type: string;
  /** Path without indices, so that the elements of a list count as one. */
  readonly property: string;
  readonly kind: "flipped" | "removed" | "widened" | "zero" | "maximum";
  readonly inputs: Resource["inputs"];
}

const keyed = (property: string): string => property.replace(/\[\d+\]/g, "[]");

interface Spot {
  readonly keys: readonly string[];
  readonly property: string;
  readonly value: unknown;
  /** Replaces the value, in the document that it stands in where it stands in one. */
  readonly set: (by: unknown) => unknown;
}

/** A document in JSON; undefined for other text. */
function documentOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== "string" || !value.startsWith("{")) return undefined;
  try {
    const parsed: unknown = JSON.parse(value);
    return isRecord(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** Every value below `value`, documents in JSON included. */
function* spots(
  value: unknown,
  keys: readonly string[],
  property: string,
  root: (keys: readonly string[], by: unknown) => unknown,
): Generator<Spot> {
  if (keys.length > 0) yield { keys, property, value, set: (by) => root(keys, by) };
  const document = documentOf(value);
  if (document) {
    yield* spots(document, [], `${property}:`, (inner, by) =>
      root(keys, JSON.stringify(replaced(document, inner, by))),
    );
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      yield* spots(item, [...keys, String(index)], `${property}[${index}]`, root);
    }
  } else if (isRecord(value)) {
    for (const [key, item] of Object.entries(value)) {
      const path = property === "" || property.endsWith(":") ? `${property}${key}` : `${property}.${key}`;
      yield* spots(item, [...keys, key], path, root);
    }
  }
}

const largest = 2 ** 31 - 1;

/** Every change of a resource, one of a kind a property. */
export function* blindMutants({ urn, type, inputs }: Resource): Generator<BlindMutant> {
  const seen = new Set<string>();
  for (const { property, value, set } of spots(inputs, [], "", (keys, by) => replaced(inputs, keys, by))) {
    const changes: (readonly [BlindMutant["kind"], unknown])[] = [["removed", removed]];
    if (typeof value === "boolean") changes.push(["flipped", !value]);
    if (typeof value === "number") changes.push(["zero", 0], ["maximum", largest]);
    if (typeof value === "string" && value.startsWith("arn:")) {
      changes.push(["widened", value.replace(/[^:/]*$/, "*")]);
    }
    for (const [kind, by] of changes) {
      const name = `${keyed(property)} ${kind}`;
      if (seen.has(name) || by === value) continue;
      seen.add(name);
      yield { urn, type, property: keyed(property), kind, inputs: set(by) as Resource["inputs"] };
    }
  }
}
