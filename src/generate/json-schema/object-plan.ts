import type { JsonObject, JsonValue } from "../../hub/strict-json.ts";
import { intersect, listAutomaton, subtract, type TableAutomaton } from "../constraint/byte-automaton.ts";
import { regexAutomaton } from "../constraint/regex-automaton.ts";
import { cannotFollow } from "./branch-rules.ts";
import type { PatternMatcher } from "./pattern-matcher.ts";
import type { Branch, Part } from "./schema-branches.ts";
import type { SchemaLocation, SchemaRegistry } from "./schema-registry.ts";
import { anyString } from "./string-language.ts";

/** Kinds of names that patterns may tell apart. */
const MAX_GROUPS = 64;

/** What the objects of a branch are written as. */
export interface ObjectPlan {
  /** Listed properties in the order in which they are written. */
  readonly properties: readonly PlannedProperty[];
  /** Further ones, written after those. */
  readonly extras: readonly ExtraProperties[];
  readonly min: number;
  readonly max: number;
}

/** A property and all that its value has to fit. */
export interface PlannedProperty {
  readonly name: string;
  readonly isRequired: boolean;
  readonly values: readonly SchemaLocation[];
}

/** Properties by a language of names. */
export interface ExtraProperties {
  readonly names: TableAutomaton;
  /** All names are meant: their JSON text may have any escapes. */
  readonly isAny: boolean;
  readonly values: readonly SchemaLocation[];
}

/** What planning an object asks of its surroundings. */
export interface PlanContext {
  readonly registry: SchemaRegistry;
  readonly patterns: PatternMatcher;
  /** The strings that a schema takes; undefined for none. */
  readonly languageOf: (location: SchemaLocation) => TableAutomaton | undefined;
  /** True if a string is valid. */
  readonly isName: (location: SchemaLocation, name: string) => boolean;
}

/**
 * Reads what a branch says about objects.
 *
 * Listed properties come in the order of the schema, then required ones that are not listed. Properties that are not listed are
 * written only where `additionalProperties`, `patternProperties` or `unevaluatedProperties` says what they may be, or where none is listed.
 */
export function planObject(branch: Branch, context: PlanContext): ObjectPlan {
  return new ObjectPlanner(branch, context).plan();
}

/** All that the value of a property has to fit. */
export function propertySchemas(branch: Branch, name: string, context: PlanContext): SchemaLocation[] {
  return new ObjectPlanner(branch, context).valuesOf(name);
}

class ObjectPlanner {
  readonly #parts: readonly Part[];
  readonly #context: PlanContext;

  constructor(branch: Branch, context: PlanContext) {
    this.#parts = branch.parts;
    this.#context = context;
  }

  plan(): ObjectPlan {
    const required = new Set(
      this.#parts.flatMap(({ schema }) => (schema.required ?? []) as readonly string[]),
    );
    const listed = new Set(this.#parts.flatMap(({ schema }) => keysOf(schema.properties)));
    const names = [...new Set([...listed, ...required])];
    const properties = names
      .map((name) => ({ name, isRequired: required.has(name), values: this.valuesOf(name) }))
      .filter(({ isRequired, values }) => isRequired || values.every(({ schema }) => schema !== false));
    return {
      properties,
      extras: this.#extras(names, properties.length > 0),
      min: Math.max(0, ...this.#numbers("minProperties")),
      max: Math.min(Number.POSITIVE_INFINITY, ...this.#numbers("maxProperties")),
    };
  }

  #numbers(keyword: string): number[] {
    return this.#parts.flatMap(({ schema }) =>
      schema[keyword] === undefined ? [] : [schema[keyword] as number],
    );
  }

  #child(part: Part, ...keys: readonly string[]): SchemaLocation {
    return this.#context.registry.child(part.location, ...keys);
  }

