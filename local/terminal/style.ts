export type Emphasis = "bold" | "dim" | "red" | "green" | "yellow";

/** Gives a text an emphasis, or leaves it as it is where colours are not wanted. */
export type Paint = (emphasis: Emphasis, text: string) => string;

const codes: Readonly<Record<Emphasis, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
};

export const plainText: Paint = (_, text) => text;

export const coloured: Paint = (emphasis, text) => {
  const [on, off] = codes[emphasis];
  return `\u001b[${on}m${text}\u001b[${off}m`;
};

/** What this module needs of a stream: process.stdout, process.stderr, or a test's own. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Colours on a terminal, none elsewhere. NO_COLOR (any text) switches them off, FORCE_COLOR on, and NO_COLOR
 * wins; TERM=dumb has none.
 */
export function paintFor(output: Output, environment: Environment = process.env): Paint {
  if (environment.NO_COLOR) return plainText;
  if (environment.FORCE_COLOR && environment.FORCE_COLOR !== "0") return coloured;
  return output.isTTY === true && environment.TERM !== "dumb" ? coloured : plainText;
}

/** Whether lines may be rewritten in place: a terminal that is not dumb and that no CI log stands behind. */
export function isLive(output: Output, environment: Environment = process.env): boolean {
  return output.isTTY === true && environment.TERM !== "dumb" && !environment.CI;
}
