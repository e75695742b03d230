import { numElements } from "../core/dtype.ts";
import { sizeInBytes, storedParts, type Weights } from "../core/weights.ts";
import type { CausalLM } from "../models/contracts.ts";
import { countParameters, type Parameter } from "../nn/scope.ts";
import { reachableNodes } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { CODED_BLOCK_SIZE } from "../train/dynamic-code.ts";
import { gradientGraph } from "../train/gradient-program.ts";
import type { BatchShape, Objective } from "../train/objective.ts";
import type { TrainOptions } from "../train/options.ts";
import { BLOCK_SIZE, decaysByShape } from "../train/parameter-arena.ts";
import { sliceSize } from "../train/slices.ts";
import { graphMemory } from "./graph-memory.ts";
import { forecastMemory } from "./memory-forecast.ts";

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
  /** Where training starts stays in memory beside the trained weights; default: no. */
  readonly keepsInitialWeights?: boolean;
  /** Sequences of a batch that must stay together; default 1. */
  readonly group?: number;
  /** What is held beside the run, such as a teacher; default 0. */
  readonly heldBytes?: number;
  /** Of the batches that will come, where they differ: each shape takes programs of its own. Default: the one of the options. */
  readonly shapes?: readonly BatchShape[] | undefined;
  /** A decoder that is to write something along the way. */
  readonly writer?: CausalLM | undefined;
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
  /** Results of the forward and the backward pass of a slice of each shape, and what lies between them in the runtime's memory. */
  readonly activationBytes: number;
  /** Results of the forward pass that measures the model on what was held out. */
  readonly measureBytes: number;
  /** What a decoder takes to write: its matrices once more, packed, and its cache. */
  readonly writerBytes: number;
  /** What is held beside the run. */
  readonly heldBytes: number;
  /** Node, the runtime's library, the programs, and small things. */
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
  const { objective, options, shapes = [options], group = 1, writer, heldBytes = 0 } = request;
  const { frozen = new Map(), keepsInitialWeights = false } = request;
  const numTrained = arenaSize(objective.model.parameters);
  const slices = distinctSlices(shapes, objective, group);
  const isOneSlice = options.accumulation === 1 && shapes.every((shape) => isWhole(shape, objective, group));
  const steps = slices.map((slice) => Object.values(gradientGraph(objective, slice, options)));
  const measures = slices.map((slice) => Object.values(objective.losses(slice, 0)));
  const needed = (graphs: readonly (readonly Tensor[])[]) =>
    (1 + WORKSPACE_SHARE) * sum(graphs.map((graph) => graphMemory(graph, frozen)));
  const parts = {
    trainedBytes: FLOAT_BYTES * numTrained,
    initialBytes: keepsInitialWeights ? FLOAT_BYTES * countParameters(objective.model.parameters) : 0,
    frozenBytes: bytesOf(frozen, parameterPaths(steps[0]!)),
    gradientBytes: (isOneSlice ? 1 : 2) * FLOAT_BYTES * numTrained,
    momentBytes:
      2 * numTrained * (options.optimizerState === "int8" ? 1 + FLOAT_BYTES / CODED_BLOCK_SIZE : FLOAT_BYTES),
    activationBytes: needed(steps),
    measureBytes: needed(measures),
    writerBytes: writer ? writerMemory(writer, frozen) : 0,
    heldBytes,
    processBytes:
      PROCESS_BYTES + NODE_BYTES * sum([...steps, ...measures].map((graph) => reachableNodes(graph).length)),
  };
  return { ...parts, totalBytes: sum(Object.values(parts)) };
}

/** What goes through at once, for batches of these shapes: each compiled once. */
function distinctSlices(
  shapes: readonly BatchShape[],
  { model }: Objective,
  group: number,
): readonly BatchShape[] {
  const slices = shapes.map(({ batchSize, contextLength }) => ({
    batchSize: sliceSize(model, { batchSize, contextLength }, group),
    contextLength,
  }));
  return [...new Map(slices.map((slice) => [`${slice.batchSize} × ${slice.contextLength}`, slice])).values()];
}

function isWhole(shape: BatchShape, { model }: Objective, group: number): boolean {
  return sliceSize(model, shape, group) === shape.batchSize;
}

/** What a decoder over weights that are in memory already takes beside them. */
function writerMemory(model: CausalLM, frozen: Weights): number {
  const lookups = new Set(model.lookupPaths);
  const tensors = model.parameters.map(({ path, shape, sumAxis }) => {
    const weight = frozen.get(path);
    const [values, ...others] = weight
      ? storedParts(weight).map(sizeInBytes)
      : [FLOAT_BYTES * numElements(shape)];
    const isMultiplied = sumAxis !== undefined && !lookups.has(path);
    return { path, shape, isMultiplied, isMapped: true, bytes: values!, scaleBytes: sum(others) };
  });
  const { totalBytes, processBytes } = forecastMemory({ kind: "causal", directory: "", model, tensors });
  return totalBytes - processBytes;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
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
