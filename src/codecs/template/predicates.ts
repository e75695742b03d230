import type { Budget } from "./budget.ts";
import { areEqual, compare, contains, isNumber } from "./operators.ts";
import { isLower, isUpper } from "./string-methods.ts";
import { toText } from "./text.ts";
import {
  Callable,
  Dict,
  DictView,
  fail,
  itemsOf,
  List,
  Range,
  Stream,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

type Predicate = (value: Value, argument: Value, budget: Budget) => boolean;

/** Tests that take something to compare with; the others take the value alone. */
const BINARY: ReadonlySet<string> = new Set(
  "divisibleby eq equalto == ne != lt lessthan < le <= gt greaterthan > ge >= in sameas".split(" "),
);

const PREDICATES: Readonly<Record<string, Predicate>> = {
  boolean: (value) => typeof value === "boolean",
  callable: (value) => value instanceof Callable,
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  even: (value) => toInteger(value, "even") % 2n === 0n,
  odd: (value) => toInteger(value, "odd") % 2n !== 0n,
  true: (value) => value === true,
  false: (value) => value === false,
  none: (value) => value === null,
  string: (value) => typeof value === "string",
  number: (value) => isNumber(value),
  integer: (value) => typeof value === "bigint",
  float: (value) => typeof value === "number",
  mapping: (value) => value instanceof Dict,
  iterable: (value, _, budget) => value instanceof Stream || itemsOf(value, budget) !== undefined,
  sequence: (value) =>
    typeof value === "string" ||
    [List, Tuple, Dict, Range, Undefined].some(
      (kind) => value instanceof kind && !(value instanceof DictView),
    ),
  lower: (value, _, budget) => isLower(toText(value, budget)),
  upper: (value, _, budget) => isUpper(toText(value, budget)),
  escaped: () => false,
  divisibleby: (value, argument) => toInteger(value, "divisibleby") % toDivisor(argument) === 0n,
  in: (value, argument, budget) => contains(argument, value, budget),
  sameas: (value, argument) => value === argument,
  eq: areEqual,
  ne: (value, argument, budget) => !areEqual(value, argument, budget),
  lt: (value, argument, budget) => compare(value, argument, "<", budget) < 0,
  le: (value, argument, budget) => compare(value, argument, "<=", budget) <= 0,
  gt: (value, argument, budget) => compare(value, argument, ">", budget) > 0,
  ge: (value, argument, budget) => compare(value, argument, ">=", budget) >= 0,
};

const OTHER_NAMES: Readonly<Record<string, string>> = {
  equalto: "eq",
  "==": "eq",
  "!=": "ne",
  lessthan: "lt",
  "<": "lt",
  "<=": "le",
  greaterthan: "gt",
  ">": "gt",
  ">=": "ge",
};

/** `value is name(arguments)`. */
export function applyTest(name: string, value: Value, args: readonly Value[], budget: Budget): boolean {
  const known = OTHER_NAMES[name] ?? name;
  const predicate = Object.hasOwn(PREDICATES, known) ? PREDICATES[known] : undefined;
  if (!predicate) return fail(`no test named '${name}'`);
  const wanted = BINARY.has(name) ? 1 : 0;
  if (args.length !== wanted) fail(`the test '${name}' takes ${wanted} arguments, ${args.length} given`);
  return predicate(value, args[0] ?? null, budget);
}

function toInteger(value: Value, name: string): bigint {
  if (typeof value === "bigint" || typeof value === "boolean") return BigInt(value);
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  return fail(`the test '${name}' needs an integer, not ${typeName(value)}`);
}

function toDivisor(value: Value): bigint {
  const divisor = toInteger(value, "divisibleby");
  return divisor === 0n ? fail("division by zero") : divisor;
}
