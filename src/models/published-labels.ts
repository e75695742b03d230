import { ConfigError } from "../core/errors.ts";
import type { ClassificationProblem } from "./contracts.ts";

const PROBLEM_NAMES: Readonly<Record<string, ClassificationProblem>> = {
  regression: "regression",
  single_label_classification: "single-label",
  multi_label_classification: "multi-label",
};

type Published = Readonly<Record<string, unknown>>;

/**
 * Labels of a published `config.json`, in order of their ids. Without any, the reference implementation counts two, and numbers them.
 *
 * @throws {ConfigError} if an id has none.
 */
export function readLabels(published: Published): readonly string[] {
  const given = published.id2label ?? undefined;
  if (given === undefined) {
    const count = published.num_labels ?? 2;
    if (!Number.isSafeInteger(count) || (count as number) < 1 || (count as number) > 2 ** 20) {
      throw unfit("num_labels", "a number of labels", count);
    }
    return Array.from({ length: count as number }, (_, i) => `LABEL_${i}`);
  }
  const labels = Object.entries(given);
  const byId = new Map(labels.map(([id, label]) => [Number(id), label]));
  const ordered = labels.map((_, id) => byId.get(id));
  if (ordered.length > 0 && ordered.every((label) => typeof label === "string")) return ordered as string[];
  throw unfit("id2label", "a label for each of 0, 1, 2 …", given);
}

/**
 * What the scores mean. What the file does not say is read as the reference implementation's pipeline does: one label alone is a
 * yes or no.
 *
 * @throws {ConfigError} if it says something unknown.
 */
export function readProblem({ problem_type: name }: Published, numLabels: number): ClassificationProblem {
  if (name === undefined || name === null) return numLabels === 1 ? "multi-label" : "single-label";
  if (typeof name === "string" && Object.hasOwn(PROBLEM_NAMES, name)) return PROBLEM_NAMES[name]!;
  throw unfit("problem_type", `one of ${Object.keys(PROBLEM_NAMES).join(", ")}`, name);
}

/** The fields of a `config.json` that say both. */
export function toPublishedLabels(classifier: {
  readonly labels: readonly string[];
  readonly problem?: ClassificationProblem;
}): object {
  const { labels } = classifier;
  const problem = Object.keys(PROBLEM_NAMES).find((name) => PROBLEM_NAMES[name] === classifier.problem);
  return {
    ...(problem && { problem_type: problem }),
    id2label: Object.fromEntries(labels.map((label, id) => [`${id}`, label])),
    label2id: Object.fromEntries(labels.map((label, id) => [label, id])),
  };
}

function unfit(key: string, expected: string, got: unknown): ConfigError {
  return new ConfigError({ where: `config.json ${key}`, expected, got: JSON.stringify(got) });
}
