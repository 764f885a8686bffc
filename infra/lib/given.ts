/** `T` without undefined values: a key is either there with a value, or not there. */
export type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Drops keys whose value is undefined, so that a component's own default applies to them. */
export function given<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** A record with a value for every key, or undefined when one is missing. */
export function complete<K extends string, V>(
  keys: readonly K[],
  read: (key: K) => V | undefined,
): Record<K, V> | undefined {
  const entries: [K, V][] = [];
  for (const key of keys) {
    const value = read(key);
    if (value === undefined) return undefined;
    entries.push([key, value]);
  }
  return Object.fromEntries(entries) as Record<K, V>;
}
