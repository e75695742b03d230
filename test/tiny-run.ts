// A training run small enough to repeat a hundred times: one layer, some thousand weights, a millisecond a step.

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../src/core/random.ts";
import type { Weights } from "../src/core/weights.ts";
import type { MaskedOptions } from "../src/data/masked-sampler.ts";
import type { MaskingVocabulary } from "../src/data/masking.ts";
import { TokenDataset } from "../src/data/token-dataset.ts";
import { packTokens } from "../src/data/token-file.ts";
import { Engine } from "../src/engine/engine.ts";
import { bertConfig } from "../src/models/bert/config.ts";
import { Bert } from "../src/models/bert/model.ts";
import { gpt2Config } from "../src/models/gpt2/config.ts";
import { Gpt2 } from "../src/models/gpt2/model.ts";
import { CheckpointStore } from "../src/train/checkpoint.ts";
import type { TrainEvent } from "../src/train/events.ts";
import { MaskedLM, maskedStream } from "../src/train/masked-lm.ts";
import { MaskedValidation } from "../src/train/masked-validation.ts";
import { NextToken, nextTokenStream } from "../src/train/next-token.ts";
import type { ExampleStream, Measure, Objective } from "../src/train/objective.ts";
import { type TrainOptions, trainOptions } from "../src/train/options.ts";
import type { ParameterArena } from "../src/train/parameter-arena.ts";
import { isTextQuality, type Quality } from "../src/train/quality.ts";
import type { ReadyRun } from "../src/train/train-run.ts";
import { Validation } from "../src/train/validation.ts";

/** One for the whole process: engines share their threads anyway. */
export const engine: Engine = new Engine();

export const TINY_VOCABULARY = 24;
export const TINY_END_OF_TEXT: number = TINY_VOCABULARY - 1;

/** A dataset on disk that holds these tokens. */
export function writeDataset(directory: string, name: string, tokens: ArrayLike<number>): TokenDataset {
  mkdirSync(directory, { recursive: true });
  const bytes = packTokens(tokens, 2, 2 ** 16);
  writeFileSync(join(directory, name), bytes);
  return new TokenDataset(directory, [{ file: name, tokens: tokens.length, sha256: "" }], 2);
}

/** Tokens in which each one makes the next likely, so that there is something to learn; documents of about 40. */
export function tinyTokens(count: number, seed: number): number[] {
  const random = new Random(seed);
  let token = 0;
  return Array.from({ length: count }, () => {
    if (random.uniform() < 0.025) return TINY_END_OF_TEXT;
    token = random.uniform() < 0.8 ? (token * 5 + 3) % TINY_END_OF_TEXT : random.integer(TINY_END_OF_TEXT);
    return token;
  });
}

const WORDS = "the a cat dog bird sat ran flew on under over mat tree and then it was not blue red".split(
  " ",
);

/** Sentences of a few words, the same for the same seed. */
export function tinyText(length: number, seed: number): string {
  const random = new Random(seed);
  let text = "";
  while (text.length < length) {
    const words = Array.from({ length: 4 + random.integer(5) }, () => WORDS[random.integer(WORDS.length)]!);
    text += `${words.join(" ")}.${random.uniform() < 0.3 ? "\n" : " "}`;
  }
  return text.slice(0, length);
}

/** A model of 24 tokens, by default one layer of width 16. */
export function tinyModel(contextLength = 16): Gpt2 {
  const sizes = { width: 16, numLayers: 1, numHeads: 2, layerNormEpsilon: 1e-5 };
  return new Gpt2(gpt2Config({ ...sizes, vocabularySize: TINY_VOCABULARY, contextLength }));
}

/** Special ids of the tiny encoder's vocabulary: the last five, so that {@link tinyTokens} has the separator it expects. */
export const TINY_MASKING: MaskingVocabulary = {
  size: TINY_VOCABULARY + 4,
  sepId: TINY_END_OF_TEXT,
  padId: TINY_VOCABULARY,
  clsId: TINY_VOCABULARY + 1,
  maskId: TINY_VOCABULARY + 2,
  specialIds: new Set(Array.from({ length: 5 }, (_, i) => TINY_END_OF_TEXT + i)),
};

