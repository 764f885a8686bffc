import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { root, sha256 } from "./artifacts.ts";
import { lockedEntries } from "./lock.ts";
import {
  buildArchive,
  type PythonArchive,
  type PythonAsset,
  pythonArchive,
  pythonAsset,
} from "./pythonArchive.ts";
import { zip } from "./zip.ts";

/** Packages that jobs import and Glue does not bring. */
const packages = ["maxminddb", "sparkdq"] as const;

const lock = (): string => readFileSync(path.join(root, "requirements.lock"), "utf8");

/** The lock's entries of what the archive holds. */
export const wheelEntries = (): Map<string, string> => lockedEntries(lock(), packages);

/** The archive of wheels: named by the lock file, so that the same lock gives the same name on every machine. */
export function wheelsArchive(): PythonArchive {
  return pythonArchive(
    "the archive of Python wheels for Glue",
    `glue-${sha256(lock()).slice(0, 16)}.gluewheels.zip`,
  );
}

/** {@link pythonAsset} of the wheels. */
export const wheelsAsset = (offline: boolean): PythonAsset => pythonAsset(wheelsArchive(), offline);

/** Builds the archive: wheels for Glue's machines, at the versions and hashes of the lock. */
export function buildWheels(archive: string): void {
  buildArchive(archive, wheelEntries(), (python, folder, requirements, part) => {
    const only = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--python-version", "3.11"];
    const where = ["--platform", "manylinux2014_x86_64", "--dest", folder, "--requirement", requirements];
    python(["-m", "pip", "download", "--quiet", ...only, ...where]);
    const entries = readdirSync(folder)
      .filter((file) => file.endsWith(".whl"))
      .map((file) => ({ path: file, data: readFileSync(path.join(folder, file)) }));
    writeFileSync(part, zip(entries));
  });
}
