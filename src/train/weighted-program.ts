import type { HostTensor } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { showShape } from "../core/shape.ts";
import { isInFile, isQuantized, type Weight, type Weights } from "../core/weights.ts";
import type { Binding } from "../engine/binding.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import { reachableNodes } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * Compiles a program over weights that are read where they lie. Those in memory are left to {@link bindWeights}, so that they
 * may change between runs and are not held twice; mapped and quantised ones are built in.
 *
 * @throws {ShapeError} naming a parameter that the outputs need and the weights lack.
 */
export function compileOver(
  engine: Engine,
  name: string,
  outputs: Readonly<Record<string, Tensor>>,
  weights: Weights,
): Program {
  for (const { leaf, outputs: made } of reachableNodes(Object.values(outputs))) {
    if (leaf?.kind !== "parameter" || weights.has(leaf.path)) continue;
    throw new ShapeError({
      where: `${name}, weight ${leaf.path}`,
      expected: `values of shape ${showShape(made[0]!.shape)}: it is not among the trained parameters`,
      got: "none",
      fix: "Give it among the frozen weights.",
    });
  }
  const constants = new Map([...weights].filter(([, weight]) => !isInMemory(weight)));
  return engine.compile(name, outputs, { training: true, ...(constants.size > 0 && { constants }) });
}

/** Binds the weights in memory that a program reads. */
export function bindWeights(program: Program, weights: Weights, binding: Program | Binding = program): void {
  for (const name of program.inputs.keys()) {
    const weight = weights.get(name);
    if (weight) binding.bind(name, weight as HostTensor); // the others are no inputs, but built in
  }
}

function isInMemory(weight: Weight): weight is HostTensor {
  return !isQuantized(weight) && !isInFile(weight);
}
