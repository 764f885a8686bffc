import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { built, root, sha256 } from "./artifacts.ts";

/** Packages that jobs import and Glue does not bring. */
const gluePackages = ["maxminddb", "sparkdq"] as const;

/**
 * The entries of a lock file, hashes included, for some packages and all that they need in turn (which the lock notes
 * as `# via`).
 *
 * @throws Error when the lock lacks one of the packages
 */
export function lockedEntries(lock: string, packages: readonly string[] = gluePackages): Map<string, string> {
  const entries = new Map<string, string>();
  const neededBy = new Map<string, string[]>();
  for (const block of lock.split(/^(?=[A-Za-z0-9])/m)) {
    const name = /^([A-Za-z0-9._-]+)==/.exec(block)?.[1];
    if (name === undefined) continue;
    const lines = block.split("\n");
    entries.set(name, lines.filter((line) => line.trim() !== "" && !line.trim().startsWith("#")).join("\n"));
    neededBy.set(
      name,
      lines.flatMap((line) => /^\s*#\s+(?:via\s+)?([A-Za-z0-9._-]+)$/.exec(line)?.[1] ?? []),
    );
  }
  const wanted = new Set<string>(packages);
  for (let size = -1; size !== wanted.size; ) {
    size = wanted.size;
    for (const [name, parents] of neededBy)
      if (parents.some((parent) => wanted.has(parent))) wanted.add(name);
  }
  return new Map(
    [...wanted].toSorted().map((name) => {
      const entry = entries.get(name);
      if (entry === undefined)
        throw new Error(
          `requirements.lock has no '${name}'; add it to requirements.in and run 'npm run lock:python'`,
        );
      return [name, entry];
    }),
  );
}

/** The archive of wheels: named by the lock file, so that the same lock gives the same name on every machine. */
export function wheelsArchive(): { readonly name: string; readonly file: string; readonly built: boolean } {
  const lock = sha256(readFileSync(path.join(root, "requirements.lock")));
  const name = `glue-${lock.slice(0, 16)}.gluewheels.zip`;
  const file = path.join(built, name);
  return { name, file, built: existsSync(file) };
}

/**
 * The archive as Pulumi uploads it. Offline, where nothing is uploaded, its name stands for it.
 *
 * @throws RunError that says how to build it when it is not there and is to be uploaded
 */
export function wheelsAsset(offline: boolean): { readonly name: string; readonly asset: pulumi.asset.Asset } {
  const { name, file, built } = wheelsArchive();
  if (offline) return { name, asset: new pulumi.asset.StringAsset(name) };
  if (!built) {
    throw new pulumi.RunError(
      `the Python wheels for Glue (${name}) are not built; run 'npm run package' once and repeat the command`,
    );
  }
  return { name, asset: new pulumi.asset.FileAsset(file) };
}
