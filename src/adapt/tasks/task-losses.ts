// N rows · L labels · T tokens

import { hostTensor } from "../../core/dtype.ts";
import { constant, type Tensor } from "../../tensor/tensor.ts";

/** A target that counts neither in sums nor in means. */
export const IGNORED_LABEL = -100;

/** Below any weight that counts: keeps a batch without targets from dividing by zero. */
const TINY = 1e-30;

/** How much classes count, and how sure their labels are. */
export interface ClassLossOptions {
  /** Of each class; default: all the same. */
  readonly weights?: readonly number[] | undefined;
  /** Share of the target that is spread evenly over all classes. */
  readonly labelSmoothing: number;
}

/**
 * Mean cross-entropy of scores `(N, L)` against labels int32 `(N)`, {@link IGNORED_LABEL} aside. With weights it is the mean by weight, as
 * PyTorch has it: what is spread takes the weight of each class, the divisor those of the right ones.
 */
export function classLoss(scores: Tensor, labels: Tensor, options: ClassLossOptions): Tensor {
  const { weights, labelSmoothing } = options;
  if (!weights) return scores.crossEntropy(labels, { ignoredLabel: IGNORED_LABEL, labelSmoothing });
  const L = scores.shape[1] as number;
  const counts = labels.equal(IGNORED_LABEL).logicalNot();
  const known = counts.where(labels, labels.zero());
  const table = constant(hostTensor("float32", [L, 1], Float32Array.from(weights)));
  const weight = table.gatherRows(known).squeeze(1).mul(counts.cast("float32")); // (N)
  const logProbabilities = scores.logSoftmax(); // (N, L)
  const right = logProbabilities.takeAlongLast(known.unsqueeze(1)).squeeze(1).mul(weight); // (N)
  const spread = logProbabilities
    .mul(table.reshape([1, L]))
    .sum(1)
    .mul(counts.cast("float32")); // (N)
  const gain = right
    .mul(1 - labelSmoothing)
    .add(spread.mul(labelSmoothing / L))
    .sum();
  return gain.div(weight.sum().maximum(TINY)).neg();
}

/**
 * Mean binary cross-entropy of scores `(N, L)` against truths `(N, L)` from 0 to 1. Both logarithms come from a softmax over the score
 * and zero, which is exact however large the score is.
 *
 * @param positiveWeights how much more each label counts where it is true
 */
export function binaryLoss(
  scores: Tensor,
  truths: Tensor,
  { weights: positiveWeights, labelSmoothing }: ClassLossOptions,
): Tensor {
  const [N, L] = scores.shape as [number, number];
  const both = scores.stack([scores.zero().broadcastTo([N, L])], 2).logSoftmax(); // (N, L, 2)
  const [yes, no] = both.split([1, 1], 2).map((part) => part.squeeze(2)) as [Tensor, Tensor]; // (N, L)
  const smooth = truths.mul(1 - labelSmoothing).add(labelSmoothing / 2);
  const table = constant(
    hostTensor(
      "float32",
      [1, L],
      Float32Array.from({ length: L }, (_, i) => positiveWeights?.[i] ?? 1),
    ),
  );
  return smooth.mul(yes).mul(table).add(smooth.neg().add(1).mul(no)).mean().neg();
}

/** Mean squared error of scores `(N, L)` against values `(N, L)`. */
export function squaredLoss(scores: Tensor, values: Tensor): Tensor {
  const error = scores.sub(values);
  return error.mul(error).mean();
}

/** The mean of the cross-entropies of an answer's two ends: scores `(N, T)`, places int32 `(N)`. */
export function answerLoss(
  scores: { readonly start: Tensor; readonly end: Tensor },
  places: { readonly start: Tensor; readonly end: Tensor },
): Tensor {
  const options = { ignoredLabel: IGNORED_LABEL };
  const [first, last] = [
    scores.start.crossEntropy(places.start, options),
    scores.end.crossEntropy(places.end, options),
  ];
  return first.add(last).mul(0.5);
}
