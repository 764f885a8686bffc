import { type Defect, type Resource, unknown } from "./rule.ts";

/** A check came to a value that is not known before the deployment. */
export class UnknownValue extends Error {
  override readonly name = "UnknownValue";
  readonly resource: Resource;
  /** Where it stands, for example `rules[0].status`. */
  readonly property: string;
  /** What the check had found before and after. */
  readonly defects: readonly Defect[];

  constructor(resource: Resource, property: string, defects: readonly Defect[] = []) {
    super(`${property} of ${resource.name} is not known before the deployment`);
    this.resource = resource;
    this.property = property;
    this.defects = defects;
  }
}

/** A check came to a value of another type than the property has. */
export class UnexpectedType extends Error {
  override readonly name = "UnexpectedType";
  readonly property: string;

  constructor(property: string, value: unknown, expected: string) {
    const shown = JSON.stringify(value) ?? String(value);
    super(`${property} is ${shown.slice(0, 80)}, ${expected} was expected`);
    this.property = property;
  }
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const keysOf = (path: string): string[] => path.match(/[^.[\]]+/g) ?? [];

/**
 * Reads a resource's inputs, or an object in them, by path (`rules[0].status`).
 *
 * Every method answers undefined (or an empty list) for what is absent, null or an empty string.
 * @throws UnknownValue at an unknown value, UnexpectedType at a value of another type
 */
export class Reader {
  readonly resource: Resource;
  /** Path of this object in the resource's inputs; empty for the inputs themselves. */
  readonly path: string;
  readonly #value: Readonly<Record<string, unknown>>;

  constructor(resource: Resource, value: Readonly<Record<string, unknown>> = resource.inputs, path = "") {
    this.resource = resource;
    this.#value = value;
    this.path = path;
  }

  /** Full path of a property of this object. */
  fullPath(path: string): string {
    return this.path === "" ? path : `${this.path}.${path}`;
  }

  /** The value as it stands. */
  raw(path: string): unknown {
    const value = this.#walk(path);
    if (value === unknown) throw new UnknownValue(this.resource, this.fullPath(path));
    return value;
  }

  /** Whether there is a value, known or not. */
  has(path: string): boolean {
    const value = this.#walk(path);
    return value !== undefined && value !== "";
  }

  /** Whether the value is known, be it absent. */
  isKnown(path: string): boolean {
    return this.#walk(path) !== unknown;
  }

  text(path: string): string | undefined {
    const value = this.raw(path);
    if (value === undefined || value === "") return undefined;
    if (typeof value !== "string") throw new UnexpectedType(this.fullPath(path), value, "text");
    return value;
  }

  number(path: string): number | undefined {
    const value = this.raw(path);
    if (value === undefined || value === "") return undefined;
    if (typeof value !== "number" || !Number.isFinite(value)) {
      throw new UnexpectedType(this.fullPath(path), value, "a number");
    }
    return value;
  }

  flag(path: string): boolean | undefined {
    const value = this.raw(path);
    if (value === undefined) return undefined;
    if (typeof value !== "boolean") throw new UnexpectedType(this.fullPath(path), value, "true or false");
    return value;
  }

  /** Elements as they stand, unknown ones included. */
  list(path: string): readonly unknown[] {
    const value = this.raw(path);
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw new UnexpectedType(this.fullPath(path), value, "a list");
    return value;
  }

  texts(path: string): readonly string[] {
    return this.list(path).map((value, index) => {
      const where = `${this.fullPath(path)}[${index}]`;
      if (value === unknown) throw new UnknownValue(this.resource, where);
      if (typeof value !== "string") throw new UnexpectedType(where, value, "text");
      return value;
    });
  }

  /** The objects of a list; a single object counts as a list of one. */
  items(path: string): readonly Reader[] {
    const value = this.raw(path);
    const values = isRecord(value) ? [value] : this.list(path);
    return values.map((item, index) => {
      const where = `${this.fullPath(path)}[${index}]`;
      if (item === unknown) throw new UnknownValue(this.resource, where);
      if (!isRecord(item)) throw new UnexpectedType(where, item, "an object");
      return new Reader(this.resource, item, where);
    });
  }

