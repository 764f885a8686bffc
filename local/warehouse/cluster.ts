/** New database clusters from a template, because PostgreSQL's initdb takes four seconds in WebAssembly. */
import { cp, mkdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { PGlite } from "@electric-sql/pglite";

const isThere = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

/**
 * Makes an empty cluster unless `dir` holds one. It appears as a whole or, after an interruption, not at all.
 * @param template the folder of an empty cluster, made on first use; without one `dir` is left to PGlite's own initdb
 */
export async function makeCluster(
  dir: string,
  template = process.env.SECURECART_CLUSTER_TEMPLATE,
): Promise<void> {
  await mkdir(dir, { recursive: true });
  if (template === undefined || (await isThere(path.join(dir, "PG_VERSION")))) return;
  if (!(await isThere(template))) await appear(template, async (part) => (await PGlite.create(part)).close());
  await appear(dir, (part) => cp(template, part, { recursive: true }));
}

/** Fills a folder beside `target` and puts it in its place; whoever was faster is left there. */
async function appear(target: string, fill: (part: string) => Promise<void>): Promise<void> {
  const part = `${target}.part-${process.pid}`;
  try {
    await fill(part);
    await rename(part, target);
  } catch (error) {
    if (!(await isThere(path.join(target, "PG_VERSION")))) throw error;
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}
