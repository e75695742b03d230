import { numElements } from "../core/dtype.ts";
import type { CausalLM } from "../models/contracts.ts";

/**
 * Floating-point operations of training on a number of tokens: `6·N` a token for the matrices, and `12·L·T·C` for
 * attention over full squares of T × T (Kaplan et al. 2020, §2.1; PaLM, app. B). Position tables do no arithmetic.
 */
export function trainingFlops(model: CausalLM, contextLength: number, numTokens: number): number {
  const lookups = model.parameters.filter(({ path }) => model.lookupPaths.includes(path));
  const count = (list: readonly { readonly shape: readonly number[] }[]) =>
    list.reduce((total, { shape }) => total + numElements(shape), 0);
  const matrices = count(model.parameters) - count(lookups);
  return numTokens * (6 * matrices + 12 * model.shape.numLayers * contextLength * model.shape.width);
}
