/** Templates: JSON values in which every string `{% … %}` stands for the result of a JSONata expression. */
import jsonata from "jsonata";

import type { Json } from "../../workflow/asl.ts";
import type { Clock } from "./clock.ts";
import { errorNames, StateError } from "./errors.ts";
import { registerFunctions } from "./functions.ts";

/** `$states` and the variables, as one evaluation sees them. */
export type Bindings = Record<string, Json>;

/** Whether a string is an expression: it starts with `{%` and ends with `%}`, with nothing around. */
export function isExpression(text: string): boolean {
  return text.length >= 4 && text.startsWith("{%") && text.endsWith("%}");
}

/** The JSONata text between the delimiters. */
export function expressionText(text: string): string {
  return text.slice(2, -2).trim();
}

/** Evaluates templates; expressions are parsed once for the execution. */
export class Evaluator {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #parsed = new Map<string, jsonata.Expression>();

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * The template with its expressions replaced by their results.
   * @param field where the template stands, for the message, for example "Arguments"
   * @throws StateError States.QueryEvaluationError when an expression fails or gives nothing
   */
  async evaluate(template: Json, field: string, bindings: Bindings): Promise<Json> {
    if (typeof template === "string") {
      return isExpression(template) ? this.#run(template, field, bindings) : template;
    }
    if (Array.isArray(template)) {
      return Promise.all(template.map((item, index) => this.evaluate(item, `${field}[${index}]`, bindings)));
    }
    if (template === null || typeof template !== "object") return template;
    const fields = Object.entries(template).map(
      async ([key, value]): Promise<[string, Json]> => [
        key,
        await this.evaluate(value, `${field}.${key}`, bindings),
      ],
    );
    return Object.fromEntries(await Promise.all(fields));
  }

  async #run(template: string, field: string, bindings: Bindings): Promise<Json> {
    const text = expressionText(template);
    const said = `The JSONata expression '${text}' specified for the field '${field}'`;
    let result: unknown;
    try {
      result = await this.#parse(text).evaluate(undefined, bindings);
    } catch (error) {
      const detail = describe(error);
      throw new StateError(errorNames.queryEvaluationError, `${said} failed: ${detail}`, { cause: error });
    }
    if (result === undefined) {
      throw new StateError(errorNames.queryEvaluationError, `${said} returned nothing (undefined).`);
    }
    return toJson(result, said);
  }

  #parse(text: string): jsonata.Expression {
    const known = this.#parsed.get(text);
    if (known) return known;
    const expression = jsonata(text);
    registerFunctions(expression, this.#clock, this.#random);
    this.#parsed.set(text, expression);
    return expression;
  }
}

/** JSONata throws plain objects with a code and a message. */
function describe(error: unknown): string {
  if (typeof error !== "object" || error === null) return String(error);
  const { code, message } = error as { code?: unknown; message?: unknown };
  return [code, message].filter((part) => typeof part === "string").join(": ");
}

/** A plain copy: JSONata marks its arrays, and functions are values to it. */
function toJson(value: unknown, said: string): Json {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((item) => toJson(item, said));
  if (typeof value === "object" && !("_jsonata_lambda" in value) && !("_jsonata_function" in value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item, said)]));
  }
  const what = typeof value === "number" ? String(value) : "a function";
  throw new StateError(errorNames.queryEvaluationError, `${said} returned ${what}, which JSON cannot hold.`);
}
