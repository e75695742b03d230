import { expect, test } from "vitest";
import { largestDifference } from "../../test/mistral-golden.ts";
import { fixtureBase } from "../../test/peft-golden.ts";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import type { Weights } from "../core/weights.ts";
import { readWeight } from "../engine/stored-tensor.ts";
import { combineLoras, type WeightedLora } from "./combine-loras.ts";
import { Lora, type LoraOptions } from "./lora.ts";
import { mergeAdapter } from "./merge-adapter.ts";

const base = fixtureBase("gpt2/prefixed");

function make(share: number, options: Partial<LoraOptions> = {}): WeightedLora {
  const adapter = new Lora(base.model, { rank: 2, alpha: 3, targets: ["c_attn", "c_fc"], ...options });
  const weights = adapter.parameters.map(({ path, shape }): [string, HostTensor] => {
    const random = new Random(share * 100 + 500).fork(path);
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal());
    return [path, { dtype: "float32", shape, data }];
  });
  return { adapter, weights: new Map(weights), share };
}

/** What merging adds to a matrix. */
function change(part: Pick<WeightedLora, "adapter" | "weights">, path: string): Float32Array {
  const of = (weights: Weights) => readWeight(weights.get(path)!).data as Float32Array;
  const [before, after] = [of(base.weights), of(mergeAdapter(base.weights, part))];
  return Float32Array.from(after, (value, i) => value - before[i]!);
}

test("side by side, the correction is the weighted sum of theirs, whatever their ranks and scales", () => {
  const parts = [make(0.7), make(-0.4, { rank: 3, alpha: 5, rankStabilized: true })];
  const combined = combineLoras(base.model, parts, "cat");
  expect(combined.adapter.options.rank).toBe(5);
  for (const path of ["h.0.attn.c_attn.weight", "h.1.mlp.c_fc.weight"]) {
    const changes = parts.map((part) => change(part, path));
    const sum = changes[0]!.map((value, i) => 0.7 * value - 0.4 * changes[1]![i]!);
    expect(largestDifference(change(combined, path), sum)).toBeLessThan(1e-5);
  }
});

test("added up, one alone is its share, and factors of several are summed by the roots", () => {
  const path = "h.0.mlp.c_fc";
  const alone = make(-0.6);
  const share = change(alone, `${path}.weight`).map((value) => -0.6 * value);
  const scaled = combineLoras(base.model, [alone], "linear");
  expect(largestDifference(change(scaled, `${path}.weight`), share)).toBeLessThan(1e-5);
  const parts = [make(0.5), make(2)];
  const { weights } = combineLoras(base.model, parts, "linear");
  const roots = parts.map(({ share: of }) => Math.sqrt(of * 1.5)); // s = 3 / 2
  for (const factor of ["lora_A", "lora_B"]) {
    const of = (from: WeightedLora["weights"]) => from.get(`${path}.${factor}.weight`)!.data as Float32Array;
    const [a, b] = parts.map((part) => of(part.weights)) as [Float32Array, Float32Array];
    const expected = Float32Array.from(a, (value, i) => roots[0]! * value + roots[1]! * b[i]!);
    expect(largestDifference(of(weights), expected)).toBeLessThan(1e-5);
  }
});

test("what cannot be combined", () => {
  const combine = (parts: readonly WeightedLora[]) => () => combineLoras(base.model, parts, "linear");
  expect(combine([])).toThrow(ConfigError);
  expect(combine([make(1), make(1, { rank: 3 })])).toThrow(
    /all of rank 2, to be added up, got rank 3\. Use cat/,
  );
  expect(combine([make(1), make(1, { targets: ["c_fc"] })])).toThrow(/all on h\.0\.attn\.c_attn/);
  expect(combine([make(1, { decomposed: true })])).toThrow(/got DoRA/);
});
