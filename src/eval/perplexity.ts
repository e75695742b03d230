import { ConfigError, DataError } from "../core/errors.ts";
import type { Engine } from "../engine/engine.ts";
import { loadModel } from "../models/load-model.ts";
import { scoreTokens } from "./score.ts";

/**
 * Perplexity of model directories on one text: `exp(nats / tokens)` over the tokens that have one before them. Comparable between
 * models with the same tokenizer; 1 is certainty.
 *
 * @example
 * const perplexity = new Perplexity(new Engine(), text, "held-out.txt");
 * await perplexity.of("runs/first/model"); // => 4.7
 */
export class Perplexity {
  readonly #engine: Engine;
  readonly #text: string;
  readonly #where: string;

  /** @param where names the text in errors */
  constructor(engine: Engine, text: string, where: string) {
    this.#engine = engine;
    this.#text = text;
    this.#where = where;
  }

  /**
   * @throws {ConfigError} if the model has no tokenizer.
   * @throws {DataError} if the text has fewer than two tokens.
   * @throws what `signal` was aborted with
   */
  async of(directory: string, signal?: AbortSignal): Promise<number> {
    const { model, weights, tokenizer } = loadModel(directory);
    if (!tokenizer) {
      const expected = "a model with a tokenizer, to measure perplexity";
      throw new ConfigError({ where: directory, expected, got: "one without" });
    }
    const tokens = tokenizer.encode(this.#text);
    if (tokens.length < 2) {
      throw new DataError({
        where: this.#where,
        expected: "a text of at least two tokens",
        got: `${tokens.length}`,
      });
    }
    const { nats } = await scoreTokens(this.#engine, model, weights, tokens, signal);
    return Math.exp(nats / (tokens.length - 1));
  }
}
