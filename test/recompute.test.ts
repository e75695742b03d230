// Gradients of whole models with recomputation and over quantised weights, through the runtime.

import { describe, expect, test } from "vitest";
import { AdaptedDecoder, AdaptedEncoder, type Adapter } from "../src/adapt/adapter.ts";
import { Dropout } from "../src/adapt/dropout.ts";
import { Lora } from "../src/adapt/lora.ts";
import { dequantize } from "../src/core/dequantize.ts";
import type { HostTensor } from "../src/core/dtype.ts";
import { type BlockFormat, quantize } from "../src/core/quantize.ts";
import { Random } from "../src/core/random.ts";
import type { Weight, Weights } from "../src/core/weights.ts";
import { bertConfig } from "../src/models/bert/config.ts";
import { Bert } from "../src/models/bert/model.ts";
import { gpt2Config } from "../src/models/gpt2/config.ts";
import { Gpt2 } from "../src/models/gpt2/model.ts";
import { mistralConfig } from "../src/models/mistral/config.ts";
import { Mistral } from "../src/models/mistral/model.ts";
import type { Parameter } from "../src/nn/scope.ts";
import { gradients } from "../src/tensor/gradient.ts";
import { reachableNodes } from "../src/tensor/graph.ts";
import { input, type Tensor } from "../src/tensor/tensor.ts";
import { languageModelLoss } from "../src/train/language-model-loss.ts";
import { distance, randomWeights } from "./tiny-decoders.ts";
import { engine } from "./tiny-run.ts";

const [B, T] = [2, 12];
const SIZES = { width: 32, numLayers: 4, numHeads: 2, vocabularySize: 40, contextLength: 16 } as const;
const gpt2 = () => new Gpt2(gpt2Config(SIZES));
const mistral = () =>
  new Mistral(mistralConfig({ ...SIZES, numKeyValueHeads: 1, slidingWindow: 8, feedForwardSize: 64 }));
const bert = () => new Bert(bertConfig({ ...SIZES, feedForwardSize: 64 }), { maskedLanguage: "tied" });
const everywhere = { rank: 4, alpha: 8, targets: "all-linear" } as const;

interface Case {
  readonly parameters: readonly Parameter[];
  readonly trained: readonly Parameter[];
  readonly loss: Tensor;
}

function decoderCase(base: Gpt2 | Mistral): Case {
  return { parameters: base.parameters, trained: base.parameters, loss: lossOf(base) };
}

function lossOf(model: Gpt2 | Mistral | AdaptedDecoder): Tensor {
  return languageModelLoss(model, { batchSize: B, contextLength: T });
}

function encoderLoss(model: Bert | AdaptedEncoder): Tensor {
  const ids = (name: string) => input(name, "int32", [B, T]);
  const hidden = model.hidden({ tokens: ids("tokens"), segments: ids("segments"), mask: ids("mask") });
  const scores = model.heads.maskedLogits!(hidden).reshape([B * T, SIZES.vocabularySize]);
  return scores.crossEntropy(ids("targets").reshape([B * T]));
}

const CASES: Readonly<Record<string, () => Case>> = {
  "GPT-2": () => decoderCase(gpt2()),
  Mistral: () => decoderCase(mistral()),
  BERT: () => {
    const model = bert();
    return { parameters: model.parameters, trained: model.parameters, loss: encoderLoss(model) };
  },
  "LoRA on GPT-2": () => {
    const lora = new Lora(gpt2(), everywhere);
    return loraCase(lora, gpt2());
  },
  "LoRA on values alone of Mistral": () =>
    loraCase(new Lora(mistral(), { ...everywhere, targets: ["v_proj"] }), mistral()),
  "DoRA with dropout on Mistral": () => {
    const base = mistral();
    const lora = new Lora(base, { ...everywhere, decomposed: true });
    const drop = new Dropout(0.2, lora, 1).inGraph({ batchSize: B, contextLength: T });
    return loraCase(lora.dropping(drop), base);
  },
  "LoRA on BERT": () => {
    const base = bert();
    const adapted = new AdaptedEncoder(base, new Lora(base, everywhere));
    return {
      parameters: adapted.parameters,
      trained: adapted.adapter.parameters,
      loss: encoderLoss(adapted),
    };
  },
};

