// npm run least-privilege:record — runs the jobs here and writes what they did to files into recorded-jobs.json
import { writeFileSync } from "node:fs";
import path from "node:path";
import { record } from "./record.ts";

const file = path.join(import.meta.dirname, "../recorded-jobs.json");
writeFileSync(file, `${JSON.stringify(await record(), null, 1)}\n`);
process.stdout.write(`${file}\n`);
