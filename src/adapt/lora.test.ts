import { describe, expect, test } from "vitest";
import {
  distance,
  families,
  gpt2,
  logitsOf,
  mistral,
  randomWeights,
  SIZES,
  TOKENS,
} from "../../test/tiny-decoders.ts";
import { engine } from "../../test/tiny-run.ts";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { bertConfig } from "../models/bert/config.ts";
import { Bert } from "../models/bert/model.ts";
import type { CausalLM } from "../models/contracts.ts";
import { mistralConfig } from "../models/mistral/config.ts";
import { Mistral } from "../models/mistral/model.ts";
import { initializeParameters, type Parameter } from "../nn/scope.ts";
import { countFlops } from "../tensor/count-flops.ts";
import { gradients } from "../tensor/gradient.ts";
import { input } from "../tensor/tensor.ts";
import { trainingFlopsOf } from "../train/flops.ts";
import { AdaptedDecoder, AdaptedEncoder } from "./adapter.ts";
import { linearModules } from "./linear-modules.ts";
import { Lora } from "./lora.ts";

/** The base's weights with s·B·A added to the wrapped ones, computed plainly. */
function addProducts(lora: Lora, weights: ReadonlyMap<string, HostTensor>): Map<string, HostTensor> {
  const merged = new Map(weights);
  for (const { name, inSize, outSize, isOutIn } of lora.modules) {
    const { shape, data } = weights.get(`${name}.weight`)!;
    const [down, up] = ["A", "B"].map((factor) => weights.get(`${name}.lora_${factor}.weight`)!.data);
    const sum = Float32Array.from(data as Float32Array);
    for (let o = 0; o < outSize; o++) {
      for (let i = 0; i < inSize; i++) {
        let product = 0;
        for (let r = 0; r < lora.options.rank; r++) {
          product += (up![o * lora.options.rank + r] as number) * (down![r * inSize + i] as number);
        }
        sum[isOutIn ? o * inSize + i : i * outSize + o]! += lora.scale * product;
      }
    }
    merged.set(`${name}.weight`, { dtype: "float32", shape, data: sum });
  }
  return merged;
}

describe.each(families)("LoRA on %s", (_, create) => {
  test("starts as the base, bit by bit", async () => {
    const base = create();
    const adapted = new AdaptedDecoder(base, new Lora(base, { rank: 2, alpha: 4, targets: "all-linear" }));
    const weights = initializeParameters(adapted.parameters, new Random(3));
    expect(distance(await logitsOf(adapted, weights), await logitsOf(base, weights))).toBe(0);
  });

  test("computes what the base computes with s·B·A added to its weights", async () => {
    const base = create();
    const lora = new Lora(base, { rank: 3, alpha: 6, targets: "all-linear" });
    const weights = randomWeights([...base.parameters, ...lora.parameters]);
    const adapted = await logitsOf(new AdaptedDecoder(base, lora), weights);
    expect(distance(adapted, await logitsOf(base, weights))).toBeGreaterThan(0.1);
    expect(distance(adapted, await logitsOf(base, addProducts(lora, weights)))).toBeLessThan(2e-4);
  });

  test("at full rank, with A the identity, the gradient by B has the direction of the one by the weight", async () => {
    const base = create();
    const name = linearModules(base).find(({ inSize, outSize }) => inSize === outSize)!.name;
    const lora = new Lora(base, { rank: 16, alpha: 32, targets: [name] });
    const adapted = new AdaptedDecoder(base, lora);
    const weights = randomWeights(adapted.parameters);
    const identity = Float32Array.from({ length: 256 }, (_, i) => Number(i % 17 === 0));
    weights.set(`${name}.lora_A.weight`, { dtype: "float32", shape: [16, 16], data: identity });
    const leaf = (path: string) => adapted.parameters.find((parameter) => parameter.path === path)!.tensor;
    const tokens = input("tokens", "int32", [1, 12]);
    const nats = adapted
      .logits(adapted.hidden(tokens))
      .reshape([12, 20])
      .crossEntropy(tokens.reshape([12]));
    const [byUp, byWeight] = gradients(nats, [leaf(`${name}.lora_B.weight`), leaf(`${name}.weight`)]);
    const program = engine.compile("gradients", { byUp: byUp!, byWeight: byWeight! }, { constants: weights });
    const result = await program.run({ tokens: TOKENS });
    program.dispose();
    const isOutIn = lora.modules[0]!.isOutIn;
    const direct = result.byWeight!.data as Float32Array;
    const expected = Float32Array.from({ length: 256 }, (_, i) => {
      const [o, j] = [Math.floor(i / 16), i % 16];
      return lora.scale * direct[isOutIn ? i : j * 16 + o]!;
    });
    expect(distance(result.byUp!.data as Float32Array, expected)).toBeLessThan(1e-5);
  });
});

test("LoRA on an encoder reaches its hidden states and leaves its heads to it", () => {
  const bert = new Bert(bertConfig(SIZES), { pooler: true });
  const adapted = new AdaptedEncoder(
    bert,
    new Lora(bert, { rank: 2, alpha: 2, targets: ["query", "value"] }),
  );
  const [tokens, segments, mask] = ["tokens", "segments", "mask"].map((name) => input(name, "int32", [2, 6]));
  const hidden = adapted.hidden({ tokens: tokens!, segments: segments!, mask: mask! });
  expect(hidden.shape).toEqual([2, 6, 16]);
  expect(adapted.parameters.length).toBe(bert.parameters.length + 8);
  expect(adapted.heads.pooled!(hidden).shape).toEqual([2, 16]);
});

describe("bad input", () => {
  test("an unknown target names what exists", () => {
    const options = { rank: 2, alpha: 2, targets: ["q_porj"] };
    expect(() => new Lora(mistral(), options)).toThrow(
      /linear layers of the model: self_attn\.q_proj.*got "q_porj".*Did you mean|Known/s,
    );
    expect(() => new Lora(mistral(), { ...options, targets: /nothing/ })).toThrow(ConfigError);
    expect(() => new Lora(mistral(), { ...options, targets: [] })).toThrow(ConfigError);
  });

  test("a rank above the smaller side, or none, is refused", () => {
    for (const rank of [0, 1.5, 17]) {
      expect(() => new Lora(gpt2(), { rank, alpha: 1, targets: "all-linear" })).toThrow(
        /a rank from 1 to 16/,
      );
    }
  });
});

test("a step costs two thirds of full fine-tuning's, and what is before the first adapter costs nothing backwards", () => {
  const base = new Mistral(mistralConfig({ ...SIZES, width: 512, contextLength: 128 }));
  const flops = (model: CausalLM, trained: readonly Parameter[]) => {
    const tokens = input("tokens", "int32", [1, 64]);
    const loss = model
      .logits(model.hidden(tokens))
      .reshape([64, 20])
      .crossEntropy(tokens.reshape([64]));
    return trainingFlopsOf([loss], trained) / countFlops([loss]);
  };
  expect(flops(base, base.parameters)).toBeCloseTo(3, 1);
  const all = new Lora(base, { rank: 1, alpha: 1, targets: "all-linear" });
  const share = flops(new AdaptedDecoder(base, all), all.parameters);
  expect(share).toBeGreaterThan(1.85);
  expect(share).toBeLessThan(2.1);
  const last = new Lora(base, { rank: 1, alpha: 1, targets: ["layers.1.mlp.down_proj"] });
  expect(flops(new AdaptedDecoder(base, last), last.parameters)).toBeLessThan(1.1);
});
