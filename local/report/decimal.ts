/** Exact sums of decimals that are kept as text, so that money never passes through a float. */

interface Scaled {
  readonly digits: bigint;
  readonly scale: number;
}

function parse(text: string): Scaled {
  const match = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) {
    throw new Error(`'${text}' is not a plain decimal such as -12.50; pass amounts as exact decimal strings`);
  }
  const [, sign = "", whole = "0", fraction = ""] = match;
  return { digits: BigInt(`${sign === "-" ? "-" : ""}${whole}${fraction}`), scale: fraction.length };
}

/**
 * The exact sum, with as many decimals as the most precise of the values; "0" for none.
 * @throws when a value is not a plain decimal.
 */
export function sumDecimals(values: readonly string[]): string {
  const parsed = values.map(parse);
  const scale = Math.max(0, ...parsed.map((value) => value.scale));
  const total = parsed.reduce((sum, value) => sum + value.digits * 10n ** BigInt(scale - value.scale), 0n);
  const sign = total < 0n ? "-" : "";
  const digits = (total < 0n ? -total : total).toString().padStart(scale + 1, "0");
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/**
 * The nearest float, for the length of a bar and for ordering, never for a printed amount.
 * @throws when the value is not a plain decimal.
 */
export function approximate(value: string): number {
  parse(value);
  return Number(value);
}
