import type { Tensor } from "../tensor.ts";

/**
 * The sum of the contributions to a gradient that are there; `undefined` when none is. An operator of several outputs
 * hears only from those that the loss depends on.
 */
export function addTerms(...terms: readonly (Tensor | undefined)[]): Tensor | undefined {
  const present = terms.filter((term) => term !== undefined);
  return present.length > 0 ? present.reduce((a, b) => a.add(b)) : undefined;
}
