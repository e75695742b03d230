import { ConfigError } from "../../core/errors.ts";
import type { JsonValue } from "../../hub/strict-json.ts";
import { listAutomaton, type TableAutomaton, unite } from "../constraint/byte-automaton.ts";
import {
  choice,
  EMPTY,
  type Grammar,
  type GrammarRule,
  literal,
  NOTHING,
  optional,
  repeat,
  sequence,
  textOf,
} from "../constraint/grammar.ts";
import {
  arrayLengths,
  cannotTellApart,
  itemSchemas,
  listedValues,
  numberRules,
  stringRules,
  typesOf,
} from "./branch-rules.ts";
import { SchemaEvaluator } from "./evaluate.ts";
import { JsonPunctuation, type JsonSpacing } from "./json-punctuation.ts";
import { numberAutomaton } from "./number-language.ts";
import { objectGrammar } from "./object-grammar.ts";
import { type ObjectPlan, type PlanContext, planObject } from "./object-plan.ts";
import { PatternMatcher } from "./pattern-matcher.ts";
import { type Branch, BranchExpander } from "./schema-branches.ts";
import { Disjointness } from "./schema-disjointness.ts";
import type { JsonType } from "./schema-keywords.ts";
import { type SchemaLocation, SchemaRegistry } from "./schema-registry.ts";
import { jsonStringAutomaton, toJsonText } from "./string-language.ts";

/** How a schema becomes text. */
export interface JsonGrammarOptions {
  readonly spacing: JsonSpacing;
  /** Further schemas that references name, by URI. */
  readonly documents?: Readonly<Record<string, unknown>> | undefined;
}

/** Combinations of schemas in one grammar. */
const MAX_RULES = 4000;

/**
 * The JSON text that a schema of draft 2020-12 allows, as a grammar. Every text is valid; not every valid value can be written:
 *
 * - Properties come in the schema's order. One that is not listed is written only where the schema says what it may be, or lists none; such
 *   names may repeat within an object, where the last counts.
 * - Without `type`, keywords of a single type mean that type.
 * - Numbers have 15 digits at most, and an exponent only where nothing limits them. `format` writes what every reader takes.
 *
 * @throws {ConfigError} naming the keyword and its place, if it is malformed, unknown, or cannot be followed while text is written; nothing is
 * passed over.
 */
export function jsonSchemaGrammar(schema: unknown, options: JsonGrammarOptions): Grammar {
  const registry = new SchemaRegistry(schema, options.documents);
  return new SchemaCompiler(registry, options.spacing).compile([registry.root]);
}

/** Any JSON value. */
export function anyJsonGrammar(spacing: JsonSpacing): Grammar {
  return jsonSchemaGrammar(true, { spacing });
}

class SchemaCompiler {
  readonly #registry: SchemaRegistry;
  readonly #expander: BranchExpander;
  readonly #evaluator: SchemaEvaluator;
  readonly #disjointness: Disjointness;
  readonly #punctuation: JsonPunctuation;
  readonly #context: PlanContext;
  readonly #rules = new Map<string, GrammarRule>();

