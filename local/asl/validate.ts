/** Everything that can be known to be wrong with a definition before it runs. */
import {
  type Json,
  nestedGraphs,
  type Retrier,
  type State,
  type StateGraph,
  type StateMachineDefinition,
  successors,
} from "../../workflow/asl.ts";
import { parseTimestamp } from "./clock.ts";
import { errorNames } from "./errors.ts";
import { isExpression } from "./expression.ts";
import { expressionProblems, type StatesMember } from "./expressionCheck.ts";
import { shapeProblems } from "./schema.ts";
import { findHandler, type TaskHandlers } from "./tasks.ts";

/** Error names of the language that can occur here; handlers may raise States.Permissions. */
const knownStatesErrors: readonly string[] = [
  errorNames.all,
  errorNames.dataLimitExceeded,
  errorNames.heartbeatTimeout,
  errorNames.queryEvaluationError,
  errorNames.noChoiceMatched,
  errorNames.taskFailed,
  errorNames.timeout,
  "States.Permissions",
];

/** What JSONata can read as `$name`, and the language's limit of its length. */
const variableName = /^[\p{ID_Start}_][\p{ID_Continue}_]{0,79}$/u;

/**
 * The problems of a definition, one line each; none means that it can be executed.
 * @param tasks the handlers that the resources must have
 */
export function validateDefinition(definition: StateMachineDefinition, tasks: TaskHandlers): string[] {
  const shape = shapeProblems(definition);
  if (shape.length > 0) return shape;
  return [...duplicateNames(definition), ...graphProblems(definition, "", new Set(), tasks)];
}

function duplicateNames(graph: StateGraph, seen = new Set<string>()): string[] {
  return Object.entries(graph.States).flatMap(([name, state]) => {
    const twice = seen.has(name)
      ? [`there are two states '${name}': names are unique in the whole machine`]
      : [];
    seen.add(name);
    return [...twice, ...nestedGraphs(state).flatMap((nested) => duplicateNames(nested, seen))];
  });
}

function graphProblems(
  graph: StateGraph,
  where: string,
  outerVariables: ReadonlySet<string>,
  tasks: TaskHandlers,
): string[] {
  const problems: string[] = [];
  const missing = (name: string, field: string) => {
    if (!Object.hasOwn(graph.States, name))
      problems.push(`${where}${field}: there is no state '${name}' beside it`);
  };
  missing(graph.StartAt, "StartAt");
  const reached = reachable(graph, graph.StartAt);
  const own = assignedNames(graph);
  for (const name of own) {
    if (outerVariables.has(name)) {
      problems.push(`${where}Assign: variable '${name}' belongs to an outer scope, choose another name`);
    }
  }
  const variables = new Set([...outerVariables, ...own]);
  for (const [name, state] of Object.entries(graph.States)) {
    const at = `${where}${name}: `;
    if (!reached.has(name)) problems.push(`${at}no state leads to it`);
    for (const next of successors(state)) missing(next, name);
    problems.push(...stateProblems(state, variables, tasks).map((problem) => at + problem));
    for (const [index, nested] of nestedGraphs(state).entries()) {
      problems.push(...graphProblems(nested, `${where}${name}/${index}/`, variables, tasks));
    }
  }
  return problems;
}

/** The names of the states that can run after, and with, the given one in its graph. */
export function reachable(graph: StateGraph, start: string): Set<string> {
  const reached = new Set<string>();
  const waiting = [start];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const state = graph.States[name];
    if (reached.has(name) || state === undefined) continue;
    reached.add(name);
    waiting.push(...successors(state));
  }
  return reached;
}

function assignedNames(graph: StateGraph): Set<string> {
  const names = Object.values(graph.States).flatMap((state) => [
    ...("Assign" in state ? Object.keys(state.Assign ?? {}) : []),
    ...("Catch" in state ? (state.Catch ?? []) : []).flatMap(({ Assign }) => Object.keys(Assign ?? {})),
    ...(state.Type === "Choice" ? state.Choices : []).flatMap(({ Assign }) => Object.keys(Assign ?? {})),
  ]);
  return new Set(names);
}

function stateProblems(state: State, variables: ReadonlySet<string>, tasks: TaskHandlers): string[] {
  const problems: string[] = [];
  if (state.Type !== "Choice" && state.Type !== "Succeed" && state.Type !== "Fail") {
    if ((state.Next === undefined) === (state.End === undefined)) problems.push("needs either Next or End");
  }
  if (state.Type === "Wait") {
    if ((state.Seconds === undefined) === (state.Timestamp === undefined)) {
      problems.push("needs either Seconds or Timestamp");
    }
    const { Timestamp } = state;
    if (Timestamp !== undefined && !isExpression(Timestamp) && parseTimestamp(Timestamp) === undefined) {
      problems.push(`Timestamp '${Timestamp}' is no RFC 3339 date and time with offset`);
    }
  }
  if (state.Type === "Task") {
    const found = findHandler(tasks, state.Resource);
    if (typeof found !== "function") problems.push(found.problem);
    const { TimeoutSeconds: timeout, HeartbeatSeconds: heartbeat } = state;
    if (typeof timeout === "number" && typeof heartbeat === "number" && heartbeat >= timeout) {
      problems.push(`HeartbeatSeconds ${heartbeat} must be less than TimeoutSeconds ${timeout}`);
    }
  }
  if ("Retry" in state)
    problems.push(...errorEqualsProblems("Retry", state.Retry ?? []), ...retryProblems(state.Retry ?? []));
  if ("Catch" in state) problems.push(...errorEqualsProblems("Catch", state.Catch ?? []));
  for (const { field, template, members } of templates(state)) {
    problems.push(...templateProblems(template, field, variables, members));
  }
  return problems;
}

