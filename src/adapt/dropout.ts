// B sequences · T tokens · N = B·T rows

import { allocate, type HostTensor } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { input } from "../tensor/tensor.ts";
import type { BatchShape, ExampleStream, Objective } from "../train/objective.ts";
import type { Adapter } from "./adapter.ts";
import type { Drop, Lora } from "./lora.ts";

/** Name of the input that the masks come by. */
export const DROPOUT_INPUT = "dropout";

/** How far apart in a sequence's random numbers the masks of two layers begin. */
const STRIDE = 61;

/**
 * Dropout before adapters (Srivastava et al. 2014): each input of a layer is zero with the probability `rate`, and what is left is
 * larger in turn. The masks are drawn outside of the graph, by step, so that a run that is resumed sees the same ones. Layers
 * share one row of random numbers a sequence, each from a place of its own, which is cheaper than as many rows as layers.
 */
export class Dropout {
  readonly rate: number;
  readonly #random: Random;
  readonly #width: number;
  readonly #numModules: number;

  /** @throws {ConfigError} unless the rate is in [0, 1). */
  constructor(rate: number, { modules }: Lora, seed: number) {
    if (!(rate >= 0 && rate < 1)) {
      throw new ConfigError({ where: "dropout", expected: "a rate in [0, 1)", got: `${rate}` });
    }
    this.rate = rate;
    this.#random = new Random(seed).fork("dropout");
    this.#width = Math.max(...modules.map(({ inSize }) => inSize));
    this.#numModules = modules.length;
  }

  /** What drops in a graph for batches of that shape; declares the input {@link DROPOUT_INPUT}. */
  inGraph({ batchSize, contextLength }: BatchShape): Drop {
    const masks = input(DROPOUT_INPUT, "float32", [batchSize, this.#size(contextLength)]);
    let calls = 0;
    return (x) => {
      const [rows, width] = x.shape as [number, number];
      const start = STRIDE * (calls++ % this.#numModules);
      return x.mul(masks.slice(1, start, start + contextLength * width).reshape([rows, width]));
    };
  }

  /** The masks of a step's batch: `(B, numbers)`, zero or 1 / (1 − rate). */
  masks(step: number, { batchSize, contextLength }: BatchShape): HostTensor {
    const random = this.#random.fork(`${step}`);
    const shape = [batchSize, this.#size(contextLength)];
    const data = allocate("float32", shape[0]! * shape[1]!) as Float32Array;
    const kept = 1 / (1 - this.rate);
    for (let i = 0; i < data.length; i++) data[i] = random.uniform() < this.rate ? 0 : kept;
    return { dtype: "float32", shape, data };
  }

  #size(contextLength: number): number {
    return contextLength * this.#width + STRIDE * this.#numModules;
  }
}

/** An objective with dropout before an adapter: `create` makes it of the adapter as it is, or as it drops. */
export function dropInTraining(
  dropout: Dropout,
  lora: Lora,
  create: (adapter: Adapter) => Objective,
): Objective {
  return {
    model: create(lora).model,
    losses: (shape, labelSmoothing) =>
      create(lora.dropping(dropout.inGraph(shape))).losses(shape, labelSmoothing),
  };
}

/** Where a stream with dropout stands: how many batches it has given, and its source. */
export interface DropoutCursor {
  readonly step: number;
  readonly examples: unknown;
}

/** Batches with the masks that {@link dropInTraining} takes. */
export function addMasks(dropout: Dropout, examples: ExampleStream): ExampleStream<DropoutCursor> {
  let step = 0;
  return {
    next: async () => {
      const batch = await examples.next();
      const { contextLength } = batch;
      const batchSize = Object.values(batch.inputs)[0]!.shape[0]!;
      const masks = dropout.masks(step++, { batchSize, contextLength });
      return { ...batch, inputs: { ...batch.inputs, [DROPOUT_INPUT]: masks } };
    },
    shapes: examples.shapes,
    state: () => ({ step, examples: examples.state() }),
    restore: (cursor) => {
      step = cursor.step;
      examples.restore(cursor.examples);
    },
  };
}
