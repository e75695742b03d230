import type { Tokenizer } from "../codecs/tokenizer.ts";
import { hostTensor } from "../core/dtype.ts";
import { ConfigError, DataError } from "../core/errors.ts";
import type { HostWeights, Weights } from "../core/weights.ts";
import type { Engine } from "../engine/engine.ts";
import { CachedProgram, checkTokens, ROWS } from "../generate/cached-program.ts";
import type { CausalLM } from "../models/contracts.ts";
import { input } from "../tensor/tensor.ts";
import { bitsPerByte } from "./bits-per-byte.ts";

// T tokens of a piece · R scored rows of it · V vocabulary

/** Most scores `(R, V)` that one run holds at a time; the runtime keeps about two such arrays. */
const MAX_SCORES = 8 * 2 ** 20;
const MIN_PIECE = 16;

/** How probable a model finds a text. */
export interface TokenScores {
  /** Natural logarithm of each token's probability given the tokens before it; `null` for the first, which has none. */
  readonly logprobs: readonly (number | null)[];
  /** Minus their sum. */
  readonly nats: number;
  /** True for a text longer than the context, where a token sees only the tokens of its window: at least half a context. */
  readonly windowed: boolean;
}

/**
 * Scores texts of any length with one model.
 *
 * A text that fits into the context is read once. A longer one is read in windows that overlap by half: each window
 * begins half a context further on and scores only what the one before has not, so that every token sees at least half a
 * context (all there is, near the beginning) and is scored once.
 */
export class Scorer {
  readonly #program: CachedProgram;
  readonly #pieceSize: number;
  readonly #vocabularySize: number;

