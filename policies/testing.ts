import { stackGraph } from "../infra/graph/stack-graph.ts";
import { readGraph } from "./resources.ts";
import type { Resource } from "./rule.ts";
import { type Account, StackView } from "./stack.ts";
import { extraResources } from "./testing/extra-resources.ts";

export interface Base {
  readonly resources: readonly Resource[];
  readonly account: Account;
}

let prod: Promise<Base> | undefined;

/** The prod stack, recorded once a test run. */
export function prodStack(): Promise<Base> {
  prod ??= stackGraph("prod").then((graph) => readGraph(JSON.parse(JSON.stringify(graph))));
  return prod;
}

/** The prod stack with compliant resources of the types that it does not have. */
export async function wholeStack(): Promise<Base> {
  const { resources, account } = await prodStack();
  return { resources: [...resources, ...extraResources(resources)], account };
}

export const viewOf = ({ resources, account }: Base): StackView => new StackView(resources, account);
