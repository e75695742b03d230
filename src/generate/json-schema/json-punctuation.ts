import { type Grammar, literal, textOf } from "../constraint/grammar.ts";
import { regexAutomaton } from "../constraint/regex-automaton.ts";

/**
 * `compact`: no white space between values. `free`: where a pretty printer may put it, a space or a new line with at most 40 spaces.
 */
export type JsonSpacing = "compact" | "free";

const LINE = "\\n {0,40}";

/** The signs between JSON values. */
export class JsonPunctuation {
  readonly #isFree: boolean;
  readonly #known = new Map<string, Grammar>();

  constructor(spacing: JsonSpacing) {
    this.#isFree = spacing === "free";
  }

  /** `[` or `{`. */
  open(bracket: "[" | "{"): Grammar {
    return this.#sign(bracket, `\\${bracket}(?:${LINE})?`);
  }

  /** `]` or `}`. */
  close(bracket: "]" | "}"): Grammar {
    return this.#sign(bracket, `(?:${LINE})?\\${bracket}`);
  }

  comma(): Grammar {
    return this.#sign(",", `,(?: |${LINE})?`);
  }

  colon(): Grammar {
    return this.#sign(":", ": ?");
  }

  #sign(compact: string, free: string): Grammar {
    let found = this.#known.get(compact);
    if (!found) {
      found = this.#isFree ? textOf(regexAutomaton(free, "whole", "spacing")) : literal(compact);
      this.#known.set(compact, found);
    }
    return found;
  }
}
