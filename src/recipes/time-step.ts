import type { HostWeights, Weights } from "../core/weights.ts";
import type { Engine } from "../engine/engine.ts";
import { GradientProgram } from "../train/gradient-program.ts";
import type { Examples, Objective } from "../train/objective.ts";
import { ParameterArena } from "../train/parameter-arena.ts";

const STEPS = 5;

/** What a step's time is made of. */
export interface TimedStep {
  readonly objective: Objective;
  readonly initial: HostWeights;
  readonly frozen?: Weights;
  readonly batch: Examples;
}

/** Milliseconds of loss and gradients of one batch here and now. */
export async function timeStep(
  engine: Engine,
  { objective, initial, frozen, batch }: TimedStep,
): Promise<number> {
  const arena = new ParameterArena(objective.model.parameters);
  for (const [path, { data }] of initial) {
    (arena.weights().get(path)!.data as Float32Array).set(data as Float32Array);
  }
  const options = { labelSmoothing: 0, ...(frozen && { frozen }) };
  const program = new GradientProgram(engine, objective, arena, options);
  try {
    await program.run([batch]);
    const started = performance.now();
    for (let i = 0; i < STEPS; i++) await program.run([batch]);
    return (performance.now() - started) / STEPS;
  } finally {
    program.dispose();
  }
}