  constructor(registry: SchemaRegistry, spacing: JsonSpacing) {
    this.#registry = registry;
    this.#expander = new BranchExpander(registry);
    this.#evaluator = new SchemaEvaluator(registry, { formats: true });
    this.#context = {
      registry,
      patterns: new PatternMatcher(),
      languageOf: (location) => this.#languageOf(location),
      isName: (location, name) => this.#evaluator.validate(location, name).length === 0,
    };
    this.#disjointness = new Disjointness(this.#expander, this.#evaluator, this.#context);
    this.#punctuation = new JsonPunctuation(spacing);
  }

  /** Text of the values that fit all of some schemas. */
  compile(locations: readonly SchemaLocation[]): Grammar {
    const key = [...new Set(locations.map(({ uri }) => uri))].sort().join("\n");
    const known = this.#rules.get(key);
    if (known) return known;
    if (this.#rules.size >= MAX_RULES) {
      const fix = "Use a smaller schema, or fewer allOf and $ref in combination.";
      throw new ConfigError({
        where: locations[0]!.uri,
        expected: `at most ${MAX_RULES} combinations of schemas`,
        got: "more",
        fix,
      });
    }
    const rule: GrammarRule = { kind: "rule", body: NOTHING };
    this.#rules.set(key, rule);
    rule.body = choice(...this.#expander.expand(locations).map((branch) => this.#branch(branch)));
    return rule;
  }

  #branch(branch: Branch): Grammar {
    const values = listedValues(branch);
    if (values) return this.#listed(branch, values);
    return choice(...typesOf(branch).map((type) => this.#typed(branch, type)));
  }

  /** The values of a list that are valid. */
  #listed(branch: Branch, values: readonly JsonValue[]): Grammar {
    const texts = values
      .filter((value) => this.#disjointness.isWithin(branch, value))
      .map((value) => JSON.stringify(value));
    return texts.length === 0 ? NOTHING : literal(...texts);
  }

  #typed(branch: Branch, type: JsonType): Grammar {
    if (type === "null") return this.#listed(branch, [null]);
    if (type === "boolean") return this.#listed(branch, [true, false]);
    if (type === "string") return textOf(this.#string(branch));
    if (type === "number" || type === "integer") return textOf(this.#number(branch, type === "integer"));
    const [excluded] = branch.excluded;
    if (!excluded) return type === "array" ? this.#array(branch) : this.#object(branch);
    const rest: Branch = { parts: branch.parts, excluded: branch.excluded.slice(1) };
    if (this.#disjointness.isDisjoint(rest, type, excluded)) return this.#typed(rest, type);
    const opposites = this.#expander.opposite(excluded);
    if (!opposites) throw cannotTellApart(excluded.uri);
    const narrowed = opposites.flatMap((opposite) => this.#expander.narrow(rest, opposite));
    return choice(...narrowed.map((item) => this.#narrowed(item, type)));
  }

  #narrowed(branch: Branch, type: JsonType): Grammar {
    const values = listedValues(branch);
    if (values) return this.#listed(branch, values);
    return typesOf(branch).includes(type) ? this.#typed(branch, type) : NOTHING;
  }

  #string(branch: Branch) {
    const where = placeOf(branch);
    if (branch.excluded.length === 0) return jsonStringAutomaton(stringRules(branch), where);
    const language = this.#disjointness.strings(branch, where);
    return language && toJsonText(language, where);
  }

  #number(branch: Branch, isInteger: boolean): TableAutomaton | undefined {
    const where = placeOf(branch);
    if (branch.excluded.length > 0) return this.#disjointness.numbers(branch, isInteger, where);
    return numberAutomaton(numberRules(branch, isInteger), "plain", where);
  }

  #array(branch: Branch): Grammar {
    const { min, max } = arrayLengths(branch);
    const numPrefix = branch.parts.reduce(
      (most, { schema }) => Math.max(most, ((schema.prefixItems ?? []) as readonly JsonValue[]).length),
      0,
    );
    const item = (index: number) => this.compile(itemSchemas(branch, index, this.#registry));
    if (max < min) return NOTHING;
    const comma = this.#punctuation.comma();
    const rest = item(numPrefix);
    const further = (count: number) =>
      count > max ? EMPTY : repeat(sequence(comma, rest), Math.max(0, min - count), max - count);
    // What may follow so many items, from the last prefix to the first.
    let tail =
      numPrefix > 0
        ? further(numPrefix)
        : optional(sequence(rest, further(1)), { mayLack: min === 0, mayHave: max > 0 });
    for (let index = numPrefix - 1; index >= 0; index--) {
      const next = sequence(index > 0 ? comma : EMPTY, item(index), tail);
      tail = optional(next, { mayLack: index >= min, mayHave: index < max });
    }
    return sequence(this.#punctuation.open("["), tail, this.#punctuation.close("]"));
  }

  #object(branch: Branch): Grammar {
    const compile = (values: readonly SchemaLocation[]) => this.compile(values);
    const context = { punctuation: this.#punctuation, compile, where: placeOf(branch) };
    return objectGrammar(this.#plan(branch), context);
  }

  #plan(branch: Branch): ObjectPlan {
    return planObject(branch, this.#context);
  }

  /** The strings that a schema takes. */
  #languageOf(location: SchemaLocation): TableAutomaton | undefined {
    const encoder = new TextEncoder();
    const found = this.#expander.expand([location]).flatMap((branch) => {
      const values = listedValues(branch);
      if (values) {
        const texts = values.filter(
          (value) => typeof value === "string" && this.#disjointness.isWithin(branch, value),
        );
        return [
          listAutomaton(
            texts.map((text) => encoder.encode(text as string)),
            location.uri,
          ),
        ];
      }
      const hasType = branch.parts.some(({ schema }) => schema.type !== undefined);
      if (hasType && !typesOf(branch).includes("string")) return [];
      return [this.#disjointness.strings(branch, location.uri)];
    });
    const languages = found.filter((language) => language !== undefined);
    return languages.length === 0 ? undefined : unite(languages, location.uri);
  }
}

function placeOf({ parts }: Branch): string {
  return parts[0]?.location.uri ?? "schema";
}
