import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import { oneOf, readFields, real } from "../core/fields.ts";
import { type ConstraintState, tokenMask } from "./constraint/token-constraint.ts";
import type { Decoder } from "./decoder.ts";
import { type GenerationPlan, type GenerationRequest, planGeneration } from "./generation-plan.ts";
import { logSoftmax } from "./sampling.ts";
import { processScores } from "./score-processing.ts";
import { StopStrings } from "./stop-strings.ts";

/** How beams are compared and when the search ends. */
export interface BeamOptions {
  /** Total log-probability is divided by length to this power: above 0 favours long texts, below 0 short ones. Default 1. */
  readonly lengthPenalty: number;
  /**
   * When to end: `full`, with as many finished texts as rows; `likely`, the default, once the best running beam as it stands is
   * no better than the worst finished text; `never` assumes that beams may still grow better up to `maxTokens`.
   */
  readonly stopping: "full" | "likely" | "never";
}

/** What to search for: a prompt, and how; the number of beams is the decoder's rows. */
export interface BeamSearchOptions extends Omit<GenerationRequest, "capacity">, Partial<BeamOptions> {
  readonly decoder: Decoder;
  /** Texts to give back; default 1, at most the decoder's rows. */
  readonly numTexts?: number | undefined;
  /** Aborting ends the search with the texts as they are. */
  readonly signal?: AbortSignal | undefined;
}

/** A text that the search found. */
export interface BeamResult {
  readonly text: string;
  /** Tokens generated, without a stop token at the end. */
  readonly tokens: readonly number[];
  /** Total log-probability divided by length^lengthPenalty, a stop token counted. */
  readonly score: number;
  readonly finishReason: "stop" | "length" | "aborted";
}

/** A text under way: its tokens after the prompt, and their total log-probability. */
interface Beam {
  readonly tokens: readonly number[];
  readonly total: number;
  readonly constraint: ConstraintState | undefined;
}

/** A beam with one more token, from the row where its beginning lies. */
interface Candidate extends Beam {
  readonly row: number;
  readonly hasEnded: boolean;
}

interface Finished {
  readonly tokens: readonly number[];
  readonly score: number;
}

/**
 * Looks for the likeliest texts rather than drawing one: keeps the best beginnings, one in each row of the decoder, and extends all of
 * them at each step. Penalties, bans and constraints apply as in sampling; temperature and the filters by probability do not.
 *
 * The same texts as Python `transformers` finds with `num_beams` (its `early_stopping` true, false and "never" are
 * `full`, `likely` and `never` here).
 *
 * @returns the best texts, best first
 * @throws {ConfigError} if an option is out of range, or prompt and `maxTokens` exceed the decoder's capacity.
 * @throws {DataError} if a token id is out of range.
 * @example
 * const decoder = new Decoder(engine, model, weights, { rows: 4 });
 * const [best] = await beamSearch({ decoder, tokenizer, prompt: "The", maxTokens: 20 });
 */
export async function beamSearch(options: BeamSearchOptions): Promise<BeamResult[]> {
  const { decoder, signal, numTexts = 1 } = options;
  const plan = planGeneration({ ...options, capacity: decoder.capacity });
  if (!Number.isInteger(numTexts) || numTexts < 1 || numTexts > decoder.numRows) {
    const expected = `an integer in [1, ${decoder.numRows}], the decoder's rows`;
    throw new ConfigError({ where: "numTexts", expected, got: `${numTexts}` });
  }
  const search = new BeamSearch(options, plan);
  decoder.reset();
  let scores = await decoder.prefill(plan.prompt, { signal });
  search.extend(scores, [plan.prompt]);
  for (let row = 1; row < search.beams.length; row++) decoder.copyRow(0, row);
  while (!search.isOver && !signal?.aborted) {
    scores = await decoder.step(search.beams.map(({ tokens }) => tokens.at(-1)!));
    const parents = search.extend(
      scores,
      search.beams.map((_, row) => decoder.tokens(row)),
    );
    if (search.isOver) break;
    if (parents.length > 0) decoder.reorder(parents);
  }
  return search.results(numTexts, signal?.aborted ?? false);
}

class BeamSearch {
  readonly #plan: GenerationPlan;
  readonly #tokenizer: Tokenizer | undefined;
  readonly #numBeams: number;
  readonly #options: BeamOptions;
  #beams: readonly Beam[];
  #finished: readonly Finished[] = [];
  #isImprovable = true;
  #length = 0;

