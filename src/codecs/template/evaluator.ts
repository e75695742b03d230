import type { Argument, CallNode, Expression, FilterNode, MemberNode } from "./ast.ts";
import { getAttribute, getItem, getSlice } from "./attributes.ts";
import type { Budget } from "./budget.ts";
import { applyFilter } from "./filters.ts";
import { applyBinary, isNumber } from "./operators.ts";
import { applyTest } from "./predicates.ts";
import { escapeHtml } from "./text.ts";
import {
  type Arguments,
  Callable,
  Dict,
  fail,
  isTrue,
  iterate,
  type Key,
  List,
  Markup,
  Tuple,
  toKey,
  typeName,
  Undefined,
  unmarked,
  type Value,
} from "./values.ts";

/** Names and what they mean, inside others. */
export class Scope {
  readonly names = new Map<string, Value>();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  find(name: string): Value {
    for (let scope: Scope | undefined = this; scope; scope = scope.#outer) {
      const value = scope.names.get(name);
      if (value !== undefined) return value;
    }
    return new Undefined(`'${name}'`);
  }
}

/** Prefix of a test with arguments that the parser passed through as a filter. */
export const TEST_PREFIX = "is ";
/** The same, negated. */
export const NEGATED_TEST_PREFIX = "is not ";

/** The value of an expression. */
export function evaluate(node: Expression, scope: Scope, budget: Budget): Value {
  budget.spend(1);
  switch (node.type) {
    case "Identifier":
      return scope.find(node.value);
    case "StringLiteral":
      return node.value;
    case "IntegerLiteral":
      return BigInt(node.value);
    case "FloatLiteral":
      return node.value;
    case "ArrayLiteral":
      return new List(node.value.map((item) => evaluatePlain(item, scope, budget)));
    case "TupleLiteral":
      return new Tuple(node.value.map((item) => evaluatePlain(item, scope, budget)));
    case "ObjectLiteral":
      return evaluateObject(node.value, scope, budget);
    case "MemberExpression":
      return evaluateMember(node, scope, budget);
    case "CallExpression":
      return evaluateCall(node, scope, budget);
    case "FilterExpression":
      return filterValue(evaluate(node.operand, scope, budget), node.filter, scope, budget);
    case "TestExpression":
      return (
        node.negate !== applyTest(node.test.value, evaluatePlain(node.operand, scope, budget), [], budget)
      );
    case "UnaryExpression":
      return applyUnary(node.operator.value, evaluate(node.argument, scope, budget));
    case "SelectExpression":
      return isTrue(evaluate(node.test, scope, budget))
        ? evaluate(node.lhs, scope, budget)
        : new Undefined("the inline if-expression evaluated to false and no else section was defined, it");
    case "Ternary":
      return evaluate(
        isTrue(evaluate(node.condition, scope, budget)) ? node.trueExpr : node.falseExpr,
        scope,
        budget,
      );
    case "BinaryExpression": {
      const { value: operator } = node.operator;
      const left = evaluate(node.left, scope, budget);
      if (operator === "and") return isTrue(left) ? evaluate(node.right, scope, budget) : left;
      if (operator === "or") return isTrue(left) ? left : evaluate(node.right, scope, budget);
      const right = evaluate(node.right, scope, budget);
      return (
        joinMarkup(operator, left, right, budget) ??
        applyBinary(operator, unmarked(left), unmarked(right), budget)
      );
    }
    default:
      return fail(`it has an expression Plinth does not know: ${(node as { readonly type: string }).type}`);
  }
}

function evaluatePlain(node: Expression, scope: Scope, budget: Budget): Value {
  return unmarked(evaluate(node, scope, budget));
}

/** `+` with marked text: the other side is escaped, the result is marked. */
function joinMarkup(operator: string, left: Value, right: Value, budget: Budget): Markup | undefined {
  if (operator !== "+" || !(left instanceof Markup || right instanceof Markup)) return undefined;
  if ([left, right].some((side) => typeof unmarked(side) !== "string")) return undefined;
  return new Markup(escapeHtml(left, budget) + escapeHtml(right, budget));
}

