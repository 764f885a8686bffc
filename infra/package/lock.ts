/**
 * The entries of a lock file, hashes included, for some packages and all that they need in turn (which the lock notes
 * as `# via`).
 *
 * @throws Error when the lock lacks one of the packages
 */
export function lockedEntries(lock: string, packages: readonly string[]): Map<string, string> {
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
