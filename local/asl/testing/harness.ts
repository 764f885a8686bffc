import type { Json, State, StateMachineDefinition } from "../../../workflow/asl.ts";
import { TaskError } from "../errors.ts";
import type { ExecutionEvent } from "../events.ts";
import { type ExecutionResult, type RunOptions, runStateMachine } from "../run.ts";
import type { TaskHandler } from "../tasks.ts";
import { type Probe, probeError } from "./cases.ts";
import { VirtualClock } from "./virtualClock.ts";

export interface Ran {
  result: ExecutionResult;
  events: ExecutionEvent[];
  clock: VirtualClock;
}

/** Executes a machine in no time. */
export async function execute(
  definition: StateMachineDefinition,
  input: Json,
  options: Partial<RunOptions> & { clock?: VirtualClock } = {},
): Promise<Ran> {
  const events: ExecutionEvent[] = [];
  const clock = options.clock ?? new VirtualClock();
  const result = await runStateMachine(definition, input, {
    tasks: { "arn:aws:states:::lambda:invoke": probe(clock) },
    onEvent: (event) => events.push(event),
    ...options,
    clock,
  });
  return { result, events, clock };
}

/** A machine of the given states, the first of which is the start. */
export function machine(states: Record<string, State>): StateMachineDefinition {
  return { QueryLanguage: "JSONata", StartAt: Object.keys(states)[0] ?? "", States: states };
}

/** The Lambda integration with the one function `probe`. */
export function probe(clock: VirtualClock): TaskHandler {
  return async (args, { signal }) => {
    const call: { Payload: Probe } = JSON.parse(JSON.stringify(args));
    const { sleepSeconds = 0, failUntil = 0, attempt = 0, returns = null } = call.Payload;
    if (sleepSeconds > 0) await clock.sleep(sleepSeconds * 1000, signal);
    if (attempt < failUntil) throw new TaskError(probeError, "probe");
    return { StatusCode: 200, Payload: returns };
  };
}
