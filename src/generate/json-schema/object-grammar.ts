import type { ConfigError } from "../../core/errors.ts";
import {
  choice,
  EMPTY,
  type Grammar,
  literal,
  NOTHING,
  optional,
  repeat,
  sequence,
  textOf,
} from "../constraint/grammar.ts";
import { cannotFollow } from "./branch-rules.ts";
import type { JsonPunctuation } from "./json-punctuation.ts";
import type { ObjectPlan } from "./object-plan.ts";
import type { SchemaLocation } from "./schema-registry.ts";
import { anyJsonString, toJsonText } from "./string-language.ts";

/** Nodes that counting properties may take. */
const MAX_NODES = 20_000;

/** What writing an object takes of its surroundings. */
export interface ObjectContext {
  readonly punctuation: JsonPunctuation;
  /** Text of the values that fit all of some schemas. */
  readonly compile: (values: readonly SchemaLocation[]) => Grammar;
  readonly where: string;
}

/** Text of the objects of a plan. */
export function objectGrammar(plan: ObjectPlan, context: ObjectContext): Grammar {
  const { punctuation } = context;
  return sequence(punctuation.open("{"), new ObjectWriter(plan, context).write(), punctuation.close("}"));
}

class ObjectWriter {
  readonly #plan: ObjectPlan;
  readonly #context: ObjectContext;
  /** Whether the number of properties has to be known. */
  readonly #isCounted: boolean;
  readonly #min: number;
  readonly #max: number;
  readonly #members: readonly Grammar[];
  readonly #extra: Grammar;
  readonly #known = new Map<string, Grammar>();

  constructor(plan: ObjectPlan, context: ObjectContext) {
    const { properties, extras, min, max } = plan;
    const { punctuation, compile, where } = context;
    this.#plan = plan;
    this.#context = context;
    const numRequired = properties.filter(({ isRequired }) => isRequired).length;
    const isOpen = extras.length > 0;
    this.#isCounted = min > numRequired || max < (isOpen ? Number.POSITIVE_INFINITY : properties.length);
    this.#min = this.#isCounted ? min : 0;
    this.#max = this.#isCounted ? max : Number.POSITIVE_INFINITY;
    // Two further names might be the same one, which would count once.
    if (isOpen && this.#min > properties.length + 1) throw this.#refuse("minProperties");
    this.#members = properties.map(({ name, values }) =>
      sequence(literal(JSON.stringify(name)), punctuation.colon(), compile(values)),
    );
    const extra = extras.map(({ names, isAny, values }) => {
      const name = isAny ? anyJsonString(where) : toJsonText(names, where);
      return sequence(textOf(name), punctuation.colon(), compile(values));
    });
    this.#extra = choice(...extra);
  }

  /** Everything between the braces. */
  write(): Grammar {
    return this.#from(0, 0);
  }

  #refuse(keyword: string): ConfigError {
    const fix = "List the properties, or ask for fewer.";
    return cannotFollow(`${this.#context.where}/${keyword}`, fix);
  }

  /** From property `index` on, after `count`; where they are not counted, after 0 or 1 that stands for all. */
  #from(index: number, count: number): Grammar {
    const { properties } = this.#plan;
    if (count > this.#max) return NOTHING;
    if (index === properties.length) return this.#extras(count);
    const key = `${index},${count}`;
    const known = this.#known.get(key);
    if (known) return known;
    if (this.#known.size > MAX_NODES) throw this.#refuse("maxProperties");
    const comma = count > 0 ? this.#context.punctuation.comma() : EMPTY;
    const next = this.#from(index + 1, this.#isCounted ? count + 1 : 1);
    const taken = sequence(comma, this.#members[index]!, next);
    const found = properties[index]!.isRequired ? taken : choice(taken, this.#from(index + 1, count));
    this.#known.set(key, found);
    return found;
  }

  #extras(count: number): Grammar {
    const missing = Math.max(0, this.#min - count);
    if (missing > 1 || (missing === 1 && this.#extra === NOTHING)) return NOTHING;
    if (this.#extra === NOTHING) return EMPTY;
    const comma = this.#context.punctuation.comma();
    const rest = (written: number) => repeat(sequence(comma, this.#extra), 0, this.#max - written);
    if (count > 0) return missing === 0 ? rest(count) : sequence(comma, this.#extra, rest(count + 1));
    return optional(sequence(this.#extra, rest(1)), { mayLack: missing === 0, mayHave: this.#max > 0 });
  }
}
