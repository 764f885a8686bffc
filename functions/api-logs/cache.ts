/** Longer keys are not kept: they come from outside, and may be as long as a record. */
const longestKey = 1024;

/**
 * Remembers what a pure function answered, to at most `most` keys of at most 1,024 characters: some ten megabytes at
 * the worst, however long the process lives. Forgets everything when it holds too much, which is rare and cheap. The
 * function never answers undefined, and no answer is much longer than its key.
 */
export function remembered<Key extends string | null, Value extends object | string | null>(
  compute: (key: Key) => Value,
  most = 5_000,
): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    if (key !== null && key.length > longestKey) return compute(key);
    const held = known.get(key);
    if (held !== undefined) return held;
    // A copy: what was cut out of a line keeps, in V8, the whole line in memory, and so may an answer cut out of it.
    const own = structuredClone(key);
    const value = compute(own);
    if (known.size >= most) known.clear();
    known.set(own, value);
    return value;
  };
}