  /** All that the value of a property has to fit. */
  valuesOf(name: string): SchemaLocation[] {
    const matches = (pattern: string, part: Part) =>
      this.#context.patterns.finds(pattern, name, `${part.location.uri}/patternProperties`);
    const values = this.#parts.flatMap((part) => {
      const isListed = keysOf(part.schema.properties).includes(name);
      const patterns = keysOf(part.schema.patternProperties).filter((pattern) => matches(pattern, part));
      const found = patterns.map((pattern) => this.#child(part, "patternProperties", pattern));
      if (isListed) found.push(this.#child(part, "properties", name));
      if (found.length === 0 && part.schema.additionalProperties !== undefined) {
        found.push(this.#child(part, "additionalProperties"));
      }
      if (part.schema.propertyNames !== undefined) {
        const isName = this.#context.isName(this.#child(part, "propertyNames"), name);
        if (!isName) found.push({ ...part.location, uri: `${part.location.uri} (name)`, schema: false });
      }
      return found;
    });
    const covers = (part: Part) =>
      keysOf(part.schema.properties).includes(name) ||
      keysOf(part.schema.patternProperties).some((pattern) => matches(pattern, part));
    return [...values, ...this.#unevaluated(covers)];
  }

  /** The schemas of `unevaluatedProperties` that see no other schema cover a name. */
  #unevaluated(covers: (part: Part) => boolean): SchemaLocation[] {
    return this.#parts
      .filter(({ schema }) => schema.unevaluatedProperties !== undefined)
      .filter((outer) => {
        const seen = this.#parts.filter((part) => part === outer || part.appliedBy.has(outer.location.uri));
        return !seen.some(
          (part) =>
            covers(part) ||
            part.schema.additionalProperties !== undefined ||
            (part !== outer && part.schema.unevaluatedProperties !== undefined),
        );
      })
      .map((outer) => this.#child(outer, "unevaluatedProperties"));
  }

  #extras(names: readonly string[], hasListed: boolean): ExtraProperties[] {
    const where = this.#parts[0]?.location.uri ?? "schema";
    const encoder = new TextEncoder();
    const listed = listAutomaton(
      names.map((name) => encoder.encode(name)),
      where,
    );
    const all = anyString(where);
    let free: TableAutomaton | undefined = listed && names.length > 0 ? subtract(all, listed, where) : all;
    const limits = this.#parts.filter(({ schema }) => schema.propertyNames !== undefined);
    for (const part of limits) {
      const language = this.#context.languageOf(this.#child(part, "propertyNames"));
      free = free && language && intersect(free, language, where);
    }
    if (!free) return [];
    let groups: { names: TableAutomaton; matched: ReadonlySet<string> }[] = [
      { names: free, matched: new Set() },
    ];
    const patterns = new Set(this.#parts.flatMap(({ schema }) => keysOf(schema.patternProperties)));
    for (const pattern of patterns) {
      const language = regexAutomaton(pattern, "search", `${where}/patternProperties`);
      groups = groups.flatMap(({ names: group, matched }) => {
        const inside = language && intersect(group, language, where);
        const outside = language ? subtract(group, language, where) : group;
        return [
          ...(inside ? [{ names: inside, matched: new Set([...matched, pattern]) }] : []),
          ...(outside ? [{ names: outside, matched }] : []),
        ];
      });
      if (groups.length > MAX_GROUPS) {
        throw cannotFollow(`${where}/patternProperties`, "Use fewer patterns that match the same names.");
      }
    }
    const isFree = !hasListed && patterns.size === 0;
    return groups.flatMap(({ names: group, matched }) => {
      const values = this.#extraValues(matched);
      if (values.some(({ schema }) => schema === false)) return [];
      if (values.length === 0 && !isFree) return [];
      return [
        { names: group, isAny: names.length === 0 && limits.length === 0 && patterns.size === 0, values },
      ];
    });
  }

  #extraValues(matched: ReadonlySet<string>): SchemaLocation[] {
    const values = this.#parts.flatMap((part) => {
      const found = keysOf(part.schema.patternProperties)
        .filter((pattern) => matched.has(pattern))
        .map((pattern) => this.#child(part, "patternProperties", pattern));
      const isOther = found.length === 0 && part.schema.additionalProperties !== undefined;
      return isOther ? [this.#child(part, "additionalProperties")] : found;
    });
    const covers = (part: Part) =>
      keysOf(part.schema.patternProperties).some((pattern) => matched.has(pattern));
    return [...values, ...this.#unevaluated(covers)];
  }
}

function keysOf(value: JsonValue | undefined): string[] {
  return value === undefined ? [] : Object.keys(value as JsonObject);
}
