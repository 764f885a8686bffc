/** A user's files, brought to where the contract's drops arrive. */
import { copyFile, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import type { ContractSet } from "./deployment.ts";
import { buckets, isErrno, messageOf, UserError, type Workspace } from "./workspace.ts";

/** Files that were put among the drops, and how to take them back. */
export interface Dropped {
  /** Removes them again and restores the drops that they replaced. */
  withdraw(): Promise<void>;
}

/** The files of `--input`: itself, or those in the folder. @throws UserError when there is nothing to read */
export async function inputFiles(input: string): Promise<string[]> {
  try {
    if (!(await stat(input)).isDirectory()) return [input];
    const entries = await readdir(input, { withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith("."));
    if (files.length === 0) throw new UserError(`--input ${input} is a folder without files`);
    return files.map((entry) => path.join(input, entry.name)).sort();
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      `--input ${input} cannot be read (${messageOf(error)}); check the path and its permissions`,
    );
  }
}

/**
 * Copies the input to where the contract's drops arrive, as S3 receives an upload. A drop of the same name is
 * replaced: it is a correction.
 * @throws UserError when the contract reads no CSV or a file cannot be copied; nothing is left behind then
 */
export async function dropInput(
  workspace: Workspace,
  { contracts }: ContractSet,
  input: string,
  contractFile: string,
): Promise<Dropped> {
  const name = path.parse(contractFile).name;
  const source = contracts.find((one) => contracts.length === 1 || one.name === name)?.source;
  if (source?.kind !== "csv") {
    throw new UserError(
      `${contractFile} has no source of kind csv, so --input has nowhere to go; add customProperty source to it`,
    );
  }
  const files = await inputFiles(input);
  const target = path.join(workspace.lake, buckets.landing, source.prefix);
  const replaced = path.join(workspace.scratch, "replaced-drops");
  await rm(replaced, { recursive: true, force: true });
  await mkdir(replaced, { recursive: true });
  await mkdir(target, { recursive: true });
  const dropped: string[] = [];
  const withdraw = async (): Promise<void> => {
    for (const file of dropped.splice(0)) {
      await rm(path.join(target, file), { force: true });
      await moveIfThere(path.join(replaced, file), path.join(target, file));
    }
  };
  for (const from of files) {
    const file = path.basename(from);
    try {
      await moveIfThere(path.join(target, file), path.join(replaced, file));
      dropped.push(file);
      await copyFile(from, path.join(target, file));
    } catch (error) {
      await withdraw();
      throw new UserError(
        `${from} cannot be copied to ${target} (${messageOf(error)}); check permissions and free space`,
      );
    }
  }
  return { withdraw };
}

async function moveIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    if (!isErrno(error, "ENOENT")) throw error;
  });
}
