import { DataError } from "../../core/errors.ts";
import { encodeUtf8 } from "../utf8.ts";
import { sizeAt } from "./aligned-text.ts";
import { TokenTrie } from "./token-trie.ts";
import { type WordModel, WordTokens } from "./word-model.ts";

/** Nats by which an unknown character is worse than the worst token (SentencePiece's constant). */
const UNKNOWN_PENALTY = 10;

/** What the unigram model needs to know. */
export interface UnigramOptions {
  /** Tokens that text may become. */
  readonly tokens: Iterable<readonly [text: string, id: number]>;
  /** Log-probability by id. */
  readonly scores: ArrayLike<number>;
  readonly unknownId: number | undefined;
  /** Ids of the 256 bytes, that spell what is unknown; undefined if it is not spelled. */
  readonly byteIds: readonly number[] | undefined;
  /** Adds in float32, as SentencePiece does; the Hugging Face library adds in float64. */
  readonly isSinglePrecision: boolean;
  readonly where: string;
}

/**
 * The unigram language model (Kudo 2018, arXiv:1804.10959): of all ways to take a word apart the one of highest probability,
 * found by dynamic programming from left to right (Viterbi). Neighbouring unknown characters are one unknown token.
 */
export class Unigram implements WordModel {
  readonly #options: UnigramOptions;
  readonly #trie: TokenTrie;
  readonly #unknownScore: number;
  readonly #round: (value: number) => number;

  constructor(options: UnigramOptions) {
    this.#options = options;
    this.#trie = new TokenTrie(options.tokens, options.where);
    this.#round = options.isSinglePrecision ? Math.fround : (value) => value;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < options.scores.length; i++) least = Math.min(least, options.scores[i]!);
    this.#unknownScore = this.#round((Number.isFinite(least) ? least : 0) - UNKNOWN_PENALTY);
  }

  encodeWord(word: string): WordTokens {
    const { starts, ids } = this.#bestPaths(word);
    const pieces: { id: number; start: number; end: number }[] = [];
    for (let end = word.length; end > 0; ) {
      const start = starts[end]!;
      const last = pieces.at(-1);
      if (ids[end] === -1 && last?.id === -1) last.start = start;
      else pieces.push({ id: ids[end]!, start, end });
      end = start;
    }
    const tokens = new WordTokens();
    for (const piece of pieces.reverse()) {
      if (piece.id >= 0) tokens.add(piece.id, piece.start, piece.end);
      else this.#addUnknown(word, piece.start, piece.end, tokens);
    }
    return tokens;
  }

  /** For each place, the token (-1: unknown) that ends there on the best way, and where it starts. */
  #bestPaths(word: string): { starts: Int32Array; ids: Int32Array } {
    const { scores } = this.#options;
    const round = this.#round;
    const best = new Float64Array(word.length + 1);
    const starts = new Int32Array(word.length + 1).fill(-1);
    const ids = new Int32Array(word.length + 1);
    const offer = (start: number, end: number, id: number, score: number): void => {
      const total = round(score + best[start]!);
      if (starts[end]! >= 0 && total <= best[end]!) return;
      best[end] = total;
      starts[end] = start;
      ids[end] = id;
    };
    for (let start = 0; start < word.length; ) {
      const next = start + sizeAt(word, start);
      let hasSingle = false;
      let node = 0;
      for (let at = start; at < word.length; ) {
        node = this.#trie.next(node, word.charCodeAt(at++));
        if (node < 0) break;
        const id = this.#trie.tokenAt(node);
        if (id < 0) continue;
        offer(start, at, id, scores[id]!);
        if (at === next) hasSingle = true;
      }
      if (!hasSingle) offer(start, next, -1, this.#unknownScore);
      start = next;
    }
    return { starts, ids };
  }

  #addUnknown(word: string, start: number, end: number, tokens: WordTokens): void {
    const { byteIds, unknownId } = this.#options;
    if (byteIds) {
      for (let at = start; at < end; ) {
        const next = at + sizeAt(word, at);
        for (const byte of encodeUtf8(word.slice(at, next))) tokens.add(byteIds[byte]!, at, next);
        at = next;
      }
    } else if (unknownId !== undefined) tokens.add(unknownId, start, end);
    else {
      const got = JSON.stringify(word.slice(start, Math.min(end, start + 40)));
      throw new DataError({
        where: "encode",
        expected: "text of known pieces (there is no unknown token)",
        got,
      });
    }
  }
}
