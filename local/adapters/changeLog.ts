import { readFile } from "node:fs/promises";
import { z } from "zod";

/** A value in DynamoDB JSON, for example `{"S": "…"}`. */
const attributes = z.record(z.string(), z.record(z.string(), z.unknown()));

const changeSchema = z.discriminatedUnion("op", [
  z.object({ op: z.literal("PUT"), at: z.iso.datetime(), keys: attributes, item: attributes }),
  z.object({ op: z.literal("DELETE"), at: z.iso.datetime(), keys: attributes }),
]);

/** One write to a table. */
export type Change = z.infer<typeof changeSchema> & {
  /** When it was written, microseconds since 1970. */
  readonly micros: number;
};

/** Microseconds since 1970 of an ISO timestamp in UTC; a Date would drop what is below a millisecond. */
function microsOf(iso: string): number {
  const fraction = (/\.(\d+)/.exec(iso)?.[1] ?? "").slice(0, 6).padEnd(6, "0");
  return Date.parse(iso.replace(/\.\d+/, "")) * 1000 + Number(fraction);
}

/**
 * Reads the log of a table's changes, JSON lines `{"at","op","keys","item"}`, oldest first.
 * @throws Error that names the file and the line which is not a change
 */
export async function readChanges(file: string): Promise<Change[]> {
  const lines = (await readFile(file, "utf8")).split("\n");
  const changes = lines.flatMap((line, index): Change[] => {
    if (line.trim() === "") return [];
    try {
      const change = changeSchema.parse(JSON.parse(line));
      return [{ ...change, micros: microsOf(change.at) }];
    } catch (error) {
      const why = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
      throw new Error(`${file}:${index + 1} is no change of a table: ${why}`, { cause: error });
    }
  });
  return changes.sort((a, b) => a.micros - b.micros);
}

/** The last change of every key among the changes, which must be ordered. */
export function lastChanges(changes: readonly Change[]): Change[] {
  const last = new Map<string, Change>();
  for (const change of changes) {
    const key = JSON.stringify(Object.entries(change.keys).sort(([a], [b]) => (a < b ? -1 : 1)));
    last.set(key, change);
  }
  return [...last.values()];
}
