import type { Json, State } from "../../workflow/asl.ts";

interface StateEvent {
  /** Name of the state. */
  state: string;
  /** Where the state runs: "" in the machine itself, else for example "Extract/0" or "Load/2". */
  scope: string;
}

interface Failure {
  error: string;
  cause: string;
}

/** What happens in an execution, in the order in which it happens. */
export type ExecutionEvent = { timestamp: number } & (
  | { type: "ExecutionStarted"; executionId: string; input: Json }
  | { type: "ExecutionSucceeded"; output: Json }
  | ({ type: "ExecutionFailed" | "ExecutionTimedOut" } & Failure)
  | { type: "ExecutionAborted"; cause: string }
  | ({ type: "StateEntered"; stateType: State["Type"]; input: Json } & StateEvent)
  | ({ type: "StateExited"; output: Json; next: string | undefined } & StateEvent)
  | ({ type: "TaskScheduled"; resource: string; arguments: Json; retryCount: number } & StateEvent)
  | ({ type: "TaskSucceeded"; resource: string; result: Json } & StateEvent)
  | ({ type: "TaskFailed"; resource: string } & Failure & StateEvent)
  | ({ type: "TaskRetried"; retryCount: number; delaySeconds: number } & Failure & StateEvent)
  | ({ type: "StateFailed" } & Failure & StateEvent)
  | ({ type: "StateCaught"; next: string } & Failure & StateEvent)
  | ({ type: "BranchStarted" | "BranchSucceeded" | "BranchFailed"; index: number } & StateEvent)
  | ({ type: "IterationStarted" | "IterationSucceeded" | "IterationFailed"; index: number } & StateEvent)
);

type WithoutTime<E> = E extends unknown ? Omit<E, "timestamp"> : never;

/** An event as the interpreter reports it; the clock adds the time. */
export type UntimedEvent = WithoutTime<ExecutionEvent>;
