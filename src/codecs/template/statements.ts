import type { CallStatementNode, Expression, ForNode, ParameterNode, SetNode, Statement } from "./ast.ts";
import type { Budget } from "./budget.ts";
import { callValue, evaluate, evaluateArguments, filterValue, Scope } from "./evaluator.ts";
import { areEqual } from "./operators.ts";
import { GENERATION_FILTER } from "./parse-template.ts";
import { toText } from "./text.ts";
import {
  type Arguments,
  Callable,
  Dict,
  fail,
  isTrue,
  iterate,
  List,
  Loop,
  Namespace,
  Tuple,
  Undefined,
  type Value,
} from "./values.ts";

/** How a body ended: at its end, or by `break` or `continue` of the loop around it. */
type Ending = "done" | "break" | "continue";

/** Runs a body and returns what it writes. */
export function renderBody(body: readonly Statement[], scope: Scope, budget: Budget): string {
  const written: string[] = [];
  if (runBody(body, scope, budget, written) !== "done") fail("break and continue need a loop around them");
  return join(written, budget);
}

function join(written: readonly string[], budget: Budget): string {
  budget.spendCopy(written.reduce((sum, { length }) => sum + length, 0));
  return written.join("");
}

function runBody(body: readonly Statement[], scope: Scope, budget: Budget, written: string[]): Ending {
  for (const statement of body) {
    const ending = runStatement(statement, scope, budget, written);
    if (ending !== "done") return ending;
  }
  return "done";
}

function runStatement(node: Statement, scope: Scope, budget: Budget, written: string[]): Ending {
  budget.spend(1);
  switch (node.type) {
    case "Comment":
      return "done";
    case "Break":
      return "break";
    case "Continue":
      return "continue";
    case "If":
      return runBody(
        isTrue(evaluate(node.test, scope, budget)) ? node.body : node.alternate,
        scope,
        budget,
        written,
      );
    case "For":
      return runFor(node, scope, budget, written);
    case "Set":
      runSet(node, scope, budget);
      return "done";
    case "Macro":
      scope.names.set(node.name.value, defineMacro(node.name.value, node, scope, budget));
      return "done";
    case "CallStatement":
      written.push(runCallBlock(node, scope, budget));
      return "done";
    case "FilterStatement": {
      const text = renderBody(node.body, new Scope(scope), budget);
      if (node.filter.type === "Identifier" && node.filter.value === GENERATION_FILTER) {
        written.push(markGenerated(text, scope));
        return "done";
      }
      written.push(toText(filterValue(text, node.filter, scope, budget), budget));
      return "done";
    }
    default:
      written.push(toText(evaluate(node, scope, budget), budget));
      return "done";
  }
}

/** A variable that no template can name: two characters to put around what the assistant writes. */
export const GENERATION_MARKS = "generation marks";

function markGenerated(text: string, scope: Scope): string {
  const marks = scope.find(GENERATION_MARKS);
  return typeof marks === "string" ? marks[0] + text + marks[1] : text;
}

function runFor(node: ForNode, scope: Scope, budget: Budget, written: string[]): Ending {
  const { iterable } = node;
  const condition = iterable.type === "SelectExpression" ? iterable.test : undefined;
  const source = iterable.type === "SelectExpression" ? iterable.lhs : iterable;
  const all = iterate(evaluate(source, scope, budget), budget);
  const items = condition ? all.filter((item) => isTrue(evaluate(condition, iteration(item), budget))) : all;
  if (items.length === 0) return runBody(node.defaultBlock, new Scope(scope), budget, written);
  let last: { readonly values: readonly Value[] } | undefined;
  const changed = new Callable("changed", ({ positional }) => {
    const same = last !== undefined && areEqual(new List(last.values), new List(positional), budget);
    last = { values: positional };
    return !same;
  });
  const outer = scope.find("loop");
  const depth = outer instanceof Loop ? outer.depth + 1 : 1;
  for (const [index, item] of items.entries()) {
    budget.spend(4); // the scope, and what describes the loop
    const inner = iteration(item);
    inner.names.set("loop", new Loop(items, index, depth, changed));
    if (runBody(node.body, inner, budget, written) === "break") break;
  }
  return "done";

  function iteration(item: Value): Scope {
    const inner = new Scope(scope);
    assign(node.loopvar, item, inner, budget);
    return inner;
  }
}

function runSet({ assignee, value, body }: SetNode, scope: Scope, budget: Budget): void {
  if (value) {
    assign(assignee, evaluate(value, scope, budget), scope, budget);
    return;
  }
  const text = renderBody(body, new Scope(scope), budget);
  const filters = [];
  let target = assignee;
  for (; target.type === "FilterExpression"; target = target.operand) filters.unshift(target.filter);
  const result = filters.reduce<Value>((at, filter) => filterValue(at, filter, scope, budget), text);
  assign(target, result, scope, budget);
}

