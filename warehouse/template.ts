/** Fills `{{name}}` in a SQL template. @throws Error for a name without a value, or a value that is never used */
export function fill(template: string, values: Readonly<Record<string, string>>): string {
  const used = new Set<string>();
  const text = template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined)
      throw new Error(`SQL template: {{${name}}} has no value; given: ${Object.keys(values).join(", ")}`);
    used.add(name);
    return value;
  });
  const unused = Object.keys(values).filter((name) => !used.has(name));
  if (unused.length > 0) throw new Error(`SQL template: nothing uses the value of ${unused.join(", ")}`);
  return text;
}

/** The statements of a script, without comments. Scripts here have no semicolon and no `--` inside a literal. */
export function statements(script: string): string[] {
  return script
    .replace(/--[^\n]*/g, "")
    .split(";")
    .map((text) => text.trim())
    .filter((text) => text !== "");
}

/** A column's name as Redshift reads it whatever it is; names that are words of its grammar need the quotes. */
export const quoted = (name: string): string => `"${name}"`;
