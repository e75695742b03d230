import type { Weights } from "../../core/weights.ts";
import type { Engine } from "../../engine/engine.ts";
import type { CausalLM } from "../../models/contracts.ts";
import type { TrainingRow } from "../training-row.ts";
import { modelLogProbs } from "./completion-log-probs.ts";
import { RowProgram } from "./row-program.ts";

/** A model and its weights. */
export interface WeightedModel {
  readonly model: CausalLM;
  readonly weights: Weights;
}

/**
 * A program that says, for each row and token, how probable the token after it is: the natural logarithm, and 0 where that is not
 * learnt.
 *
 * @param temperature divides the scores before they become probabilities
 */
export function logProbProgram(
  engine: Engine,
  { model, weights }: WeightedModel,
  temperature = 1,
): RowProgram {
  return new RowProgram(engine, weights, {
    name: "log-probabilities",
    shape: model.shape,
    output: (shape) => modelLogProbs(model, shape, temperature).logProbs,
  });
}

/** ln of the probability of each row's completion: once before training, by the model that is not to be left too far behind. */
export async function completionScores(
  engine: Engine,
  model: WeightedModel,
  rows: readonly TrainingRow[],
): Promise<Float32Array> {
  const program = logProbProgram(engine, model);
  try {
    return sumLines(await program.run(rows));
  } finally {
    program.dispose();
  }
}

/** The sum of each line. */
export function sumLines(lines: readonly Float32Array[]): Float32Array {
  return Float32Array.from(lines, (line) => line.reduce((sum, value) => sum + value, 0));
}
