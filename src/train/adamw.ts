import { allocate, type HostTensor } from "../core/dtype.ts";
import type { Binding } from "../engine/binding.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import {
  type ArenaBlock,
  type ArenaName,
  BLOCK_SIZE,
  type Moments,
  type ParameterArena,
} from "./parameter-arena.ts";

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Share of each matrix weight removed per step, times the learning rate. */
  readonly weightDecay: number;
}

/** Parts of a block that a run handles one after the other; a part's arrays and intermediates fit in a core's cache. */
const LANES = 4;
const LANE_SIZE = BLOCK_SIZE / LANES;

/**
 * AdamW with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), in place.
 *
 * The arithmetic is one small program over a fixed number of elements, run block by block over the arena: every
 * intermediate stays in the cache, and memory is passed over once instead of a dozen times. Each thread has a program of its
 * own and every so-manieth block, so that threads never wait for each other within a pass. Moments in coded form are decoded into
 * a thread's own block before, and coded again after.
 */
export class AdamW {
  readonly #options: AdamWOptions;
  readonly #scalars: Readonly<Record<ScalarName, HostTensor>>;
  readonly #workers: readonly Worker[];

  constructor(engine: Engine, arena: ParameterArena, options: AdamWOptions) {
    this.#options = options;
    this.#scalars = {
      gradientGain: scalarTensor(),
      squareGain: scalarTensor(),
      epsilon: scalarTensor(),
      rate: scalarTensor(),
      keep: scalarTensor(),
      keepAll: scalarTensor(),
    };
    const block = input("gradients", "float32", [BLOCK_SIZE]);
    // A dot product with itself: one pass, nothing in between.
    const square = block
      .reshape([1, BLOCK_SIZE])
      .matmul(block.reshape([BLOCK_SIZE, 1]))
      .reshape([]);
    this.#workers = Array.from({ length: Math.min(engine.threads, arena.blocks.length) }, (_, worker) => {
      const update = engine.compile("adamw", updateGraph(options), { singleThread: true });
      const norm = engine.compile("gradient norm", { square }, { singleThread: true });
      const mine = arena.blocks.filter((_, i) => i % engine.threads === worker);
      const decoded = arena.moments === "int8" ? allocateMoments() : undefined;
      return {
        update,
        norm,
        tasks: mine.map((block) => this.#prepare(arena, block, { update, norm, decoded })),
      };
    });
  }

  /** Euclidean norm of all gradients; NaN or infinite when any of them is. */
  async gradientNorm(): Promise<number> {
    await Promise.all(
      this.#workers.map(async ({ norm, tasks }) => {
        for (const task of tasks) await norm.run({}, task.norm);
      }),
    );
    // Summed in one fixed order, whichever thread was first.
    const squares = this.#workers.flatMap(({ tasks }) => tasks.map(({ square }) => square.data[0] as number));
    return Math.sqrt(squares.reduce((a, b) => a + b, 0));
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
    this.#set("keep", 1 - learningRate * weightDecay);
    this.#set("keepAll", 1);
    await Promise.all(
      this.#workers.map(async ({ update, tasks }) => {
        for (const task of tasks) {
          task.decode?.();
          await update.run({}, task.update);
          task.encode?.();
        }
      }),
    );
  }

  dispose(): void {
    for (const { update, norm } of this.#workers) {
      update.dispose();
      norm.dispose();
    }
  }

  #set(name: ScalarName, value: number): void {
    (this.#scalars[name].data as Float32Array)[0] = value;
  }

  #prepare(
    arena: ParameterArena,
    block: ArenaBlock,
    { update: program, norm: normProgram, decoded }: Programs,
  ): Task {
    const update = program.newBinding();
    for (let lane = 0; lane < LANES; lane++) {
      for (const name of ["weights", "gradients", "firstMoments", "secondMoments"] as const) {
        const coded = name === "weights" || name === "gradients" ? undefined : decoded?.[name];
        const all = coded ?? (arena.block(name, block).data as Float32Array);
        const data = all.subarray(lane * LANE_SIZE, (lane + 1) * LANE_SIZE);
        const tensor: HostTensor = { dtype: "float32", shape: [LANE_SIZE], data };
        update.bind(`${name} ${lane}`, tensor);
        if (name !== "gradients") update.bind(`new ${name} ${lane}`, tensor);
      }
    }
    for (const name of SHARED) update.bind(name, this.#scalars[name]);
    update.bind("keep", this.#scalars[block.decays ? "keep" : "keepAll"]);
    const norm = normProgram.newBinding();
    const square = scalarTensor();
    norm.bind("gradients", arena.block("gradients", block));
    norm.bind("square", square);
    if (!decoded) return { update, norm, square };
    const [decode, encode] = [
      () => arena.readMoments(block, decoded),
      () => arena.writeMoments(block, decoded),
    ];
    return { update, norm, square, decode, encode };
  }
}

function allocateMoments(): Moments {
  const block = () => allocate("float32", BLOCK_SIZE) as Float32Array;
  return { firstMoments: block(), secondMoments: block() };
}

interface Programs {
  readonly update: Program;
  readonly norm: Program;
  /** Where they are worked on, if the arena keeps them in coded form. */
  readonly decoded: Moments | undefined;
}

/** A thread's programs, and the blocks that are its own. */
interface Worker {
  readonly update: Program;
  readonly norm: Program;
  readonly tasks: readonly Task[];
}

interface Task {
  readonly update: Binding;
  readonly norm: Binding;
  /** Where the block's sum of squared gradients arrives. */
  readonly square: HostTensor;
  readonly decode?: () => void;
  readonly encode?: () => void;
}

/** Scalars that all blocks share; `keep` is 1 − rate · decay where weights decay, and 1 elsewhere. */
const SHARED = ["gradientGain", "squareGain", "epsilon", "rate"] as const;

type ScalarName = (typeof SHARED)[number] | "keep" | "keepAll";

function scalarTensor(): HostTensor {
  return { dtype: "float32", shape: [], data: new Float32Array(new ArrayBuffer(4)) };
}

/**
 * m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; w ← keep·w − rate·m/(√v + ε).
 *
 * Safe in place: each array is read before, and only before, the node that writes it.
 */
function updateGraph({ beta1, beta2 }: AdamWOptions): Record<string, Tensor> {
  const [gradientGain, squareGain, epsilon, rate] = SHARED.map((name) => input(name, "float32", [])) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const keep = input("keep", "float32", []);
  const outputs: Record<string, Tensor> = {};
  for (let lane = 0; lane < LANES; lane++) {
    const array = (name: ArenaName) => input(`${name} ${lane}`, "float32", [LANE_SIZE]);
    const gradients = array("gradients");
    const first = array("firstMoments").mul(beta1).add(gradients.mul(gradientGain));
    const second = array("secondMoments").mul(beta2).add(gradients.mul(gradients).mul(squareGain));
    const direction = first.div(second.sqrt().add(epsilon));
    outputs[`new weights ${lane}`] = array("weights").mul(keep).sub(direction.mul(rate));
    outputs[`new firstMoments ${lane}`] = first;
    outputs[`new secondMoments ${lane}`] = second;
  }
  return outputs;
}
