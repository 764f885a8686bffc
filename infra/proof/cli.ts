// npm run least-privilege — prints the table and writes docs/least-privilege.md
import { writeFileSync } from "node:fs";
import path from "node:path";
import { stackGraph } from "../graph/stack-graph.ts";
import { root } from "../package/artifacts.ts";
import { Stack } from "./calls.ts";
import { counts, documentOf, recordedCalls, tableOf } from "./table.ts";

const stack = new Stack(await stackGraph("prod"));
const rows = tableOf(stack, await recordedCalls(stack));
writeFileSync(path.join(root, "docs/least-privilege.md"), documentOf(rows));
const { parts, exercised, byServices, byDeployment, open } = counts(rows);
process.stdout.write(
  `${parts} parts: ${exercised} exercised, ${byServices} by services, ${byDeployment} for deployment, ${open} nobody's\n`,
);
for (const { part, exercised: calls, reason } of rows) {
  if (calls > 0 || reason) continue;
  const { role, sid, action, resource, picked = "" } = part;
  process.stdout.write(`nobody's: ${role} ${sid} ${action} ${resource} ${picked}\n`);
}
process.exitCode = open > 0 ? 1 : 0;
