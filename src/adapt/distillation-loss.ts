// Distillation: "Distilling the Knowledge in a Neural Network", Hinton et al. 2015, §2.
// N tokens · V vocabulary · K scores kept of the teacher

import { IGNORED_TARGET } from "../data/validation-windows.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** What a teacher says of what follows each token. */
export interface TeacherScores {
  /** Its logits: of all tokens `(N, V)`, or of those it holds for the most probable `(N, K)`. */
  readonly logits: Tensor;
  /** Int32 `(N, K)`: which tokens these are; absent where it is all of them. */
  readonly ids?: Tensor | undefined;
}

/**
 * τ² · KL(teacher ‖ student), both softened by the temperature τ, as the mean over the tokens whose target is not ignored; 0 when all
 * are. The factor keeps its gradient as large as that of the labels, whatever the temperature.
 *
 * Of a teacher that gives K scores, what it holds for all other tokens counts as nothing: its probabilities are those among the K. The student's are
 * those among all.
 *
 * @param logits of the student `(N, V)`
 * @param targets int32 `(N)`
 */
export function distillationLoss(
  logits: Tensor,
  targets: Tensor,
  { logits: scores, ids }: TeacherScores,
  temperature: number,
): Tensor {
  const teacher = scores.mul(1 / temperature).logSoftmax(); // (N, K)
  const all = logits.mul(1 / temperature).logSoftmax(); // (N, V)
  const student = ids ? all.takeAlongLast(ids) : all; // (N, K)
  const divergence = teacher.exp().mul(teacher.sub(student)).sum(1); // (N)
  const counts = targets.equal(IGNORED_TARGET).logicalNot().cast("float32");
  const mean = divergence.mul(counts).sum().div(counts.sum().maximum(1));
  return mean.mul(temperature * temperature);
}
