// npm run graph -- --stack NAME [--json] [--set key=value …] [--against FILE]
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import { project } from "../program.ts";
import { toDiagram } from "./diagram.ts";
import type { Graph } from "./offline.ts";
import { diffText, toJson, toText } from "./print.ts";
import { stackNames } from "./stack-file.ts";
import { stackGraph } from "./stack-graph.ts";

const usage = `usage: npm run graph -- --stack NAME [options]

Runs the program of a stack offline, every value known, and prints its resources.

  --stack NAME        ${stackNames().join(" or ")}
  --json              the whole graph as JSON
  --diagram           the parts as a Mermaid flowchart
  --set KEY=VALUE     a configuration value in place of the stack file's, structures as JSON; repeatable
  --against FILE      what differs from a graph that --json wrote
`;

class UsageError extends Error {}

function overridesOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw new UsageError(`--set ${pair}: expected KEY=VALUE`);
      const key = pair.slice(0, at);
      return [key.includes(":") ? key : `${project}:${key}`, pair.slice(at + 1)];
    }),
  );
}

async function main(): Promise<string> {
  const { values } = parseArgs({
    options: {
      stack: { type: "string" },
      json: { type: "boolean", default: false },
      diagram: { type: "boolean", default: false },
      set: { type: "string", multiple: true, default: [] },
      against: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return usage;
  if (values.stack === undefined) throw new UsageError("--stack is missing");
  const graph = await stackGraph(values.stack, overridesOf(values.set));
  if (values.against !== undefined) {
    return diffText(JSON.parse(readFileSync(values.against, "utf8")) as Graph, graph);
  }
  if (values.diagram) return toDiagram(graph);
  return values.json ? toJson(graph) : toText(graph);
}

/** An Output whose apply fails rejects on its own; without this its error would be lost behind a later one. */
process.on("unhandledRejection", (error) => fail(error));

function fail(error: unknown): never {
  const message = error instanceof Error ? error.message : String(error);
  const known = pulumi.RunError.isInstance(error) || error instanceof UsageError;
  process.stderr.write(`graph: ${known || !(error instanceof Error) ? message : (error.stack ?? message)}\n`);
  if (error instanceof UsageError) process.stderr.write(`\n${usage}`);
  process.exit(1);
}

main().then((text) => process.stdout.write(text), fail);
