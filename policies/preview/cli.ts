// tsx policies/preview/cli.ts STACK FILE — the comment for what `pulumi preview --stack STACK --json` wrote to FILE
import { readFileSync } from "node:fs";
import { PreviewError, summaryOf } from "./summary.ts";

const [stack, file] = process.argv.slice(2);
if (stack === undefined || file === undefined) {
  process.stderr.write("usage: tsx policies/preview/cli.ts STACK FILE\n");
  process.exit(2);
}
try {
  process.stdout.write(summaryOf(stack, readFileSync(file, "utf8")));
} catch (error) {
  if (!(error instanceof PreviewError)) throw error;
  // The comment must say that nothing is known: silence would read as "no changes".
  process.stdout.write(`### Preview of ${stack}\n\n**The preview could not be read.** ${error.message}\n`);
  process.exit(1);
}
