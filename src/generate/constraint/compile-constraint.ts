import { ConfigError } from "../../core/errors.ts";
import type { JsonSpacing } from "../json-schema/json-punctuation.ts";
import { anyJsonGrammar, jsonSchemaGrammar } from "../json-schema/json-schema-grammar.ts";
import { type Grammar, literal, textOf } from "./grammar.ts";
import { GrammarConstraint } from "./grammar-constraint.ts";
import { regexAutomaton } from "./regex-automaton.ts";
import type { TokenConstraint } from "./token-constraint.ts";
import type { TokenVocabulary } from "./token-vocabulary.ts";

/** What a text has to be. */
export type ConstraintSpec =
  /** One of these texts. Where one begins another, the model decides whether to end. */
  | { readonly choices: readonly string[] }
  /** The whole text matches: see `parseRegex` for what is understood. */
  | { readonly regex: string }
  /** JSON that is valid under a schema of draft 2020-12: see `jsonSchemaGrammar` for how it is written. */
  | { readonly schema: unknown; readonly spacing?: JsonSpacing | undefined }
  /** Any JSON value. */
  | { readonly json: true; readonly spacing?: JsonSpacing | undefined };

/**
 * Makes a constraint that a generation cannot break: at every point only tokens are allowed after which the text can still be completed.
 *
 * @throws {ConfigError} if it is malformed, asks for something that cannot be followed, or cannot be satisfied.
 * @example
 * const constraint = compileConstraint({ choices: ["yes", "no"] }, new TokenVocabulary(tokenizer));
 * constraint.start.canEnd; // => false
 */
export function compileConstraint(spec: ConstraintSpec, vocabulary: TokenVocabulary): TokenConstraint {
  const [kind, grammar] = readSpec(spec);
  return new GrammarConstraint(grammar, vocabulary, kind);
}

function readSpec(spec: ConstraintSpec): [kind: string, grammar: Grammar] {
  if ("choices" in spec) return ["choices", choicesGrammar(spec.choices)];
  if ("regex" in spec) return ["regex", textOf(regexAutomaton(spec.regex, "whole", "regex"))];
  const spacing = "spacing" in spec ? (spec.spacing ?? "compact") : "compact";
  if (spacing !== "compact" && spacing !== "free") {
    throw new ConfigError({ where: "spacing", expected: "compact or free", got: `"${spacing}"` });
  }
  if ("schema" in spec) return ["schema", jsonSchemaGrammar(spec.schema, { spacing })];
  if ("json" in spec) return ["json", anyJsonGrammar(spacing)];
  const got = Object.keys(spec).join() || "nothing";
  throw new ConfigError({ where: "constraint", expected: "choices, regex, schema or json", got });
}

function choicesGrammar(choices: readonly string[]): Grammar {
  const isList = Array.isArray(choices) && choices.every((text) => typeof text === "string");
  if (!isList || choices.length === 0) {
    const got = isList ? "none" : JSON.stringify(choices);
    throw new ConfigError({ where: "choices", expected: "a list of texts", got });
  }
  const lone = choices.find((text) => /\p{Surrogate}/u.test(text));
  if (lone !== undefined) {
    const got = JSON.stringify(lone);
    throw new ConfigError({ where: "choices", expected: "well-formed Unicode text", got });
  }
  return literal(...choices);
}
