import { Random } from "../src/core/random.ts";
import { type MistralConfig, mistralConfig } from "../src/models/mistral/config.ts";
import { Mistral } from "../src/models/mistral/model.ts";
import { saveModel } from "../src/models/save-model.ts";
import { initializeParameters } from "../src/nn/scope.ts";

// Models whose saved directories Python `transformers` has looked at: one of each published type, which between them use every
// property that a configuration can say. How the records are made: test/fixtures/mistral/exported/README.md.

const SIZES = { vocabularySize: 19, contextLength: 64, width: 24, numLayers: 2, numHeads: 4, headSize: 8 };

/** By the name of the record. */
export const EXPORTS: Readonly<Record<string, Partial<MistralConfig>>> = {
  mistral: { numKeyValueHeads: 2, slidingWindow: 4, ropeTheta: 1e3, feedForwardSize: 40 },
  "llama-biases": {
    ...{ publishedType: "llama", queryKeyValueBias: true, outputBias: true, feedForwardBias: true },
    ropeScaling: {
      ...{ kind: "llama3", factor: 4, originalContextLength: 8 },
      ...{ lowFrequencyFactor: 1, highFrequencyFactor: 4 },
    },
  },
  "llama-dynamic": {
    ...{ publishedType: "llama", numKeyValueHeads: 1, rmsNormEpsilon: 1e-6 },
    ropeScaling: { kind: "dynamic", factor: 4, originalContextLength: 16 },
  },
  qwen2: {
    ...{ queryKeyValueBias: true, tiedHead: true, slidingWindow: 3, fullAttentionLayers: [1] },
    ropeScaling: {
      ...{ kind: "yarn", factor: 4, originalContextLength: 16, betaFast: 8, betaSlow: 1 },
      ...{ truncate: false, attentionFactor: 1.2 },
    },
  },
};

/** Saves one of them. No weight is zero or one by rule, so that none can be missed. */
export function saveExport(name: string, directory: string): void {
  const model = new Mistral(mistralConfig({ ...SIZES, ...EXPORTS[name]! }));
  const weights = initializeParameters(model.parameters, new Random(11));
  for (const [path, { shape, data }] of weights) {
    const random = new Random(7).fork(path);
    const values = data as Float32Array;
    const scale = shape.length === 2 ? 0.4 : 0.2;
    values.forEach((value, i) => {
      values[i] = (shape.length === 2 ? 0 : value) + scale * random.normal();
    });
  }
  saveModel(directory, { model, weights, tokenizer: undefined, card: "" });
}
