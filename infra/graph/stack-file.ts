import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { isCollection, LineCounter, parseDocument, visit } from "yaml";
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
 * @throws RunError when there is no such stack, naming those that are there, or when the CLI would not read its file so
 */
export function readStackFile(stack: string): Record<string, string> {
  const file = path.join(root, `Pulumi.${stack}.yaml`);
  if (!existsSync(file)) {
    throw new pulumi.RunError(`there is no Pulumi.${stack}.yaml; the stacks are ${stackNames().join(", ")}`);
  }
  const { config = {} } = parseAsCli(path.basename(file), readFileSync(file, "utf8")) as {
    config?: Record<string, unknown>;
  };
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      key,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
}

/**
 * Parses YAML that Pulumi's own reader (go-yaml) reads the same way. It knows YAML 1.1 in part: unquoted, a time is no
 * text to it, and inside `{…}` and `[…]` a text ends at `?`.
 *
 * @param name of the file, for messages
 * @throws RunError that names each line where the two differ, or where the text is no YAML
 */
export function parseAsCli(name: string, text: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, customTags: ["timestamp"] });
  const problems = document.errors.map(({ message }) => message);
  visit(document, {
    Scalar(_, node, path) {
      if (node.type !== "PLAIN" || !node.source) return;
      const flow = path.some((parent) => isCollection(parent) && parent.flow);
      if (!(node.value instanceof Date) && !(flow && node.source.includes("?"))) return;
      problems.push(`line ${lines.linePos(node.range?.[0] ?? 0).line}: put '${node.source}' in quotes`);
    },
  });
  if (problems.length > 0) {
    throw new pulumi.RunError(
      `${name}: the Pulumi CLI cannot read it as it is meant:\n  ${problems.join("\n  ")}`,
    );
  }
  return document.toJS();
}
