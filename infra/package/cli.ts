// npm run package: builds what a deployment needs beyond the TypeScript program.
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { root } from "./artifacts.ts";
import { lockedEntries, wheelsArchive } from "./wheels.ts";
import { zip } from "./zip.ts";

function pip(args: readonly string[]): void {
  const result = spawnSync("python", ["-m", "pip", ...args], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (result.error || result.status !== 0) {
    const why = result.error?.message ?? `exit code ${result.status}`;
    throw new Error(`pip ${args[0]} failed (${why}); check the network and run 'npm run package' again`);
  }
}

/** Wheels for Glue's machines, at the versions and hashes of the lock file. */
function buildWheels(): void {
  const archive = wheelsArchive();
  if (archive.built) {
    console.log(`${archive.name} is built`);
    return;
  }
  const folder = mkdtempSync(path.join(tmpdir(), "securecart-wheels-"));
  try {
    const lock = readFileSync(path.join(root, "requirements.lock"), "utf8");
    const wanted = path.join(folder, "requirements.txt");
    writeFileSync(wanted, `${[...lockedEntries(lock).values()].join("\n")}\n`);
    pip([
      "download",
      "--quiet",
      "--require-hashes",
      "--no-deps",
      "--only-binary",
      ":all:",
      "--platform",
      "manylinux2014_x86_64",
      "--python-version",
      "3.11",
      "--dest",
      folder,
      "--requirement",
      wanted,
    ]);
    const entries = readdirSync(folder)
      .filter((file) => file.endsWith(".whl"))
      .map((file) => ({ path: file, data: readFileSync(path.join(folder, file)) }));
    mkdirSync(path.dirname(archive.file), { recursive: true });
    const part = `${archive.file}.${process.pid}`;
    writeFileSync(part, zip(entries));
    renameSync(part, archive.file);
    console.log(`${archive.name}: ${entries.map((entry) => entry.path).join(", ")}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

buildWheels();
