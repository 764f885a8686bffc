/** One visit to a state: what each type of state does, and how Output, Assign, Retry and Catch apply to it. */
import type {
  Catcher,
  ChoiceState,
  FailState,
  Json,
  JsonObject,
  MapState,
  ParallelState,
  State,
  StateGraph,
  TaskState,
  WaitState,
} from "../../workflow/asl.ts";
import { parseTimestamp } from "./clock.ts";
import { runAll } from "./concurrency.ts";
import { Cancelled, errorMatches, errorNames, StateError } from "./errors.ts";
import { type Execution, type Extras, Scope, Visit, withinLimit, wrongType } from "./execution.ts";
import { RetryPolicy } from "./retry.ts";
import { attemptTask } from "./tasks.ts";

/** How a visit ended: the output, and the state that follows unless this one was the last. */
interface Step {
  output: Json;
  next: string | undefined;
}

/** Runs a graph from its first state to a terminal one and gives that state's output. */
export async function runGraph(
  execution: Execution,
  scope: Scope,
  graph: StateGraph,
  input: Json,
): Promise<Json> {
  let name = graph.StartAt;
  let value = input;
  for (;;) {
    const state = graph.States[name];
    if (state === undefined) throw new StateError(errorNames.runtime, `There is no state '${name}'.`);
    const visit = new Visit(execution, scope, name, state, value);
    const step = await runState(visit);
    if (step.next === undefined) return step.output;
    name = step.next;
    value = step.output;
  }
}

async function runState(visit: Visit): Promise<Step> {
  const { execution, scope, state } = visit;
  execution.emit({ type: "StateEntered", ...visit.at, stateType: state.Type, input: visit.input });
  try {
    scope.signal.throwIfAborted();
    const step = await dispatch(visit);
    execution.emit({ type: "StateExited", ...visit.at, output: step.output, next: step.next });
    return step;
  } catch (error) {
    // Once the scope is over, whatever went wrong while stopping is not what ended it.
    if (scope.signal.aborted) throw scope.signal.reason;
    if (error instanceof StateError) {
      execution.emit({ type: "StateFailed", ...visit.at, error: error.error, cause: error.causeText });
    }
    throw error;
  }
}

function dispatch(visit: Visit): Promise<Step> {
  if (isVisit(visit, "Task")) return withErrorHandling(visit, () => attemptTask(visit));
  if (isVisit(visit, "Parallel")) return withErrorHandling(visit, () => attemptParallel(visit));
  if (isVisit(visit, "Map")) return withErrorHandling(visit, () => attemptMap(visit));
  if (isVisit(visit, "Choice")) return choose(visit);
  if (isVisit(visit, "Wait")) return wait(visit);
  if (isVisit(visit, "Fail")) return fail(visit);
  if (isVisit(visit, "Succeed")) return leave(visit, visit.state, visit.input, undefined);
  if (isVisit(visit, "Pass")) return leave(visit, visit.state, visit.input, visit.state.Next);
  throw new StateError(errorNames.runtime, `State '${visit.name}' has an unknown type.`);
}

function isVisit<T extends State["Type"]>(
  visit: Visit,
  type: T,
): visit is Visit<Extract<State, { Type: T }>> {
  return visit.state.Type === type;
}

/**
 * Ends a visit with the Output and Assign of the state, of one of its choice rules or of a catcher. Both are
 * evaluated with the variables as they were on entry; the new values exist from the next state on.
 */
async function leave(
  visit: Visit,
  fields: { Output?: Json; Assign?: JsonObject },
  defaultOutput: Json,
  next: string | undefined,
  extras: Extras = {},
): Promise<Step> {
  const output =
    fields.Output === undefined ? defaultOutput : await visit.evaluate(fields.Output, "Output", extras);
  withinLimit(output, "The state's output");
  if (fields.Assign) {
    const entries = Object.entries(fields.Assign).map(
      async ([name, value]): Promise<[string, Json]> => [
        name,
        await visit.evaluate(value, `Assign.${name}`, extras),
      ],
    );
    const values: JsonObject = Object.fromEntries(await Promise.all(entries));
    visit.scope.assign(withinLimit(values, "What the state assigns"));
  }
  return { output, next };
}

/** Repeats the attempt as Retry says; a failure that is left goes to the first Catch that names it. */
async function withErrorHandling(
  visit: Visit<TaskState> | Visit<ParallelState> | Visit<MapState>,
  attempt: () => Promise<Json>,
): Promise<Step> {
  const { state, scope, execution } = visit;
  const policy = new RetryPolicy(state.Retry ?? [], execution.random);
  for (;;) {
    try {
      const result = await attempt();
      return await leave(visit, state, result, state.Next, { result });
    } catch (error) {
      if (!(error instanceof StateError) || scope.signal.aborted) throw error;
      const failure = { error: error.error, cause: error.causeText };
      const delaySeconds = policy.delayAfter(error.error);
      if (delaySeconds === undefined) return await handOver(visit, state.Catch ?? [], error);
      visit.retryCount += 1;
      visit.emit({
        type: "TaskRetried",
        ...visit.at,
        ...failure,
        retryCount: visit.retryCount,
        delaySeconds,
      });
      await visit.pause(delaySeconds);
    }
  }
}

