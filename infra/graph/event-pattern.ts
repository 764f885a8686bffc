const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** One alternative of a pattern's list against a value of the event. */
function matchesOne(alternative: unknown, value: unknown): boolean {
  if (!isRecord(alternative)) return alternative === value;
  const [operator] = Object.keys(alternative);
  if (operator === "prefix") return typeof value === "string" && value.startsWith(String(alternative.prefix));
  if (operator === "exists") return (value !== undefined) === alternative.exists;
  throw new Error(
    `the operator '${operator}' of an event pattern is not known here; add it to infra/graph/event-pattern.ts`,
  );
}

/**
 * Whether an event matches an EventBridge pattern, so that patterns can be tested against recorded events. Knows the
 * operators that the program uses, and refuses others.
 */
export function matches(pattern: unknown, event: unknown): boolean {
  if (Array.isArray(pattern)) {
    const values = Array.isArray(event) ? event : [event];
    return pattern.some((alternative) => values.some((value) => matchesOne(alternative, value)));
  }
  if (!isRecord(pattern))
    throw new Error(`an event pattern consists of objects and lists, not ${JSON.stringify(pattern)}`);
  return Object.entries(pattern).every(([key, inner]) =>
    matches(inner, isRecord(event) ? event[key] : undefined),
  );
}
