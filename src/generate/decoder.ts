import { allocate } from "../core/dtype.ts";
import type { Weights } from "../core/weights.ts";
import type { Engine } from "../engine/engine.ts";
import type { CausalLM, DecoderShape } from "../models/contracts.ts";
import { input } from "../tensor/tensor.ts";
import { CachedProgram } from "./cached-program.ts";

/**
 * Most tokens of a prompt that one run reads: attention holds `H × chunk × context` scores at a time, and an abort
 * waits for no more than this.
 */
const CHUNK_TOKENS = 512;

export interface DecoderOptions {
  /** Tokens the cache has room for; default: the model's context length. */
  readonly capacity?: number;
}

/**
 * A model ready to continue one sequence: it keeps the keys and values of all tokens so far, so that each further token
 * costs one small step. Its scores are those of the whole sequence run at once, up to float32 rounding.
 *
 * Scores come in one array that the next call overwrites; copy what you keep. The weights are used where they lie and
 * must not change while the decoder lives: some have been packed, others would be read anew.
 *
 * @example
 * const decoder = new Decoder(engine, model, weights);
 * let scores = await decoder.prefill([464, 3290]); // Float32Array(V), of the token that comes next
 * scores = await decoder.step(318);
 * decoder.tokens; // => [464, 3290, 318]
 * decoder.dispose();
 */
export class Decoder {
  readonly shape: DecoderShape;
  readonly #program: CachedProgram;
  readonly #last: Int32Array;
  readonly #logits: Float32Array;
  #tokens: number[] = [];

  /** @throws {ConfigError} if the capacity is not an integer in [1, context length]. */
  constructor(engine: Engine, model: CausalLM, weights: Weights, options: DecoderOptions = {}) {
    const { vocabularySize, contextLength } = model.shape;
    const last = input("last", "int32", [1]);
    this.shape = model.shape;
    this.#program = new CachedProgram(engine, model, weights, {
      name: "decoder",
      capacity: options.capacity ?? contextLength,
      outputs: (hidden) => ({ logits: model.logits(hidden.gatherRows(last)) }), // (1, V)
    });
    this.#last = allocate("int32", 1) as Int32Array;
    this.#logits = allocate("float32", vocabularySize) as Float32Array;
    this.#program.bind("last", { dtype: "int32", shape: [1], data: this.#last });
    this.#program.bind("logits", { dtype: "float32", shape: [1, vocabularySize], data: this.#logits });
  }

  /** Most tokens there is room for. */
  get capacity(): number {
    return this.#program.capacity;
  }

  /** How many tokens have been read. */
  get length(): number {
    return this.#program.length;
  }

  /** The tokens that have been read. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /**
   * Reads a prompt, or a further piece of text, in chunks.
   *
   * @returns scores of the token after the last one `(V)`; overwritten by the next call
   * @throws {DataError} if there are no tokens or an id is outside the vocabulary; nothing has been read then.
   * @throws {ConfigError} if they do not fit into the cache; nothing has been read then.
   * @throws what `signal` was aborted with; the chunks before that have been read.
   */
  async prefill(tokens: ArrayLike<number>, signal?: AbortSignal): Promise<Float32Array> {
    this.#program.check(tokens);
    for (let start = 0; start < tokens.length; start += CHUNK_TOKENS) {
      signal?.throwIfAborted();
      const end = Math.min(start + CHUNK_TOKENS, tokens.length);
      await this.#append(Array.from({ length: end - start }, (_, i) => tokens[start + i]!));
    }
    return this.#logits;
  }

  /** Reads one token; as {@link prefill}. */
  async step(token: number): Promise<Float32Array> {
    await this.#append([token]);
    return this.#logits;
  }

  /** Keeps the first `length` tokens. @throws {ConfigError} if there are not so many. */
  truncate(length: number): void {
    this.#program.truncate(length);
    this.#tokens.length = length;
  }

  /** Forgets all tokens. */
  reset(): void {
    this.truncate(0);
  }

  /** Gives native memory back. */
  dispose(): void {
    this.#program.dispose();
  }

  async #append(tokens: readonly number[]): Promise<void> {
    this.#program.check(tokens); // before anything that a run under way might still read is touched
    this.#last[0] = tokens.length - 1;
    await this.#program.append(tokens);
    this.#tokens.push(...tokens);
  }
}
