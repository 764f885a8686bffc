// npm run least-privilege:record — runs the jobs here and writes what they did to files into recorded-jobs.json
import { writeFileSync } from "node:fs";
import { recordingFile } from "../jobs.ts";
import { record } from "./record.ts";

writeFileSync(recordingFile, `${JSON.stringify(await record(), null, 1)}\n`);
process.stdout.write(`${recordingFile}\n`);
