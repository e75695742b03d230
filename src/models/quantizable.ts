import { numElements } from "../core/dtype.ts";
import type { QuantizationScheme } from "../core/weights.ts";
import type { Parameter } from "../nn/scope.ts";
import { reachableNodes } from "../tensor/graph.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import type { CausalLM, Encoder } from "./contracts.ts";

/** Matrices with fewer numbers stay as they are: there is nothing to save, and classifiers would suffer most. */
export const MIN_NUMBERS = 4096;

/** Whether a parameter is put into blocks: matrices are, and tables but for nf4. */
export function isQuantizable(
  { path, shape, sumAxis }: Parameter,
  { lookupPaths }: { readonly lookupPaths: readonly string[] },
  scheme: QuantizationScheme,
): boolean {
  const isTable = lookupPaths.includes(path);
  return sumAxis !== undefined && numElements(shape) >= MIN_NUMBERS && !(isTable && scheme === "nf4");
}

/** The matrix that scores of tokens come from. */
export function headOfCausal(model: CausalLM): string | undefined {
  return matrixBehind(model.logits(input("hidden", "float32", [1, model.shape.width])), model.parameters);
}

/** The matrix that scores of hidden tokens come from. */
export function headOfEncoder({ heads, shape, parameters }: Encoder): string | undefined {
  const logits = heads.maskedLogits?.(input("hidden", "float32", [1, shape.width]));
  return logits && matrixBehind(logits, parameters);
}

/** The matrix parameter that a tensor is computed with last. */
function matrixBehind(tensor: Tensor, parameters: readonly Parameter[]): string | undefined {
  const matrices = parameters.filter(({ sumAxis }) => sumAxis !== undefined);
  const last = reachableNodes([tensor]).findLast(({ inputs }) =>
    matrices.some(({ tensor: of }) => inputs.includes(of)),
  );
  return matrices.find(({ tensor: of }) => last?.inputs.includes(of))?.path;
}