  constructor({ tokenizer, decoder, lengthPenalty, stopping }: BeamSearchOptions, plan: GenerationPlan) {
    this.#plan = plan;
    this.#tokenizer = tokenizer;
    this.#numBeams = decoder.numRows;
    this.#options = readFields<BeamOptions>(
      "beams",
      {
        lengthPenalty: real(-100, 100, 1),
        stopping: oneOf(["full", "likely", "never"], "likely"),
      },
      { lengthPenalty, stopping },
    );
    this.#beams = [{ tokens: [], total: 0, constraint: plan.constraint?.start }];
  }

  get beams(): readonly Beam[] {
    return this.#beams;
  }

  get isOver(): boolean {
    const isFull = this.#finished.length === this.#numBeams && this.#options.stopping === "full";
    return !this.#isImprovable || isFull || this.#beams.length === 0 || this.#length === this.#plan.maxTokens;
  }

  /**
   * Adds a token to every beam, in the best ways.
   *
   * @param scores    of each beam's next token `(beams, V)`
   * @param histories each beam's tokens from the prompt on
   * @returns for each new beam, the row of the one that it continues
   */
  extend(scores: Float32Array, histories: readonly (readonly number[])[]): number[] {
    const { stopTokens, maxTokens } = this.#plan;
    const isLast = this.#length + 1 === maxTokens;
    // Enough that as many as there are rows go on, should all others end here.
    const numKept = Math.max(2, 1 + stopTokens.size) * this.#numBeams;
    const candidates = this.#candidates(scores, histories, numKept);
    const divisor = (this.#length + 1) ** this.#options.lengthPenalty;
    const ended = candidates
      .slice(0, this.#numBeams)
      .filter(({ hasEnded }) => hasEnded || isLast)
      .map(({ tokens, total }) => ({ tokens, score: total / divisor }));
    // Sorting is stable: of equal scores, those finished earlier stay ahead.
    this.#finished = [...this.#finished, ...ended].sort((a, b) => b.score - a.score).slice(0, this.#numBeams);
    const running = candidates.filter(({ hasEnded }) => !hasEnded && !isLast).slice(0, this.#numBeams);
    this.#beams = running;
    this.#length++;
    this.#isImprovable = this.#canImprove();
    return running.map(({ row }) => row);
  }

  results(count: number, isAborted: boolean): BeamResult[] {
    const { stopTokens, stop } = this.#plan;
    const divisor = Math.max(1, this.#length) ** this.#options.lengthPenalty;
    const open = isAborted
      ? this.#beams.map(({ tokens, total }) => ({ tokens, score: total / divisor }))
      : [];
    return [...this.#finished, ...open].slice(0, count).map(({ tokens, score }) => {
      const endsInStop = stopTokens.has(tokens.at(-1)!);
      const kept = endsInStop ? tokens.slice(0, -1) : tokens;
      const writer = new StopStrings(stop);
      const whole = this.#tokenizer?.decode(kept) ?? "";
      const text = writer.push(whole) + writer.flush();
      const isFull = tokens.length === this.#plan.maxTokens;
      const hasStopped = endsInStop || writer.isStopped || !isFull;
      const finishReason = isAborted && !endsInStop ? "aborted" : hasStopped ? "stop" : "length";
      return { text, tokens: kept, score, finishReason };
    });
  }

  /** The best continuations of all beams, best first; of equal ones the earlier beam's and the lower token. */
  #candidates(scores: Float32Array, histories: readonly (readonly number[])[], count: number): Candidate[] {
    const V = scores.length / histories.length;
    const best: { row: number; token: number; total: number }[] = []; // sorted
    this.#beams.forEach((beam, row) => {
      const logprobs = this.#logprobs(scores.subarray(row * V, (row + 1) * V), histories[row]!, beam);
      for (let token = 0; token < logprobs.length; token++) {
        const total = beam.total + logprobs[token]!;
        if (total === Number.NEGATIVE_INFINITY) continue;
        if (best.length === count && total <= best[count - 1]!.total) continue;
        let at = best.length;
        while (at > 0 && best[at - 1]!.total < total) at--;
        best.splice(at, 0, { row, token, total });
        if (best.length > count) best.pop();
      }
    });
    return best.map(({ row, token, total }) => this.#continue(row, token, total));
  }

  #logprobs(scores: Float32Array, history: readonly number[], beam: Beam): ArrayLike<number> {
    const { sampling, stopTokens, prompt, maxTokens } = this.#plan;
    const known = scores.subarray(0, this.#tokenizer?.vocabularySize);
    const allowed = beam.constraint && tokenMask(beam.constraint, stopTokens, maxTokens - this.#length);
    const context = { promptLength: prompt.length, endTokens: stopTokens, allowed };
    return processScores(logSoftmax(known), history, sampling, context);
  }

  #continue(row: number, token: number, total: number): Candidate {
    const { stopTokens, stop } = this.#plan;
    const beam = this.#beams[row]!;
    const tokens = [...beam.tokens, token];
    if (stopTokens.has(token)) return { row, tokens, total, constraint: beam.constraint, hasEnded: true };
    const constraint = beam.constraint?.advance(token);
    const isStopped = stop.length > 0 && stop.some((text) => this.#tokenizer!.decode(tokens).includes(text));
    return { row, tokens, total, constraint, hasEnded: isStopped || (constraint?.mustEnd ?? false) };
  }

  /** Whether the best running beam could still end up better than the worst finished text. */
  #canImprove(): boolean {
    const { lengthPenalty, stopping } = this.#options;
    const [best] = this.#beams;
    if (!this.#isImprovable || !best) return false;
    if (this.#finished.length < this.#numBeams) return true;
    const length = stopping === "never" && lengthPenalty > 0 ? this.#plan.maxTokens : this.#length;
    return best.total / length ** lengthPenalty > this.#finished.at(-1)!.score;
  }
}