function handOver(visit: Visit, catchers: readonly Catcher[], error: StateError): Promise<Step> {
  const catcher = catchers.find(({ ErrorEquals }) => errorMatches(ErrorEquals, error.error));
  if (!catcher) throw error;
  visit.emit({
    type: "StateCaught",
    ...visit.at,
    error: error.error,
    cause: error.causeText,
    next: catcher.Next,
  });
  return leave(visit, catcher, error.output, catcher.Next, { errorOutput: error.output });
}

async function choose(visit: Visit<ChoiceState>): Promise<Step> {
  for (const [index, rule] of visit.state.Choices.entries()) {
    const field = `Choices[${index}].Condition`;
    const holds = await visit.evaluate(rule.Condition, field);
    if (typeof holds !== "boolean") throw wrongType(field, "true or false", holds);
    if (holds) return leave(visit, rule, visit.input, rule.Next);
  }
  if (visit.state.Default !== undefined) return { output: visit.input, next: visit.state.Default };
  throw new StateError(errorNames.noChoiceMatched, `No rule of '${visit.name}' holds and it has no Default.`);
}

async function wait(visit: Visit<WaitState>): Promise<Step> {
  const { Seconds, Timestamp, Next } = visit.state;
  if (Timestamp !== undefined) {
    const text = await visit.text(Timestamp, "Timestamp");
    const at = parseTimestamp(text);
    if (at === undefined) throw wrongType("Timestamp", "an RFC 3339 date and time with offset", text);
    await visit.pause(Math.max(0, at - visit.execution.clock.now()) / 1000);
  } else {
    await visit.pause(await visit.wholeNumber(Seconds ?? 0, "Seconds", 0));
  }
  return leave(visit, visit.state, visit.input, Next);
}

async function fail(visit: Visit<FailState>): Promise<never> {
  const error = await visit.text(visit.state.Error, "Error");
  throw new StateError(error, await visit.text(visit.state.Cause ?? "", "Cause"));
}

async function attemptParallel(visit: Visit<ParallelState>): Promise<Json> {
  const { state, scope, execution } = visit;
  const input =
    state.Arguments === undefined ? visit.input : await visit.evaluate(state.Arguments, "Arguments");
  withinLimit(input, "The branches' input");
  const branches = state.Branches.map((graph, index) => (signal: AbortSignal) => {
    const branch = new Scope(nestedPath(visit, index), signal, scope);
    return followed(visit, "Branch", index, () => runGraph(execution, branch, graph, input));
  });
  return withinLimit(await runAll(branches, 0, scope.signal), "The branches' results");
}

async function attemptMap(visit: Visit<MapState>): Promise<Json> {
  const { state, scope, execution } = visit;
  const items = state.Items === undefined ? visit.input : await visit.evaluate(state.Items, "Items");
  if (!Array.isArray(items))
    throw wrongType("Items", "an array (maps over objects are not supported)", items);
  const limit = await visit.wholeNumber(state.MaxConcurrency ?? 0, "MaxConcurrency", 0);
  const iterations = items.map((value, index) => (signal: AbortSignal) => {
    const run = async () => {
      const mapItem = { Index: index, Value: value };
      const selector = state.ItemSelector;
      const input =
        selector === undefined ? value : await visit.evaluate(selector, "ItemSelector", { mapItem });
      withinLimit(input, "The iteration's input");
      const iteration = new Scope(nestedPath(visit, index), signal, scope, mapItem);
      return runGraph(execution, iteration, state.ItemProcessor, input);
    };
    return followed(visit, "Iteration", index, run);
  });
  return withinLimit(await runAll(iterations, limit, scope.signal), "The iterations' results");
}

function nestedPath(visit: Visit, index: number): string {
  return `${visit.scope.path === "" ? "" : `${visit.scope.path}/`}${visit.name}/${index}`;
}

/** Reports the beginning and the end of a branch or an iteration. */
async function followed<T>(
  visit: Visit,
  kind: "Branch" | "Iteration",
  index: number,
  run: () => Promise<T>,
): Promise<T> {
  visit.emit({ type: `${kind}Started`, ...visit.at, index });
  try {
    const result = await run();
    visit.emit({ type: `${kind}Succeeded`, ...visit.at, index });
    return result;
  } catch (error) {
    if (!(error instanceof Cancelled)) visit.emit({ type: `${kind}Failed`, ...visit.at, index });
    throw error;
  }
}
