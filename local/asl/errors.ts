/** The failures that an execution can meet, and the rules by which Retry and Catch recognise them. */

/** Error names that the interpreter itself raises. */
export const errorNames = {
  all: "States.ALL",
  dataLimitExceeded: "States.DataLimitExceeded",
  heartbeatTimeout: "States.HeartbeatTimeout",
  noChoiceMatched: "States.NoChoiceMatched",
  queryEvaluationError: "States.QueryEvaluationError",
  runtime: "States.Runtime",
  taskFailed: "States.TaskFailed",
  timeout: "States.Timeout",
} as const;

/** Thrown by a task handler: the task failed with an error name that Retry and Catch can look for. */
export class TaskError extends Error {
  override readonly name = "TaskError";
  readonly error: string;

  /** @param error error name, for example "Lambda.TooManyRequestsException"; @param cause what happened, for a person */
  constructor(error: string, cause: string) {
    super(cause);
    this.error = error;
  }
}

/** A state failed: what Retry and Catch see as `{Error, Cause}`. */
export class StateError extends Error {
  override readonly name = "StateError";
  readonly error: string;
  readonly causeText: string;

  constructor(error: string, causeText: string, options?: ErrorOptions) {
    super(`${error}: ${causeText}`, options);
    this.error = error;
    this.causeText = causeText;
  }

  get output(): { Error: string; Cause: string } {
    return { Error: this.error, Cause: this.causeText };
  }
}

/** The definition, or the input, cannot be executed; thrown before the execution starts. */
export class InvalidDefinitionError extends Error {
  override readonly name = "InvalidDefinitionError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The state machine cannot be executed:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`);
    this.problems = problems;
  }
}

/** The execution was ended from outside through its AbortSignal (Ctrl-C); no Catch has run. */
export class ExecutionAborted extends Error {
  override readonly name = "ExecutionAborted";

  constructor(reason: unknown) {
    super(`The execution was aborted${reason instanceof Error ? `: ${reason.message}` : ""}`, {
      cause: reason,
    });
  }
}

/** Ends what still runs beside a branch or an iteration that failed; never leaves the interpreter. */
export class Cancelled extends Error {
  override readonly name = "Cancelled";
}

/** The machine's own TimeoutSeconds passed; no Catch runs. */
export class ExecutionTimedOut extends Error {
  override readonly name = "ExecutionTimedOut";
}

/** Errors that the wildcards do not match. A Runtime error is final even when it is named. */
const beyondWildcards: readonly string[] = [errorNames.dataLimitExceeded, errorNames.runtime];

/**
 * Whether a Retrier or Catcher handles an error. States.ALL matches every error but DataLimitExceeded and
 * Runtime; States.TaskFailed the same except a timeout; States.Timeout also a missed heartbeat.
 */
export function errorMatches(errorEquals: readonly string[], error: string): boolean {
  if (error === errorNames.runtime) return false;
  const isTimeout = error === errorNames.timeout || error === errorNames.heartbeatTimeout;
  return errorEquals.some((name) => {
    if (name === error) return true;
    if (name === errorNames.all) return !beyondWildcards.includes(error);
    if (name === errorNames.taskFailed) return !isTimeout && !beyondWildcards.includes(error);
    return name === errorNames.timeout && isTimeout;
  });
}
