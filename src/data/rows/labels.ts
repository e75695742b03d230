import { DataError } from "../../core/errors.ts";
import { suggest } from "../../core/nearest.ts";

/** An example's labels, and the row they are from. */
export interface Labelled {
  readonly labels: readonly string[];
  readonly where: string;
}

/** The labels a model learns, and how often each occurs in training. */
export interface LabelSet {
  /** In code-unit order, or by value where all are whole numbers. Place in the list is the class's number. */
  readonly names: readonly string[];
  readonly counts: readonly number[];
}

/**
 * The labels of the training rows.
 *
 * @throws {DataError} if there are fewer than two: nothing could be told apart.
 */
export function collectLabels(training: readonly Labelled[]): LabelSet {
  const counts = new Map<string, number>();
  for (const { labels } of training) {
    for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  if (counts.size < 2) {
    const [only] = counts.keys();
    throw new DataError({
      where: "training labels",
      expected: "at least two classes",
      got: only === undefined ? "no labels" : `only "${only}", in ${training.length} rows`,
      fix: "Add examples of another class, or look at how the label is mapped.",
    });
  }
  const areNumbers = [...counts.keys()].every((name) => /^-?\d+$/.test(name));
  const names = [...counts.keys()].sort(areNumbers ? (a, b) => Number(a) - Number(b) : byCodeUnit);
  return { names, counts: names.map((name) => counts.get(name)!) };
}

/**
 * Holds rows against the labels of training.
 *
 * @throws {DataError} naming the first row whose label was never trained on, and how many there are.
 */
export function checkLabels(rows: readonly Labelled[], { names }: LabelSet): void {
  const known = new Set(names);
  const strangers = rows.flatMap(({ labels, where }) =>
    labels.filter((label) => !known.has(label)).map((label) => ({ label, where })),
  );
  const [first] = strangers;
  if (first === undefined) return;
  const others = strangers.length > 1 ? `, and ${strangers.length - 1} more such labels` : "";
  throw new DataError({
    where: `${first.where} label`,
    expected: `one of the ${names.length} labels seen in training`,
    got: `"${first.label}"${others}`,
    fix:
      names.length <= 20 ? suggest(first.label, names) : "Add training examples of it, or leave the row out.",
  });
}

/**
 * A weight for each class, by which the loss of its examples is multiplied: in inverse proportion to how often it occurs,
 * scaled so that the mean over all examples is 1 and the learning rate keeps its meaning.
 * `weight = examples / (classes · count)`.
 *
 * @see King & Zeng 2001; scikit-learn calls it "balanced".
 * @example
 * classWeights({ names: ["no", "yes"], counts: [3, 1] }); // => [0.6666666666666666, 2]
 */
export function classWeights({ counts }: LabelSet): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => total / (counts.length * count));
}

/**
 * How much more each label of several counts where it applies than where it does not, so that both have the same say:
 * `weight = examples without it / examples with it`; 1 where there are none of either.
 *
 * @param counts in how many examples each label applies
 * @see PyTorch's `pos_weight`
 * @example
 * positiveWeights([1, 2, 4], 4); // => [3, 1, 1]
 */
export function positiveWeights(counts: readonly number[], numExamples: number): number[] {
  return counts.map((count) => (count > 0 && count < numExamples ? (numExamples - count) / count : 1));
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