function errorEqualsProblems(
  field: "Retry" | "Catch",
  handlers: readonly { ErrorEquals: string[] }[],
): string[] {
  return handlers.flatMap(({ ErrorEquals }, index) => {
    const at = `${field}[${index}].ErrorEquals`;
    const unknown = ErrorEquals.filter(
      (name) => name.startsWith("States.") && !knownStatesErrors.includes(name),
    );
    const problems = unknown.map((name) => `${at}: '${name}' cannot be handled here`);
    if (ErrorEquals.includes(errorNames.all) && (ErrorEquals.length > 1 || index < handlers.length - 1)) {
      problems.push(`${at}: ${errorNames.all} stands alone and last`);
    }
    return problems;
  });
}

function retryProblems(retriers: readonly Retrier[]): string[] {
  return retriers.flatMap(({ MaxDelaySeconds, IntervalSeconds = 1 }, index) =>
    MaxDelaySeconds !== undefined && MaxDelaySeconds <= IntervalSeconds
      ? [
          `Retry[${index}].MaxDelaySeconds ${MaxDelaySeconds} must be more than IntervalSeconds ${IntervalSeconds}`,
        ]
      : [],
  );
}

interface Template {
  field: string;
  template: Json | undefined;
  members: readonly StatesMember[];
}

/** The fields of a state in which expressions stand, with what `$states` holds there. */
function templates(state: State): Template[] {
  const entry: StatesMember[] = ["input", "context"];
  const hasResult = state.Type === "Task" || state.Type === "Parallel" || state.Type === "Map";
  const exit: StatesMember[] = hasResult ? [...entry, "result"] : entry;
  const found: Template[] = [];
  const add = (field: string, template: Json | undefined, members = entry) =>
    found.push({ field, template, members });
  if ("Output" in state) add("Output", state.Output, exit);
  if ("Assign" in state) add("Assign", state.Assign, exit);
  if ("Arguments" in state) add("Arguments", state.Arguments);
  if (state.Type === "Task") {
    add("TimeoutSeconds", state.TimeoutSeconds);
    add("HeartbeatSeconds", state.HeartbeatSeconds);
  }
  if (state.Type === "Wait") {
    add("Seconds", state.Seconds);
    add("Timestamp", state.Timestamp);
  }
  if (state.Type === "Fail") {
    add("Error", state.Error);
    add("Cause", state.Cause);
  }
  if (state.Type === "Map") {
    add("Items", state.Items);
    add("ItemSelector", state.ItemSelector);
    add("MaxConcurrency", state.MaxConcurrency);
  }
  for (const [index, rule] of (state.Type === "Choice" ? state.Choices : []).entries()) {
    add(`Choices[${index}].Condition`, rule.Condition);
    add(`Choices[${index}].Output`, rule.Output);
    add(`Choices[${index}].Assign`, rule.Assign);
  }
  for (const [index, catcher] of ("Catch" in state ? (state.Catch ?? []) : []).entries()) {
    add(`Catch[${index}].Output`, catcher.Output, [...entry, "errorOutput"]);
    add(`Catch[${index}].Assign`, catcher.Assign, [...entry, "errorOutput"]);
  }
  return found;
}

function templateProblems(
  template: Json | undefined,
  field: string,
  variables: ReadonlySet<string>,
  members: readonly StatesMember[],
): string[] {
  if (typeof template === "string") {
    if (isExpression(template)) {
      return expressionProblems(template, variables, members).map((problem) => `${field}: ${problem}`);
    }
    const half = template.startsWith("{%") || template.endsWith("%}");
    return half ? [`${field}: '${template}' has only one of the delimiters '{%' and '%}' at its ends`] : [];
  }
  if (Array.isArray(template)) {
    return template.flatMap((item, index) =>
      templateProblems(item, `${field}[${index}]`, variables, members),
    );
  }
  if (template === null || typeof template !== "object") return [];
  return Object.entries(template).flatMap(([key, value]) => {
    const problems = templateProblems(value, `${field}.${key}`, variables, members);
    if (key.endsWith(".$"))
      problems.push(`${field}.${key}: a key that ends with '.$' is JSONPath, not supported`);
    if (/^(\w+\[\d+\]\.)?Assign$/.test(field) && (!variableName.test(key) || key === "states")) {
      problems.push(`${field}: '${key}' cannot be the name of a variable`);
    }
    return problems;
  });
}
