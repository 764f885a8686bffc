/** What a state machine's definition says, state by state. */
import { isRecord } from "../reader.ts";
import { type Check, type Defect, notApplicable } from "../rule.ts";

export type State = Readonly<Record<string, unknown>>;

interface NamedState {
  /** Names of the states around it, and its own: `Load/SubmitLoad`. */
  readonly name: string;
  readonly state: State;
}

/** Every state, those in branches and maps included. */
function statesOf(states: unknown, within = ""): readonly NamedState[] {
  if (!isRecord(states)) return [];
  return Object.entries(states).flatMap(([key, state]) => {
    if (!isRecord(state)) return [];
    const name = `${within}${key}`;
    const processor = isRecord(state.ItemProcessor) ? state.ItemProcessor : state.Iterator;
    const branches: unknown[] = Array.isArray(state.Branches) ? state.Branches : [];
    const inner = [processor, ...branches].flatMap((each) =>
      isRecord(each) ? statesOf(each.States, `${name}/`) : [],
    );
    return [{ name, state }, ...inner];
  });
}

/** Asks every state of a machine that is meant; a machine without one is none of the rule's business. */
export const everyState =
  (isMeant: (state: State) => boolean, ask: (state: State) => string | undefined): Check =>
  (machine) => {
    const definition = machine.json("definition");
    if (!isRecord(definition) || !isRecord(definition.States)) return "definition has no States";
    const meant = statesOf(definition.States).filter(({ state }) => isMeant(state));
    if (meant.length === 0) return notApplicable;
    return meant.flatMap(({ name, state }): Defect[] => {
      const message = ask(state);
      return message === undefined ? [] : [{ detail: `State::${name}`, message: `${name} ${message}` }];
    });
  };

export const isTask = (state: State): boolean => state.Type === "Task";

/** Whether a Task calls this action through the AWS SDK or an integration of its own: `:startJobRun`. */
export const calls =
  (action: RegExp): ((state: State) => boolean) =>
  (state) =>
    isTask(state) && typeof state.Resource === "string" && action.test(state.Resource);

/** What a Task gives its action, in either language. */
export function argumentsOf(state: State): Readonly<Record<string, unknown>> {
  const given = state.Arguments ?? state.Parameters;
  return isRecord(given) ? given : {};
}

/** A value below an object by its keys; undefined where one is missing. */
export const valueAt = (value: unknown, ...keys: readonly string[]): unknown =>
  keys.reduce<unknown>((inner, key) => (isRecord(inner) ? inner[key] : undefined), value);
