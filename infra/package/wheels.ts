import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { root, sha256 } from "./artifacts.ts";

/** Packages of requirements.lock that jobs import and Glue does not bring, with what they need in turn. */
export const gluePackages = ["maxminddb", "sparkdq"] as const;

/** The archive of wheels: named by the lock file, so that the same lock gives the same name on every machine. */
export function wheelsArchive(): { readonly name: string; readonly file: string; readonly built: boolean } {
  const lock = sha256(readFileSync(path.join(root, "requirements.lock")));
  const name = `glue-${lock.slice(0, 16)}.gluewheels.zip`;
  const file = path.join(root, ".local/build", name);
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