/** Arguments of a call: all by position first, then those by name. */
export function evaluateArguments(args: readonly Argument[], scope: Scope, budget: Budget): Arguments {
  const positional: Value[] = [];
  const named = new Map<string, Value>();
  const addNamed = (name: string, value: Value) => {
    if (named.has(name)) fail(`got multiple values for keyword argument '${name}'`);
    named.set(name, value);
  };
  for (const argument of args) {
    if (argument.type === "SpreadExpression") {
      const items = iterate(evaluate(argument.argument, scope, budget), budget);
      budget.spend(items.length);
      for (const item of items) positional.push(item);
    } else if (argument.type !== "KeywordArgumentExpression" && argument.type !== "KeywordSpreadExpression") {
      positional.push(evaluatePlain(argument, scope, budget));
    }
  }
  for (const argument of args) {
    if (argument.type === "KeywordArgumentExpression") {
      addNamed(argument.key.value, evaluatePlain(argument.value, scope, budget));
    } else if (argument.type === "KeywordSpreadExpression") {
      const mapping = evaluate(argument.argument, scope, budget);
      if (!(mapping instanceof Dict)) fail(`argument after ** must be a mapping, not ${typeName(mapping)}`);
      for (const [key, value] of mapping.entries) addNamed(String(key), value);
    }
  }
  return { positional, named };
}

/** `value | filter`. */
export function filterValue(value: Value, filter: FilterNode, scope: Scope, budget: Budget): Value {
  const isCall = filter.type === "CallExpression";
  const callee = isCall ? filter.callee : filter;
  if (callee.type !== "Identifier") return fail("a filter is named by a plain word");
  const args = evaluateArguments(isCall ? filter.args : [], scope, budget);
  const name = callee.value;
  if (name.startsWith(NEGATED_TEST_PREFIX)) {
    return !applyTest(name.slice(NEGATED_TEST_PREFIX.length), unmarked(value), args.positional, budget);
  }
  if (name.startsWith(TEST_PREFIX)) {
    return applyTest(name.slice(TEST_PREFIX.length), unmarked(value), args.positional, budget);
  }
  const operand = name === "e" || name === "escape" ? value : unmarked(value);
  return applyFilter(name, operand, args, budget);
}

/** Calls what is a function. */
export function callValue(callee: Value, args: Arguments, budget: Budget): Value {
  budget.spend(1);
  if (callee instanceof Callable) return callee.call(args);
  if (callee instanceof Undefined) return fail(`${callee.hint} is undefined`);
  return fail(`'${typeName(callee)}' object is not callable`);
}

function evaluateCall({ callee, args }: CallNode, scope: Scope, budget: Budget): Value {
  const target = evaluate(callee, scope, budget);
  return callValue(target, evaluateArguments(args, scope, budget), budget);
}

function evaluateObject(entries: ReadonlyMap<Expression, Expression>, scope: Scope, budget: Budget): Dict {
  const result = new Map<Key, Value>();
  for (const [key, value] of entries) {
    result.set(toKey(evaluatePlain(key, scope, budget)), evaluatePlain(value, scope, budget));
  }
  return new Dict(result);
}

function evaluateMember({ object, property, computed }: MemberNode, scope: Scope, budget: Budget): Value {
  const target = evaluatePlain(object, scope, budget);
  if (property.type === "SliceExpression") {
    const bound = (node: Expression | undefined) => (node ? evaluate(node, scope, budget) : null);
    return getSlice(target, bound(property.start), bound(property.stop), bound(property.step), budget);
  }
  if (!computed && property.type === "Identifier") return getAttribute(target, property.value, budget);
  return getItem(target, evaluate(property, scope, budget), budget);
}

function applyUnary(operator: string, value: Value): Value {
  if (operator === "not") return !isTrue(value);
  if (value instanceof Undefined) return fail(`${value.hint} is undefined`);
  if (!isNumber(value)) return fail(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  const number = typeof value === "boolean" ? BigInt(value) : value;
  return operator === "-" ? -number : number;
}
