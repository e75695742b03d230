import { FormatError } from "../core/errors.ts";
import type { MergeRule } from "./bpe-merge.ts";
import { PairTable } from "./pair-table.ts";
import { describe, requireArray, type TokenList } from "./tokenizer-json.ts";

/**
 * Reads `model.merges`. Merges of or to a special token never apply: text does not become one.
 *
 * @param prefix marks tokens within a word, and is left out where such a token comes second
 * @throws {FormatError} on a merge that is malformed, given twice, or that names an unknown token.
 */
export function readMerges(json: unknown, list: TokenList, prefix: string, where: string): MergeRule[] {
  const merges = requireArray(json, where);
  const seen = new PairTable(merges.length);
  return merges.flatMap((merge, rank) => {
    const fail = (expected: string, got: unknown): never => {
      throw new FormatError({ where: `${where}[${rank}]`, expected, got: describe(got) });
    };
    const idOf = (text: string): number => list.ids.get(text) ?? fail("tokens of the vocabulary", text);
    const parts: readonly unknown[] = typeof merge === "string" ? merge.split(" ") : asArray(merge);
    const [left, right] = parts;
    if (parts.length !== 2 || typeof left !== "string" || typeof right !== "string") {
      return fail('a pair of tokens, "a b" or ["a", "b"]', merge);
    }
    const joined = left + (right.startsWith(prefix) ? right.slice(prefix.length) : right);
    const rule = { left: idOf(left), right: idOf(right), result: idOf(joined) };
    if (seen.get(rule.left, rule.right) >= 0) return fail("each pair once", merge);
    seen.set(rule.left, rule.right, rank);
    return Object.values(rule).some((id) => list.specialIds.has(id)) ? [] : [rule];
  });
}

function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
