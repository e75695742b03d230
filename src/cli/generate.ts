import { Engine } from "../engine/engine.ts";
import { Decoder } from "../generate/decoder.ts";
import { generate as generateText } from "../generate/generate.ts";
import { DEFAULT_MAX_TOKENS, planGeneration } from "../generate/generation-plan.ts";
import type { GenerateResult } from "../generate/sequence.ts";
import { integer, integers, list, number, text } from "./flag-specs.ts";
import { loadModelArgument, MODEL_ARGUMENT, publishedStopTokens } from "./model-argument.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** Below 1 because small models wander off otherwise. */
const DEFAULT_TEMPERATURE = 0.8;

/** `plinth generate`: continues a prompt. */
export const generate: Verb = defineVerb({
  name: "generate",
  summary: "continue a prompt",
  positionals: [MODEL_ARGUMENT],
  flags: {
    prompt: text({ describe: "the text to continue; an empty one starts a new document" }),
    tokens: integers({ describe: "the prompt as token ids", min: 0 }),
    maxTokens: integer({
      describe: `most tokens to write; default: what the context has room for, at most ${DEFAULT_MAX_TOKENS}`,
      min: 1,
    }),
    temperature: number({
      describe: "below 1 safer, above 1 bolder; 0 always takes the likeliest token",
      min: 0,
      fallback: DEFAULT_TEMPERATURE,
    }),
    topK: integer({ describe: "draw among that many likeliest tokens; 0: among all", min: 0, fallback: 0 }),
    topP: number({
      describe: "draw among the likeliest tokens that together have this probability",
      min: 0,
      max: 1,
      fallback: 1,
    }),
    minP: number({
      describe: "leave out tokens less likely than this fraction of the likeliest",
      min: 0,
      max: 1,
      fallback: 0,
    }),
    repetitionPenalty: number({
      describe: "above 1 makes tokens that are there already less likely",
      min: 0,
      fallback: 1,
    }),
    stop: list({ describe: "texts to stop at; they are not printed" }),
    seed: integer({ describe: "of the random numbers; the same seed writes the same text", fallback: 0 }),
  },
  example: 'plinth generate runs/first --prompt "Once upon a time" --max-tokens 100',
  run: async ({ positionals: [word], flags, out, signal }) => {
    const loaded = loadModelArgument(word!);
    const { model, weights, tokenizer } = loaded;
    const { prompt, tokens, maxTokens, stop, temperature, topK, topP, minP, repetitionPenalty, seed } = flags;
    const request = {
      tokenizer,
      prompt,
      tokens,
      maxTokens,
      stop,
      sampling: { temperature, topK, topP, minP, repetitionPenalty, seed },
      stopTokens: publishedStopTokens(loaded),
    };
    planGeneration({ ...request, capacity: model.shape.contextLength }); // mistakes show before the work begins
    const decoder = new Decoder(new Engine(), model, weights);
    try {
      const onText = out.json ? undefined : (piece: string) => out.write(piece);
      const result = await generateText({ ...request, decoder, signal, onText });
      const rest = tokenizer ? "\n" : result.tokens.join(",");
      out.result(result, rest); // the text itself is there already
      if (!out.json) out.notice(summarize(result));
    } finally {
      decoder.dispose();
    }
  },
});

const ENDINGS = {
  stop: "came to its end",
  length: "cut at its length",
  aborted: "stopped",
} as const satisfies Record<GenerateResult["finishReason"], string>;

function summarize({ usage, timings, finishReason }: GenerateResult): string {
  const speed = timings.tokensPerSecond > 0 ? `, ${timings.tokensPerSecond.toFixed(0)} tokens/s` : "";
  return `${usage.completionTokens} tokens, ${ENDINGS[finishReason]}${speed}`;
}
