// Decoders of both shapes, with a few thousand weights, and what tests ask of them.

import type { HostTensor } from "../src/core/dtype.ts";
import { Random } from "../src/core/random.ts";
import type { CausalLM } from "../src/models/contracts.ts";
import { gpt2Config } from "../src/models/gpt2/config.ts";
import { Gpt2 } from "../src/models/gpt2/model.ts";
import { mistralConfig } from "../src/models/mistral/config.ts";
import { Mistral } from "../src/models/mistral/model.ts";
import { initializeParameters, type Parameter } from "../src/nn/scope.ts";
import { input } from "../src/tensor/tensor.ts";
import { engine } from "./tiny-run.ts";

/** Of every model here. */
export const SIZES = { width: 16, numLayers: 2, numHeads: 2, vocabularySize: 20, contextLength: 24 } as const;

/** A GPT-2. */
export function gpt2(): Gpt2 {
  return new Gpt2(gpt2Config(SIZES));
}

/** A Mistral with grouped heads and a window shorter than the texts of the tests. */
export function mistral(): Mistral {
  return new Mistral(mistralConfig({ ...SIZES, numKeyValueHeads: 1, slidingWindow: 8 }));
}

/** Both, by name. */
export const families: readonly [string, () => CausalLM][] = [
  ["GPT-2", gpt2],
  ["Mistral", mistral],
];

/** Random values for all parameters, zeros included, large enough to matter. */
export function randomWeights(parameters: readonly Parameter[], seed = 1): Map<string, HostTensor> {
  const weights = initializeParameters(parameters, new Random(seed));
  const random = new Random(seed).fork("everything");
  for (const { data } of weights.values()) {
    (data as Float32Array).forEach((value, i) => {
      data[i] = value + 0.2 * random.normal();
    });
  }
  return weights;
}

/** Twelve tokens of the vocabulary. */
export const TOKENS = {
  dtype: "int32",
  shape: [1, 12],
  data: Int32Array.from({ length: 12 }, (_, i) => (7 * i) % 20),
} as const;

/** Scores `(T, V)` of the tokens after each. */
export async function logitsOf(
  model: CausalLM,
  weights: ReadonlyMap<string, HostTensor>,
  tokens: ArrayLike<number> = TOKENS.data,
): Promise<Float32Array> {
  const shape = [1, tokens.length];
  const logits = model.logits(model.hidden(input("tokens", "int32", shape)));
  const program = engine.compile("logits", { logits }, { constants: weights });
  const result = await program.run({ tokens: { dtype: "int32", shape, data: Int32Array.from(tokens) } });
  program.dispose();
  return result.logits!.data as Float32Array;
}

/** The largest difference. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));
}
