/** npm run redrive -- --function <name>-redrive [--prefix <prefix>] | --out <folder of a local run> */
import { parseArgs } from "node:util";
import { formatReport, type RedriveReport } from "./redrive.ts";

const { values } = parseArgs({
  options: { function: { type: "string" }, prefix: { type: "string" }, out: { type: "string" } },
});

/** Each place loads what it needs alone. */
async function run(): Promise<RedriveReport | undefined> {
  const { function: deployed, prefix, out } = values;
  if (out !== undefined && deployed === undefined) {
    return (await import("../../local/redrive.ts")).redriveLocal(out);
  }
  if (deployed === undefined || out !== undefined) return undefined;
  return (await import("./invoke.ts")).invokeDeployed(deployed, { ...(prefix !== undefined && { prefix }) });
}

try {
  const report = await run();
  if (report) {
    process.stdout.write(formatReport(report));
    process.exitCode = report.failed > 0 || report.objects.some(({ error }) => error !== undefined) ? 1 : 0;
  } else {
    process.stderr.write(
      "npm run redrive -- --function <name>-redrive [--prefix aws/lambda/<mapping>/]    on AWS, with the AWS CLI\n" +
        "npm run redrive -- --out .local    what failed in a run on this machine\n",
    );
    process.exitCode = 2;
  }
} catch (error) {
  process.stderr.write(`redrive failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
