import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { deploymentBundles } from "../deployment/bundles.ts";
import { bundleSpecOf, functionNames } from "../pipeline/functions.ts";
import { apiLogsBundle } from "../pipeline/ingestion.ts";
import { jobsPackage } from "../pipeline/jobs.ts";
import { bundleAhead, bundleFunctions, packagePython, sha256 } from "./artifacts.ts";
import { lockedEntries } from "./lock.ts";
import { wheelEntries, wheelsArchive, wheelsAsset } from "./wheels.ts";
import { zip } from "./zip.ts";

/** What another program, Python's zipfile, finds in an archive. */
function listed(file: string): Record<string, string> {
  const program =
    "import json, sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; " +
    "print(json.dumps({n: z.read(n).decode('utf8', 'replace')[:40] for n in z.namelist()}))";
  const { stdout, stderr, status } = spawnSync("python3", ["-c", program, file], { encoding: "utf8" });
  if (status !== 0) throw new Error(`python3 could not read ${file}: ${stderr}`);
  return JSON.parse(stdout) as Record<string, string>;
}

const folder = (): string => mkdtempSync(path.join(tmpdir(), "package-"));

describe("packages", () => {
  it("makes an archive that others read, with bytes that follow from its entries alone", () => {
    const entries = [
      { path: "b/ü.txt", data: Buffer.from("two") },
      { path: "a.txt", data: Buffer.from("one") },
      { path: "empty", data: Buffer.alloc(0) },
    ];
    const file = path.join(folder(), "x.zip");
    writeFileSync(file, zip(entries));
    expect(listed(file)).to.deep.equal({ "a.txt": "one", "b/ü.txt": "two", empty: "" });
    expect(zip(entries.toReversed()).equals(zip(entries)), "order").to.equal(true);
    // The same bytes on every day and machine.
    expect(sha256(zip(entries))).to.equal("34349eb665cd261dfa60dba5ee2226de9a657cc45b3c5720b80d05fd86cc984f");
    expect(() => zip([...entries, { path: "a.txt", data: Buffer.from("x") }])).to.throw("'a.txt' twice");
  });

  it("packages Python sources without caches or tests, named by their content", () => {
    const parent = folder();
    const source = path.join(parent, "pkg");
    mkdirSync(path.join(source, "__pycache__"), { recursive: true });
    writeFileSync(path.join(source, "__init__.py"), "");
    writeFileSync(path.join(source, "a.py"), "x = 1\n");
    writeFileSync(path.join(source, "__pycache__/a.cpython-311.pyc"), "x");
    const first = packagePython(source);
    expect(listed(first.file)).to.deep.equal({ "pkg/__init__.py": "", "pkg/a.py": "x = 1\n" });
    expect(first.file).to.contain(first.sha256.slice(0, 16));
    expect(sha256(readFileSync(first.file))).to.equal(first.sha256);
    expect(packagePython(source)).to.deep.equal(first);
    writeFileSync(path.join(source, "a.py"), "x = 2\n");
    expect(packagePython(source).sha256).not.to.equal(first.sha256);
    expect(Object.keys(listed(packagePython(jobsPackage).file))).to.include("securecart/migrate.py");
  });

  it("bundles every function so that it loads as Lambda loads it, beside the files it reads", async () => {
    const specs = {
      ...deploymentBundles,
      apiLogs: apiLogsBundle,
      ...Object.fromEntries(functionNames.map((name) => [name, bundleSpecOf(name)])),
    };
    const bundles = bundleFunctions(specs);
    expect(Object.keys(bundles)).to.have.members(Object.keys(specs));
    const place = folder();
    for (const [name, { file, sha256: hash }] of Object.entries(bundles)) {
      expect(file, name).to.contain(hash.slice(0, 16));
      const unpacked = path.join(place, name);
      const { status, stderr } = spawnSync("python3", ["-m", "zipfile", "-e", file, unpacked], {
        encoding: "utf8",
      });
      if (status !== 0) throw new Error(stderr);
      // The runtime brings the SDK; here the repository does.
      const index = path.join(unpacked, "index.mjs");
      const text = readFileSync(index, "utf8");
      const local = path.join(import.meta.dirname, `../../.local/build/load-${hash.slice(0, 16)}.mjs`);
      writeFileSync(local, text);
      const module = (await import(pathToFileURL(local).href)) as { handler?: unknown };
      expect(module.handler, name).to.be.a("function");
    }
    expect(Object.keys(listed(bundles.renderLoad?.file ?? ""))).to.have.members([
      "index.mjs",
      "load/merge.sql",
      "load/replace.sql",
    ]);
    expect(Object.keys(listed(bundles.migrateWarehouse?.file ?? ""))).to.have.members([
      "index.mjs",
      "schema.sql",
    ]);
  });

  it("gives the same bundle whether it was built ahead with all others or alone", async () => {
    const alone = bundleFunctions({ alone: deploymentBundles.keepRunning }).alone;
    await bundleAhead();
    expect(bundleFunctions({ ahead: deploymentBundles.keepRunning }).ahead?.sha256).to.equal(alone?.sha256);
  });

  it("takes from the lock what the jobs import and all that it needs, with hashes", () => {
    const lock = readFileSync(path.join(import.meta.dirname, "../../requirements.lock"), "utf8");
    const entries = wheelEntries();
    expect([...entries.keys()]).to.include.members([
      "maxminddb",
      "sparkdq",
      "pydantic",
      "pydantic-core",
      "typing-extensions",
    ]);
    expect([...entries.keys()]).not.to.include.members(["pyspark"]);
    for (const [name, entry] of entries)
      expect(entry, name).to.match(/^\S+==\S+.*--hash=sha256:[0-9a-f]{64}/s);
    expect(() => lockedEntries(lock, ["nowhere"])).to.throw("requirements.lock has no 'nowhere'");
  });

  it("names the wheels by the lock file and says how to build them", () => {
    const { name, built } = wheelsArchive();
    const lock = readFileSync(path.join(import.meta.dirname, "../../requirements.lock"));
    expect(name).to.equal(`glue-${sha256(lock).slice(0, 16)}.gluewheels.zip`);
    expect(wheelsAsset(true).name).to.equal(name);
    if (built) expect(wheelsAsset(false).name).to.equal(name);
    else expect(() => wheelsAsset(false)).to.throw("run 'npm run package' once");
  });
});
