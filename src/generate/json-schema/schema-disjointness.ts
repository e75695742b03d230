import { ConfigError } from "../../core/errors.ts";
import type { JsonValue } from "../../hub/strict-json.ts";
import {
  acceptsBytes,
  intersect,
  listAutomaton,
  subtract,
  type TableAutomaton,
} from "../constraint/byte-automaton.ts";
import {
  cannotFollow,
  itemSchemas,
  listedValues,
  numberRules,
  stringRules,
  typesOf,
} from "./branch-rules.ts";
import type { SchemaEvaluator } from "./evaluate.ts";
import { ANY_NUMBER, numberAutomaton } from "./number-language.ts";
import { type ObjectPlan, type PlanContext, planObject, propertySchemas } from "./object-plan.ts";
import type { Branch, BranchExpander } from "./schema-branches.ts";
import { JSON_TYPES, type JsonType } from "./schema-keywords.ts";
import type { SchemaLocation } from "./schema-registry.ts";
import { stringLanguage } from "./string-language.ts";

/** How far into properties and items a difference is looked for. */
const MAX_DEPTH = 5;

/** Numbers of more digits are not told apart digit by digit. */
const LARGEST = 10 ** 15 - 1;

/**
 * Keeps what is written out of schemas that must not fit: those of `not`, the other ones of `oneOf`, the other side of `if`. Strings and numbers
 * are told apart exactly, arrays and objects where some part of them differs.
 *
 * An excluded schema may be taken for larger than it is (then less is written), never for smaller.
 */
export class Disjointness {
  readonly #expander: BranchExpander;
  readonly #evaluator: SchemaEvaluator;
  readonly #context: PlanContext;
  /** What excluded schemas are taken apart into, and what branches write: asked for once for each pair of alternatives. */
  readonly #expanded = new Map<string, Branch[]>();
  readonly #plans = new Map<Branch["parts"], ObjectPlan>();

  constructor(expander: BranchExpander, evaluator: SchemaEvaluator, context: PlanContext) {
    this.#expander = expander;
    this.#evaluator = evaluator;
    this.#context = context;
  }

  /** True if a value fits a branch. */
  isWithin({ parts, excluded }: Branch, value: JsonValue): boolean {
    return (
      parts.every(({ location }) => this.#fits(location, value)) &&
      !excluded.some((item) => this.#fits(item, value))
    );
  }

  /** The strings of a branch. */
  strings(branch: Branch, where: string): TableAutomaton | undefined {
    let language = stringLanguage(stringRules(branch), where);
    for (const excluded of branch.excluded) {
      for (const other of this.#expander.expand([excluded])) {
        const taken = this.#stringsTaken(other, excluded.uri);
        if (language && taken) language = subtract(language, taken, where);
      }
    }
    return language;
  }

  /** The numbers of a branch. */
  numbers(branch: Branch, isInteger: boolean, where: string): TableAutomaton | undefined {
    const { min, max, ...rules } = numberRules(branch, isInteger);
    if (
      (Number.isFinite(min) && Math.abs(min) > LARGEST) ||
      (Number.isFinite(max) && Math.abs(max) > LARGEST)
    ) {
      throw cannotFollow(branch.excluded[0]!.uri, "Use limits of at most 15 digits.");
    }
    const limited = { ...rules, min: Math.max(min, -LARGEST), max: Math.min(max, LARGEST) };
    let language = numberAutomaton(limited, "plain", where);
    for (const excluded of branch.excluded) {
      for (const other of this.#expander.expand([excluded])) {
        for (const taken of this.#numbersTaken(other, excluded.uri)) {
          if (language) language = subtract(language, taken, where);
        }
      }
    }
    return language;
  }

  /** True if nothing of that type that the branch writes can fit the excluded schema. */
  isDisjoint(branch: Branch, type: JsonType, excluded: SchemaLocation): boolean {
    let others = this.#expanded.get(excluded.uri);
    if (!others) {
      others = this.#expander.expand([excluded]);
      this.#expanded.set(excluded.uri, others);
    }
    return others.every((other) => this.#isApart(branch, type, other, 0));
  }

  #fits(location: SchemaLocation, value: JsonValue): boolean {
    return this.#evaluator.validate(location, value).length === 0;
  }

  #stringsTaken(other: Branch, where: string): TableAutomaton | undefined {
    const values = listedValues(other);
    if (values) {
      const encoder = new TextEncoder();
      const texts = values.filter((value) => typeof value === "string").map((text) => encoder.encode(text));
      return listAutomaton(texts, where);
    }
    if (!strictTypes(other).has("string")) return undefined;
    requireNoFormat(other);
    return stringLanguage(stringRules(other), where);
  }

  #numbersTaken(other: Branch, where: string): TableAutomaton[] {
    const values = listedValues(other);
    const rules = values
      ? values
          .filter((value) => typeof value === "number")
          .map((value) => ({ ...ANY_NUMBER, min: value, max: value }))
      : ["number", "integer"]
          .filter((type) => strictTypes(other).has(type as JsonType))
          .slice(0, 1)
          .map((type) => numberRules(other, type === "integer"));
    return rules
      .map((rule) => numberAutomaton(rule, "all", where))
      .filter((language) => language !== undefined);
  }

