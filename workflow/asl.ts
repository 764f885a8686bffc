/**
 * Types of an Amazon States Language definition, as far as this project uses the language: query language
 * JSONata, inline Map. What is not here is refused by the local interpreter (local/asl/validate.ts).
 */

/** Any value that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A JSON object. */
export type JsonObject = { [key: string]: Json };

/** A value of type T, or a string `{% … %}` whose JSONata result is one. */
export type OrExpression<T> = T | string;

/** States that can follow one another: the body of a machine, a branch or an item processor. */
export interface StateGraph {
  StartAt: string;
  States: Record<string, State>;
}

export interface StateMachineDefinition extends StateGraph {
  Comment?: string;
  QueryLanguage: "JSONata";
  /** Longest duration of an execution; past it the execution is TIMED_OUT and no Catch runs. */
  TimeoutSeconds?: number;
}

export interface Retrier {
  ErrorEquals: string[];
  /** Seconds before the first retry (default 1). */
  IntervalSeconds?: number;
  /** Retries, not counting the first attempt (default 3). */
  MaxAttempts?: number;
  /** Factor of the interval from one retry to the next (default 2). */
  BackoffRate?: number;
  MaxDelaySeconds?: number;
  JitterStrategy?: "FULL" | "NONE";
  Comment?: string;
}

export interface Catcher {
  ErrorEquals: string[];
  Next: string;
  Output?: Json;
  Assign?: JsonObject;
  Comment?: string;
}

interface CommonFields {
  Comment?: string;
  QueryLanguage?: "JSONata";
}

/** Exactly one of the two is present. */
interface Transition {
  Next?: string;
  End?: true;
}

interface Results {
  Output?: Json;
  Assign?: JsonObject;
}

interface ErrorHandling {
  Retry?: Retrier[];
  Catch?: Catcher[];
}

export interface PassState extends CommonFields, Transition, Results {
  Type: "Pass";
}

export interface TaskState extends CommonFields, Transition, Results, ErrorHandling {
  Type: "Task";
  Resource: string;
  Arguments?: Json;
  TimeoutSeconds?: OrExpression<number>;
  HeartbeatSeconds?: OrExpression<number>;
}

export interface ChoiceRule extends Results {
  Condition: string;
  Next: string;
  Comment?: string;
}

export interface ChoiceState extends CommonFields {
  Type: "Choice";
  Choices: ChoiceRule[];
  Default?: string;
}

export interface WaitState extends CommonFields, Transition, Results {
  Type: "Wait";
  Seconds?: OrExpression<number>;
  Timestamp?: string;
}

export interface SucceedState extends CommonFields {
  Type: "Succeed";
  Output?: Json;
}

export interface FailState extends CommonFields {
  Type: "Fail";
  Error: string;
  Cause?: string;
}

export interface ParallelState extends CommonFields, Transition, Results, ErrorHandling {
  Type: "Parallel";
  Branches: StateGraph[];
  Arguments?: Json;
}

export interface MapState extends CommonFields, Transition, Results, ErrorHandling {
  Type: "Map";
  /** An array, or an expression that gives one (default: the state's input). */
  Items?: OrExpression<Json[]>;
  ItemSelector?: Json;
  ItemProcessor: StateGraph & { ProcessorConfig?: { Mode: "INLINE" } };
  /** Iterations at the same time; 0, the default, is no limit. */
  MaxConcurrency?: OrExpression<number>;
}

export type State =
  | PassState
  | TaskState
  | ChoiceState
  | WaitState
  | SucceedState
  | FailState
  | ParallelState
  | MapState;

/** The graphs nested in a state: the branches of a Parallel, the processor of a Map. */
export function nestedGraphs(state: State): StateGraph[] {
  if (state.Type === "Parallel") return state.Branches;
  return state.Type === "Map" ? [state.ItemProcessor] : [];
}

/** The states that may follow a state in its own graph, each name once, in order of appearance. */
export function successors(state: State): string[] {
  const next: (string | undefined)[] = [];
  if (state.Type === "Choice") next.push(...state.Choices.map((rule) => rule.Next), state.Default);
  else if ("Next" in state) next.push(state.Next);
  if ("Catch" in state) next.push(...(state.Catch ?? []).map((catcher) => catcher.Next));
  return [...new Set(next.filter((name) => name !== undefined))];
}
