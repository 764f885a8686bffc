import { isRecord } from "../reader.ts";
import type { Resource } from "../rule.ts";
import { removed, replaced } from "./mutation.ts";

/** A change by someone who knows no rules. */
export interface BlindMutant {
  readonly urn: string;
  readonly type: string;
  /** Path without indices and names of states, so that the elements of a list count as one. */
  readonly property: string;
  /** What it changes, by which one of many alike is enough: statements of policies count one by one. */
  readonly key: string;
  readonly kind: "flipped" | "removed" | "widened" | "zero" | "maximum";
  readonly inputs: Resource["inputs"];
}

const keyed = (property: string): string => property.replace(/\[[^\]]*\]/g, "[]");

/** States of a machine by whatever name: every one is tried, and told of as one. */
const told = (property: string): string => keyed(property).replace(/\bStates\.\w+/g, "States.*");

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
      const name = isRecord(item) && typeof item.Sid === "string" ? item.Sid : index;
      yield* spots(item, [...keys, String(index)], `${property}[${name}]`, root);
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
      // A number in brackets is a place in a list, text the Sid of a statement.
      const key = `${type} ${property.replace(/\[\d+\]/g, "[]")} ${kind}`;
      if (seen.has(key) || by === value) continue;
      seen.add(key);
      yield { urn, type, property: told(property), key, kind, inputs: set(by) as Resource["inputs"] };
    }
  }
}
