import type { Parameter } from "../nn/scope.ts";
import type { Objective } from "./objective.ts";

/**
 * The same objective with only some of its parameters trained, such as an adapter's; the run gives the others as `frozen`. What it
 * costs is counted on the graph: nothing is spent on gradients of what does not move.
 *
 * @example
 * const objective = trainOnly(new NextToken(new AdaptedDecoder(base, lora)), lora.parameters);
 */
export function trainOnly(objective: Objective, parameters: readonly Parameter[]): Objective {
  return {
    model: { parameters, shape: objective.model.shape },
    losses: (shape, labelSmoothing) => objective.losses(shape, labelSmoothing),
  };
}
