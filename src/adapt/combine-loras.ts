// O outputs · I inputs · R rank

import type { HostTensor } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import type { HostWeights } from "../core/weights.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import { Lora } from "./lora.ts";

/** An adapter and how much of it is wanted. */
export interface WeightedLora {
  readonly adapter: Lora;
  readonly weights: HostWeights;
  /** Below zero takes it out. */
  readonly share: number;
}

/**
 * One LoRA made of several on the same layers, as PEFT's `add_weighted_adapter` does it.
 *
 * - `cat` sets their factors side by side: its correction is exactly the weighted sum of theirs, and its rank the sum of their ranks.
 * - `linear` adds factors up, so that the rank stays: A and B are each sums with the root of share · s, which mixes the adapters; only one
 *   rank is possible.
 *
 * @throws {ConfigError} if there are none, they are on other layers or of other ranks than that allows, or are DoRA.
 */
export function combineLoras(
  model: CausalLM | Encoder,
  parts: readonly WeightedLora[],
  way: "cat" | "linear",
): { readonly adapter: Lora; readonly weights: HostWeights } {
  const first = parts[0]?.adapter;
  if (!first) throw unlike("at least one adapter", "none");
  for (const { adapter } of parts) checkAlike(adapter, first, way);
  const ranks = parts.map(({ adapter }) => adapter.options.rank);
  const rank = way === "cat" ? ranks.reduce((sum, of) => sum + of, 0) : ranks[0]!;
  const targets = first.modules.map(({ name }) => name);
  const combined = new Lora(model, { rank, alpha: rank, targets });
  const weights = new Map<string, HostTensor>();
  for (const { name, inSize, outSize } of first.modules) {
    const [down, up] = [new Float32Array(rank * inSize), new Float32Array(outSize * rank)];
    let start = 0;
    for (const { adapter, weights: of, share } of parts) {
      const scale = share * adapter.scale;
      // Shares of the scale for A and for B: all of it for A where factors are apart, the root for each where they are added.
      const [ofDown, ofUp] =
        way === "cat"
          ? [scale, 1]
          : [Math.sign(scale) * Math.sqrt(Math.abs(scale)), Math.sqrt(Math.abs(scale))];
      const { rank: R } = adapter.options;
      const a = of.get(`${name}.lora_A.weight`)!.data as Float32Array;
      const b = of.get(`${name}.lora_B.weight`)!.data as Float32Array;
      for (let i = 0; i < a.length; i++) down[start * inSize + i]! += ofDown * a[i]!;
      for (let i = 0; i < b.length; i++) up[Math.floor(i / R) * rank + start + (i % R)]! += ofUp * b[i]!;
      if (way === "cat") start += R;
    }
    weights.set(`${name}.lora_A.weight`, { dtype: "float32", shape: [rank, inSize], data: down });
    weights.set(`${name}.lora_B.weight`, { dtype: "float32", shape: [outSize, rank], data: up });
  }
  return { adapter: combined, weights };
}

function checkAlike(adapter: Lora, first: Lora, way: "cat" | "linear"): void {
  const layersOf = ({ modules }: Lora) => modules.map(({ name }) => name).join(", ");
  if (adapter.options.decomposed) throw unlike("LoRA without magnitudes of its own", "DoRA");
  if (layersOf(adapter) !== layersOf(first)) throw unlike(`all on ${layersOf(first)}`, layersOf(adapter));
  const { rank } = first.options;
  if (way === "cat" || adapter.options.rank === rank) return;
  throw unlike(`all of rank ${rank}, to be added up`, `rank ${adapter.options.rank}`, "Use cat.");
}

function unlike(expected: string, got: string, fix?: string): ConfigError {
  return new ConfigError({ where: "adapters to combine", expected, got, ...(fix && { fix }) });
}
