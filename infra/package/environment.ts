import { readFileSync } from "node:fs";
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

/** Packages that the fraud jobs import; pyspark is EMR's own. */
const packages = ["boto3", "maxminddb", "numpy", "pandas", "pyarrow", "scikit-learn", "xgboost-cpu"] as const;

/** Processors that EMR Serverless has, and what wheels and ELF files call them. */
const machines = { ARM64: "aarch64", X86_64: "x86_64" } as const;

export type Architecture = keyof typeof machines;

/** The processor on which the fraud application runs. */
export const fraudArchitecture: Architecture = "ARM64";

/** The lock's entries of what the environment holds. */
export function environmentEntries(): Map<string, string> {
  return lockedEntries(readFileSync(path.join(root, "requirements.lock"), "utf8"), packages);
}

/** The script that builds it, on which its content depends as it does on the lock. */
const builder = path.join(root, "local/python_environment.py");

/**
 * The Python environment of the fraud jobs on EMR Serverless, a `tar.gz` that Spark unpacks beside the job: named by the
 * lock's entries, the processor and the script that builds it.
 */
export function environmentArchive(architecture: Architecture = fraudArchitecture): PythonArchive {
  const machine = machines[architecture];
  const inputs = [...environmentEntries().values(), machine, readFileSync(builder, "utf8")];
  return pythonArchive(
    "the Python environment for EMR Serverless",
    `emr-${machine}-${sha256(inputs.join("\n")).slice(0, 16)}.tar.gz`,
  );
}

/** Builds the environment for a processor, which need not be this machine's. */
export function buildEnvironment(archive: string, architecture: Architecture = fraudArchitecture): void {
  buildArchive(archive, environmentEntries(), (python, _folder, requirements, part) => {
    python([builder, "--requirements", requirements, "--machine", machines[architecture], "--output", part]);
  });
}

/** {@link pythonAsset} of the environment. */
export const environmentAsset = (offline: boolean): PythonAsset => pythonAsset(environmentArchive(), offline);
