import { ConfigError, DataError } from "../core/errors.ts";
import { NgramTrie } from "./ngram-trie.ts";

export interface NgramOptions {
  /** Longest n-gram counted; the context is one symbol shorter. */
  readonly order: number;
  readonly vocabularySize: number;
}

/**
 * Trains the honest baseline that a neural model has to beat: an n-gram model over symbol ids (bytes,
 * characters or tokens), interpolated by Witten and Bell's rule. With `c` the count after context `h`, `n` the
 * sum of those counts, `k` how many different symbols followed, and `h′` the context without its oldest symbol:
 *
 * `P(s | h) = (c(h s) + k(h) · P(s | h′)) / (n(h) + k(h))`, and below the empty context `1 / vocabularySize`.
 *
 * Time and memory grow with the number of distinct n-grams.
 *
 * @throws {ConfigError} if order or vocabulary size is not a positive integer.
 * @throws {DataError} if there are no symbols, or one is outside the vocabulary.
 * @see Witten & Bell 1991, method C; interpolated form: Chen & Goodman 1998, §2.4, eq. 15.
 * @example
 * const model = trainNgram([0, 1, 0, 1, 0], { order: 2, vocabularySize: 2 });
 * Math.exp(model.logProbability([0], 1)); // => 0.8095 ±1e-4
 */
export function trainNgram(ids: ArrayLike<number>, options: NgramOptions): NgramModel {
  const { order, vocabularySize } = options;
  for (const [where, value] of Object.entries({ order, vocabularySize })) {
    if (!(Number.isSafeInteger(value) && value >= 1)) {
      throw new ConfigError({ where, expected: "an integer ≥ 1", got: `${value}` });
    }
  }
  if (ids.length === 0) {
    throw new DataError({ where: "trainNgram", expected: "at least one symbol", got: "none" });
  }
  const trie = new NgramTrie();
  // contexts[k] is the node of the last k symbols; from the longest down, each still holds the previous place's.
  const contexts = new Uint32Array(order + 1);
  for (let i = 0; i < ids.length; i++) {
    const id = checkId(ids[i]!, vocabularySize);
    for (let k = Math.min(i, order - 1); k >= 0; k--) contexts[k + 1] = trie.add(contexts[k]!, id);
  }
  return new NgramModel(options, trie);
}

/** A trained n-gram model; see {@link trainNgram}. */
export class NgramModel {
  readonly order: number;
  readonly vocabularySize: number;
  readonly #trie: NgramTrie;

  constructor({ order, vocabularySize }: NgramOptions, trie: NgramTrie) {
    this.order = order;
    this.vocabularySize = vocabularySize;
    this.#trie = trie;
  }

  /** Distinct n-grams of all orders. */
  get numNgrams(): number {
    return this.#trie.numNodes - 1;
  }

  /**
   * Natural logarithm of the probability of `id` after `context`, of which the last `order − 1` symbols count.
   *
   * @throws {DataError} if an id is outside the vocabulary.
   */
  logProbability(context: ArrayLike<number>, id: number): number {
    const contexts: number[] = [this.#trie.root];
    for (let k = 1; k <= Math.min(this.order - 1, context.length); k++) {
      let node = this.#trie.root;
      for (let i = context.length - k; i < context.length; i++) {
        const child = this.#trie.find(node, checkId(context[i]!, this.vocabularySize));
        if (child === 0) return this.#score(contexts, k, id);
        node = child;
      }
      contexts.push(node);
    }
    return this.#score(contexts, contexts.length, id);
  }

  /**
   * Summed loss in nats of `ids[from …]`, each given what precedes it.
   *
   * @throws {DataError} if an id is outside the vocabulary.
   */
  totalNats(ids: ArrayLike<number>, from = 0): number {
    let nats = 0;
    // contexts[k] is the node of the last k symbols, for k below `depth`; longer ones never occurred in training.
    const contexts = new Uint32Array(this.order + 1);
    let depth = 1;
    for (let i = 0; i < ids.length; i++) {
      const id = checkId(ids[i]!, this.vocabularySize);
      if (i >= from) nats -= this.#score(contexts, depth, id);
      depth = this.#advance(contexts, depth, id);
    }
    return nats;
  }

  /**
   * Mean loss in bits a symbol.
   *
   * @throws {DataError} if there are no symbols, or one is outside the vocabulary.
   */
  bitsPerSymbol(ids: ArrayLike<number>): number {
    if (ids.length === 0) {
      throw new DataError({ where: "bitsPerSymbol", expected: "at least one symbol", got: "none" });
    }
    return this.totalNats(ids) / Math.LN2 / ids.length;
  }

  #score(contexts: ArrayLike<number>, depth: number, id: number): number {
    checkId(id, this.vocabularySize);
    const trie = this.#trie;
    let probability = 1 / this.vocabularySize;
    for (let k = 0; k < depth; k++) {
      const context = contexts[k]!;
      const followers = trie.followers(context);
      if (followers === 0) break; // the end of the training data: nothing was ever seen after it
      const kinds = trie.kinds(context);
      const node = trie.find(context, id);
      probability = ((node === 0 ? 0 : trie.count(node)) + kinds * probability) / (followers + kinds);
    }
    return Math.log(probability);
  }

  /** Moves the contexts one symbol on and returns how many of them are known. */
  #advance(contexts: Uint32Array, depth: number, id: number): number {
    let known = 1;
    let previous = contexts[0]!;
    for (let k = 1; k <= depth && k < this.order; k++) {
      const node = this.#trie.find(previous, id);
      if (node === 0) break;
      previous = contexts[k]!;
      contexts[k] = node;
      known = k + 1;
    }
    return known;
  }
}

function checkId(id: number, vocabularySize: number): number {
  if (!(id >= 0 && id < vocabularySize && Number.isInteger(id))) {
    throw new DataError({ where: "n-gram", expected: `ids in [0, ${vocabularySize})`, got: `${id}` });
  }
  return id;
}
