/** A number as it is written: `digits · 10^exponent`, exactly. */
export interface Decimal {
  readonly digits: bigint;
  readonly exponent: number;
}

/**
 * The shortest decimal that JavaScript reads as this number, which is what JSON says: 0.1 is a tenth.
 *
 * @example
 * toDecimal(-1.25); // => { digits: -125n, exponent: -2 }
 */
export function toDecimal(value: number): Decimal {
  const [, sign, whole, fraction = "", power = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(
    String(value),
  )!;
  return { digits: BigInt(`${sign}${whole}${fraction}`), exponent: Number(power) - fraction.length };
}

/** Both as integers, in units of the same power of ten. */
export function alignDecimals(a: Decimal, b: Decimal): { a: bigint; b: bigint; exponent: number } {
  const exponent = Math.min(a.exponent, b.exponent);
  const scaled = ({ digits, exponent: from }: Decimal) => digits * 10n ** BigInt(from - exponent);
  return { a: scaled(a), b: scaled(b), exponent };
}

/**
 * True if the value is a whole number of steps, in decimal: 0.3 is three times 0.1.
 *
 * @example
 * isMultipleOf(0.0075, 0.0001); // => true
 */
export function isMultipleOf(value: number, step: number): boolean {
  const { a, b } = alignDecimals(toDecimal(value), toDecimal(step));
  return a % b === 0n;
}
