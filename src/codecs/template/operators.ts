import type { Budget } from "./budget.ts";
import { toText } from "./text.ts";
import {
  Callable,
  Dict,
  DictView,
  fail,
  iterate,
  List,
  Range,
  Tuple,
  toKey,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Bits beyond which an integer is refused rather than computed. */
const MAX_BITS = 4096;

/** `left operator right`, of all operators but `and` and `or`. */
export function applyBinary(operator: string, left: Value, right: Value, budget: Budget): Value {
  switch (operator) {
    case "==":
      return areEqual(left, right, budget);
    case "!=":
      return !areEqual(left, right, budget);
    case "in":
      return contains(right, left, budget);
    case "not in":
      return !contains(right, left, budget);
    case "~":
      return concatenate(toText(left, budget), toText(right, budget), budget);
    case "<":
      return compare(left, right, operator, budget) < 0;
    case "<=":
      return compare(left, right, operator, budget) <= 0;
    case ">":
      return compare(left, right, operator, budget) > 0;
    case ">=":
      return compare(left, right, operator, budget) >= 0;
    default:
      return applyArithmetic(operator, left, right, budget);
  }
}

/** `a == b`. */
export function areEqual(a: Value, b: Value, budget: Budget): boolean {
  budget.spend(1);
  if (isNumber(a) && isNumber(b))
    return Number(a) === Number(b) && (!isWhole(a) || !isWhole(b) || BigInt(a) === BigInt(b));
  if (a === b) return true;
  if (a instanceof Undefined) return b instanceof Undefined;
  const bothLists = a instanceof List && b instanceof List;
  const bothTuples = a instanceof Tuple && b instanceof Tuple;
  if (bothLists || bothTuples) {
    const others = b.items;
    return a.items.length === others.length && a.items.every((item, i) => areEqual(item, others[i]!, budget));
  }
  if (a instanceof Dict && b instanceof Dict) {
    if (a.entries.size !== b.entries.size) return false;
    for (const [key, value] of a.entries) {
      const other = b.entries.get(key);
      if (other === undefined || !areEqual(value, other, budget)) return false;
    }
    return true;
  }
  if (a instanceof Range && b instanceof Range) {
    return a.length === b.length && a.start === b.start && a.step === b.step;
  }
  return false;
}

/** `item in container`. */
export function contains(container: Value, item: Value, budget: Budget): boolean {
  if (typeof container === "string") {
    if (typeof item !== "string")
      fail(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    budget.spendCopy(container.length);
    return container.includes(item);
  }
  if (container instanceof Dict) return container.entries.has(toKey(item));
  if (container === null || typeof container !== "object" || container instanceof Callable) {
    fail(`argument of type '${typeName(container)}' is not iterable`);
  }
  return iterate(container, budget).some((other) => areEqual(item, other, budget));
}

/** Order as of `<`: negative, zero or positive; only values of a kind have one. */
export function compare(a: Value, b: Value, operator: string, budget: Budget): number {
  budget.spend(1);
  if (isNumber(a) && isNumber(b)) return Number(a) - Number(b);
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    for (let i = 0; i < Math.min(a.items.length, b.items.length); i++) {
      if (!areEqual(a.items[i]!, b.items[i]!, budget))
        return compare(a.items[i]!, b.items[i]!, operator, budget);
    }
    return a.items.length - b.items.length;
  }
  refuseUndefined(a, b);
  return fail(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** Strings by code point; JavaScript's own order is by UTF-16 unit, which puts U+1F600 before U+FF00. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const surrogates = x >= 0xd800 && y >= 0xd800;
    return surrogates ? (a.codePointAt(i)! < b.codePointAt(i)! ? -1 : 1) : x - y;
  }
  return a.length - b.length;
}

/** True for integers, floats and booleans, which Python counts as integers. */
export function isNumber(value: Value): value is number | bigint | boolean {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";
}

function isWhole(value: number | bigint | boolean): value is bigint | boolean {
  return typeof value !== "number";
}

function concatenate(a: string, b: string, budget: Budget): string {
  budget.spendCopy(a.length + b.length);
  return a + b;
}

function applyArithmetic(operator: string, left: Value, right: Value, budget: Budget): Value {
  if (isNumber(left) && isNumber(right)) {
    if (isWhole(left) && isWhole(right)) return integerArithmetic(operator, BigInt(left), BigInt(right));
    return floatArithmetic(operator, Number(left), Number(right));
  }
  refuseUndefined(left, right);
  if (operator === "+") {
    if (typeof left === "string" && typeof right === "string") return concatenate(left, right, budget);
    if (left instanceof List && right instanceof List) return new List(concatenateItems(left, right, budget));
    if (left instanceof Tuple && right instanceof Tuple)
      return new Tuple(concatenateItems(left, right, budget));
  }
  if (operator === "*") {
    if (isNumber(right) && isWhole(right)) return repeat(left, Number(right), budget);
    if (isNumber(left) && isWhole(left)) return repeat(right, Number(left), budget);
  }
  if (operator === "%" && typeof left === "string")
    fail("it formats with %, which Plinth does not do; use ~");
  return fail(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`);
}

function concatenateItems(a: List | Tuple, b: List | Tuple, budget: Budget): readonly Value[] {
  budget.spend(a.items.length + b.items.length);
  return [...a.items, ...b.items];
}

function repeat(value: Value, times: number, budget: Budget): Value {
  const count = Math.max(0, times);
  if (typeof value === "string") {
    budget.spendCopy(value.length * count);
    return value.repeat(count);
  }
  if (value instanceof List || value instanceof Tuple) {
    budget.spend(value.items.length * count);
    const items = value.items.length === 0 ? [] : Array.from({ length: count }, () => value.items).flat();
    return value instanceof List ? new List(items) : new Tuple(items);
  }
  return fail(`can't multiply sequence by non-int of type '${typeName(value)}'`);
}

function integerArithmetic(operator: string, a: bigint, b: bigint): Value {
  switch (operator) {
    case "+":
      return bounded(a + b);
    case "-":
      return bounded(a - b);
    case "*":
      return bounded(a * b);
    case "/":
      return Number(a) / Number(nonZero(b));
    case "//":
      return floorDivide(a, nonZero(b));
    case "%":
      return a - floorDivide(a, nonZero(b)) * b;
    case "**":
      if (b < 0n) return floatArithmetic(operator, Number(a), Number(b));
      if (BigInt(a.toString(2).length) * b > BigInt(MAX_BITS))
        fail("it computes an integer that is too large");
      return a ** b;
    default:
      return fail(`unknown operator ${operator}`);
  }
}

function floatArithmetic(operator: string, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / nonZero(b);
    case "//":
      return Math.floor(a / nonZero(b));
    case "%":
      return a - Math.floor(a / nonZero(b)) * b;
    case "**":
      if (a === 0 && b < 0) fail("0.0 cannot be raised to a negative power");
      return a ** b;
    default:
      return fail(`unknown operator ${operator}`);
  }
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
}

function nonZero<T extends number | bigint>(value: T): T {
  if (Number(value) === 0) fail("division by zero");
  return value;
}

function bounded(value: bigint): bigint {
  const limit = 1n << BigInt(MAX_BITS);
  if (value > limit || value < -limit) fail("it computes an integer that is too large");
  return value;
}

function refuseUndefined(...values: readonly Value[]): void {
  for (const value of values) if (value instanceof Undefined) fail(`${value.hint} is undefined`);
  for (const value of values) if (value instanceof DictView) fail(`'${value.name}' has no such operator`);
}
