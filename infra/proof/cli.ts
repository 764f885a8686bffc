// npm run least-privilege — prints the table and writes docs/least-privilege.md
import { writeFileSync } from "node:fs";
import path from "node:path";
import { stackGraph } from "../graph/stack-graph.ts";
import { root } from "../package/artifacts.ts";
import { Stack } from "./calls.ts";
import { documentOf, recordedCalls, tableOf } from "./table.ts";

const stack = new Stack(await stackGraph("prod"));
const rows = tableOf(stack, await recordedCalls(stack));
for (const { role, action, exercised, reason } of rows) {
  const why = exercised > 0 ? "exercised" : reason ? `justified: ${reason.why}` : "NEITHER";
  process.stdout.write(`${role.padEnd(20)} ${action.padEnd(40)} ${why}\n`);
}
writeFileSync(path.join(root, "docs/least-privilege.md"), documentOf(rows));
process.exitCode = rows.some((row) => row.exercised === 0 && !row.reason) ? 1 : 0;
