import { isRecord } from "../reader.ts";
import { type Resource, unknown } from "../rule.ts";
import type { Base } from "../testing.ts";
import { type Case, From, madeOf } from "./cases.ts";
import { type Mutant, removed, replaced, withInputs, without } from "./mutation.ts";

/** A value for a name. */
function shown(value: unknown): string {
  if (value === removed) return "removed";
  if (value === unknown) return "unknown";
  if (value instanceof From) return value.name;
  return (JSON.stringify(value) ?? String(value)).slice(0, 60);
}

/** The resources that a case changes. */
export const subjectsOf = ({ type, only }: Case, { resources }: Base): readonly Resource[] =>
  resources.filter((resource) => resource.type === type && (only?.(resource) ?? true));

/** The stack with one value of one resource replaced as a case says. */
export function changedBy(base: Base, resource: Resource, path: string | undefined, value: unknown): Mutant {
  const { urn, name } = resource;
  if (path === undefined) return { name: `${name} gone`, base: without(base, urn) };
  const made = madeOf(value, resource.inputs, path);
  const inputs = replaced(resource.inputs, path, made);
  if (!isRecord(inputs)) throw new Error(`${path} replaces all inputs of ${name}`);
  return { name: `${name}: ${path} = ${shown(value)}`, base: withInputs(base, urn, inputs) };
}

/** Every mutant of a case that the rule must find. */
export const mutantsOf = (one: Case, base: Base): readonly Mutant[] =>
  subjectsOf(one, base).flatMap((resource) =>
    one.bad.map((value) => changedBy(base, resource, one.at, value)),
  );
