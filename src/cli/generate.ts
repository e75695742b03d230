import { ConfigError } from "../core/errors.ts";
import { type BeamResult, beamSearch } from "../generate/beam-search.ts";
import { generateBatch, generate as generateText } from "../generate/generate.ts";
import { DEFAULT_MAX_TOKENS, type GenerationRequest, planGeneration } from "../generate/generation-plan.ts";
import type { GenerateResult } from "../generate/sequence.ts";
import { LanguageModel } from "../pipelines/language-model.ts";
import { choice, integer, integers, list, number, text } from "./flag-specs.ts";
import type { FlagValues } from "./flags.ts";
import { loadModelArgument, MODEL_ARGUMENT, MODEL_FLAGS } from "./model-argument.ts";
import type { Output } from "./output.ts";
import { CONSTRAINT_FLAGS, readConstraint, readSampling, SAMPLING_FLAGS } from "./sampling-flags.ts";
import { readTexts } from "./text-input.ts";
import { defineVerb, type Verb } from "./verb.ts";

const FLAGS = {
  prompt: text({ describe: "the text to continue; an empty one starts a new document" }),
  tokens: integers({ describe: "the prompt as token ids", min: 0 }),
  file: text({
    describe: 'a file with a prompt a line, or JSON lines with a "text" each (.jsonl); "-" is standard input',
    placeholder: "FILE",
  }),
  maxTokens: integer({
    describe: `most tokens to write; default: what the context has room for, at most ${DEFAULT_MAX_TOKENS}`,
    min: 1,
  }),
  samples: integer({ describe: "texts for each prompt", min: 1, max: 1024, fallback: 1 }),
  ...SAMPLING_FLAGS,
  ...CONSTRAINT_FLAGS,
  stop: list({ describe: "texts to stop at; they are not printed" }),
  beams: integer({
    describe: "look for the likeliest text with that many beams, in place of drawing",
    min: 1,
    max: 1024,
  }),
  lengthPenalty: number({
    describe: "with --beams: above 0 favours long texts, below 0 short ones",
    fallback: 1,
  }),
  stopping: choice(["full", "likely", "never"], {
    describe: "with --beams: when the search ends; see the documentation of beamSearch",
    fallback: "likely",
  }),
  logprobs: integer({
    describe: "with --json: each token's log-probability, and that many of the likeliest tokens in its place",
    min: 0,
    max: 1000,
  }),
  rows: integer({ describe: "texts that are written side by side", min: 1, max: 1024, fallback: 8 }),
  ...MODEL_FLAGS,
} as const;

type Flags = FlagValues<typeof FLAGS>;

/** `plinth generate`: continues a prompt, or several. */
export const generate: Verb = defineVerb({
  name: "generate",
  summary: "continue a prompt",
  positionals: [MODEL_ARGUMENT],
  flags: FLAGS,
  example: 'plinth generate runs/first --prompt "Once upon a time" --max-tokens 100',
  run: async ({ positionals: [word], flags, out, signal }) => {
    const prompts = readPrompts(flags);
    const loaded = loadModelArgument(word!, flags);
    const rows = flags.beams ?? Math.min(flags.rows, prompts.length * flags.samples);
    const model = new LanguageModel(loaded, { rows });
    const request = readRequest(flags, model);
    const capacity = loaded.model.shape.contextLength;
    for (const prompt of prompts) planGeneration({ ...request, ...prompt, capacity }); // mistakes show before the work begins
    try {
      if (flags.beams !== undefined) await search(model, prompts, request, flags, out, signal);
      else if (prompts.length * flags.samples === 1)
        await writeOne(model, { ...request, ...prompts[0]! }, flags, out, signal);
      else await writeMany(model, prompts, request, flags, out, signal);
    } finally {
      model.dispose();
    }
  },
});

type Prompt = Pick<GenerationRequest, "prompt" | "tokens">;

type Request = Omit<GenerationRequest, "capacity" | "prompt" | "tokens">;

function readPrompts({ prompt, tokens, file }: Flags): readonly Prompt[] {
  if (file === undefined) return [{ prompt, tokens }];
  if (prompt === undefined && tokens === undefined) {
    return readTexts("generate", { text: [], file }).map((text) => ({ prompt: text }));
  }
  throw new ConfigError({
    where: `--file ${file}`,
    expected: "to be where the prompts come from",
    got: `also --${prompt === undefined ? "tokens" : "prompt"}`,
  });
}

function readRequest(flags: Flags, model: LanguageModel): Request {
  const { maxTokens, stop } = flags;
  const { tokenizer, model: network } = model.loaded;
  return {
    tokenizer,
    maxTokens,
    stop,
    sampling: readSampling(flags, model.defaults.sampling, tokenizer, network.shape.vocabularySize),
    constraint: readConstraint(flags, tokenizer),
    stopTokens: model.defaults.stopTokens,
  };
}

/** One text, as it comes. */
async function writeOne(
  model: LanguageModel,
  request: Request & Prompt,
  { logprobs }: Flags,
  out: Output,
  signal: AbortSignal,
): Promise<void> {
  const onText = out.json ? undefined : (piece: string) => out.write(piece);
  const result = await generateText({
    ...request,
    decoder: model.decoder,
    logprobs: logprobs !== undefined,
    numAlternatives: logprobs,
    signal,
    onText,
  });
  const rest = request.tokenizer ? "\n" : result.tokens.join(",");
  out.result(result, rest); // the text itself is there already
  if (!out.json) out.notice(summarize(result));
}

/** Several texts side by side, printed when all are there. */
async function writeMany(
  model: LanguageModel,
  prompts: readonly Prompt[],
  request: Request,
  { logprobs, samples }: Flags,
  out: Output,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  const results = await generateBatch({
    ...request,
    decoder: model.decoder,
    prompts: prompts.map(({ prompt, tokens }) => prompt ?? tokens!),
    numSamples: samples,
    logprobs: logprobs !== undefined,
    numAlternatives: logprobs,
    signal,
  });
  const texts = results.flat();
  out.result(results, texts.map(show).join("\n\n"));
  const numTokens = texts.reduce((sum, { usage }) => sum + usage.completionTokens, 0);
  const speed = (numTokens / (performance.now() - started)) * 1e3;
  if (!out.json) out.notice(`${texts.length} texts, ${numTokens} tokens, ${speed.toFixed(0)} tokens/s`);
}

/** The likeliest texts for each prompt. */
async function search(
  model: LanguageModel,
  prompts: readonly Prompt[],
  request: Request,
  { samples, lengthPenalty, stopping }: Flags,
  out: Output,
  signal: AbortSignal,
): Promise<void> {
  const results: BeamResult[][] = [];
  for (const prompt of prompts) {
    const options = { ...request, ...prompt, numTexts: samples, lengthPenalty, stopping, signal };
    results.push(await beamSearch({ ...options, decoder: model.decoder }));
  }
  out.result(results, results.flat().map(show).join("\n\n"));
}

function show({ text, tokens }: { readonly text: string; readonly tokens: readonly number[] }): string {
  return text === "" ? tokens.join(",") : text;
}

const ENDINGS = {
  stop: "came to its end",
  length: "cut at its length",
  aborted: "stopped",
} as const satisfies Record<GenerateResult["finishReason"], string>;

function summarize({ usage, timings, finishReason }: GenerateResult): string {
  const speed = timings.tokensPerSecond > 0 ? `, ${timings.tokensPerSecond.toFixed(0)} tokens/s` : "";
  return `${usage.completionTokens} tokens, ${ENDINGS[finishReason]}${speed}`;
}
