import { isRecord } from "./reader.ts";
import { type Resource, unknown } from "./rule.ts";
import type { Account } from "./stack.ts";

/**
 * What the engine writes in place of a value that is not known during a preview, one text a type of value (the
 * protocol's constants; `@pulumi/policy` keeps them in its internal module `proxy`).
 */
const sentinels: ReadonlySet<unknown> = new Set([
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);

/** A value of the engine or a graph, with `unknown` in place of what is not known. */
export function plainValue(value: unknown): unknown {
  if (sentinels.has(value)) return unknown;
  if (Array.isArray(value)) return value.map(plainValue);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.keys(value).map((key) => [key, plainValue(value[key])]));
}

/**
 * The type as the rules know it. S3's resources were called `BucketV2` and the like for some years, with the same
 * inputs; a program may still make them so.
 */
export const currentType = (type: string): string =>
  /^aws:s3\/\w+V2:\w+V2$/.test(type) ? type.replace(/V2(?=:|$)/g, "") : type;

/** A graph is not one that `npm run graph -- --json` prints. */
export class GraphError extends Error {
  override readonly name = "GraphError";
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((each) => typeof each === "string");

function resourceOf(value: unknown, index: number): Resource {
  const where = `resources[${index}]`;
  if (!isRecord(value)) throw new GraphError(`${where} is no object`);
  const { urn, type, name, parent, inputs, dependencies = [], propertyDependencies = {}, protect } = value;
  if (typeof urn !== "string" || typeof type !== "string" || typeof name !== "string") {
    throw new GraphError(`${where} has no urn, type or name`);
  }
  if (!isRecord(inputs)) throw new GraphError(`${where}.inputs (${name}) is no object`);
  if (!isTexts(dependencies)) throw new GraphError(`${where}.dependencies (${name}) is no list of URNs`);
  if (!isRecord(propertyDependencies) || !Object.values(propertyDependencies).every(isTexts)) {
    throw new GraphError(`${where}.propertyDependencies (${name}) has no lists of URNs`);
  }
  return {
    urn,
    type: currentType(type),
    name,
    parent: typeof parent === "string" ? parent : undefined,
    inputs: plainValue(inputs) as Resource["inputs"],
    dependencies,
    propertyDependencies: propertyDependencies as Resource["propertyDependencies"],
    protect: protect === true,
  };
}

/** A stack as the offline graph has it. */
export interface LoadedGraph {
  readonly stack: string;
  readonly resources: readonly Resource[];
  readonly account: Account;
}

/** @throws GraphError that says what is no part of a graph, and where */
export function readGraph(graph: unknown): LoadedGraph {
  if (!isRecord(graph) || !Array.isArray(graph.resources)) {
    throw new GraphError(
      "the graph has no list of resources; npm run graph -- --stack <name> --json prints one",
    );
  }
  const place = isRecord(graph.place) ? graph.place : {};
  const { partition = "aws", accountId, region } = place;
  return {
    stack: String(graph.stack),
    resources: graph.resources.map(resourceOf),
    account: {
      partition: String(partition),
      accountId: typeof accountId === "string" ? accountId : undefined,
      region: typeof region === "string" ? region : undefined,
    },
  };
}

/** The account and region that the stack's AWS provider is bound to, as far as it says. */
export function accountOf(resources: readonly Resource[]): Account {
  const provider = resources.find(({ type }) => type === "pulumi:providers:aws");
  const { region, allowedAccountIds } = provider?.inputs ?? {};
  // The engine keeps a provider's structured settings as JSON.
  const accounts: unknown =
    typeof allowedAccountIds === "string" && allowedAccountIds.startsWith("[")
      ? JSON.parse(allowedAccountIds)
      : allowedAccountIds;
  return {
    partition: typeof region === "string" && region.startsWith("cn-") ? "aws-cn" : "aws",
    accountId: isTexts(accounts) && accounts.length === 1 ? accounts[0] : undefined,
    region: typeof region === "string" ? region : undefined,
  };
}
