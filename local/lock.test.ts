import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { takeLock } from "./lock.mjs";

describe("takeLock", () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "lock-"));
    file = path.join(folder, "lock");
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it("takes a lock that nobody has, and leaves nothing else behind", () => {
    expect(takeLock(file)).to.equal(undefined);
    expect(readFileSync(file, "utf8")).to.equal(String(process.pid));
    expect(readdirSync(folder)).to.deep.equal(["lock"]);
  });

  it("says who has it while that process lives, and takes it over afterwards", async () => {
    const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    writeFileSync(file, String(other.pid));
    expect(takeLock(file)).to.equal(other.pid);
    expect(readFileSync(file, "utf8")).to.equal(String(other.pid));
    other.kill();
    await once(other, "exit");
    expect(takeLock(file)).to.equal(undefined);
  });

  it("takes over one with its own id, and one that names no process", () => {
    for (const left of [String(process.pid), "", "nobody"]) {
      writeFileSync(file, left);
      expect(takeLock(file), left).to.equal(undefined);
      expect(readFileSync(file, "utf8")).to.equal(String(process.pid));
    }
  });

  it("is taken by one of many at a time", async () => {
    const script = `
      import { appendFileSync, rmSync } from "node:fs";
      import { takeLock } from ${JSON.stringify(path.join(import.meta.dirname, "lock.mjs"))};
      const [file, log] = process.argv.slice(1);
      for (let turn = 0; turn < 20; turn += 1) {
        while (takeLock(file) !== undefined) await new Promise((resolve) => setTimeout(resolve, 1));
        appendFileSync(log, "in ");
        await new Promise((resolve) => setTimeout(resolve, 1));
        appendFileSync(log, "out ");
        rmSync(file);
      }`;
    const log = path.join(folder, "log");
    const run = () =>
      once(
        spawn(process.execPath, ["--input-type=module", "-e", script, file, log], { stdio: "inherit" }),
        "exit",
      );
    const codes = await Promise.all([run(), run(), run()]);
    expect(codes.map(([code]) => code)).to.deep.equal([0, 0, 0]);
    expect(readFileSync(log, "utf8")).to.equal("in out ".repeat(60));
    expect(existsSync(file)).to.equal(false);
  });
});
