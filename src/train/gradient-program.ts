import { type HostTensor, numElements } from "../core/dtype.ts";
import type { Binding } from "../engine/binding.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import { gradients } from "../tensor/gradient.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import type { BatchShape, Examples, Objective } from "./objective.ts";
import { type ArenaName, BLOCK_SIZE, type ParameterArena } from "./parameter-arena.ts";

/** Size up to which the widest activation of a slice, with two more beside it, stays in a common last-level cache. */
const SLICE_BYTES = 8 * 2 ** 20;

/** Widest activation of a transformer, in widths of its residual stream: inside the feed-forward layer. */
const WIDEST = 4;

/** How many of a batch's sequences to handle at once: the most that divide the batch and stay in the cache. */
export function sliceSize(
  { shape }: { readonly shape: { readonly width: number } },
  { batchSize, contextLength }: BatchShape,
): number {
  const bytesPerSequence = contextLength * WIDEST * shape.width * Float32Array.BYTES_PER_ELEMENT;
  const most = Math.max(1, Math.floor(SLICE_BYTES / bytesPerSequence));
  const divisors = Array.from({ length: batchSize }, (_, i) => i + 1).filter((n) => batchSize % n === 0);
  return divisors.findLast((n) => n <= most) ?? 1;
}

/**
 * Loss and gradients of batches, with weights read from and gradients written into an arena.
 *
 * A batch goes through in slices of a few sequences whose gradients add up: most of a step's time besides matrix products is
 * waiting for memory, and a slice's activations stay in the cache. Each loss of a slice counts by the slice's share of
 * its targets, so the result is the gradient of the mean over all of them.
 */
export class GradientProgram {
  readonly #sliceSize: number;
  readonly #losses: readonly string[];
  readonly #step: Program;
  readonly #first: Binding;
  readonly #next: Binding | undefined;
  readonly #add: Program | undefined;
  readonly #additions: readonly Binding[] = [];

  constructor(
    engine: Engine,
    objective: Objective,
    arena: ParameterArena,
    options: BatchShape & { readonly labelSmoothing: number; readonly accumulation: number },
  ) {
    this.#sliceSize = sliceSize(objective, options);
    const { contextLength, labelSmoothing } = options;
    const losses = objective.losses({ batchSize: this.#sliceSize, contextLength }, labelSmoothing);
    this.#losses = Object.keys(losses);
    const loss = Object.entries(losses)
      .map(([name, mean]) => mean.mul(input(shareName(name), "float32", [])))
      .reduce((sum, part) => sum.add(part));
    const wrt = objective.parameters.map(({ tensor }) => tensor);
    const outputs: Record<string, Tensor> = { loss };
    gradients(loss, wrt).forEach((gradient, i) => {
      outputs[gradientName(objective.parameters[i]!.path)] = gradient;
    });
    this.#step = engine.compile("training step", outputs);
    this.#first = this.#bind(arena, "gradients");
    if (options.accumulation * options.batchSize === this.#sliceSize) return;
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

  /** Sum of the losses, each the mean over all its targets in the batches, in nats; its gradients are in the arena afterwards. */
  async run(batches: readonly Examples[]): Promise<number> {
    const slices = batches.flatMap((batch) => cutExamples(batch, this.#sliceSize));
    const totals = new Map(
      this.#losses.map((name) => [name, slices.reduce((sum, slice) => sum + slice.numTargets[name]!, 0)]),
    );
    let lossNats = 0;
    for (const [i, { inputs, numTargets }] of slices.entries()) {
      const feeds: Record<string, HostTensor> = { ...inputs };
      for (const [name, total] of totals) {
        const share = Float32Array.of(numTargets[name]! / Math.max(1, total));
        feeds[shareName(name)] = { dtype: "float32", shape: [], data: share };
      }
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

/** Some sequences of a batch, and how many targets all of them together have for each loss. */
interface Slice {
  readonly inputs: Readonly<Record<string, HostTensor>>;
  readonly numTargets: Readonly<Record<string, number>>;
}

function cutExamples({ inputs, numTargets }: Examples, size: number): Slice[] {
  const numSequences = Object.values(inputs)[0]!.shape[0]!;
  return Array.from({ length: numSequences / size }, (_, i) => {
    const count = (counts: ArrayLike<number>) =>
      Array.from({ length: size }, (_, row) => counts[i * size + row]!).reduce((sum, n) => sum + n, 0);
    return {
      inputs: mapValues(inputs, (tensor) => cutRows(tensor, i * size, size)),
      numTargets: mapValues(numTargets, count),
    };
  });
}

function cutRows({ dtype, shape, data }: HostTensor, first: number, count: number): HostTensor {
  const rowSize = numElements(shape.slice(1));
  return {
    dtype,
    shape: [count, ...shape.slice(1)],
    data: data.slice(first * rowSize, (first + count) * rowSize),
  };
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

function shareName(loss: string): string {
  return `share of ${loss}`;
}

function gradientName(path: string): string {
  return `gradient of ${path}`;
}
