/**
 * Renders the part of API Gateway's mapping templates (Velocity) that ours use: comments (##), #set of a name,
 * references to `$context.…`, `$stageVariables.…` and names that were set, `$input.json('$')`,
 * `$util.base64Encode(…)` and `$util.escapeJavaScript(…)`. Anything else is refused, so that a template which works
 * here works there.
 */
export interface TemplateInput {
  /** The request's body, which is JSON. */
  readonly body: string;
  readonly context: Readonly<Record<string, string>>;
  readonly stageVariables: Readonly<Record<string, string>>;
}

const functions: Readonly<Record<string, (text: string) => string>> = {
  base64Encode: (text) => Buffer.from(text, "utf8").toString("base64"),
  escapeJavaScript: (text) => JSON.stringify(text).slice(1, -1).replaceAll("'", "\\'"),
};

const expression = /^\$(?:util\.(\w+)\((.*)\)|input\.json\('\$'\)|(context|stageVariables)\.(\w+)|(\w+))$/s;
/** A reference in running text: with at most one call inside another. */
const reference = /\$(?:util\.\w+\((?:[^()]|\([^()]*\))*\)|input\.\w+\([^()]*\)|\w+(?:\.\w+)*)/g;

/** @throws Error that names what the template uses and this renderer does not know */
export function renderTemplate(template: string, input: TemplateInput): string {
  const names = new Map<string, string>();

  function evaluate(text: string): string {
    const found = expression.exec(text.trim());
    if (!found) throw new Error(`the mapping template uses ${text}, which the local renderer does not know`);
    const [, call, inner, scope, key, name] = found;
    if (call !== undefined) {
      const apply = functions[call];
      if (!apply)
        throw new Error(`the mapping template uses $util.${call}, which the local renderer does not know`);
      return apply(evaluate(inner ?? ""));
    }
    if (scope !== undefined && key !== undefined) {
      const value = input[scope === "context" ? "context" : "stageVariables"][key];
      if (value === undefined)
        throw new Error(`the mapping template uses $${scope}.${key}, which has no value`);
      return value;
    }
    if (name !== undefined) {
      const value = names.get(name);
      if (value === undefined) throw new Error(`the mapping template uses $${name}, which was never set`);
      return value;
    }
    return JSON.stringify(JSON.parse(input.body));
  }

  const lines = template.split("\n").filter((line) => !line.trimStart().startsWith("##"));
  const text = lines.filter((line) => {
    const set = /^\s*#set\(\s*\$(\w+)\s*=\s*(.+)\)\s*$/.exec(line);
    if (set?.[1] !== undefined && set[2] !== undefined) names.set(set[1], evaluate(set[2]));
    else if (line.trimStart().startsWith("#"))
      throw new Error(`the mapping template uses ${line.trim()}, which the local renderer does not know`);
    return !set;
  });
  return text.join("\n").replaceAll(reference, (found) => evaluate(found));
}
