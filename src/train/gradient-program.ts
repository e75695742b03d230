import type { HostTensor } from "../core/dtype.ts";
import type { Batch } from "../data/batches.ts";
import { IGNORED_TARGET } from "../data/validation-windows.ts";
import type { Binding } from "../engine/binding.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import type { CausalLM } from "../models/contracts.ts";
import { gradients } from "../tensor/gradient.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import { type ArenaName, BLOCK_SIZE, type ParameterArena } from "./parameter-arena.ts";

/** Sequences and their tokens, B and T. */
export interface BatchShape {
  readonly batchSize: number;
  readonly contextLength: number;
}

/** Mean next-token cross-entropy of a batch, in nats, as a graph over inputs `tokens` and `targets`, both `(B, T)`. */
export function languageModelLoss(
  model: CausalLM,
  { batchSize: B, contextLength: T }: BatchShape,
  labelSmoothing = 0,
): Tensor {
  const tokens = input("tokens", "int32", [B, T]);
  const targets = input("targets", "int32", [B, T]);
  const logits = model.logits(model.hidden(tokens)).reshape([B * T, model.shape.vocabularySize]);
  return logits.crossEntropy(targets.reshape([B * T]), { ignoredLabel: IGNORED_TARGET, labelSmoothing });
}

/** Feeds of one batch for {@link languageModelLoss}. */
export function batchFeeds(batch: Batch, shape: BatchShape): Record<"tokens" | "targets", HostTensor> {
  const ids = (data: Int32Array): HostTensor => ({
    dtype: "int32",
    shape: [shape.batchSize, shape.contextLength],
    data,
  });
  return { tokens: ids(batch.tokens), targets: ids(batch.targets) };
}

/** Size up to which the widest activation of a slice, with two more beside it, stays in a common last-level cache. */
const SLICE_BYTES = 8 * 2 ** 20;

/** Widest activation of a transformer, in widths of its residual stream: inside the feed-forward layer. */
const WIDEST = 4;

/** How many of a batch's sequences to handle at once: the most that divide the batch and stay in the cache. */
export function sliceSize(model: CausalLM, { batchSize, contextLength }: BatchShape): number {
  const bytesPerSequence = contextLength * WIDEST * model.shape.width * Float32Array.BYTES_PER_ELEMENT;
  const most = Math.max(1, Math.floor(SLICE_BYTES / bytesPerSequence));
  const divisors = Array.from({ length: batchSize }, (_, i) => i + 1).filter((n) => batchSize % n === 0);
  return divisors.findLast((n) => n <= most) ?? 1;
}

/**
 * Loss and gradients of batches, with weights read from and gradients written into an arena.
 *
 * A batch goes through in slices of a few sequences whose gradients add up: most of a step's time besides matrix products is
 * waiting for memory, and a slice's activations stay in the cache. Each slice counts by its share of the
 * targets, so the result is the gradient of the mean over all of them.
 */
export class GradientProgram {
  readonly #slice: BatchShape;
  readonly #step: Program;
  readonly #first: Binding;
  readonly #next: Binding | undefined;
  readonly #add: Program | undefined;
  readonly #additions: readonly Binding[] = [];

  constructor(
    engine: Engine,
    model: CausalLM,
    arena: ParameterArena,
    options: BatchShape & { readonly labelSmoothing: number; readonly accumulation: number },
  ) {
    this.#slice = { ...options, batchSize: sliceSize(model, options) };
    const share = input("share", "float32", []);
    const loss = languageModelLoss(model, this.#slice, options.labelSmoothing).mul(share);
    const wrt = model.parameters.map(({ tensor }) => tensor);
    const outputs: Record<string, Tensor> = { loss };
    gradients(loss, wrt).forEach((gradient, i) => {
      outputs[gradientName(model.parameters[i]!.path)] = gradient;
    });
    this.#step = engine.compile("training step", outputs);
    this.#first = this.#bind(arena, "gradients");
    if (options.accumulation * options.batchSize === this.#slice.batchSize) return;
    this.#next = this.#bind(arena, "newGradients");
    const block = (name: string) => input(name, "float32", [BLOCK_SIZE]);
    this.#add = engine.compile("accumulate", { sum: block("gradients").add(block("newGradients")) });
    this.#additions = arena.blocks.map((at) => {
      const binding = this.#add!.newBinding();
      binding.bind("gradients", arena.block("gradients", at));
      binding.bind("newGradients", arena.block("newGradients", at));
      binding.bind("sum", arena.block("gradients", at));
      return binding;
    });
  }

  /** Mean loss over all targets of the batches, in nats; its gradients are in the arena afterwards. */
  async run(batches: readonly Batch[]): Promise<number> {
    const slices = batches.flatMap((batch) => cutBatch(batch, this.#slice));
    const counts = slices.map(({ targets }) =>
      targets.reduce((n, id) => n + Number(id !== IGNORED_TARGET), 0),
    );
    const total = Math.max(
      1,
      counts.reduce((a, b) => a + b, 0),
    );
    let lossNats = 0;
    for (const [i, slice] of slices.entries()) {
      const share = { dtype: "float32", shape: [], data: Float32Array.of(counts[i]! / total) } as const;
      const feeds = { ...batchFeeds(slice, this.#slice), share };
      const { loss } = await this.#step.run(feeds, i === 0 ? this.#first : this.#next);
      if (i > 0) for (const binding of this.#additions) this.#add!.runSync({}, binding);
      lossNats += loss!.data[0] as number;
    }
    return lossNats;
  }

  dispose(): void {
    this.#step.dispose();
    this.#add?.dispose();
  }

  #bind(arena: ParameterArena, target: ArenaName): Binding {
    const binding = this.#step.newBinding();
    for (const parameter of arena.parameters) {
      if (this.#step.inputs.has(parameter.path))
        binding.bind(parameter.path, arena.view("weights", parameter));
      binding.bind(gradientName(parameter.path), arena.view(target, parameter));
    }
    return binding;
  }
}

function cutBatch({ tokens, targets }: Batch, { batchSize, contextLength }: BatchShape): Batch[] {
  const size = batchSize * contextLength;
  return Array.from({ length: tokens.length / size }, (_, i) => ({
    tokens: tokens.slice(i * size, (i + 1) * size),
    targets: targets.slice(i * size, (i + 1) * size),
  }));
}

function gradientName(path: string): string {
  return `gradient of ${path}`;
}