/** An encoder of one layer of width 16, and how it is trained. */
export function tinyMaskedLM(changes: Partial<MaskedOptions> & { contextLength?: number } = {}): MaskedLM {
  const { contextLength = 16, ...options } = changes;
  const sizes = { width: 16, numLayers: 1, numHeads: 2, vocabularySize: TINY_MASKING.size, contextLength };
  const heads = { maskedLanguage: "tied", pooler: true, nextSentence: true } as const;
  const encoder = new Bert(bertConfig(sizes), options.pairs ? heads : { maskedLanguage: "tied" });
  return new MaskedLM(encoder, { vocabulary: TINY_MASKING, fraction: 0.2, pairs: false, ...options });
}

/** What a test may change about a run. */
export type TinyChanges = Partial<Omit<ReadyRun, "options">> & { readonly options?: Partial<TrainOptions> };

/** Examples for an objective, and its measure, from tiny texts that are written into `directory`. */
export function tinyData(
  directory: string,
  objective: Objective,
  options: TrainOptions,
  frozen: Weights = new Map(),
): { examples: ExampleStream; measure: (arena: ParameterArena) => Measure } {
  const textTokens = tinyTokens(300, 8);
  const weights = (arena: ParameterArena) => new Map([...frozen, ...arena.weights()]);
  const datasets = [{ dataset: writeDataset(directory, "train.bin", tinyTokens(4000, 7)), weight: 1 }];
  const heldOut = [writeDataset(directory, "validation.bin", textTokens)];
  if (objective instanceof MaskedLM) {
    const { model: encoder, options: masking } = objective;
    const measured = { shape: options, options: masking, datasets: heldOut };
    return {
      examples: maskedStream({ ...masking, ...options, datasets }),
      measure: (arena) => new MaskedValidation(engine, encoder, weights(arena), measured),
    };
  }
  const { model } = objective as NextToken;
  const bytes = textTokens.slice(1).filter((token) => token !== TINY_END_OF_TEXT).length;
  const text = { datasets: heldOut, bytes, endOfTextId: TINY_END_OF_TEXT };
  return {
    examples: nextTokenStream({ ...options, datasets }),
    measure: (arena) => new Validation(engine, model, weights(arena), options, text),
  };
}

/** A complete run in `directory`, which also holds its data. */
export function tinyRun(directory: string, { options: given, ...changes }: TinyChanges = {}): ReadyRun {
  const options = trainOptions({
    ...{ steps: 40, batchSize: 2, contextLength: 16, learningRate: 1e-2 },
    warmupSteps: Math.min(4, given?.steps ?? 4),
    ...{ validateEvery: 10, saveEvery: 10 },
    ...given,
  });
  const objective = changes.objective ?? new NextToken(tinyModel());
  const data = changes.examples ? {} : tinyData(join(directory, "data"), objective, options, changes.frozen);
  return {
    engine,
    objective,
    ...(data as ReturnType<typeof tinyData>),
    options,
    identity: { configHash: "a configuration", tokenizerHash: "a tokenizer", dataHash: "some data" },
    directory,
    resume: false,
    title: "tiny",
    onEvent: () => {},
    ...changes,
  };
}

/** Bits per byte of a result that is measured so. */
export function bitsPerByteOf(quality: Quality): number {
  if (!isTextQuality(quality)) throw new Error("measured on masked tokens, not in bits per byte");
  return quality.bitsPerByte;
}

/** SHA-256 of each tensor of the newest checkpoint, by name: weights and both moments. */
export function checkpointDigests(directory: string): Record<string, string> {
  const checkpoint = new CheckpointStore(join(directory, "checkpoints")).latest();
  if (!checkpoint) throw new Error(`no checkpoint in ${directory}`);
  const digests = Object.fromEntries(
    checkpoint.names.map((name) => {
      const { data } = checkpoint.read(name);
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      return [name, createHash("sha256").update(bytes).digest("hex")];
    }),
  );
  checkpoint.close();
  return digests;
}

/** Everything a run says; give it `record` to call. */
export class EventRecord {
  readonly events: TrainEvent[] = [];

  readonly record = (event: TrainEvent): void => {
    this.events.push(event);
  };

  of<T extends TrainEvent["type"]>(type: T): Extract<TrainEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<TrainEvent, { type: T }> => event.type === type);
  }

  /** Losses by step: equal arrays mean equal bits. */
  losses(): [step: number, lossNats: number][] {
    return this.of("step").map(({ step, lossNats }) => [step, lossNats]);
  }
}
