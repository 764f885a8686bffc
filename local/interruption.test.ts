/** Runs that are disturbed from outside: Ctrl-C, a kill, a second run, a full disk, a monstrous file. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { finished } from "node:stream/promises";
import { expect } from "chai";
import { contractsOf } from "./deployment.ts";
import { background, command, type Exit, Laptop, temporaryFolder, until } from "./testing/harness.ts";
import { buckets } from "./workspace.ts";

const example = path.resolve(import.meta.dirname, "../examples/superstore");
const contract = path.join(example, "superstore.yaml");
const fixture = path.join(example, "fixture.csv");

describe("a run that is disturbed @slow", function () {
  this.timeout(600_000);
  let folder: string;
  let out: string;
  let remove: () => Promise<void>;
  let more: string;
  /** Of the tables as the last run that succeeded left them. */
  let expected: Record<string, string>;

  /** The tables' hashes, read in a session of its own, which recovers nothing by itself. */
  async function digests(): Promise<Record<string, string>> {
    const laptop = await Laptop.open(out);
    try {
      return await laptop.digests(await contractsOf(contract));
    } finally {
      await laptop.close();
    }
  }

  const args = (input?: string): string[] => [
    "start",
    "--out",
    out,
    "--contract",
    contract,
    ...(input === undefined ? [] : ["--input", input]),
  ];

  /** Starts a run and waits until publishing has noted the snapshots to go back to: tables change from then on. */
  async function publishing(): Promise<ReturnType<typeof background>> {
    const runs = path.join(out, "lake", buckets.staging, "runs");
    const known = new Set(await readdir(runs));
    const run = background(args(more));
    await until(async () => {
      const fresh = (await readdir(runs)).filter((batch) => !known.has(batch));
      const files = await Promise.all(fresh.map((batch) => readdir(path.join(runs, batch))));
      if (run.child.exitCode !== null) throw new Error(`the run ended too early: ${run.output()}`);
      return files.flat().some((name) => name.startsWith("before-"));
    }, 300);
    return run;
  }

  function expectSuccess({ code, stdout, stderr }: Exit): void {
    expect(code, stdout + stderr).to.equal(0);
    expect(stdout).to.include("Run succeeded");
  }

  before(async () => {
    ({ folder, remove } = await temporaryFolder());
    out = path.join(folder, "out");
    more = path.join(folder, "more.csv");
    const [header = "", first = ""] = (await readFile(fixture, "utf8")).split("\r\n");
    const rows = Array.from({ length: 400 }, (_, index) => first.replace("100001", String(300_000 + index)));
    await writeFile(more, `${[header, ...rows].join("\r\n")}\r\n`);
    expectSuccess(command(...args(fixture)));
    expected = await digests();
  });
  after(() => remove?.());

  it("Ctrl-C in the middle of publishing: exit 130, a plain message, tables as they were", async () => {
    const run = await publishing();
    const since = Date.now();
    run.interrupt();
    const { code, stderr, stdout } = await run.exit;
    expect(code, stdout + stderr).to.equal(130);
    expect(stderr).to.include("The tables are as they were before the run");
    expect(Date.now() - since).to.be.lessThan(60_000);
    expect(await digests()).to.deep.equal(expected);
  });

  it("killed in the middle of publishing: the next run first takes back what it did, then succeeds", async () => {
    const run = await publishing();
    run.child.kill("SIGKILL");
    await run.exit;
    const next = command(...args(more));
    expect(next.stdout).to.include("did not end; its tables go back to what they were before it");
    expectSuccess(next);
    const after = await digests();
    expect(after).not.to.deep.equal(expected);
    const again = command(...args(more));
    expect(again.code).to.equal(0);
    expect(again.stdout).to.include("nothing new");
    expected = after;
  });

  it("a second run on the same folder is refused and does not disturb the first", async () => {
    const [header = "", first = ""] = (await readFile(fixture, "utf8")).split("\r\n");
    await writeFile(more, `${header}\r\n${first.replace("100001", "400000")}\r\n`);
    const run = await publishing();
    const second = command(...args());
    expect(second.code).to.equal(1);
    expect(second.stderr).to.include(`${out} is in use by another run (process ${run.child.pid})`);
    expect(second.stderr).to.include("--out <folder>");
    expectSuccess(await run.exit);
    expected = await digests();
  });

  it("fifty drops at once are one run", async () => {
    const [header = "", first = ""] = (await readFile(fixture, "utf8")).split("\r\n");
    const drops = path.join(folder, "fifty");
    await mkdir(drops);
    for (let drop = 0; drop < 50; drop += 1) {
      const row = first.replace("100001", String(500_000 + drop));
      await writeFile(path.join(drops, `drop-${drop}.csv`), `${header}\r\n${row}\r\n`);
    }
    const laptop = await Laptop.open(out);
    try {
      const data = await laptop.succeed({ contract, input: drops });
      const { extracts } = await laptop.plan(data);
      expect(extracts.map((one) => one.kind === "csv" && one.objects.length)).to.deep.equal([50]);
      expect(data.datasets[0]).to.deep.include({ read: 50, loaded: 50 });
      expected = await laptop.digests(await contractsOf(contract));
    } finally {
      await laptop.close();
    }
  });

  it("200 MB on one line: refused with its length, and never held in memory", async () => {
    const file = path.join(folder, "line.csv");
    const [header = ""] = (await readFile(fixture, "utf8")).split("\r\n");
    const sink = createWriteStream(file);
    sink.write(`${header}\r\n`);
    const block = "x".repeat(1 << 20);
    for (let written = 0; written < 200; written += 1) {
      if (!sink.write(block)) await once(sink, "drain");
    }
    sink.end();
    await finished(sink);

    const laptop = await Laptop.open(out);
    let peak = 0;
    const watch = setInterval(() => {
      // The workers that scan files are forks of one daemon, a process a task. Other tests' workers may run beside them.
      const { stdout } = spawnSync("ps", ["-eo", "pid=,ppid=,rss=,args="], { encoding: "utf8" });
      const processes = stdout.split("\n").map((line) => line.trim().split(/\s+/));
      const parents = new Map(processes.map(([pid, parent]) => [pid, parent]));
      const ours = (pid: string | undefined): boolean =>
        pid === String(process.pid) || (pid !== undefined && ours(parents.get(pid)));
      for (const [pid, , rss, ...args] of processes) {
        if (args.includes("pyspark.daemon") && ours(pid)) peak = Math.max(peak, Number(rss));
      }
    }, 100);
    try {
      const cause = await laptop.fail({ contract, input: file });
      expect(cause).to.include("line.csv: LINE_TOO_LONG").and.include("line 2");
      expect(peak, "kilobytes of the largest worker").to.be.within(1, 180_000);
      expect(await laptop.digests(await contractsOf(contract))).to.deep.equal(expected);
    } finally {
      clearInterval(watch);
      await laptop.close();
    }
  });

  it("no disk space: says so and what to do; with space again the run succeeds", async function () {
    const disk = path.join(folder, "disk");
    await mkdir(disk);
    const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=60m", "tmpfs", disk], { encoding: "utf8" });
    if (mount.status !== 0) {
      process.stderr.write(`!! SKIPPED: a small disk cannot be mounted here (${mount.stderr.trim()})\n`);
      this.skip();
    }
    try {
      const small = path.join(disk, "out");
      const ballast = path.join(disk, "ballast");
      // The warehouse, the ledger and Spark's files fit; then nothing does any more.
      expectSuccess(command("start", "--out", small, "--contract", contract, "--input", fixture));
      spawnSync("dd", ["if=/dev/zero", `of=${ballast}`, "bs=64k"]);
      const failed = command("start", "--out", small, "--contract", contract, "--input", more);
      expect(failed.code).to.equal(1);
      expect(failed.stdout + failed.stderr).to.match(/no disk space|no space left|cannot be written to/i);
      expect(failed.stdout + failed.stderr).to.match(/free some space|free space|--out <folder>/);
      spawnSync("rm", [ballast]);
      const rows = (): string =>
        command("query", "SELECT count(*) FROM mart.superstore_orders", "--out", small).stdout;
      expect(rows()).to.match(/\b17\b/);
      expectSuccess(command("start", "--out", small, "--contract", contract, "--input", more));
      expect(rows()).to.match(/\b18\b/);
    } finally {
      spawnSync("umount", ["--lazy", disk]); // the last JVM may still be closing its files
    }
  });
});