  /** An object. A list of one, as the engine's states have it, counts as its element. */
  fields(path: string): Reader | undefined {
    const value = this.raw(path);
    const inner = Array.isArray(value) && value.length <= 1 ? value[0] : value;
    if (inner === undefined) return undefined;
    if (inner === unknown) throw new UnknownValue(this.resource, this.fullPath(path));
    if (!isRecord(inner)) throw new UnexpectedType(this.fullPath(path), inner, "an object");
    return new Reader(this.resource, inner, this.fullPath(path));
  }

  /** Names of this object's properties. */
  get keys(): readonly string[] {
    return Object.keys(this.#value);
  }

  /** A document in JSON, or an object that was not made text yet. */
  json(path: string): unknown {
    const value = this.raw(path);
    if (typeof value !== "string" || value === "") return value === "" ? undefined : value;
    try {
      return JSON.parse(value);
    } catch {
      throw new UnexpectedType(this.fullPath(path), value, "a JSON document");
    }
  }

  /**
   * Whether the property names something: a known text, or a value that is unknown because it comes from a
   * resource of one of these types.
   */
  refersTo(path: string, ...types: readonly string[]): boolean {
    if (this.#walk(path) !== unknown) return this.text(path) !== undefined;
    if (this.sources(path).some((urn) => types.includes(typeOf(urn)))) return true;
    throw new UnknownValue(this.resource, this.fullPath(path));
  }

  /** URNs of the resources that the property's value comes from. */
  sources(path: string): readonly string[] {
    const top = keysOf(this.fullPath(path))[0] ?? "";
    return this.resource.propertyDependencies[top] ?? [];
  }

  #walk(path: string): unknown {
    let value: unknown = this.#value;
    for (const key of keysOf(path)) {
      if (value === unknown) return unknown;
      // The engine's states have a list of one where the arguments have an object.
      if (Array.isArray(value) && !/^\d+$/.test(key)) {
        if (value.length > 1) throw new UnexpectedType(this.fullPath(path), value, "an object");
        value = value[0];
        if (value === unknown) return unknown;
      }
      if (value === undefined || value === null) return undefined;
      if (typeof value !== "object") throw new UnexpectedType(this.fullPath(path), value, "an object");
      value = Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
    }
    return value === null ? undefined : value;
  }
}

/** The type in a URN: `urn:pulumi:<stack>::<project>::<parent types>$<type>::<name>`. */
export const typeOf = (urn: string): string => urn.split("::")[2]?.split("$").at(-1) ?? "";

/**
 * Asks the same of every element, and goes on where one is unknown.
 * @throws UnknownValue with all that was found, when an element could not be judged
 */
export function each<T>(
  elements: Iterable<T>,
  ask: (element: T) => Defect | readonly Defect[] | string | undefined,
): readonly Defect[] {
  const defects: Defect[] = [];
  let missed: UnknownValue | undefined;
  for (const element of elements) {
    try {
      defects.push(...asDefects(ask(element)));
    } catch (error) {
      if (!(error instanceof UnknownValue)) throw error;
      missed ??= error;
      defects.push(...error.defects);
    }
  }
  if (missed) throw new UnknownValue(missed.resource, missed.property, defects);
  return defects;
}

/**
 * The elements of which something holds.
 * @throws UnknownValue when it holds of none and one could not be asked: that one might be it
 */
export function those<T>(elements: readonly T[], holds: (element: T) => boolean): readonly T[] {
  let missed: UnknownValue | undefined;
  const found = elements.filter((element) => {
    try {
      return holds(element);
    } catch (error) {
      if (!(error instanceof UnknownValue)) throw error;
      missed = error;
      return false;
    }
  });
  if (found.length === 0 && missed) throw missed;
  return found;
}

/** What a check may answer with, as a list. */
export function asDefects(answer: Defect | readonly Defect[] | string | undefined): readonly Defect[] {
  if (answer === undefined) return [];
  if (typeof answer === "string") return [{ message: answer }];
  return Array.isArray(answer) ? answer : [answer as Defect];
}
