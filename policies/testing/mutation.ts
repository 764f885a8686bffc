import { isRecord } from "../reader.ts";
import type { Resource } from "../rule.ts";
import type { Base } from "../testing.ts";

/** In place of a value: the property is taken away. */
export const removed: unique symbol = Symbol("removed");

const keysOf = (path: string): string[] => path.match(/[^.[\]]+/g) ?? [];

/** A copy of `value` with what `path` leads to replaced or taken away. Makes objects that are missing on the way. */
export function replaced(value: unknown, path: string | readonly string[], by: unknown): unknown {
  const [key, ...rest] = typeof path === "string" ? keysOf(path) : path;
  if (key === undefined) return by;
  if (Array.isArray(value)) {
    const items: unknown[] = [...value];
    if (rest.length === 0 && by === removed) items.splice(Number(key), 1);
    else items[Number(key)] = replaced(items[Number(key)], rest, by);
    return items;
  }
  const object = isRecord(value) ? value : {};
  if (rest.length === 0 && by === removed) {
    return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));
  }
  return { ...object, [key]: replaced(object[key], rest, by) };
}

/** A stack with one thing changed. */
export interface Mutant {
  readonly name: string;
  readonly base: Base;
}

/** The stack with one resource's inputs replaced. */
export const withInputs = (base: Base, urn: string, inputs: Resource["inputs"]): Base => ({
  ...base,
  resources: base.resources.map((resource) => (resource.urn === urn ? { ...resource, inputs } : resource)),
});

/** The stack without one resource. */
export const without = (base: Base, urn: string): Base => ({
  ...base,
  resources: base.resources.filter((resource) => resource.urn !== urn),
});
