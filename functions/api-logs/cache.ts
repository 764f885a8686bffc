/**
 * Remembers what a pure function answered. Forgets everything when it holds too much, which is rare and cheap. The
 * function never answers undefined.
 */
export function remembered<Key, Value extends object | string | null>(
  compute: (key: Key) => Value,
  most = 5_000,
): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    const held = known.get(key);
    if (held !== undefined) return held;
    const value = compute(key);
    if (known.size >= most) known.clear();
    known.set(key, value);
    return value;
  };
}
