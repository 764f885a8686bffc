/** Checks of an expression before anything runs: it parses, and every name in it exists. */
import jsonata from "jsonata";

import { expressionText } from "./expression.ts";
import { functionNames } from "./functions.ts";

/** The members of `$states` that a field can see. */
export type StatesMember = "input" | "context" | "result" | "errorOutput";

/** A parsed expression is a tree of nodes; its own typings leave out half of them. */
interface Node {
  type?: unknown;
  value?: unknown;
  [key: string]: unknown;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && !(value instanceof RegExp);
}

/**
 * What is wrong with an expression `{% … %}`.
 * @param variables the workflow variables that may be read where it stands
 * @param members the members of `$states` that exist where it stands
 */
export function expressionProblems(
  template: string,
  variables: ReadonlySet<string>,
  members: readonly StatesMember[],
): string[] {
  const text = expressionText(template);
  let tree: unknown;
  try {
    tree = jsonata(text).ast();
  } catch (error) {
    const message = isNode(error) ? String(error.message) : String(error);
    return [`'${text}' is not JSONata: ${message}`];
  }
  const problems: string[] = [];
  const bound = new Set<string>();
  const read = new Set<string>();
  visit(tree, (node) => collectNames(node, bound, read));
  for (const name of read) {
    if (name === "eval") problems.push(`'${text}': $eval is disabled; $parse reads JSON`);
    else if (!bound.has(name) && name !== "states" && !functionNames.has(name) && !variables.has(name)) {
      problems.push(`'${text}': $${name} is neither a function nor assigned by a state that can run before`);
    }
  }
  visit(tree, (node) => {
    const member = statesMember(node);
    if (member !== undefined && !members.some((known) => known === member)) {
      problems.push(`'${text}': there is no $states.${member} here, only ${members.join(", ")}`);
    }
  });
  for (const name of namesWithoutContext(tree)) {
    problems.push(`'${text}': '${name}' has no context here, start from $states or a variable`);
  }
  return problems;
}

function visit(node: unknown, see: (node: Node) => void): void {
  if (Array.isArray(node)) {
    for (const item of node) visit(item, see);
  } else if (isNode(node)) {
    see(node);
    for (const value of Object.values(node)) visit(value, see);
  }
}

function collectNames(node: Node, bound: Set<string>, read: Set<string>): void {
  const nameOf = (value: unknown) => (isNode(value) ? String(value.value) : String(value));
  if (node.type === "bind") bound.add(nameOf(node.lhs));
  if (node.type === "lambda" && Array.isArray(node.arguments))
    for (const item of node.arguments) bound.add(nameOf(item));
  if (node.type === "index") bound.add(nameOf(node.value));
  for (const name of [node.focus, node.index]) if (typeof name === "string") bound.add(name);
  if (node.type === "variable" && node.value !== "" && node.value !== "$") read.add(nameOf(node.value));
}

function statesMember(node: Node): string | undefined {
  if (node.type !== "path" || !Array.isArray(node.steps)) return undefined;
  const [first, second]: unknown[] = node.steps;
  if (!isNode(first) || first.type !== "variable" || first.value !== "states") return undefined;
  return isNode(second) && second.type === "name" ? String(second.value) : undefined;
}

/** Parts of a node that see another context than the node itself: items of a path, matches of a transform. */
const otherContext = new Set(["predicate", "stages", "group", "update", "pattern", "delete", "terms"]);

/** Names, `$` and `$$` that stand where no value is the context. */
function namesWithoutContext(node: unknown): string[] {
  if (Array.isArray(node)) return node.flatMap(namesWithoutContext);
  if (!isNode(node)) return [];
  if (node.type === "name") return [String(node.value)];
  if (node.type === "variable" && (node.value === "" || node.value === "$"))
    return [`$${String(node.value)}`];
  if (node.type === "wildcard" || node.type === "descendant" || node.type === "parent")
    return [String(node.value)];
  if (node.type === "path" && Array.isArray(node.steps)) return namesWithoutContext(node.steps[0]);
  return Object.entries(node).flatMap(([key, value]) =>
    otherContext.has(key) ? [] : namesWithoutContext(value),
  );
}
