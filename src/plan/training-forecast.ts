import { numElements } from "../core/dtype.ts";
import { sizeInBytes, type Weights } from "../core/weights.ts";
import type { Parameter } from "../nn/scope.ts";
import { reachableNodes } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { CODED_BLOCK_SIZE } from "../train/dynamic-code.ts";
import { gradientGraph } from "../train/gradient-program.ts";
import type { Objective } from "../train/objective.ts";
import type { TrainOptions } from "../train/options.ts";
import { BLOCK_SIZE, decaysByShape } from "../train/parameter-arena.ts";
import { sliceSize } from "../train/slices.ts";
import { graphMemory } from "./graph-memory.ts";

/** What of a run's options decides about memory. */
export type MemoryOptions = Pick<
  TrainOptions,
  "batchSize" | "contextLength" | "accumulation" | "labelSmoothing" | "recompute" | "optimizerState"
>;

/** A training run, as far as memory goes. */
export interface TrainingMemoryRequest {
  readonly objective: Objective;
  readonly options: MemoryOptions;
  /** Values of what is not trained. */
  readonly frozen?: Weights;
  /** Where training starts, if that stays in memory beside the trained weights. */
  readonly initialWeights?: Weights;
  /** Sequences of a batch that must stay together; default 1. */
  readonly group?: number;
  /** What is held beside the run, such as a teacher; default 0. */
  readonly heldBytes?: number;
}

/** Most memory that a run takes, in bytes. */
export interface TrainingForecast {
  /** Trained weights. */
  readonly trainedBytes: number;
  /** The weights that they started from. */
  readonly initialBytes: number;
  /** Weights that stay as they are, in the form they are kept in. */
  readonly frozenBytes: number;
  /** Gradients, twice where several slices make a step. */
  readonly gradientBytes: number;
  /** What the optimizer keeps. */
  readonly momentBytes: number;
  /** Results of the forward and the backward pass of a slice, and what lies between them in the runtime's memory. */
  readonly activationBytes: number;
  /** What is held beside the run. */
  readonly heldBytes: number;
  /** Node, the runtime's library, the program, and small things. */
  readonly processBytes: number;
  readonly totalBytes: number;
}

const FLOAT_BYTES = 4;

/** Measured: Node 20 with the runtime loaded. */
const PROCESS_BYTES = 105e6;

/** Measured: what an operator of the graph takes in the compiled program and on the way to it. */
const NODE_BYTES = 12_000;

/** Measured: what the runtime's kernels and the nodes inside of operators need beside results, as a share of these. */
const WORKSPACE_SHARE = 0.2;

/**
 * Forecasts the most memory that a run will hold. Nothing is compiled or allocated: the graph of a step is made, and its results are followed
 * from their beginning to their last use in the runtime's order and by its allocator's rules.
 *
 * @throws {ShapeError} if the objective has no loss for such a batch.
 * @example
 * forecastTraining({ objective: new NextToken(model), options: trainOptions({ batchSize: 8 }) }).totalBytes / 1e9;
 */
export function forecastTraining(request: TrainingMemoryRequest): TrainingForecast {
  const {
    objective,
    options,
    frozen = new Map(),
    initialWeights = new Map(),
    group = 1,
    heldBytes = 0,
  } = request;
  const { batchSize, contextLength } = options;
  const slice = { batchSize: sliceSize(objective.model, { batchSize, contextLength }, group), contextLength };
  const numTrained = arenaSize(objective.model.parameters);
  const isOneSlice = batchSize === slice.batchSize && options.accumulation === 1;
  const graph = Object.values(gradientGraph(objective, slice, options));
  const parts = {
    trainedBytes: FLOAT_BYTES * numTrained,
    initialBytes: bytesOf(initialWeights, [...initialWeights.keys()]),
    frozenBytes: bytesOf(frozen, parameterPaths(graph)),
    gradientBytes: (isOneSlice ? 1 : 2) * FLOAT_BYTES * numTrained,
    momentBytes:
      2 * numTrained * (options.optimizerState === "int8" ? 1 + FLOAT_BYTES / CODED_BLOCK_SIZE : FLOAT_BYTES),
    activationBytes: (1 + WORKSPACE_SHARE) * graphMemory(graph, frozen),
    heldBytes,
    processBytes: PROCESS_BYTES + NODE_BYTES * reachableNodes(graph).length,
  };
  return { ...parts, totalBytes: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) };
}

/** Numbers of each array of the arena: matrices and the rest each fill whole blocks. */
function arenaSize(parameters: readonly Parameter[]): number {
  return [true, false].reduce((sum, decays) => {
    const numbers = parameters
      .filter(({ shape }) => decaysByShape(shape) === decays)
      .reduce((total, { shape }) => total + numElements(shape), 0);
    return sum + Math.ceil(numbers / BLOCK_SIZE) * BLOCK_SIZE;
  }, 0);
}

function parameterPaths(graph: readonly Tensor[]): readonly string[] {
  return reachableNodes(graph).flatMap(({ leaf }) => (leaf?.kind === "parameter" ? [leaf.path] : []));
}

function bytesOf(weights: Weights, paths: readonly string[]): number {
  return paths.reduce((sum, path) => {
    const weight = weights.get(path);
    return sum + (weight ? sizeInBytes(weight) : 0);
  }, 0);
}
