import { allocate } from "../core/dtype.ts";
import type { HostWeights, Weights } from "../core/weights.ts";
import type { Engine } from "../engine/engine.ts";
import type { CausalLM, DecoderShape } from "../models/contracts.ts";
import { CachedProgram } from "./cached-program.ts";

// R rows · V vocabulary

export interface DecoderOptions {
  /** Tokens each sequence has room for; default: the model's context length. Memory grows as they come. */
  readonly capacity?: number;
  /** Sequences that it can continue side by side; default 1. */
  readonly rows?: number;
  /** Those of the weights that {@link Decoder.exchange} will exchange: an adapter's. */
  readonly exchangeable?: HostWeights | undefined;
}

/**
 * A model ready to continue one sequence or several: it keeps the keys and values of all tokens so far, so that each further
 * token costs one small step. Its scores are those of the whole sequence run at once, up to float32 rounding. With a
 * sliding window the memory stops growing where the window is full.
 *
 * Each sequence is a row; what takes a row means the first where none is named. Scores come in one array that the next call
 * overwrites; copy what you keep. The weights are used where they lie and must not change while the decoder lives: some
 * have been packed, others would be read anew.
 *
 * @example
 * const decoder = new Decoder(engine, model, weights);
 * let scores = await decoder.prefill([464, 3290]); // Float32Array(V), of the token that comes next
 * scores = await decoder.step([318]);
 * decoder.tokens(); // => [464, 3290, 318]
 * decoder.dispose();
 */
export class Decoder {
  readonly shape: DecoderShape;
  readonly #program: CachedProgram;
  readonly #scores: Float32Array;
  readonly #tokens: number[][];

  /** @throws {ConfigError} if the capacity is not an integer in [1, context length], or the rows not in [1, 1024]. */
  constructor(engine: Engine, model: CausalLM, weights: Weights, options: DecoderOptions = {}) {
    const { vocabularySize: V, contextLength } = model.shape;
    const { capacity = contextLength, rows = 1, exchangeable } = options;
    this.shape = model.shape;
    this.#program = new CachedProgram(engine, model, weights, {
      name: "decoder",
      numRows: rows,
      ...{ capacity, exchangeable },
      outputs: (hidden) => ({ logits: model.logits(hidden) }), // (rows, V)
      bound: (count) => {
        const data = this.#scores.subarray(0, count * V);
        return { logits: { dtype: "float32", shape: [count, V], data } };
      },
    });
    this.#scores = allocate("float32", rows * V) as Float32Array;
    this.#tokens = Array.from({ length: rows }, () => []);
  }

  /** How many sequences it can hold. */
  get numRows(): number {
    return this.#tokens.length;
  }

  /** Most tokens of a row. */
  get capacity(): number {
    return this.#program.capacity;
  }

  /** Bytes that keys and values take. */
  get cacheBytes(): number {
    return this.#program.cache.byteLength;
  }

  /** The tokens that a row has read. */
  tokens(row = 0): readonly number[] {
    return this.#tokens[row]!;
  }

  /**
   * Reads a prompt, or a further piece of text, in pieces.
   *
   * @returns scores of the token after the last one `(V)`; overwritten by the next call
   * @throws {DataError} if there are no tokens or an id is outside the vocabulary; nothing has been read then.
   * @throws {ConfigError} if they do not fit into the cache; nothing has been read then.
   * @throws what `signal` was aborted with; the pieces before that have been read.
   */
  async prefill(
    tokens: ArrayLike<number>,
    { row = 0, signal }: { readonly row?: number; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Float32Array> {
    this.#program.check(row, tokens);
    const { pieceTokens } = this.#program;
    for (let start = 0; start < tokens.length; start += pieceTokens) {
      signal?.throwIfAborted();
      const length = Math.min(pieceTokens, tokens.length - start);
      const piece = Array.from({ length }, (_, i) => tokens[start + i]!);
      await this.#program.append(row, piece, [length - 1]);
      this.#tokens[row]!.push(...piece);
    }
    return this.#scores.subarray(0, this.shape.vocabularySize);
  }

  /**
   * Reads one token for each of the first rows, all in one run: `tokens[0]` for row 0, and so on.
   *
   * @returns scores `(tokens, V)`; as {@link prefill} otherwise
   */
  async step(tokens: readonly number[]): Promise<Float32Array> {
    await this.#program.step(tokens);
    tokens.forEach((token, row) => {
      this.#tokens[row]!.push(token);
    });
    return this.#scores.subarray(0, tokens.length * this.shape.vocabularySize);
  }

  /**
   * Keeps the first `length` tokens of a row.
   *
   * @throws {ConfigError} if there are not so many, or a rolling cache has let go of what they see.
   */
  truncate(length: number, row = 0): void {
    this.#program.truncate(row, length);
    this.#tokens[row]!.length = length;
  }

  /** Whether {@link truncate} to that length would work. */
  canTruncate(length: number, row = 0): boolean {
    return this.#program.canTruncate(row, length);
  }

  /** Makes row `to` like the first `length` tokens of row `from`, by copying what it keeps. */
  copyRow(from: number, to: number, length: number = this.#tokens[from]!.length): void {
    this.#program.copyRow(from, to, length);
    this.#tokens[to] = this.#tokens[from]!.slice(0, length);
  }

  /** Every row `i` becomes what row `parents[i]` was; the others stay. */
  reorder(parents: readonly number[]): void {
    this.#program.cache.reorder(parents);
    const before = this.#tokens.slice();
    parents.forEach((from, to) => {
      this.#tokens[to] = before[from]!.slice();
    });
  }

  /** Forgets all tokens of all rows. */
  reset(): void {
    for (let row = 0; row < this.numRows; row++) this.truncate(0, row);
  }

  /**
   * Goes on with another adapter's weights in place of those it has, and forgets all tokens; see {@link CachedProgram.exchange}.
   *
   * @throws {EnvironmentError} while it reads.
   */
  exchange(weights: HostWeights): void {
    if (!this.#program.exchange(weights)) return;
    for (const tokens of this.#tokens) tokens.length = 0;
  }

  /** Gives native memory back. */
  dispose(): void {
    this.#program.dispose();
  }
}
