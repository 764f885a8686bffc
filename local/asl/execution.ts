/** What the parts of the interpreter share while one execution runs. */
import type { Json, JsonObject, State } from "../../workflow/asl.ts";
import type { Clock } from "./clock.ts";
import { errorNames, StateError } from "./errors.ts";
import type { UntimedEvent } from "./events.ts";
import type { Bindings, Evaluator } from "./expression.ts";
import type { TaskHandler } from "./tasks.ts";

/** Largest JSON text, in UTF-8 bytes, of an input, an output, a result, arguments or a set of variables. */
export const payloadLimit = 256 * 1024;

/** Fails with States.DataLimitExceeded when the value is too large; otherwise gives it back. */
export function withinLimit<T extends Json>(value: T, what: string): T {
  const bytes = Buffer.byteLength(JSON.stringify(value), "utf8");
  if (bytes <= payloadLimit) return value;
  const cause = `${what} has ${bytes} bytes as JSON, ${payloadLimit} is the limit. Pass a reference (an S3 key) instead.`;
  throw new StateError(errorNames.dataLimitExceeded, cause);
}

/** Constant for an execution. */
export interface Execution {
  readonly clock: Clock;
  readonly random: () => number;
  readonly evaluator: Evaluator;
  readonly emit: (event: UntimedEvent) => void;
  readonly handlerOf: (resource: string) => TaskHandler;
  /** Longest actual duration, in seconds, of a Wait state and of the delay before a retry. */
  readonly longestWait: number;
  /** `Execution` and `StateMachine` of the context object. */
  readonly context: { Execution: JsonObject; StateMachine: JsonObject };
}

/** One running graph: the machine, a branch or an iteration, with the variables of its own. */
export class Scope {
  readonly path: string;
  readonly signal: AbortSignal;
  readonly mapItem: JsonObject | undefined;
  readonly #outer: Scope | undefined;
  #variables: JsonObject = {};

  constructor(path: string, signal: AbortSignal, outer?: Scope, mapItem?: JsonObject) {
    this.path = path;
    this.signal = signal;
    this.#outer = outer;
    this.mapItem = mapItem ?? outer?.mapItem;
  }

  /** The variables seen here: its own and those of the scopes around it. */
  get variables(): JsonObject {
    return { ...this.#outer?.variables, ...this.#variables };
  }

  assign(values: JsonObject): void {
    this.#variables = { ...this.#variables, ...values };
  }
}

/** What `$states` holds besides input and context, and only at some places. */
export interface Extras {
  result?: Json;
  errorOutput?: Json;
  mapItem?: JsonObject;
}

/** One visit to a state, over all its attempts. */
export class Visit<S extends State = State> {
  retryCount = 0;
  readonly execution: Execution;
  readonly scope: Scope;
  readonly name: string;
  readonly state: S;
  readonly input: Json;
  readonly #enteredTime: string;

  constructor(execution: Execution, scope: Scope, name: string, state: S, input: Json) {
    this.execution = execution;
    this.scope = scope;
    this.name = name;
    this.state = state;
    this.input = input;
    this.#enteredTime = new Date(execution.clock.now()).toISOString();
  }

  /** The template of one of the state's fields, with its expressions evaluated. */
  evaluate(template: Json, field: string, extras: Extras = {}): Promise<Json> {
    return this.execution.evaluator.evaluate(template, field, this.#bindings(extras));
  }

  /** A field that is a number or an expression for one; a whole number from `least` on. */
  async wholeNumber(value: number | string, field: string, least: number): Promise<number> {
    const result = await this.evaluate(value, field);
    if (typeof result === "number" && Number.isInteger(result) && result >= least) return result;
    throw wrongType(field, `a whole number of at least ${least}`, result);
  }

  /** A field that is a text or an expression for one. */
  async text(value: string, field: string): Promise<string> {
    const result = await this.evaluate(value, field);
    if (typeof result === "string") return result;
    throw wrongType(field, "a string", result);
  }

  emit(event: UntimedEvent): void {
    this.execution.emit(event);
  }

  /** Where an event of this state happens. */
  get at(): { state: string; scope: string } {
    return { state: this.name, scope: this.scope.path };
  }

  /** Sleeps for a Wait state or before a retry, no longer than this execution allows. */
  pause(seconds: number): Promise<void> {
    return this.execution.clock.sleep(
      Math.min(seconds, this.execution.longestWait) * 1000,
      this.scope.signal,
    );
  }

  #bindings({ result, errorOutput, mapItem }: Extras): Bindings {
    const item = mapItem ?? this.scope.mapItem;
    const context: JsonObject = {
      ...this.execution.context,
      State: { Name: this.name, EnteredTime: this.#enteredTime, RetryCount: this.retryCount },
      ...(item && { Map: { Item: item } }),
    };
    const states: JsonObject = { input: this.input, context };
    if (result !== undefined) states.result = result;
    if (errorOutput !== undefined) states.errorOutput = errorOutput;
    return { ...this.scope.variables, states };
  }
}

/** The failure of an expression whose result does not fit its field. */
export function wrongType(field: string, expected: string, actual: Json): StateError {
  const cause = `The field '${field}' must be ${expected}, but it is ${JSON.stringify(actual)}.`;
  return new StateError(errorNames.queryEvaluationError, cause);
}
