/** The entry point: validates a definition, then executes it. */
import { randomUUID } from "node:crypto";

import type { Json, StateMachineDefinition } from "../../workflow/asl.ts";
import { type Clock, systemClock } from "./clock.ts";
import {
  ExecutionAborted,
  ExecutionTimedOut,
  errorNames,
  InvalidDefinitionError,
  StateError,
} from "./errors.ts";
import type { ExecutionEvent, UntimedEvent } from "./events.ts";
import { type Execution, payloadLimit, Scope } from "./execution.ts";
import { Evaluator } from "./expression.ts";
import { runGraph } from "./states.ts";
import { findHandler, type TaskHandler, type TaskHandlers } from "./tasks.ts";
import { validateDefinition } from "./validate.ts";

export interface RunOptions {
  /** What the Task states call. */
  tasks: TaskHandlers;
  clock?: Clock;
  /** Source of chance for jitter, $random and $uuid: numbers from 0 up to, not including, 1. */
  random?: () => number;
  /** Told of everything that happens, in order. */
  onEvent?: (event: ExecutionEvent) => void;
  /** Aborts the execution. */
  signal?: AbortSignal;
  /** Names of the execution and its machine, as the context object shows them. */
  executionName?: string;
  machineName?: string;
  roleArn?: string;
  /** How often the execution was redriven (default 0). */
  redriveCount?: number;
  /**
   * Longest actual duration, in seconds, of a Wait state and of the delay before a retry (default: unlimited).
   * Where tasks end at once, waiting as long as for a remote service is time lost. Timeouts are not shortened.
   */
  longestWait?: number;
}

/** How an execution ended, unless it was aborted. */
export type ExecutionResult =
  | { status: "SUCCEEDED"; output: Json }
  | { status: "FAILED" | "TIMED_OUT"; error: string; cause: string };

/**
 * Executes a state machine written in Amazon States Language with JSONata.
 *
 * @throws InvalidDefinitionError before anything runs, naming every field, state type, function or resource that
 *   is wrong or not supported
 * @throws ExecutionAborted after `signal` aborted and the running tasks have ended
 */
export async function runStateMachine(
  definition: StateMachineDefinition,
  input: Json,
  options: RunOptions,
): Promise<ExecutionResult> {
  const problems = validateDefinition(definition, options.tasks);
  if (Buffer.byteLength(JSON.stringify(input), "utf8") > payloadLimit) {
    problems.push(`the input has more than ${payloadLimit} bytes as JSON`);
  }
  if (problems.length > 0) throw new InvalidDefinitionError(problems);

  const { clock = systemClock, random = Math.random, onEvent = () => {}, signal } = options;
  const emit = (event: UntimedEvent) => onEvent({ timestamp: clock.now(), ...event });
  const execution: Execution = {
    clock,
    random,
    emit,
    evaluator: new Evaluator(clock, random),
    handlerOf: (resource) => handlerOf(options.tasks, resource),
    longestWait: options.longestWait ?? Number.POSITIVE_INFINITY,
    context: contextOf(options, clock, input),
  };
  emit({ type: "ExecutionStarted", executionId: String(execution.context.Execution.Id), input });
  const deadline = new AbortController();
  const ended = new AbortController();
  if (definition.TimeoutSeconds !== undefined) {
    const { TimeoutSeconds } = definition;
    const late = new ExecutionTimedOut(
      `The execution did not end within its TimeoutSeconds of ${TimeoutSeconds}.`,
    );
    clock.sleep(TimeoutSeconds * 1000, ended.signal).then(
      () => deadline.abort(late),
      () => {}, // the execution ended first
    );
  }
  const signals = signal ? [signal, deadline.signal] : [deadline.signal];
  try {
    const output = await runGraph(execution, new Scope("", AbortSignal.any(signals)), definition, input);
    emit({ type: "ExecutionSucceeded", output });
    return { status: "SUCCEEDED", output };
  } catch (error) {
    if (signal?.aborted) {
      const aborted = new ExecutionAborted(signal.reason);
      emit({ type: "ExecutionAborted", cause: aborted.message });
      throw aborted;
    }
    if (error instanceof ExecutionTimedOut) {
      emit({ type: "ExecutionTimedOut", error: errorNames.timeout, cause: error.message });
      return { status: "TIMED_OUT", error: errorNames.timeout, cause: error.message };
    }
    if (!(error instanceof StateError)) throw error;
    emit({ type: "ExecutionFailed", error: error.error, cause: error.causeText });
    return { status: "FAILED", error: error.error, cause: error.causeText };
  } finally {
    ended.abort();
  }
}

function handlerOf(tasks: TaskHandlers, resource: string): TaskHandler {
  const found = findHandler(tasks, resource);
  if (typeof found === "function") return found;
  throw new StateError(errorNames.runtime, found.problem);
}

function contextOf(options: RunOptions, clock: Clock, input: Json): Execution["context"] {
  const { machineName = "local", executionName = randomUUID(), redriveCount = 0 } = options;
  const arn = (kind: string, name: string) => `arn:aws:states:local:000000000000:${kind}:${name}`;
  return {
    Execution: {
      Id: arn("execution", `${machineName}:${executionName}`),
      Name: executionName,
      Input: input,
      StartTime: new Date(clock.now()).toISOString(),
      RoleArn: options.roleArn ?? "arn:aws:iam::000000000000:role/local",
      RedriveCount: redriveCount,
    },
    StateMachine: { Id: arn("stateMachine", machineName), Name: machineName },
  };
}
