// tsx policies/preview/cli.ts STACK FILE [OUTCOME] — the comment for what `pulumi preview --stack STACK --json` wrote to
// FILE; OUTCOME is how the command ended: "success" or anything else.
import { readFileSync } from "node:fs";
import { PreviewError } from "./read.ts";
import { summaryOf } from "./summary.ts";

const [stack, file, outcome = "success"] = process.argv.slice(2);
if (stack === undefined || file === undefined) {
  process.stderr.write("usage: tsx policies/preview/cli.ts STACK FILE [OUTCOME]\n");
  process.exit(2);
}
try {
  process.stdout.write(summaryOf(stack, readFileSync(file, "utf8"), outcome === "success"));
} catch (error) {
  const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
  if (!(error instanceof PreviewError) && !isMissing) throw error;
  // The comment must say that nothing is known: silence would read as "no changes".
  process.stdout.write(
    `### Preview of ${stack}\n\n**The preview failed and could not be read.** ${error.message}\n`,
  );
  process.exit(1);
}
