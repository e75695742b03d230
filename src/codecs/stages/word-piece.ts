import { DataError } from "../../core/errors.ts";
import { sizeAt } from "./aligned-text.ts";
import { TokenTrie } from "./token-trie.ts";
import { type WordModel, WordTokens } from "./word-model.ts";

/** What WordPiece needs to know. */
export interface WordPieceOptions {
  readonly ids: ReadonlyMap<string, number>;
  /** Marks tokens within a word: `##`. */
  readonly prefix: string;
  readonly unknownId: number;
  /** A word of more characters is unknown. */
  readonly maxCharacters: number;
  /** Names the source in errors. */
  readonly where: string;
}

/**
 * WordPiece (Wu et al. 2016, arXiv:1609.08144; Devlin et al. 2018): the longest token that begins the word, then the longest
 * that goes on, to its end. A word that cannot be taken apart so is one unknown token.
 */
export class WordPiece implements WordModel {
  readonly #options: WordPieceOptions;
  readonly #initial: TokenTrie;
  readonly #inner: TokenTrie;

  constructor(options: WordPieceOptions) {
    const { ids, prefix, where } = options;
    const inner = [...ids].filter(([text]) => text.startsWith(prefix) && text.length > prefix.length);
    this.#options = options;
    this.#initial = new TokenTrie(ids, where);
    this.#inner = new TokenTrie(
      inner.map(([text, id]) => [text.slice(prefix.length), id] as const),
      where,
    );
  }

  encodeWord(word: string): WordTokens {
    const { unknownId, maxCharacters } = this.#options;
    const tokens = new WordTokens();
    for (let start = 0; start < word.length; ) {
      const { id, end } = longest(start === 0 ? this.#initial : this.#inner, word, start);
      if (id < 0) return unknown(unknownId, word);
      tokens.add(id, start, end);
      start = end;
    }
    return countUpTo(word, maxCharacters + 1) > maxCharacters ? unknown(unknownId, word) : tokens;
  }
}

/** One token a word, looked up as it is. */
export class WordLevel implements WordModel {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #unknownId: number | undefined;

  constructor(ids: ReadonlyMap<string, number>, unknownId: number | undefined) {
    this.#ids = ids;
    this.#unknownId = unknownId;
  }

  encodeWord(word: string): WordTokens {
    const id = this.#ids.get(word) ?? this.#unknownId;
    if (id !== undefined) return unknown(id, word);
    const got = JSON.stringify(word.slice(0, 40));
    throw new DataError({
      where: "encode",
      expected: "words of the vocabulary, which has no unknown token",
      got,
    });
  }
}

function unknown(id: number, word: string): WordTokens {
  const tokens = new WordTokens();
  tokens.add(id, 0, word.length);
  return tokens;
}

function longest(trie: TokenTrie, word: string, start: number): { id: number; end: number } {
  let found = { id: -1, end: start };
  let node = 0;
  for (let at = start; at < word.length; ) {
    node = trie.next(node, word.charCodeAt(at++));
    if (node < 0) break;
    if (trie.tokenAt(node) >= 0) found = { id: trie.tokenAt(node), end: at };
  }
  return found;
}

function countUpTo(word: string, limit: number): number {
  let count = 0;
  for (let at = 0; at < word.length && count < limit; count++) at += sizeAt(word, at);
  return count;
}
