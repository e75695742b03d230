import type { MergeRules } from "../bpe-merge.ts";
import { encodeUtf8 } from "../utf8.ts";
import { sizeAt } from "./aligned-text.ts";
import { type WordModel, WordTokens } from "./word-model.ts";

/** What byte-pair encoding needs to know. */
export interface BpeOptions {
  readonly ids: ReadonlyMap<string, number>;
  readonly rules: MergeRules;
  /** Marks characters after the first of a word. */
  readonly prefix: string;
  /** Marks the last character of a word. */
  readonly suffix: string;
  /** Undefined: unknown characters are dropped. */
  readonly unknownId: number | undefined;
  readonly fusesUnknown: boolean;
  /** Unknown characters are spelled by the tokens of their bytes, `<0x0A>`, where those exist. */
  readonly hasByteFallback: boolean;
  /** A word that is a token is that token, whatever merges say. */
  readonly ignoresMerges: boolean;
}

/** Byte-pair encoding of characters (Sennrich et al. 2016, arXiv:1508.07909). */
export class Bpe implements WordModel {
  readonly #options: BpeOptions;

  constructor(options: BpeOptions) {
    this.#options = options;
  }

  encodeWord(word: string): WordTokens {
    const { ids, rules, ignoresMerges } = this.#options;
    const whole = ignoresMerges ? ids.get(word) : undefined;
    const symbols = new WordTokens();
    if (whole !== undefined) {
      symbols.add(whole, 0, word.length);
      return symbols;
    }
    this.#addSymbols(word, symbols);
    const merged = Int32Array.from(symbols.ids);
    const spans = new Int32Array(merged.length).fill(1);
    const count = rules.apply(merged, merged.length, spans);
    if (count === symbols.ids.length) return symbols;
    const tokens = new WordTokens();
    for (let i = 0, at = 0; i < count; i++) {
      const next = at + spans[i]!;
      tokens.add(merged[i]!, symbols.starts[at]!, symbols.ends[next - 1]!);
      at = next;
    }
    return tokens;
  }

  #addSymbols(word: string, symbols: WordTokens): void {
    const { ids, prefix, suffix, unknownId, fusesUnknown } = this.#options;
    let unknownStart = -1;
    const endUnknown = (end: number): void => {
      if (unknownStart >= 0 && unknownId !== undefined) symbols.add(unknownId, unknownStart, end);
      unknownStart = -1;
    };
    for (let at = 0; at < word.length; ) {
      const end = at + sizeAt(word, at);
      const char = word.slice(at, end);
      const spelled = (at > 0 ? prefix : "") + char + (end === word.length ? suffix : "");
      const id = ids.get(spelled);
      if (id !== undefined) {
        endUnknown(at);
        symbols.add(id, at, end);
      } else if (!this.#addBytes(spelled, at, end, symbols)) {
        if (!fusesUnknown) endUnknown(at);
        if (unknownStart < 0) unknownStart = at;
      }
      at = end;
    }
    endUnknown(word.length);
  }

  #addBytes(spelled: string, start: number, end: number, symbols: WordTokens): boolean {
    if (!this.#options.hasByteFallback) return false;
    const bytes = Array.from(encodeUtf8(spelled), (byte) => this.#options.ids.get(byteToken(byte)));
    if (bytes.includes(undefined)) return false;
    for (const id of bytes) symbols.add(id!, start, end);
    return true;
  }
}

/**
 * How a vocabulary spells a byte that stands for itself.
 *
 * @example
 * byteToken(10); // => "<0x0A>"
 */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}
