// Runs both test suites at once, for each leaves a core idle half of its time, and closes with one line that counts all
// tests. The first one's output is shown as it comes, the other's when the first has ended.
import { spawn } from "node:child_process";
import { stripVTControlCharacters } from "node:util";

const slow = process.argv.includes("--slow");

/**
 * Runs one suite to its end; `count` reads passed, failed and skipped from its closing lines.
 * @param turn when its output may be shown; until then it is kept
 */
function suite(name, command, args, count, turn = Promise.resolve()) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let kept = `\n== ${name}\n`;
    let show = (text) => {
      kept += text;
    };
    turn.then(() => {
      process.stdout.write(kept);
      show = (text) => process.stdout.write(text);
    });
    child.stderr.on("data", (chunk) => show(chunk));
    child.stdout.on("data", (chunk) => {
      output += chunk;
      show(chunk);
    });
    child.on("error", (error) => resolve({ name, passed: 0, failed: 1, skipped: 0, why: error.message }));
    child.on("close", (code) => {
      const counts = count(stripVTControlCharacters(output));
      // A runner that dies before it counts, or fails without a failed test, must not look green.
      if (code !== 0 && counts.failed === 0) counts.failed = 1;
      if (code === 0 && counts.passed === 0) counts.failed += 1;
      resolve({ name, ...counts });
    });
  });
}

const number = (output, pattern) => Number(output.match(pattern)?.[1] ?? 0);
const mocha = (output) => ({
  passed: number(output, /(\d+) passing/),
  failed: number(output, /(\d+) failing/),
  skipped: number(output, /(\d+) pending/),
});
const pytest = (output) => {
  const closing = output.trim().split("\n").at(-1) ?? "";
  return {
    passed: number(closing, /(\d+) passed/),
    failed: number(closing, /(\d+) failed/) + number(closing, /(\d+) error/),
    skipped: number(closing, /(\d+) skipped/),
  };
};

const marker = slow ? "slow" : "not slow";
const folders = "{contracts,functions,infra,local,policies,warehouse,workflow}/**/*.test.ts";
const typescript = suite(
  "TypeScript (mocha)",
  "mocha",
  [folders, "--grep", "@slow", ...(slow ? [] : ["--invert"])],
  mocha,
);
const python = suite("Python (pytest)", "pytest", ["-m", marker], pytest, typescript);
const results = await Promise.all([typescript, python]);
const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
if (total("skipped") > 0) console.log(`\n!! ${total("skipped")} tests were skipped: see above for why`);
console.log(`\n${total("passed")} passed, ${total("failed")} failed`);
process.exit(total("failed") === 0 ? 0 : 1);
