import { FormatError } from "../../core/errors.ts";
import { describe, type JsonObject } from "../tokenizer-json.ts";
import { compileRegex } from "./compile.ts";
import { Matcher } from "./matcher.ts";
import { type Dialect, parseRegex } from "./parse.ts";

/** Finds where something occurs in a text. */
export interface SplitPattern {
  /** Matches `[start, end)` in order, flattened. */
  findAll(text: string): number[];
}

/**
 * Reads a `pattern` of `tokenizer.json`: `{"Regex": …}`, `{"String": …}` or a plain string, which stands for itself.
 *
 * @throws {FormatError} if it is something else, or the expression cannot be read.
 */
export function readSplitPattern(json: unknown, where: string): SplitPattern {
  if (typeof json === "string") return literalPattern(json);
  const { Regex: regex, String: text } = (json ?? {}) as JsonObject;
  if (typeof regex === "string") return regexPattern(regex, "oniguruma", where);
  if (typeof text === "string") return literalPattern(text);
  const expected = 'a string, {"String": …} or {"Regex": …}';
  throw new FormatError({ where, expected, got: describe(json) });
}

/** @throws {FormatError} if the expression cannot be read. */
export function regexPattern(pattern: string, dialect: Dialect, where: string): SplitPattern {
  const matcher = new Matcher(compileRegex(parseRegex(pattern, dialect, where), where), where);
  return {
    findAll: (text) => {
      const found: number[] = [];
      matcher.setText(text);
      for (let at = 0; at <= text.length && matcher.find(at); ) {
        const { start, end } = matcher;
        const isEmptyAgain = start === end && found.at(-1) === start && found.length > 0;
        if (!isEmptyAgain) found.push(start, end);
        at = end > start ? end : end + (text.codePointAt(end)! > 0xffff ? 2 : 1);
      }
      return found;
    },
  };
}

function literalPattern(content: string): SplitPattern {
  return {
    findAll: (text) => {
      const found: number[] = [];
      if (content === "") return found;
      for (let at = text.indexOf(content); at >= 0; at = text.indexOf(content, at + content.length)) {
        found.push(at, at + content.length);
      }
      return found;
    },
  };
}
