import { ConfigError } from "../../core/errors.ts";
import { type ByteEdge, buildAutomaton, type TableAutomaton } from "../constraint/byte-automaton.ts";
import { regexAutomaton } from "../constraint/regex-automaton.ts";
import { alignDecimals, type Decimal, toDecimal } from "./decimal.ts";

/** What a number has to be. */
export interface NumberRules {
  readonly isInteger: boolean;
  readonly min: number;
  readonly max: number;
  readonly excludesMin: boolean;
  readonly excludesMax: boolean;
  /** It is a multiple of all of these. */
  readonly steps: readonly number[];
}

/** No rule at all. */
export const ANY_NUMBER: NumberRules = {
  isInteger: false,
  min: Number.NEGATIVE_INFINITY,
  max: Number.POSITIVE_INFINITY,
  excludesMin: false,
  excludesMax: false,
  steps: [],
};

/** With so many digits, numbers that differ are different in float64, too. */
const EXACT_DIGITS = 15;

/** Remainders that are told apart while digits are written. */
const MAX_MODULUS = 5000;

/** How a number is written. */
export type NumberForms =
  /** Integers without a fraction. */
  | "plain"
  /** With any fraction that does not change the value, such as 5.00: to tell what another schema takes. */
  | "all";

/**
 * JSON text of the numbers that fit: without an exponent, with 15 digits at most or as many as the limits have, so that reading them as
 * float64 cannot carry them over a limit. Minus zero is left out.
 *
 * @throws {ConfigError} if multiples cannot be followed digit by digit.
 */
export function numberAutomaton(
  rules: NumberRules,
  forms: NumberForms,
  where: string,
): TableAutomaton | undefined {
  if (isUnlimited(rules) && forms === "plain") {
    const pattern = rules.isInteger
      ? "0|-?[1-9]\\d{0,14}"
      : "-?(?:0|[1-9]\\d{0,14})(?:\\.\\d{1,15})?(?:[eE][+-]?\\d{1,2})?";
    return regexAutomaton(pattern, "whole", where);
  }
  return new DigitRules(rules, forms, where).build();
}

function isUnlimited({ min, max, steps }: NumberRules): boolean {
  return min === Number.NEGATIVE_INFINITY && max === Number.POSITIVE_INFINITY && steps.length === 0;
}

/** What is known of a number while its digits come. */
interface Digits {
  readonly place: "start" | "minus" | "whole" | "point" | "fraction";
  readonly isNegative: boolean;
  readonly numWhole: number;
  readonly numFraction: number;
  /** All digits are 0 so far. */
  readonly isZero: boolean;
  /** Of its digits, compared with those of the bounds' absolute values from the left: −1, 0 or 1. */
  readonly toMin: number;
  readonly toMax: number;
  readonly remainder: number;
}

/** A bound's absolute value, written out. */
interface Bound {
  readonly sign: number;
  readonly whole: string;
  readonly fraction: string;
}

class DigitRules {
  readonly #rules: NumberRules;
  readonly #min: Bound | undefined;
  readonly #max: Bound | undefined;
  readonly #modulus: number;
  /** Digits behind the point that the modulus counts. */
  readonly #stepPlaces: number;
  readonly #maxWhole: number;
  readonly #maxDigits: number;
  readonly #hasFraction: boolean;
  readonly #where: string;

