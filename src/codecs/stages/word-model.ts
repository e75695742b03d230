/** Tokens of one word, in order, and the stretch of the word that each stands for. */
export class WordTokens {
  readonly ids: number[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];

  add(id: number, start: number, end: number): void {
    this.ids.push(id);
    this.starts.push(start);
    this.ends.push(end);
  }
}

/** Takes a word apart into tokens. */
export interface WordModel {
  /** @throws {DataError} if the word cannot be expressed and there is no token for the unknown. */
  encodeWord(word: string): WordTokens;
}

const MAX_WORDS = 1 << 16;
const MAX_LENGTH = 64;

/** Remembers the words met before. Bounded: when full it starts over, which changes speed only. */
export class CachedModel implements WordModel {
  readonly #model: WordModel;
  readonly #known = new Map<string, WordTokens>();

  constructor(model: WordModel) {
    this.#model = model;
  }

  encodeWord(word: string): WordTokens {
    if (word.length > MAX_LENGTH) return this.#model.encodeWord(word);
    const known = this.#known.get(word);
    if (known) return known;
    const tokens = this.#model.encodeWord(word);
    if (this.#known.size >= MAX_WORDS) this.#known.clear();
    this.#known.set(word, tokens);
    return tokens;
  }
}
