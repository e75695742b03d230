import { ConfigError } from "../../core/errors.ts";
import { acceptsBytes, type TableAutomaton } from "../constraint/byte-automaton.ts";
import { regexAutomaton } from "../constraint/regex-automaton.ts";

type Matcher = (text: string) => boolean;

/** Searches texts for regular expressions, in linear time where an automaton can. Each expression is read once. */
export class PatternMatcher {
  readonly #known = new Map<string, Matcher>();

  /**
   * True if the expression occurs in the text.
   *
   * @throws {ConfigError} if it is malformed.
   */
  finds(pattern: string, text: string, where: string): boolean {
    let matcher = this.#known.get(pattern);
    if (!matcher) {
      matcher = compile(pattern, where);
      this.#known.set(pattern, matcher);
    }
    return matcher(text);
  }
}

function compile(pattern: string, where: string): Matcher {
  let automaton: TableAutomaton | undefined;
  try {
    automaton = regexAutomaton(pattern, "search", where);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return compileWithRegExp(pattern, error);
  }
  const encoder = new TextEncoder();
  return (text) => automaton !== undefined && acceptsBytes(automaton, encoder.encode(text));
}

function compileWithRegExp(pattern: string, refusal: ConfigError): Matcher {
  try {
    const expression = new RegExp(pattern, "u");
    return (text) => expression.test(text);
  } catch {
    throw refusal;
  }
}
