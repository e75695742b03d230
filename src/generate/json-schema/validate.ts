import type { JsonValue } from "../../hub/strict-json.ts";
import { SchemaEvaluator } from "./evaluate.ts";
import { type SchemaLocation, SchemaRegistry } from "./schema-registry.ts";

/** What is wrong with a value. */
export interface ValidationError {
  /** JSON pointer to the part that is wrong; "" for the whole. */
  readonly path: string;
  /** The keyword that is not satisfied, with its schema. */
  readonly keyword: string;
  readonly message: string;
}

/** How to validate. */
export interface ValidateOptions {
  /** Hold texts against `format`, too; by default it is a remark, as draft 2020-12 has it. */
  readonly formats?: boolean | undefined;
  /** Further schemas that references name, by URI. Nothing is fetched. */
  readonly documents?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Holds a value against a JSON Schema of draft 2020-12: all that is wrong, nothing if it is valid.
 *
 * Numbers are compared as the decimals they are written as, so 0.3 is a multiple of 0.1. Patterns are run by linear-time automata; those
 * with lookaround or back references, by JavaScript's RegExp.
 *
 * @param schema parsed JSON
 * @param value  parsed JSON
 * @throws {ConfigError} if the schema is malformed, or a reference leads nowhere or back to itself.
 * @example
 * validateJson({ type: "object", required: ["name"] }, {})[0].message; // => 'expected the property "name"'
 */
export function validateJson(schema: unknown, value: unknown, options?: ValidateOptions): ValidationError[] {
  return new JsonValidator(schema, options).validate(value);
}

/** As {@link validateJson}, for many values: references and patterns are read once. */
export class JsonValidator {
  readonly #root: SchemaLocation;
  readonly #evaluator: SchemaEvaluator;

  constructor(schema: unknown, { formats = false, documents = {} }: ValidateOptions = {}) {
    const registry = new SchemaRegistry(schema, documents);
    this.#root = registry.root;
    this.#evaluator = new SchemaEvaluator(registry, { formats });
  }

  /** All that is wrong with a value. */
  validate(value: unknown): ValidationError[] {
    return this.#evaluator.validate(this.#root, value as JsonValue);
  }
}
