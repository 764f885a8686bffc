import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { built, root } from "./artifacts.ts";

/** Python packages in one file, which `npm run package` builds and a deployment uploads. */
export interface PythonArchive {
  /** What it is, for people. */
  readonly what: string;
  /** Follows from what goes in, so that it is the same on every machine. */
  readonly name: string;
  readonly file: string;
  readonly built: boolean;
}

/** An archive where `npm run package` puts it. */
export function pythonArchive(what: string, name: string): PythonArchive {
  const file = path.join(built, name);
  return { what, name, file, built: existsSync(file) };
}

/** An archive as Pulumi uploads it. */
export interface PythonAsset {
  readonly name: string;
  readonly asset: pulumi.asset.Asset;
}

/**
 * The archive as Pulumi uploads it. Where nothing is uploaded, offline and in a preview, its name can stand for it: a
 * preview then works without Python, and says so.
 *
 * @throws RunError that says how to build it when it is not there and is to be uploaded
 */
export function pythonAsset(archive: PythonArchive, offline: boolean): PythonAsset {
  const { what, name, file, built: isBuilt } = archive;
  if (offline) return { name, asset: new pulumi.asset.StringAsset(name) };
  if (isBuilt) return { name, asset: new pulumi.asset.FileAsset(file) };
  const missing = `${what} (${name}) is not built; run 'npm run package' once`;
  if (!pulumi.runtime.isDryRun()) throw new pulumi.RunError(`${missing} and repeat the command`);
  void pulumi.log.warn(`${missing} before 'pulumi up', which needs it. This preview goes without`);
  return { name, asset: new pulumi.asset.StringAsset(name) };
}

/** Runs Python of the set-up; throws an Error when that fails. */
function python(args: readonly string[]): void {
  const result = spawnSync("python", args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  if (result.error || result.status !== 0) {
    const why = result.error?.message ?? `exit code ${result.status}`;
    throw new Error(
      `python ${args.slice(0, 3).join(" ")} failed (${why}); check the network and run 'npm run package' again`,
    );
  }
}

/**
 * Writes an archive whole or not at all.
 *
 * @param file where it is to lie
 * @param entries what of the lock goes in
 * @param make gets the way to run Python, a folder that is gone afterwards, pip's requirements file in it, and the file
 *   to write
 * @throws Error when a package cannot be had
 */
export function buildArchive(
  file: string,
  entries: ReadonlyMap<string, string>,
  make: (run: typeof python, folder: string, requirements: string, part: string) => void,
): void {
  const folder = mkdtempSync(path.join(tmpdir(), "securecart-package-"));
  try {
    const requirements = path.join(folder, "requirements.txt");
    writeFileSync(requirements, `${[...entries.values()].join("\n")}\n`);
    mkdirSync(path.dirname(file), { recursive: true });
    const part = `${file}.${process.pid}`;
    make(python, folder, requirements, part);
    renameSync(part, file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
