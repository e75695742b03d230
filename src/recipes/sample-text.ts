import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import type { Weights } from "../core/weights.ts";
import type { Engine } from "../engine/engine.ts";
import { Decoder } from "../generate/decoder.ts";
import { generate } from "../generate/generate.ts";
import type { CausalLM } from "../models/contracts.ts";

const SAMPLE_TOKENS = 100;

/** What a run's samples continue, and how they are drawn. */
export interface SampleOptions {
  readonly engine: Engine;
  readonly model: CausalLM;
  readonly tokenizer: Tokenizer;
  readonly prompt: string;
  readonly seed: number;
}

/**
 * Checks a prompt before hours are spent on the way to the first sample.
 *
 * @throws {ConfigError} if it fills the context.
 * @throws {DataError} if the tokenizer cannot encode it.
 */
export function checkPrompt({ tokenizer, model, prompt }: SampleOptions): void {
  const { length } = tokenizer.encode(prompt);
  if (length < model.shape.contextLength) return;
  throw new ConfigError({
    where: "prompt",
    expected: `fewer tokens than the context of ${model.shape.contextLength}`,
    got: `${length}`,
    fix: "Shorten the prompt.",
  });
}

/** A continuation of the prompt by the weights as they are. */
export async function sampleText(
  { engine, model, tokenizer, prompt, seed }: SampleOptions,
  weights: Weights,
): Promise<{ prompt: string; text: string }> {
  const decoder = new Decoder(engine, model, weights);
  try {
    const room = model.shape.contextLength - Math.max(1, tokenizer.encode(prompt).length);
    const { text } = await generate({
      decoder,
      tokenizer,
      prompt,
      maxTokens: Math.min(SAMPLE_TOKENS, room),
      sampling: { temperature: 0.8, topK: 50, seed },
    });
    return { prompt, text };
  } finally {
    decoder.dispose();
  }
}