function loraCase(lora: Adapter, base: Gpt2 | Mistral): Case {
  const adapted = new AdaptedDecoder(base, lora);
  return { parameters: adapted.parameters, trained: lora.parameters, loss: lossOf(adapted) };
}

/** Everything a program takes that is not a weight. */
function feedsOf(inputs: ReadonlyMap<string, { readonly shape: readonly unknown[] }>, weights: Weights) {
  const random = new Random(3);
  const feeds: Record<string, HostTensor> = {};
  for (const [name, { shape }] of inputs) {
    if (weights.has(name)) continue;
    const sizes = shape as number[];
    const length = sizes.reduce((a, b) => a * b, 1);
    if (name === "dropout") {
      const data = Float32Array.from({ length }, () => (random.uniform() < 0.2 ? 0 : 1.25));
      feeds[name] = { dtype: "float32", shape: sizes, data };
      continue;
    }
    const below = name === "tokens" || name === "targets" ? SIZES.vocabularySize : 2;
    const data = Int32Array.from({ length }, (_, i) => (i % T === 0 ? 1 : random.integer(below)));
    feeds[name] = { dtype: "int32", shape: sizes, data };
  }
  return feeds;
}

async function gradientsOf({ loss, trained }: Case, weights: Weights, recompute: boolean) {
  const wrt = trained.map(({ tensor }) => tensor);
  const made = gradients(loss, wrt, { recompute });
  const outputs = { loss, ...Object.fromEntries(made.map((g, i) => [`gradient ${i}`, g])) };
  const program = engine.compile("gradients", outputs, { training: true, constants: weights });
  const results = await program.run(feedsOf(program.inputs, weights));
  program.dispose();
  const numHeldBack = reachableNodes(made).filter(({ op }) => op?.name === "after").length;
  return { results, numHeldBack };
}

/** Of a gradient's largest number. */
function relativeDistance(a: HostTensor, b: HostTensor): number {
  const data = b.data as Float32Array;
  return distance(a.data as Float32Array, data) / Math.max(1e-6, ...data.map(Math.abs));
}

describe.each(Object.entries(CASES))("%s", (_, create) => {
  test("recomputed gradients are the same", async () => {
    const made = create();
    const weights = randomWeights(made.parameters);
    const plain = await gradientsOf(made, weights, false);
    const again = await gradientsOf(made, weights, true);
    expect(again.numHeldBack).toBeGreaterThan(plain.numHeldBack + 3);
    for (const [name, expected] of Object.entries(plain.results)) {
      expect(relativeDistance(again.results[name]!, expected), name).toBeLessThan(1e-6);
    }
  });
});

const FORMATS: readonly BlockFormat[] = [
  { scheme: "int4", blockSize: 32 },
  { scheme: "int4", blockSize: 32, zeroPoints: true },
  { scheme: "int8", blockSize: 32 },
  { scheme: "nf4", blockSize: 32 },
];

describe.each(FORMATS)("over a base in %j", (format) => {
  const names = ["LoRA on GPT-2", "DoRA with dropout on Mistral", "LoRA on BERT"];
  test.each(format === FORMATS[0] ? names : names.slice(0, 1))(
    "%s: gradients are those over the dequantised base",
    async (name) => {
      const made = CASES[name]!();
      const quantized = new Map<string, Weight>();
      const dense = new Map<string, HostTensor>();
      const trained = new Set(made.trained.map(({ path }) => path));
      const weights = randomWeights(made.parameters);
      for (const { path, sumAxis } of made.parameters) {
        const weight = weights.get(path)!;
        const isMatrix = sumAxis !== undefined && !trained.has(path);
        const few = isMatrix ? quantize(weight, sumAxis, format, path) : undefined;
        quantized.set(path, few ?? weight);
        dense.set(path, few ? dequantize(few) : weight);
      }
      expect([...quantized.values()].filter((weight) => "scheme" in weight).length).toBeGreaterThan(10);
      const expected = await gradientsOf(made, dense, false);
      for (const recompute of [false, true]) {
        const actual = await gradientsOf(made, quantized, recompute);
        for (const [output, value] of Object.entries(expected.results)) {
          expect(relativeDistance(actual.results[output]!, value), output).toBeLessThan(1e-5);
        }
      }
    },
  );
});
