// Runs both test suites, shows their output as it comes, and closes with one line that counts all tests.
import { spawn } from "node:child_process";
import { stripVTControlCharacters } from "node:util";

const slow = process.argv.includes("--slow");

/** Runs one suite to its end; `count` reads passed, failed and skipped from its closing lines. */
function suite(name, command, args, count) {
  return new Promise((resolve) => {
    console.log(`\n== ${name}`);
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
      process.stdout.write(chunk);
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
const results = [
  await suite(
    "TypeScript (mocha)",
    "mocha",
    slow ? ["--grep", "@slow"] : ["--grep", "@slow", "--invert"],
    mocha,
  ),
  await suite("Python (pytest)", "pytest", ["-m", marker], pytest),
];
const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
if (total("skipped") > 0) console.log(`\n!! ${total("skipped")} tests were skipped: see above for why`);
console.log(`\n${total("passed")} passed, ${total("failed")} failed`);
process.exit(total("failed") === 0 ? 0 : 1);
