import type { HostTensor } from "../core/dtype.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import { type ArenaBlock, type ArenaName, BLOCK_SIZE, type ParameterArena } from "./parameter-arena.ts";

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Share of each matrix weight removed per step, times the learning rate. */
  readonly weightDecay: number;
}

/** Work between two looks at the event loop. */
const SLICE_MS = 20;

/**
 * AdamW with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), in place.
 *
 * The arithmetic is one small program over a fixed number of elements, run block by block over the arena: every
 * intermediate stays in the cache, and memory is passed over once instead of a dozen times.
 */
export class AdamW {
  readonly #arena: ParameterArena;
  readonly #options: AdamWOptions;
  readonly #program: Program;
  readonly #norm: Program;
  readonly #scalars: Readonly<Record<ScalarName, HostTensor>>;
  readonly #steps: readonly { readonly block: ArenaBlock; run(): void; square(): number }[];

  constructor(engine: Engine, arena: ParameterArena, options: AdamWOptions) {
    this.#arena = arena;
    this.#options = options;
    this.#program = engine.compile("adamw", updateGraph(options));
    this.#norm = engine.compile("gradient norm", {
      sum: squareSum(input("gradients", "float32", [BLOCK_SIZE])),
    });
    const scalar = (): HostTensor => ({
      dtype: "float32",
      shape: [],
      data: new Float32Array(new ArrayBuffer(4)),
    });
    this.#scalars = {
      gradientGain: scalar(),
      squareGain: scalar(),
      epsilon: scalar(),
      rate: scalar(),
      keep: scalar(),
    };
    this.#steps = arena.blocks.map((block) => this.#prepare(block));
  }

  /** Euclidean norm of all gradients; NaN or infinite when any of them is. */
  async gradientNorm(): Promise<number> {
    let total = 0;
    await eachSliced(this.#steps, (step) => {
      total += step.square();
    });
    return Math.sqrt(total);
  }

  /**
   * One update of all weights and moments.
   *
   * @param step counted from 1, for the bias correction
   * @param gradientScale factor on every gradient, for clipping
   */
  async update(step: number, learningRate: number, gradientScale: number): Promise<void> {
    const { beta1, beta2, epsilon, weightDecay } = this.#options;
    // Both bias corrections folded into the rate and into epsilon, so that no pass over memory is spent on them.
    const secondCorrection = Math.sqrt(1 - beta2 ** step);
    this.#set("gradientGain", (1 - beta1) * gradientScale);
    this.#set("squareGain", (1 - beta2) * gradientScale ** 2);
    this.#set("epsilon", epsilon * secondCorrection);
    this.#set("rate", (learningRate * secondCorrection) / (1 - beta1 ** step));
    await eachSliced(this.#steps, ({ block, run }) => {
      this.#set("keep", block.decays ? 1 - learningRate * weightDecay : 1);
      run();
    });
  }

  dispose(): void {
    this.#program.dispose();
    this.#norm.dispose();
  }

  #set(name: ScalarName, value: number): void {
    (this.#scalars[name].data as Float32Array)[0] = value;
  }

  #prepare(block: ArenaBlock) {
    const update = this.#program.newBinding();
    for (const name of ["weights", "firstMoments", "secondMoments"] as const) {
      const tensor = this.#arena.block(name, block);
      update.bind(name, tensor);
      update.bind(`new ${name}`, tensor);
    }
    update.bind("gradients", this.#arena.block("gradients", block));
    for (const [name, tensor] of Object.entries(this.#scalars)) update.bind(name, tensor);
    const norm = this.#norm.newBinding();
    norm.bind("gradients", this.#arena.block("gradients", block));
    const sum: HostTensor = { dtype: "float32", shape: [], data: new Float32Array(new ArrayBuffer(4)) };
    norm.bind("sum", sum);
    return {
      block,
      run: () => void this.#program.runSync({}, update),
      square: () => {
        this.#norm.runSync({}, norm);
        return sum.data[0] as number;
      },
    };
  }
}

type ScalarName = "gradientGain" | "squareGain" | "epsilon" | "rate" | "keep";

/**
 * m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; w ← keep·w − rate·m/(√v + ε).
 *
 * Safe in place: each array is read before, and only before, the node that writes it.
 */
function updateGraph({ beta1, beta2 }: AdamWOptions): Record<string, Tensor> {
  const array = (name: ArenaName) => input(name, "float32", [BLOCK_SIZE]);
  const scalar = (name: ScalarName) => input(name, "float32", []);
  const gradients = array("gradients");
  const first = array("firstMoments")
    .mul(beta1)
    .add(gradients.mul(scalar("gradientGain")));
  const second = array("secondMoments")
    .mul(beta2)
    .add(gradients.mul(gradients).mul(scalar("squareGain")));
  const direction = first.div(second.sqrt().add(scalar("epsilon")));
  const weights = array("weights")
    .mul(scalar("keep"))
    .sub(direction.mul(scalar("rate")));
  return { "new weights": weights, "new firstMoments": first, "new secondMoments": second };
}

function squareSum(x: Tensor): Tensor {
  return x.mul(x).sum();
}

/** Visits all items, letting timers and signals in between slices of work. */
async function eachSliced<T>(items: readonly T[], visit: (item: T) => void): Promise<void> {
  let sliceEnd = performance.now() + SLICE_MS;
  for (const item of items) {
    visit(item);
    if (performance.now() < sliceEnd) continue;
    await new Promise((resolve) => setImmediate(resolve));
    sliceEnd = performance.now() + SLICE_MS;
  }
}