  /** @param exchangeable those of the weights that {@link exchange} will exchange: an adapter's */
  constructor(engine: Engine, model: CausalLM, weights: Weights, exchangeable?: HostWeights) {
    const { contextLength, vocabularySize } = model.shape;
    const targets = input("targets", "int32", [ROWS, 1]);
    this.#vocabularySize = vocabularySize;
    this.#program = new CachedProgram(engine, model, weights, {
      name: "score",
      numRows: 2,
      ...{ capacity: contextLength, exchangeable },
      outputs: (hidden) => {
        const logits = model.logits(hidden); // (R, V)
        return { logprobs: logits.logSoftmax().takeAlongLast(targets) }; // (R, 1)
      },
    });
    const fewScores = Math.max(MIN_PIECE, Math.floor(MAX_SCORES / vocabularySize));
    this.#pieceSize = Math.min(this.#program.pieceTokens, fewScores);
  }

  /** Goes on with another adapter's weights; see `CachedProgram.exchange`. */
  exchange(weights: HostWeights): void {
    this.#program.exchange(weights);
  }

  /**
   * @throws {DataError} if there are no tokens, an id is outside the vocabulary, or the model yields no number.
   * @throws what `signal` was aborted with
   */
  async score(tokens: ArrayLike<number>, signal?: AbortSignal): Promise<TokenScores> {
    checkTokens("score", tokens, this.#vocabularySize);
    const logprobs: (number | null)[] = [null];
    const T = this.#program.capacity;
    const minContext = Math.max(1, Math.floor(T / 2));
    let nats = 0;
    for (let start = 0; logprobs.length < tokens.length; start += T - minContext + 1) {
      const end = Math.min(start + T, tokens.length - 1); // the last token is only a target
      for (const logprob of await this.#scoreWindow(tokens, start, end, logprobs.length, signal)) {
        logprobs.push(logprob);
        nats -= logprob;
      }
    }
    return { logprobs, nats, windowed: tokens.length - 1 > T };
  }

  /**
   * How probable each of several continuations of one prompt is. The prompt is read once.
   *
   * @returns for each continuation, the natural logarithm of each of its tokens' probability
   * @throws {DataError} if the prompt or a continuation is empty, or an id is outside the vocabulary.
   * @throws {ConfigError} if the prompt and a continuation do not fit into the context.
   */
  async scoreContinuations(
    prompt: readonly number[],
    continuations: readonly (readonly number[])[],
    signal?: AbortSignal,
  ): Promise<number[][]> {
    checkTokens("prompt", prompt, this.#vocabularySize);
    for (const tokens of continuations) this.#checkContinuation(prompt, tokens);
    const before = prompt.length - 1;
    this.#program.truncate(0, 0);
    for (let at = 0; at < before; at += this.#pieceSize) {
      signal?.throwIfAborted();
      await this.#scorePiece(0, prompt.slice(at, Math.min(at + this.#pieceSize, before)), []);
    }
    const results: number[][] = [];
    for (const tokens of continuations) {
      const found: number[] = [];
      this.#program.copyRow(0, 1, before);
      const all = [prompt[before]!, ...tokens];
      for (let at = 0; at < tokens.length; at += this.#pieceSize) {
        signal?.throwIfAborted();
        const end = Math.min(at + this.#pieceSize, tokens.length);
        found.push(...(await this.#scorePiece(1, all.slice(at, end), all.slice(at + 1, end + 1))));
      }
      results.push(found);
    }
    return results;
  }

  /** Gives native memory back. */
  dispose(): void {
    this.#program.dispose();
  }

  #checkContinuation(prompt: readonly number[], tokens: readonly number[]): void {
    checkTokens("continuation", tokens, this.#vocabularySize);
    const room = this.#program.capacity - prompt.length + 1;
    if (tokens.length <= room) return;
    throw new ConfigError({
      where: "continuation",
      expected: `prompt and continuation within the context of ${this.#program.capacity} tokens`,
      got: `${prompt.length} and ${tokens.length}`,
      fix: "Shorten the prompt.",
    });
  }

  /** Reads a piece of a row; of its last tokens, as many as there are targets, says how probable the next one is. */
  async #scorePiece(
    row: number,
    piece: readonly number[],
    targets: readonly number[],
  ): Promise<Iterable<number>> {
    // One row is asked for at least: the runtime has no kernels for none.
    const asked = targets.length > 0 ? targets : [0];
    const first = piece.length - asked.length;
    const { logprobs } = await this.#program.append(
      row,
      piece,
      asked.map((_, i) => first + i),
      { targets: hostTensor("int32", [asked.length, 1], Int32Array.from(asked)) },
    );
    return targets.length > 0 ? (logprobs!.data as Float32Array) : [];
  }

  /** Log-probabilities of the tokens from `first` to `end`, each seeing those from `start` on. */
  async #scoreWindow(
    tokens: ArrayLike<number>,
    start: number,
    end: number,
    first: number,
    signal: AbortSignal | undefined,
  ): Promise<number[]> {
    const found: number[] = [];
    this.#program.truncate(0, 0);
    for (let at = start; at < end; at += this.#pieceSize) {
      signal?.throwIfAborted();
      const piece = Array.from({ length: Math.min(this.#pieceSize, end - at) }, (_, t) => tokens[at + t]!);
      const following = piece.map((_, t) => tokens[at + t + 1]!);
      found.push(...(await this.#scorePiece(0, piece, following.slice(Math.max(0, first - 1 - at)))));
    }
    const wrong = found.findIndex((logprob) => !Number.isFinite(logprob));
    if (wrong < 0) return found;
    throw new DataError({
      where: `score, token ${first + wrong}`,
      expected: "a finite log-probability",
      got: `${found[wrong]}`,
      fix: "The weights are damaged, or their training went wrong.",
    });
  }
}

/**
 * Scores one text; see {@link Scorer}, which to score several is quicker.
 *
 * @throws {DataError} if there are no tokens or an id is outside the vocabulary.
 * @example
 * const { logprobs, nats } = await scoreTokens(engine, model, weights, tokenizer.encode("The cat"));
 */
export async function scoreTokens(
  engine: Engine,
  model: CausalLM,
  weights: Weights,
  tokens: ArrayLike<number>,
  signal?: AbortSignal,
): Promise<TokenScores> {
  const scorer = new Scorer(engine, model, weights);
  try {
    return await scorer.score(tokens, signal);
  } finally {
    scorer.dispose();
  }
}

/**
 * Bits per UTF-8 byte of the tokens that were scored: the first token, which was not, adds neither nats nor bytes, and
 * nor do special tokens, which stand for no text.
 *
 * @returns `null` if that leaves no text
 * @throws {DataError} at an id that the tokenizer does not know.
 */
export function scoredBitsPerByte(
  tokenizer: Tokenizer,
  tokens: ArrayLike<number>,
  { logprobs }: TokenScores,
): number | null {
  let nats = 0;
  let bytes = 0;
  for (const [i, logprob] of logprobs.entries()) {
    const size = tokenizer.tokenBytes(tokens[i]!).length;
    if (logprob === null || size === 0) continue;
    nats -= logprob;
    bytes += size;
  }
  return bytes > 0 ? bitsPerByte(Math.max(0, nats), bytes) : null;
}