  constructor(rules: NumberRules, forms: NumberForms, where: string) {
    this.#rules = rules;
    this.#where = where;
    this.#min = boundOf(rules.min);
    this.#max = boundOf(rules.max);
    const steps = rules.isInteger ? [...rules.steps, 1] : rules.steps;
    const step = steps
      .map(toDecimal)
      .reduce<Decimal | undefined>((a, b) => (a ? commonMultiple(a, b) : b), undefined);
    this.#stepPlaces = step ? Math.max(0, -step.exponent) : 0;
    const modulus = step ? step.digits * 10n ** BigInt(Math.max(0, step.exponent)) : 0n;
    if (modulus > MAX_MODULUS) {
      throw new ConfigError({
        where: `${where}/multipleOf`,
        expected: `multiples of at most ${MAX_MODULUS} units`,
        got: `${rules.steps.join(" and ")}`,
      });
    }
    this.#modulus = Number(modulus);
    const lengths = [this.#min, this.#max].map((bound) => bound?.whole.length ?? 0);
    const digits = [this.#min, this.#max].map((bound) =>
      bound ? bound.whole.length + bound.fraction.length : 0,
    );
    const isExact = rules.excludesMin || rules.excludesMax || rules.steps.length > 0;
    this.#maxWhole = isExact ? EXACT_DIGITS : Math.max(EXACT_DIGITS, ...lengths);
    this.#maxDigits = isExact ? EXACT_DIGITS : Math.max(EXACT_DIGITS, ...digits);
    this.#hasFraction = forms === "all" || !rules.isInteger;
  }

  build(): TableAutomaton | undefined {
    return buildAutomaton<Digits>(
      {
        start: {
          place: "start",
          isNegative: false,
          numWhole: 0,
          numFraction: 0,
          isZero: true,
          toMin: 0,
          toMax: 0,
          remainder: 0,
        },
        keyOf: (state) => Object.values(state).join(),
        edgesOf: (state) => this.#edges(state),
        accepts: (state) => this.#accepts(state),
      },
      this.#where,
    );
  }

  #edges(state: Digits): ByteEdge<Digits>[] {
    const { place, numWhole, numFraction, isZero } = state;
    const edges: ByteEdge<Digits>[] = [];
    const push = (character: string, to: Digits | undefined) => {
      const byte = character.charCodeAt(0);
      if (to) edges.push({ low: byte, high: byte, to });
    };
    if (place === "start") push("-", { ...state, place: "minus", isNegative: true });
    if (place === "whole" && this.#hasFraction && numWhole < this.#maxDigits)
      push(".", this.#afterWhole(state));
    const isLeadingZero = place === "whole" && isZero; // JSON has no 07
    const inFraction = place === "point" || place === "fraction";
    const isFull = inFraction ? numWhole + numFraction >= this.#maxDigits : numWhole >= this.#maxWhole;
    if (isLeadingZero || isFull) return edges;
    for (let digit = 0; digit < 10; digit++) {
      push(`${digit}`, inFraction ? this.#fractionDigit(state, digit) : this.#wholeDigit(state, digit));
    }
    return edges;
  }

  #wholeDigit(state: Digits, digit: number): Digits {
    const at = state.numWhole;
    return {
      ...state,
      place: "whole",
      numWhole: at + 1,
      isZero: state.isZero && digit === 0,
      toMin: compareDigit(state.toMin, digit, this.#min?.whole[at]),
      toMax: compareDigit(state.toMax, digit, this.#max?.whole[at]),
      remainder: this.#modulus > 0 ? (state.remainder * 10 + digit) % this.#modulus : 0,
    };
  }

  #afterWhole(state: Digits): Digits {
    const { numWhole } = state;
    return {
      ...state,
      place: "point",
      toMin: compareLength(state.toMin, numWhole, this.#min),
      toMax: compareLength(state.toMax, numWhole, this.#max),
    };
  }

  #fractionDigit(state: Digits, digit: number): Digits | undefined {
    const at = state.numFraction;
    const counts = at < this.#stepPlaces;
    if (this.#modulus > 0 && !counts && digit !== 0) return undefined;
    return {
      ...state,
      place: "fraction",
      numFraction: at + 1,
      isZero: state.isZero && digit === 0,
      toMin: compareDigit(state.toMin, digit, this.#min && (this.#min.fraction[at] ?? "0")),
      toMax: compareDigit(state.toMax, digit, this.#max && (this.#max.fraction[at] ?? "0")),
      remainder:
        this.#modulus > 0 && counts ? (state.remainder * 10 + digit) % this.#modulus : state.remainder,
    };
  }

  #accepts(given: Digits): boolean {
    if (given.place !== "whole" && given.place !== "fraction") return false;
    const state = given.place === "whole" ? this.#afterWhole(given) : given;
    const { isNegative, isZero, numFraction, remainder } = state;
    if (isNegative && isZero) return false;
    if (this.#modulus > 0) {
      const missing = Math.max(0, this.#stepPlaces - numFraction);
      if ((BigInt(remainder) * 10n ** BigInt(missing)) % BigInt(this.#modulus) !== 0n) return false;
    }
    const sign = isZero ? 0 : isNegative ? -1 : 1;
    const toMin = this.#min ? compare(sign, state.toMin, numFraction, this.#min) : 1;
    const toMax = this.#max ? compare(sign, state.toMax, numFraction, this.#max) : -1;
    return toMin >= (this.#rules.excludesMin ? 1 : 0) && toMax <= (this.#rules.excludesMax ? -1 : 0);
  }
}

/** A finite bound, written out; undefined for infinity. */
function boundOf(value: number): Bound | undefined {
  if (!Number.isFinite(value)) return undefined;
  const { digits, exponent } = toDecimal(Math.abs(value));
  const text = digits.toString();
  const padded = exponent >= 0 ? text + "0".repeat(exponent) : text.padStart(1 - exponent, "0");
  const split = exponent >= 0 ? padded.length : padded.length + exponent;
  return { sign: Math.sign(value), whole: padded.slice(0, split), fraction: padded.slice(split) };
}

function commonMultiple(first: Decimal, second: Decimal): Decimal {
  const { a, b, exponent } = alignDecimals(first, second);
  let [x, y] = [a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return { digits: (a / x) * b, exponent };
}

/** Goes on with a comparison from the left; `other` undefined: nothing to compare with. */
function compareDigit(before: number, digit: number, other: string | undefined): number {
  return before !== 0 || other === undefined ? before : Math.sign(digit - Number(other));
}

/** More digits before the point make a number larger whatever they are. */
function compareLength(before: number, numWhole: number, bound: Bound | undefined): number {
  return bound && numWhole !== bound.whole.length ? Math.sign(numWhole - bound.whole.length) : before;
}

/** A number and a bound, by the sign of the first and the comparison of their digits. */
function compare(sign: number, digits: number, numFraction: number, bound: Bound): number {
  if (sign === 0 || bound.sign === 0 || sign !== bound.sign) return Math.sign(sign - bound.sign);
  const isLonger = digits === 0 && /[1-9]/.test(bound.fraction.slice(numFraction));
  return sign * (isLonger ? -1 : digits);
}
