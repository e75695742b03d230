import type { HostTensor } from "../core/dtype.ts";
import type { Weights } from "../core/weights.ts";
import type { Binding } from "../engine/binding.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import { gradients } from "../tensor/gradient.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import type { BatchShape, Examples, Objective } from "./objective.ts";
import { type ArenaName, BLOCK_SIZE, type ParameterArena } from "./parameter-arena.ts";
import { cutExamples, sliceShapeOf } from "./slices.ts";
import { bindWeights, compileOver } from "./weighted-program.ts";

export interface GradientOptions {
  readonly labelSmoothing: number;
  /** See `TrainOptions`; default: no. */
  readonly recompute?: boolean;
  /** Values of what the losses need beside the trained parameters. */
  readonly frozen?: Weights;
}

/**
 * What one slice computes: `loss`, the sum of the objective's losses, each times an input that says what share of its targets the slice has; and
 * the gradient of each trained parameter.
 */
export function gradientGraph(
  objective: Objective,
  shape: BatchShape,
  { labelSmoothing, recompute = false }: GradientOptions,
): Readonly<Record<string, Tensor>> {
  const { parameters } = objective.model;
  const loss = Object.entries(objective.losses(shape, labelSmoothing))
    .map(([name, mean]) => mean.mul(input(shareName(name), "float32", [])))
    .reduce((sum, part) => sum.add(part));
  const wrt = parameters.map(({ tensor }) => tensor);
  const made = gradients(loss, wrt, { recompute });
  return { loss, ...Object.fromEntries(made.map((by, i) => [gradientName(parameters[i]!.path), by])) };
}

/** A program for slices of one shape, with where its gradients go. */
interface Step {
  readonly program: Program;
  /** Writes the gradients of a step's first slice. */
  readonly first: Binding;
  /** Writes those of a later slice, beside the sum so far. */
  next?: Binding;
}

/**
 * Loss and gradients of batches, with weights read from and gradients written into an arena.
 *
 * A batch goes through in slices of a few sequences whose gradients add up: most of a step's time besides matrix products is
 * waiting for memory, and a slice's activations stay in the cache. Each loss of a slice counts by the slice's share of
 * its targets, so the result is the gradient of the mean over all of them. Every shape of a slice has a program of its own, made
 * when it first comes up.
 */
export class GradientProgram {
  readonly #engine: Engine;
  readonly #objective: Objective;
  readonly #arena: ParameterArena;
  readonly #weights: Weights;
  readonly #labelSmoothing: number;
  readonly #recompute: boolean;
  readonly #steps = new Map<string, Step>();
  #adder: { readonly program: Program; readonly bindings: readonly Binding[] } | undefined;

  constructor(engine: Engine, objective: Objective, arena: ParameterArena, options: GradientOptions) {
    this.#engine = engine;
    this.#objective = objective;
    this.#arena = arena;
    this.#weights = new Map([...(options.frozen ?? []), ...arena.weights()]);
    this.#labelSmoothing = options.labelSmoothing;
    this.#recompute = options.recompute ?? false;
  }

  /**
   * Compiles what these batches need and is not there yet.
   *
   * @returns the milliseconds that it took
   * @throws {ShapeError} if a frozen weight is missing, or a batch is uneven.
   */
  prepare(batches: readonly Examples[]): number {
    const started = performance.now();
    for (const batch of batches) this.#stepFor(sliceShapeOf(batch, this.#objective.model));
    return performance.now() - started;
  }

  /** Sum of the losses, each the mean over all its targets in the batches, in nats; its gradients are in the arena afterwards. */
  async run(batches: readonly Examples[]): Promise<number> {
    const slices = batches.flatMap((batch) => cutExamples(batch, this.#objective.model));
    const names = Object.keys(slices[0]!.numTargets);
    const totals = names.map((name) => slices.reduce((sum, { numTargets }) => sum + numTargets[name]!, 0));
    let lossNats = 0;
    for (const [i, { shape, inputs, numTargets }] of slices.entries()) {
      const feeds: Record<string, HostTensor> = { ...inputs };
      for (const [at, name] of names.entries()) {
        const share = Float32Array.of(totals[at] === 0 ? 0 : numTargets[name]! / totals[at]!);
        feeds[shareName(name)] = { dtype: "float32", shape: [], data: share };
      }
      const { program, first } = this.#stepFor(shape);
      const { loss } = await program.run(feeds, i === 0 ? first : this.#nextBinding(shape));
      if (i > 0) this.#add();
      lossNats += loss!.data[0] as number;
    }
    return lossNats;
  }

  dispose(): void {
    for (const { program } of this.#steps.values()) program.dispose();
    this.#adder?.program.dispose();
  }

  #stepFor(shape: BatchShape): Step {
    const key = `${shape.batchSize} × ${shape.contextLength}`;
    const known = this.#steps.get(key);
    if (known) return known;
    const program = this.#compile(shape);
    const step = { program, first: this.#bind(program, "gradients") };
    this.#steps.set(key, step);
    return step;
  }

  #nextBinding(shape: BatchShape): Binding {
    const step = this.#stepFor(shape);
    step.next ??= this.#bind(step.program, "newGradients");
    return step.next;
  }

  #compile(shape: BatchShape): Program {
    const options = { labelSmoothing: this.#labelSmoothing, recompute: this.#recompute };
    const outputs = gradientGraph(this.#objective, shape, options);
    return compileOver(this.#engine, "training step", outputs, this.#weights);
  }

  #bind(program: Program, target: ArenaName): Binding {
    const binding = program.newBinding();
    bindWeights(program, this.#weights, binding);
    for (const parameter of this.#arena.parameters) {
      binding.bind(gradientName(parameter.path), this.#arena.view(target, parameter));
    }
    return binding;
  }

  /** Adds the gradients of the slice just run to those before it. */
  #add(): void {
    this.#adder ??= this.#compileAdder();
    for (const binding of this.#adder.bindings) this.#adder.program.runSync({}, binding);
  }

  #compileAdder() {
    const block = (name: ArenaName) => input(name, "float32", [BLOCK_SIZE]);
    const sum = block("gradients").add(block("newGradients"));
    const program = this.#engine.compile("accumulate", { sum });
    const bindings = this.#arena.blocks.map((at) => {
      const binding = program.newBinding();
      binding.bind("gradients", this.#arena.block("gradients", at));
      binding.bind("newGradients", this.#arena.block("newGradients", at));
      binding.bind("sum", this.#arena.block("gradients", at));
      return binding;
    });
    return { program, bindings };
  }
}

function shareName(loss: string): string {
  return `share of ${loss}`;
}

function gradientName(path: string): string {
  return `gradient of ${path}`;
}
