/** npm run redrive -- --bucket <failure destination> [--prefix <prefix>] */
import { parseArgs } from "node:util";
import { handler } from "./handler.ts";
import { formatReport } from "./redrive.ts";

const { values } = parseArgs({ options: { bucket: { type: "string" }, prefix: { type: "string" } } });
if (values.bucket === undefined) {
  process.stderr.write(
    "npm run redrive -- --bucket <failure destination> [--prefix aws/lambda/<mapping>/]\n" +
      "The environment is that of the function api-logs: see functions/api-logs/README.md.\n",
  );
  process.exitCode = 2;
} else {
  try {
    const report = await handler({
      bucket: values.bucket,
      ...(values.prefix !== undefined && { prefix: values.prefix }),
    });
    process.stdout.write(formatReport(report));
    process.exitCode = report.failed > 0 || report.objects.some(({ error }) => error !== undefined) ? 1 : 0;
  } catch (error) {
    process.stderr.write(`redrive failed: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
