import { deploy, project } from "../program.ts";
import type { Place } from "../lib/place.ts";
import { type Graph, type RecordOptions, recordGraph } from "./offline.ts";
import { readStackFile } from "./stack-file.ts";

/** The partition that a region belongs to. */
function partitionOf(region: string): string {
  if (region.startsWith("cn-")) return "aws-cn";
  return region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}

/** Where a stack would be deployed: its region, and the first account that it allows. */
export function placeOf(config: Readonly<Record<string, string>>): Place {
  const region = config["aws:region"] ?? "us-east-1";
  const accounts: unknown = JSON.parse(config[`${project}:allowedAccountIds`] ?? "[]");
  const first: unknown = Array.isArray(accounts) ? accounts[0] : undefined;
  return {
    partition: partitionOf(region),
    accountId: typeof first === "string" ? first : "000000000000",
    region,
  };
}

/**
 * The graph of a stack with every value known.
 *
 * @param overrides configuration that replaces the stack file's, by full key; an empty text removes a key
 */
export function stackGraph(
  stack: string,
  overrides: Readonly<Record<string, string>> = {},
  options: Partial<Pick<RecordOptions, "place" | "onRegister">> = {},
): Promise<Graph> {
  const config = Object.fromEntries(
    Object.entries({ ...readStackFile(stack), ...overrides }).filter(([, value]) => value !== ""),
  );
  return recordGraph(() => deploy({ offline: true }), {
    project,
    stack,
    place: placeOf(config),
    config,
    ...options,
  });
}