  /** True if no value of the type is in both; `other` is all it may be. */
  #isApart(branch: Branch, type: JsonType, other: Branch, depth: number): boolean {
    const types = strictTypes(other);
    const isPossible =
      types.has(type) ||
      (type === "integer" && types.has("number")) ||
      (type === "number" && types.has("integer"));
    if (!isPossible) return true;
    const values = listedValues(other);
    if (values) return values.every((value) => !this.isWithin({ parts: branch.parts, excluded: [] }, value));
    if (depth > MAX_DEPTH) return false;
    if (type === "object") return this.#areObjectsApart(branch, other, depth);
    if (type === "array") return this.#areArraysApart(branch, other, depth);
    return this.#areScalarsApart(branch, type, other);
  }

  #areScalarsApart(branch: Branch, type: JsonType, other: Branch): boolean {
    const where = other.parts[0]?.location.uri ?? "schema";
    try {
      if (type === "string") {
        const [mine, taken] = [stringLanguage(stringRules(branch), where), this.#stringsTaken(other, where)];
        return !mine || !taken || !intersect(mine, taken, where);
      }
      if (type !== "number" && type !== "integer") return false;
      const rules = numberRules(branch, type === "integer");
      // Without limits numbers are written with exponents, too, which are not followed here.
      if (!Number.isFinite(rules.min) && !Number.isFinite(rules.max) && type === "number") return false;
      const mine = numberAutomaton(rules, "plain", where);
      return !mine || this.#numbersTaken(other, where).every((taken) => !intersect(mine, taken, where));
    } catch (error) {
      if (error instanceof ConfigError) return false; // too large to say
      throw error;
    }
  }

  #areObjectsApart(branch: Branch, other: Branch, depth: number): boolean {
    const plan = this.#plans.get(branch.parts) ?? planObject(branch, this.#context);
    this.#plans.set(branch.parts, plan);
    const encoder = new TextEncoder();
    const canHave = (name: string) =>
      plan.properties.some((property) => property.name === name) ||
      plan.extras.some(({ names }) => acceptsBytes(names, encoder.encode(name)));
    const required = other.parts.flatMap(({ schema }) => (schema.required ?? []) as readonly string[]);
    if (required.some((name) => !canHave(name))) return true;
    return plan.properties
      .filter(({ isRequired }) => isRequired)
      .some(({ name, values }) => {
        const theirs = propertySchemas(other, name, this.#context);
        return this.#areApart(values, theirs.filter(isSure), depth + 1);
      });
  }

  #areArraysApart(branch: Branch, other: Branch, depth: number): boolean {
    const [mine, theirs] = [lengthsOf(branch), lengthsOf(other)];
    if (mine.min > theirs.max || mine.max < theirs.min) return true;
    const indices = Array.from({ length: Math.min(mine.min, 16) }, (_, index) => index);
    return indices.some((index) => {
      const [ours, others] = [branch, other].map((item) => itemSchemas(item, index, this.#context.registry));
      return this.#areApart(ours!, others!.filter(isSure), depth + 1);
    });
  }

  #areApart(ours: readonly SchemaLocation[], theirs: readonly SchemaLocation[], depth: number): boolean {
    const others = this.#expander.expand(theirs);
    return this.#expander.expand(ours).every((branch) => {
      const values = listedValues(branch);
      if (values) {
        const written = values.filter((value) => this.isWithin(branch, value));
        return written.every((value) => theirs.some((location) => !this.#fits(location, value)));
      }
      return typesOf(branch).every((type) =>
        others.every((other) => this.#isApart(branch, type, other, depth)),
      );
    });
  }
}

/** The types that a branch accepts, whatever its keywords suggest. */
function strictTypes({ parts }: Branch): Set<JsonType> {
  const types = new Set<JsonType>(JSON_TYPES);
  for (const { schema } of parts) {
    if (schema.type === undefined) continue;
    const own = new Set([schema.type].flat() as JsonType[]);
    if (own.has("number")) own.add("integer");
    for (const type of JSON_TYPES) if (!own.has(type)) types.delete(type);
  }
  return types;
}

/** A format is written more narrowly than it is read, so it tells nothing apart. */
function requireNoFormat({ parts }: Branch): void {
  const part = parts.find(({ schema }) => schema.format !== undefined);
  if (part) throw cannotFollow(`${part.location.uri}/format`, "Use a pattern where a schema must not fit.");
}

/** What only counts where nothing else does may not count at all. */
function isSure({ uri }: SchemaLocation): boolean {
  return !/\/unevaluated(Properties|Items)$/.test(uri);
}

function lengthsOf({ parts }: Branch): { min: number; max: number } {
  return {
    min: Math.max(0, ...parts.map(({ schema }) => (schema.minItems as number | undefined) ?? 0)),
    max: Math.min(
      Number.POSITIVE_INFINITY,
      ...parts.map(({ schema }) => (schema.maxItems as number | undefined) ?? Number.POSITIVE_INFINITY),
    ),
  };
}
