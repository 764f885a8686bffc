const blank = 0x20;
const quote = 0x22;
const backslash = 0x5c;
const openBracket = 0x5b;

const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", v: "\v", f: "\f", b: "\b" };

/** What stands between quotes: \" and \\ (Apache, ALB), \n and the like, and \x22 (nginx) are read. */
function unescaped(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replaceAll(
    /\\(?:x([0-9A-Fa-f]{2})|(.))/gs,
    (whole, hex: string | undefined, one: string | undefined) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      return one === undefined ? whole : (escapes[one] ?? one);
    },
  );
}

/**
 * Splits an access log's line: values are separated by blanks; "…" holds blanks, and quotes when they are escaped;
 * […] holds blanks. Quotes that a careless writer left unescaped inside quotes are kept as they are.
 * @returns undefined when a quote or bracket is never closed
 */
export function splitSpaced(line: string): string[] | undefined {
  const values: string[] = [];
  const { length } = line;
  let at = 0;
  while (at < length) {
    const code = line.charCodeAt(at);
    if (code === blank) {
      at += 1;
    } else if (code === quote) {
      const end = closingQuote(line, at + 1);
      if (end < 0) return undefined;
      values.push(unescaped(line.slice(at + 1, end)));
      at = end + 1;
    } else if (code === openBracket && !isAddress(line, at)) {
      const end = line.indexOf("]", at + 1);
      if (end < 0) return undefined;
      values.push(line.slice(at + 1, end));
      at = end + 1;
    } else {
      const end = line.indexOf(" ", at);
      const to = end < 0 ? length : end;
      values.push(line.slice(at, to));
      at = to;
    }
  }
  return values;
}

/** Whether a bracket begins an IPv6 address with its port, [::1]:80, and no value that holds blanks. */
function isAddress(line: string, at: number): boolean {
  const end = line.indexOf("]", at);
  return end >= 0 && line[end + 1] === ":";
}

/**
 * The quote that ends a value: not escaped, followed by a blank or the line's end, and the next quote of the line, if
 * any, begins a value. Where no quote is all of that, the first one that a blank follows.
 */
function closingQuote(line: string, from: number): number {
  let likely = -1;
  for (let at = from; at < line.length; at += 1) {
    const code = line.charCodeAt(at);
    if (code === backslash) at += 1;
    else if (code === quote && (at + 1 === line.length || line.charCodeAt(at + 1) === blank)) {
      const next = line.indexOf('"', at + 1);
      if (next < 0 || line.charCodeAt(next - 1) === blank) return at;
      if (likely < 0) likely = at;
    }
  }
  return likely;
}
