import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { renderReport } from "./render.ts";
import type { ReportData } from "./types.ts";

/** Where a report lies. */
export interface ReportFiles {
  readonly html: string;
  readonly json: string;
}

/** Writes beside the target and renames, so that nobody ever opens half a file. */
async function replace(file: string, text: string): Promise<void> {
  const partial = `${file}.${process.pid}.part`;
  await writeFile(partial, text);
  await rename(partial, file);
}

/**
 * Writes `report.json` and `report.html` into `directory`, which is made when it is missing.
 * The data goes first: should rendering fail, what happened is still on record.
 * @returns absolute paths
 */
export async function writeReport(data: ReportData, directory: string): Promise<ReportFiles> {
  const files = {
    html: path.resolve(directory, "report.html"),
    json: path.resolve(directory, "report.json"),
  };
  await mkdir(directory, { recursive: true });
  await replace(files.json, `${JSON.stringify(data, null, 2)}\n`);
  await replace(files.html, renderReport(data));
  return files;
}

/**
 * Reads a `report.json` that {@link writeReport} wrote, to render or print it again.
 * @throws when the file is missing, is no JSON or has another format version; the message names the file.
 */
export async function readReport(file: string): Promise<ReportData> {
  let data: unknown;
  try {
    data = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${file} could not be read (${why}). Run the pipeline once to write it: npm start`, {
      cause: error,
    });
  }
  if (typeof data !== "object" || data === null || !("version" in data) || data.version !== 1) {
    throw new Error(
      `${file} is not a report of format version 1. Run the pipeline again to write it anew: npm start`,
    );
  }
  return data as ReportData;
}
