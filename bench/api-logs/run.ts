/** Speed and memory of the API-log function: npm run bench:api-logs [-- 1 16 64 256] (megabytes of CSV) */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { writeCsv } from "./sample.ts";

const cases = [
  "csv-parse alone",
  "CSV to Parquet",
  "read and clean",
  "read, clean, enrich, protect",
  "the whole function",
  "hyparquet-writer",
  "DuckDB",
];
/** Holds the whole table in memory, which at 256 MB says nothing more than at 64. */
const inMemory = "hyparquet-writer";
const sizes = process.argv.slice(2).map(Number);
const result = z.object({
  records: z.number(),
  seconds: z.number(),
  cpuSeconds: z.number(),
  peakMegabytes: z.number(),
});

const folder = mkdtempSync(path.join(tmpdir(), "bench-"));
mkdirSync(path.join(folder, "in"));
mkdirSync(path.join(folder, "out"));
try {
  const lines = [
    "| MB | What | Records/s | MB/s | Times csv-parse alone | The same by CPU time | Peak MB |",
    "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
  ];
  for (const size of sizes.length > 0 ? sizes : [1, 16, 64, 256]) {
    const csv = path.join(folder, "in", `${size}.csv`);
    const written = await writeCsv(csv, size * 1_000_000, Date.now());
    const megabytes = statSync(csv).size / 1e6;
    let floor = { seconds: 0, cpuSeconds: 0 };
    for (const what of cases) {
      if (what === inMemory && size > 64) continue;
      const script = path.join(import.meta.dirname, "case.ts");
      const output = execFileSync("tsx", [script, what, csv, path.join(folder, "out")], { encoding: "utf8" });
      const { records, seconds, cpuSeconds, peakMegabytes } = result.parse(JSON.parse(output));
      if (records !== written) throw new Error(`${what}: ${records} records of ${written}`);
      if (what === cases[0]) floor = { seconds, cpuSeconds };
      const cells = [
        size,
        what,
        Math.round(records / seconds).toLocaleString("en"),
        (megabytes / seconds).toFixed(1),
        (seconds / floor.seconds).toFixed(2),
        (cpuSeconds / floor.cpuSeconds).toFixed(2),
        Math.round(peakMegabytes),
      ];
      lines.push(`| ${cells.join(" | ")} |`);
      process.stderr.write(`${cells.join("  ")}\n`);
    }
    rmSync(csv);
  }
  process.stdout.write(`${lines.join("\n")}\n`);
} finally {
  rmSync(folder, { recursive: true });
}
