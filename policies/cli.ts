import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { PolicyConfigError, readConfig } from "./config.ts";
import { printReport, report } from "./report.ts";
import { GraphError, readGraph } from "./resources.ts";
import { toSarif } from "./sarif.ts";
import { StackView } from "./stack.ts";

const usage = `npm run policy -- --stack <name> [options]

Judges a stack by the policy pack: offline, without an account. Exits with 1 when a mandatory finding is left.

  --stack <name>     stack whose file Pulumi.<name>.yaml is run, and whose policies/config/<name>.json holds
  --graph <file>     a graph that npm run graph -- --json printed, instead of a run
  --config <file>    another configuration
  --sarif <file>     writes the findings for code scanning
  --json             prints {rules, findings, waivers, unjudged}
`;

class UsageError extends Error {}

const here = import.meta.dirname;

function readJson(file: string): unknown {
  if (!existsSync(file)) throw new UsageError(`${file} does not exist`);
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new UsageError(`${file} is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function options() {
  try {
    return parseArgs({
      options: {
        stack: { type: "string" },
        graph: { type: "string" },
        config: { type: "string" },
        sarif: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** The graph of a file, or of a run of the program. */
async function graphOf(stack: string, file: string | undefined): Promise<unknown> {
  if (file !== undefined) return readJson(file);
  const { bundleAhead } = await import("../infra/package/artifacts.ts");
  const [{ stackGraph }] = await Promise.all([import("../infra/graph/stack-graph.ts"), bundleAhead()]);
  return stackGraph(stack);
}

async function main(): Promise<void> {
  const { stack, graph: file, config, sarif, json, help } = options();
  if (help) {
    process.stdout.write(usage);
    return;
  }
  if (stack === undefined) throw new UsageError("--stack is missing");
  const configFile = config ?? path.join(here, "config", `${stack}.json`);
  const [{ rules }, graph] = await Promise.all([import("./rules.ts"), graphOf(stack, file)]);
  const { resources, account } = readGraph(graph);
  const settings = readConfig(readJson(configFile), rules, {
    where: path.relative(process.cwd(), configFile),
    today: new Date().toISOString().slice(0, 10),
  });
  const result = report(rules, new StackView(resources, account), settings);
  if (sarif !== undefined) {
    const { version } = readJson(path.join(here, "package.json")) as { version: string };
    const text = JSON.stringify(toSarif(result, rules, { file: "infra/index.ts", version }), null, 2);
    writeFileSync(sarif, `${text}\n`);
  }
  process.stdout.write(json ? `${JSON.stringify(result, null, 2)}\n` : printReport(result));
  if (result.failed) process.exitCode = 1;
}

/** Whether the message says all that its reader needs. Pulumi's errors carry a mark of their own. */
const isPlain = (error: Error): boolean =>
  error instanceof UsageError ||
  error instanceof PolicyConfigError ||
  error instanceof GraphError ||
  Reflect.get(error, "__pulumiRunError") === true;

main().catch((error: unknown) => {
  const text =
    error instanceof Error
      ? isPlain(error)
        ? error.message
        : (error.stack ?? error.message)
      : String(error);
  process.stderr.write(`policy: ${text}\n${error instanceof UsageError ? `\n${usage}` : ""}`);
  process.exitCode = 2;
});
