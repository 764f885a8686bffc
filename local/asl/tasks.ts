/** Task states: how a resource finds its handler, and how an attempt ends (result, failure, timeout, abort). */
import type { Json, TaskState } from "../../workflow/asl.ts";
import type { Clock } from "./clock.ts";
import { Cancelled, errorNames, StateError, TaskError } from "./errors.ts";
import { type Visit, withinLimit } from "./execution.ts";

/** What a handler knows about the attempt it serves. */
export interface TaskContext {
  readonly resource: string;
  readonly executionId: string;
  readonly state: string;
  /** 0 on the first attempt. */
  readonly retryCount: number;
  /** Aborts when the attempt is over for the workflow (timeout, failed sibling, Ctrl-C): stop and reject. */
  readonly signal: AbortSignal;
  /** Tells that the work goes on, for states with HeartbeatSeconds. */
  heartbeat(): void;
}

/**
 * Does the work of a Task state. Throws a TaskError to fail with a name of its own; any other error fails the
 * task as States.TaskFailed. After `signal` aborts, the workflow goes on only when the handler has settled (or
 * after `stopGraceSeconds`), so that nothing still writes while a later state cleans up.
 */
export type TaskHandler = (args: Json, context: TaskContext) => Promise<Json>;

/** Handlers by resource: an exact ARN, or a pattern in which `*` stands for any text. */
export type TaskHandlers = Record<string, TaskHandler>;

/** How long a handler may take to settle after its signal aborted. */
const stopGraceSeconds = 30;

/** The handler of a resource: the exact entry, else the only pattern that matches; else why there is none. */
export function findHandler(tasks: TaskHandlers, resource: string): TaskHandler | { problem: string } {
  const exact = Object.hasOwn(tasks, resource) ? tasks[resource] : undefined;
  if (exact) return exact;
  const matching = Object.entries(tasks).filter(([pattern]) => matches(pattern, resource));
  const [first] = matching;
  if (first && matching.length === 1) return first[1];
  if (first) {
    return {
      problem: `resource '${resource}' matches several handlers: ${matching.map(([key]) => key).join(", ")}`,
    };
  }
  return {
    problem: `resource '${resource}' has no handler; there are: ${Object.keys(tasks).join(", ") || "none"}`,
  };
}

function matches(pattern: string, resource: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(resource);
}

/** One attempt of a Task state; resolves to the task's result. */
export async function attemptTask(visit: Visit<TaskState>): Promise<Json> {
  const { state, execution, scope } = visit;
  const args =
    state.Arguments === undefined ? visit.input : await visit.evaluate(state.Arguments, "Arguments");
  withinLimit(args, "The task's arguments");
  const seconds = (value: number | string, field: string) => visit.wholeNumber(value, field, 1);
  const timeout =
    state.TimeoutSeconds === undefined ? undefined : await seconds(state.TimeoutSeconds, "TimeoutSeconds");
  const heartbeat =
    state.HeartbeatSeconds === undefined
      ? undefined
      : await seconds(state.HeartbeatSeconds, "HeartbeatSeconds");

  const resource = state.Resource;
  visit.emit({ type: "TaskScheduled", ...visit.at, resource, arguments: args, retryCount: visit.retryCount });
  const attempt = new AbortController();
  const signal = AbortSignal.any([scope.signal, attempt.signal]);
  let lastBeat = execution.clock.now();
  const context: TaskContext = {
    resource,
    executionId: String(execution.context.Execution.Id),
    state: visit.name,
    retryCount: visit.retryCount,
    signal,
    heartbeat: () => {
      lastBeat = execution.clock.now();
    },
  };

  const running = invoke(execution.handlerOf(resource), args, context);
  let ended = false;
  const end = running.then(
    () => {
      ended = true;
    },
    () => {
      ended = true;
    },
  );
  const rivals: Promise<never>[] = [untilAborted(signal)];
  if (timeout !== undefined) {
    const cause = `The task did not end within its TimeoutSeconds of ${timeout}.`;
    rivals.push(
      execution.clock
        .sleep(timeout * 1000, signal)
        .then(() => Promise.reject(new StateError(errorNames.timeout, cause))),
    );
  }
  if (heartbeat !== undefined) {
    rivals.push(
      (async () => {
        const left = () => lastBeat + heartbeat * 1000 - execution.clock.now();
        while (left() > 0) await execution.clock.sleep(left(), signal);
        const cause = `The task sent no heartbeat within its HeartbeatSeconds of ${heartbeat}.`;
        throw new StateError(errorNames.heartbeatTimeout, cause);
      })(),
    );
  }
  // The losers of the race reject when the attempt is over; that is no failure.
  for (const rival of rivals) rival.catch(() => {});

  try {
    const result = withinLimit(await Promise.race([running, ...rivals]), "The task's result");
    visit.emit({ type: "TaskSucceeded", ...visit.at, resource, result });
    return result;
  } catch (error) {
    if (error instanceof StateError) {
      visit.emit({ type: "TaskFailed", ...visit.at, resource, error: error.error, cause: error.causeText });
    }
    attempt.abort(new Cancelled("the attempt is over"));
    if (!ended) await withGrace(end, execution.clock);
    throw error;
  } finally {
    attempt.abort(new Cancelled("the attempt is over"));
  }
}

/** Calls the handler with a copy of the arguments; its result travels as JSON, as over a wire. */
async function invoke(handler: TaskHandler, args: Json, context: TaskContext): Promise<Json> {
  try {
    const result: Json | undefined = await handler(structuredClone(args), context);
    return result === undefined ? null : JSON.parse(JSON.stringify(result));
  } catch (error) {
    if (error instanceof TaskError) throw new StateError(error.error, error.message, { cause: error });
    const cause = error instanceof Error ? error.message : String(error);
    throw new StateError(errorNames.taskFailed, cause, { cause: error });
  }
}

/** Rejects with the signal's reason once it aborts. */
function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Waits until the handler has ended, or its grace is over. */
async function withGrace(end: Promise<void>, clock: Clock): Promise<void> {
  const over = new AbortController();
  const grace = clock.sleep(stopGraceSeconds * 1000, over.signal).catch(() => {}); // cut short once it has ended
  await Promise.race([end, grace]);
  over.abort();
}
