import { nestedGraphs, type StateGraph } from "../asl.ts";
import { renderDefinition } from "../definition.ts";
import { names } from "./stubs.ts";

/** The names of all states of the definition, nested ones included. */
export function allStateNames(graph: StateGraph = renderDefinition(names)): string[] {
  return Object.entries(graph.States).flatMap(([name, state]) => [
    name,
    ...nestedGraphs(state).flatMap(allStateNames),
  ]);
}
