// B rows of one run · T tokens they are padded to

import { type HostTensor, hostTensor } from "../../core/dtype.ts";
import type { Weights } from "../../core/weights.ts";
import { IGNORED_TARGET } from "../../data/validation-windows.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Program } from "../../engine/program.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { BatchShape } from "../../train/objective.ts";
import { sliceSize } from "../../train/slices.ts";
import { bindWeights, compileOver } from "../../train/weighted-program.ts";
import { rowTargets, type TrainingRow } from "../training-row.ts";

/** Rows are padded to a multiple of this: each length costs a compiled program. */
const LENGTH_STEP = 32;

/** Rows that go through together, where so many stay in the cache. */
const MAX_ROWS = 8;

/** What is computed for rows. */
export interface RowGraph {
  readonly name: string;
  /** Sizes of the model. */
  readonly shape: { readonly contextLength: number; readonly width: number };
  /** Over some of the inputs of {@link rowInputs}; the first axis counts rows. */
  readonly output: (shape: BatchShape) => Tensor;
}

/**
 * Computes something for rows of any length, a few at a time. Weights in memory are read anew each time, where they lie, so that it
 * follows a model in training.
 */
export class RowProgram {
  readonly #engine: Engine;
  readonly #weights: Weights;
  readonly #graph: RowGraph;
  readonly #programs = new Map<number, Program>();

  constructor(engine: Engine, weights: Weights, graph: RowGraph) {
    this.#engine = engine;
    this.#weights = weights;
    this.#graph = graph;
  }

  /**
   * For each row its part of the output.
   *
   * @throws {ShapeError} if a weight is missing.
   */
  async run(rows: readonly TrainingRow[]): Promise<Float32Array[]> {
    const { shape } = this.#graph;
    const results: Float32Array[] = [];
    for (const [T, places] of groupByLength(rows, shape.contextLength)) {
      const B = sliceSize({ shape }, { batchSize: MAX_ROWS, contextLength: T });
      for (let at = 0; at < places.length; at += B) {
        const some = places.slice(at, at + B);
        const batch = some.map((place) => rows[place]!);
        const data = await this.#runBatch(batch, { batchSize: B, contextLength: T });
        some.forEach((place, i) => {
          results[place] = data.slice((i * data.length) / B, ((i + 1) * data.length) / B);
        });
      }
    }
    return results;
  }

  /** Gives native memory back. */
  dispose(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
  }

  async #runBatch(rows: readonly TrainingRow[], shape: BatchShape): Promise<Float32Array> {
    const program = this.#programs.get(shape.contextLength) ?? this.#compile(shape);
    const inputs = Object.entries(rowInputs(rows, shape)).filter(([name]) => program.inputs.has(name));
    const { output } = await program.run(Object.fromEntries(inputs));
    return output!.data as Float32Array;
  }

  #compile(shape: BatchShape): Program {
    const { name, output } = this.#graph;
    const program = compileOver(this.#engine, name, { output: output(shape) }, this.#weights);
    bindWeights(program, this.#weights);
    this.#programs.set(shape.contextLength, program);
    return program;
  }
}

/**
 * Inputs `tokens` and `targets` `(B, T)` and `last` `(B)`, the place of each row's last token. Rows that are not there have no
 * targets.
 */
export function rowInputs(
  rows: readonly TrainingRow[],
  { batchSize: B, contextLength: T }: BatchShape,
): Record<"tokens" | "targets" | "last", HostTensor> {
  const tokens = new Int32Array(B * T);
  const targets = new Int32Array(B * T).fill(IGNORED_TARGET);
  const last = new Int32Array(B);
  for (const [i, row] of rows.entries()) {
    tokens.set(row.tokens, i * T);
    targets.set(rowTargets(row), i * T);
    last[i] = row.tokens.length - 1;
  }
  return {
    tokens: hostTensor("int32", [B, T], tokens),
    targets: hostTensor("int32", [B, T], targets),
    last: hostTensor("int32", [B], last),
  };
}

/** The length that a row of so many tokens is padded to. */
export function paddedLength(numTokens: number, contextLength: number): number {
  return Math.min(Math.ceil(numTokens / LENGTH_STEP) * LENGTH_STEP, contextLength);
}

function groupByLength(rows: readonly TrainingRow[], contextLength: number): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  for (const [place, { tokens }] of rows.entries()) {
    const T = paddedLength(tokens.length, contextLength);
    const group = groups.get(T);
    if (group) group.push(place);
    else groups.set(T, [place]);
  }
  return groups;
}
