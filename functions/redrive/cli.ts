/** npm run redrive -- --bucket <failure destination> [--prefix <prefix>] | --out <folder of a local run> */
import { parseArgs } from "node:util";
import { formatReport, type RedriveReport } from "./redrive.ts";

const { values } = parseArgs({
  options: { bucket: { type: "string" }, prefix: { type: "string" }, out: { type: "string" } },
});

/** Each place loads what it needs alone. */
async function run(): Promise<RedriveReport | undefined> {
  const { bucket, prefix, out } = values;
  if (out !== undefined && bucket === undefined) {
    return (await import("../../local/redrive.ts")).redriveLocal(out);
  }
  if (bucket === undefined || out !== undefined) return undefined;
  return (await import("./handler.ts")).handler({ bucket, ...(prefix !== undefined && { prefix }) });
}

try {
  const report = await run();
  if (report) {
    process.stdout.write(formatReport(report));
    process.exitCode = report.failed > 0 || report.objects.some(({ error }) => error !== undefined) ? 1 : 0;
  } else {
    process.stderr.write(
      "npm run redrive -- --bucket <failure destination> [--prefix aws/lambda/<mapping>/]\n" +
        "The environment is that of the function api-logs: see functions/api-logs/README.md.\n" +
        "npm run redrive -- --out .local    what failed in a run on this machine\n",
    );
    process.exitCode = 2;
  }
} catch (error) {
  process.stderr.write(`redrive failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
