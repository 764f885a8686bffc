/** SQL that Redshift would refuse, or that would mean something else here. */
export class DialectError extends Error {
  override readonly name = "DialectError";
}

export interface Token {
  readonly kind: "word" | "quoted" | "string" | "number" | "symbol";
  /** As written; words in upper case. */
  readonly text: string;
  /** As written. */
  readonly source: string;
}

const patterns: readonly [Token["kind"] | "blank" | "refused", RegExp][] = [
  ["blank", /\s+|--[^\n]*|\/\*[\s\S]*?\*\//y],
  ["refused", /[EeBbXxUu]&?'|->>?|#>>?|~\*|!~\*/y],
  ["string", /'(?:[^']|'')*'/y],
  ["quoted", /"(?:[^"]|"")+"/y],
  ["number", /\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+/y],
  ["word", /[\p{L}_][\p{L}\p{N}_]*/uy],
  ["symbol", /<=|>=|<>|!=|\|\||::|!~|[(),.;*+\-/%=<>~]/y],
];

/** Splits one statement into tokens. @throws DialectError at what is no part of Redshift's grammar */
export function tokenize(sql: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < sql.length) {
    let matched = false;
    for (const [kind, pattern] of patterns) {
      pattern.lastIndex = at;
      const source = pattern.exec(sql)?.[0];
      if (source === undefined) continue;
      if (kind === "refused")
        throw new DialectError(
          `Redshift has no ${source.endsWith("'") ? `${source}…' literal` : `operator ${source}`}`,
        );
      if (kind === "string" && source.includes("\\")) {
        throw new DialectError(
          `${source} holds a backslash, which Redshift reads as an escape and this database does not; write it another way`,
        );
      }
      if (kind !== "blank")
        tokens.push({ kind, source, text: kind === "word" ? source.toUpperCase() : source });
      at += source.length;
      matched = true;
      break;
    }
    if (!matched)
      throw new DialectError(
        `'${sql.slice(at, at + 10).trim()}' at character ${at + 1} is not in Redshift's grammar`,
      );
  }
  while (tokens.at(-1)?.text === ";") tokens.pop();
  if (tokens.some(({ text }) => text === ";"))
    throw new DialectError("one statement at a time: ';' in the middle");
  if (tokens.length === 0) throw new DialectError("there is no statement");
  return tokens;
}

/** The statement in one line for patterns: words in upper case, strings as 'S', so that no literal looks like grammar. */
export const shapeOf = (tokens: readonly Token[]): string =>
  tokens.map(({ kind, text }) => (kind === "string" ? "'S'" : text)).join(" ");

/** The statement in one line as it was written. */
export const sourceOf = (tokens: readonly Token[]): string => tokens.map(({ source }) => source).join(" ");

/** Splits at the commas that are outside of any parenthesis. */
export function splitAtCommas(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (token.text === "(") depth += 1;
    if (token.text === ")") depth -= 1;
    if (token.text === "," && depth === 0) parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return parts;
}
