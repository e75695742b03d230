// A causal model of random weights with a tokenizer of characters: nothing to say, but every way to say it.

import { tmpdir } from "node:os";
import { trainCharTokenizer } from "../src/codecs/char-tokenizer.ts";
import type { Tokenizer } from "../src/codecs/tokenizer.ts";
import { Random } from "../src/core/random.ts";
import type { LoadedModel } from "../src/models/load-model.ts";
import { mistralConfig } from "../src/models/mistral/config.ts";
import { Mistral } from "../src/models/mistral/model.ts";
import { initializeParameters } from "../src/nn/scope.ts";

const LETTERS =
  "\n !\"#$%&'()*+,-./0123456789:;<=>?[]_{|}ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Weights large enough that scores differ by more than rounding. */
const SCALE = 8;

/** One layer, some ten thousand weights, in memory. */
export function randomModel(seed: number, tokenizer: Tokenizer = trainCharTokenizer([LETTERS])): LoadedModel {
  const { vocabularySize } = tokenizer;
  const sizes = { width: 32, numLayers: 1, numHeads: 4, numKeyValueHeads: 2, contextLength: 512 };
  const model = new Mistral(mistralConfig({ ...sizes, vocabularySize, feedForwardSize: 48, tiedHead: true }));
  const weights = initializeParameters(model.parameters, new Random(seed));
  for (const { data, shape } of weights.values()) {
    const values = data as Float32Array;
    if (shape.length === 2) values.set(values.map((value) => value * SCALE));
  }
  return { directory: tmpdir(), model, weights, tokenizer };
}
