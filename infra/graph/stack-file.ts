import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { root } from "../package/artifacts.ts";

/** The stacks that have a file. */
export function stackNames(): string[] {
  return readdirSync(root)
    .flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? [])
    .toSorted();
}

/**
 * A stack's configuration as the CLI hands it to the program: by full key, structures as JSON.
 *
 * @throws RunError when there is no such stack, naming those that are there
 */
export function readStackFile(stack: string): Record<string, string> {
  const file = path.join(root, `Pulumi.${stack}.yaml`);
  if (!existsSync(file)) {
    throw new pulumi.RunError(`there is no Pulumi.${stack}.yaml; the stacks are ${stackNames().join(", ")}`);
  }
  const { config = {} } = parse(readFileSync(file, "utf8")) as { config?: Record<string, unknown> };
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      key,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
}