function assign(target: Expression, value: Value, scope: Scope, budget: Budget): void {
  if (target.type === "Identifier") {
    scope.names.set(target.value, value);
  } else if (target.type === "TupleLiteral") {
    const items = iterate(value, budget);
    if (items.length !== target.value.length) {
      fail(
        `${items.length < target.value.length ? "not enough" : "too many"} values to unpack (expected ${target.value.length})`,
      );
    }
    for (const [i, part] of target.value.entries()) assign(part, items[i]!, scope, budget);
  } else if (
    target.type === "MemberExpression" &&
    !target.computed &&
    target.property.type === "Identifier"
  ) {
    const object = evaluate(target.object, scope, budget);
    if (!(object instanceof Namespace)) fail("cannot assign attribute on non-namespace object");
    setAttribute(object, target.property.value, value);
  } else {
    fail("cannot assign to an expression");
  }
}

/** Sets an attribute of a namespace; names that begin with an underscore are refused, as Hugging Face does. */
export function setAttribute(namespace: Namespace, name: string, value: Value): void {
  if (name.startsWith("_")) fail(`a namespace cannot have an attribute named '${name}'`);
  namespace.attributes.set(name, value);
}

interface MacroBody {
  readonly args: readonly ParameterNode[];
  readonly body: readonly Statement[];
}

function defineMacro(name: string, macro: MacroBody, scope: Scope, budget: Budget): Callable {
  const used = new Set<string>();
  collectNames(macro.body, used, budget);
  const declared = new Set(
    macro.args.map((argument) => (argument.type === "Identifier" ? argument : argument.key).value),
  );
  return new Callable(name, (args) =>
    budget.nested(() => {
      const inner = new Scope(scope);
      const rest = bindParameters(name, macro.args, args, inner, budget);
      if (used.has("caller") && !declared.has("caller")) {
        inner.names.set("caller", rest.named.get("caller") ?? new Undefined("No caller defined: it"));
        rest.named.delete("caller");
      }
      if (used.has("kwargs")) inner.names.set("kwargs", new Dict(rest.named));
      else for (const key of rest.named.keys()) fail(`macro '${name}' takes no keyword argument '${key}'`);
      if (used.has("varargs")) inner.names.set("varargs", new Tuple(rest.positional));
      else if (rest.positional.length > 0)
        fail(`macro '${name}' takes not more than ${macro.args.length} argument(s)`);
      return renderBody(macro.body, inner, budget);
    }),
  );
}

function bindParameters(
  name: string,
  parameters: readonly ParameterNode[],
  { positional, named }: Arguments,
  inner: Scope,
  budget: Budget,
): { readonly positional: readonly Value[]; readonly named: Map<string, Value> } {
  const rest = new Map(named);
  const defaults: [string, Expression][] = [];
  for (const [i, parameter] of parameters.entries()) {
    const key = (parameter.type === "Identifier" ? parameter : parameter.key).value;
    if (i < positional.length && rest.has(key)) fail(`macro '${name}' got two values for '${key}'`);
    const value = i < positional.length ? positional[i] : rest.get(key);
    rest.delete(key);
    if (value === undefined && parameter.type !== "Identifier") defaults.push([key, parameter.value]);
    inner.names.set(
      key,
      value === undefined ? new Undefined(`parameter '${key}' was not provided, it`) : value,
    );
  }
  for (const [key, value] of defaults) inner.names.set(key, evaluate(value, inner, budget));
  return { positional: positional.slice(parameters.length), named: rest };
}

function runCallBlock({ call, callerArgs, body }: CallStatementNode, scope: Scope, budget: Budget): string {
  const caller = defineMacro("caller", { args: callerArgs ?? [], body }, scope, budget);
  const { positional, named } = evaluateArguments(call.args, scope, budget);
  const args = { positional, named: new Map<string, Value>([...named, ["caller", caller]]) };
  return toText(callValue(evaluate(call.callee, scope, budget), args, budget), budget);
}

/** All names that occur in a piece of the tree. */
function collectNames(node: unknown, names: Set<string>, budget: Budget): void {
  if (typeof node !== "object" || node === null) return;
  budget.spend(1);
  if ("type" in node && node.type === "Identifier" && "value" in node && typeof node.value === "string") {
    names.add(node.value);
  }
  const children = node instanceof Map ? [...node].flat() : Object.values(node);
  for (const child of children) collectNames(child, names, budget);
}
