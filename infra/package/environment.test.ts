import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { jobsPackage } from "../pipeline/jobs.ts";
import { sha256 } from "./artifacts.ts";
import {
  type Architecture,
  buildEnvironment,
  environmentArchive,
  environmentAsset,
  environmentEntries,
  fraudArchitecture,
} from "./environment.ts";

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): string {
  const { stdout, stderr, status, error } = spawnSync(command, args, { encoding: "utf8", env });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr}`);
  return stdout.trim();
}

/** Modules of the package that an entry point imports, itself included, and the first names of all they import. */
function importsOf(entry: string, modules = new Set<string>(), names = new Set<string>()): Set<string> {
  if (modules.has(entry)) return names;
  modules.add(entry);
  const file = path.join(jobsPackage, `${entry.replaceAll(".", "/")}.py`);
  const source = readFileSync(file, "utf8");
  for (const [, imported, from, what] of source.matchAll(
    /^\s*(?:import ([\w.]+)|from ([\w.]+) import ([\w, ]+))/gm,
  )) {
    const [first, ...rest] = (imported ?? from ?? "").split(".");
    if (first !== "securecart") names.add(first ?? "");
    else if (rest.length > 0) importsOf(rest.join("."), modules, names);
    else for (const module of (what ?? "").split(",")) importsOf(module.trim(), modules, names);
  }
  return names;
}

/** What packages are called where their modules are called otherwise. */
const packageOf: Readonly<Record<string, string>> = {
  botocore: "boto3",
  sklearn: "scikit-learn",
  xgboost: "xgboost-cpu",
};

const aarch64 = 183;
const x86 = 62;
const machineOf: Readonly<Record<Architecture, number>> = { ARM64: aarch64, X86_64: x86 };

/** ELF machine numbers (bytes 18 and 19 of the header) of a folder's ELF files, with an example of each. */
function elfMachines(folder: string): { readonly machines: Map<number, string>; readonly count: number } {
  const machines = new Map<number, string>();
  let count = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const header = Buffer.alloc(20);
    const handle = openSync(file, "r");
    readSync(handle, header, 0, header.length, 0);
    closeSync(handle);
    if (header.subarray(0, 4).toString("latin1") !== "\x7fELF") {
      expect(/\.so(\.\d+)*$/.test(entry.name), `${file} is no ELF file`).to.equal(false);
      continue;
    }
    count += 1;
    machines.set(header.readUInt16LE(18), file);
  }
  return { machines, count };
}

describe("the Python environment of the fraud jobs", () => {
  it("holds every package that the jobs import, from the lock, but for those of EMR", () => {
    const standard = new Set(run("python", ["-c", "import sys; print(*sys.stdlib_module_names)"]).split(" "));
    const imported = [...importsOf("fraud_score"), ...importsOf("fraud_train")].filter(
      (name) => !standard.has(name),
    );
    expect(imported).to.include.members(["numpy", "pandas", "xgboost", "maxminddb", "boto3", "pyspark"]);
    const entries = environmentEntries();
    const absent = imported.filter((name) => !entries.has(packageOf[name] ?? name));
    // EMR brings pyspark, Glue awsglue; YAML files are read on laptops alone.
    expect([...new Set(absent)]).to.have.members(["pyspark", "awsglue", "yaml"]);
    expect([...entries.keys()], "needed in turn").to.include.members([
      "scipy",
      "botocore",
      "python-dateutil",
    ]);
  });

  it("is named by what goes in, and says how to build it", () => {
    const archive = environmentArchive();
    expect(archive.name).to.match(/^emr-aarch64-[0-9a-f]{16}\.tar\.gz$/);
    expect(environmentArchive("X86_64").name).not.to.equal(archive.name);
    expect(environmentAsset(true).name).to.equal(archive.name);
    if (archive.built) expect(environmentAsset(false).name).to.equal(archive.name);
    else expect(() => environmentAsset(false)).to.throw("run 'npm run package' once");
  });

  describe("built", () => {
    let folder: string;
    before(() => {
      folder = mkdtempSync(path.join(tmpdir(), "environment-test-"));
    });
    after(function () {
      this.timeout(120_000);
      rmSync(folder, { recursive: true, force: true });
    });

    function unpacked(architecture: Architecture): { readonly file: string; readonly place: string } {
      const file = path.join(folder, `${architecture}.tar.gz`);
      const place = path.join(folder, architecture);
      buildEnvironment(file, architecture);
      run("mkdir", [place]);
      run("tar", ["-xzf", file, "-C", place]);
      return { file, place };
    }

    it("has the application's processor in every shared object, and the same bytes again @slow", function () {
      this.timeout(900_000);
      const { file, place } = unpacked(fraudArchitecture);
      const { machines, count } = elfMachines(place);
      expect(count, "shared objects").to.be.greaterThan(100);
      expect([...machines.keys()], [...machines.values()].join(", ")).to.deep.equal([
        machineOf[fraudArchitecture],
      ]);
      const again = path.join(folder, "again.tar.gz");
      buildEnvironment(again);
      expect(sha256(readFileSync(again))).to.equal(sha256(readFileSync(file)));
    });

    // The interpreter and pyspark are this machine's in place of EMR's; that theirs fit is not shown here.
    it("imports what the jobs import, when built for this machine's processor @slow", function () {
      this.timeout(900_000);
      if (process.platform !== "linux") this.skip();
      const { place } = unpacked(process.arch === "arm64" ? "ARM64" : "X86_64");
      const own = run("python", ["-c", "import os, sys; print(os.path.realpath(sys.executable))"]);
      const python = path.join(place, "bin/python");
      expect(run("readlink", [python])).to.equal("/usr/bin/python3.11");
      run("ln", ["-sf", own, python]);
      writeFileSync(path.join(place, "pyvenv.cfg"), `home = ${path.dirname(own)}\n`);
      const program = [
        "import sys, securecart.fraud_score, securecart.fraud_train, xgboost.spark",
        "import boto3, maxminddb, numpy, pandas, pyarrow.parquet, scipy.sparse, sklearn.ensemble",
        "xgboost.spark.SparkXGBClassifier()",
        "outside = [m.__file__ for m in (boto3, maxminddb, numpy, pandas, pyarrow, xgboost) if not m.__file__.startswith(sys.prefix)]",
        "print(sys.prefix, outside)",
      ].join("\n");
      const spark = path.join(process.env.SPARK_HOME ?? "", "python");
      const zips = readdirSync(path.join(spark, "lib")).map((name) => path.join(spark, "lib", name));
      const paths = [path.dirname(jobsPackage), ...zips].join(path.delimiter);
      const { PATH, SPARK_HOME } = process.env;
      expect(run(python, ["-c", program], { PATH, SPARK_HOME, PYTHONPATH: paths })).to.equal(`${place} []`);
    });
  });
});
