import { answerSpans } from "../../adapt/tasks/answer-kind.ts";
import { wordTags } from "../../adapt/tasks/tag-kind.ts";
import type { TaskKind, TaskOutcome } from "../../adapt/tasks/task-kind.ts";
import { answerRows, tagRows, textRows } from "../../adapt/tasks/task-rows.ts";
import { multiLabel, regression, singleLabel } from "../../adapt/tasks/text-kinds.ts";
import { loadTokenizer } from "../../codecs/tokenizer.ts";
import { boolean, integer, optional, readFields } from "../../core/fields.ts";
import type { ExampleKind } from "../../data/rows/example-kind.ts";
import type { MultiLabel } from "../../data/rows/examples.ts";
import { CLASSIFICATION, MULTI_LABEL, REGRESSION, TOKENS } from "../../data/rows/labelled-kinds.ts";
import { checkLabels, classWeights, collectLabels, positiveWeights } from "../../data/rows/labels.ts";
import type { Row } from "../../data/rows/load-examples.ts";
import { QUESTION_ANSWER } from "../../data/rows/text-kinds.ts";
import { confusionMatrix } from "../../eval/metrics/classification.ts";
import { renderConfusions } from "../../train/report/confusion.ts";
import type { Baseline } from "../../train/report.ts";
import { prepareLabelledTask } from "./labelled-task.ts";
import { loadData } from "./load-data.ts";
import type { Task, TaskContext } from "./task.ts";

interface WeightSettings {
  /** What is rare counts for more: in inverse proportion to how frequent a class, label or tag is. */
  readonly classWeights: boolean;
}

const TRAIN = { contextLength: 128, steps: 500, batchSize: 16, best: "quality" } as const;

/** One of several classes for each text, or pair of texts. */
export const CLASSIFY: Task = {
  name: "classify",
  summary: "which class a text belongs to",
  fields: CLASSIFICATION.fields,
  section: "classify",
  train: TRAIN,
  readSettings: (input) => readWeightSettings("classify", input),
  prepare: async (context, use) => {
    const { data, names, counts } = await loadLabelled(CLASSIFICATION, context, ({ label }) => [label]);
    const numberOf = new Map(names.map((name, i) => [name, i]));
    const kind = singleLabel(names, isWeighted(context, "classify") ? weightsOf(counts) : undefined);
    return prepareLabelledTask(
      context,
      {
        ...{ data, kind, head: { kind: "sequence", labels: names, problem: "single-label" } as const },
        encode: (rows, tokenizer) =>
          textRows(rows, ({ label }) => numberOf.get(label)!, { ...encoding(context), tokenizer }),
        baselines: (heldOut) => {
          const most = counts.indexOf(Math.max(...counts));
          const always = heldOut.map(() => ({ label: most, probability: 1 }));
          return constantBaseline(`always "${names[most]}"`, kind, heldOut, always);
        },
        sections: ({ predictions }) => [renderConfusions(confusionMatrix(predictions))],
        nextCommands: (directory) => [`classify ${directory} --text "…"`],
      },
      use,
    );
  },
};

/** Any number of labels for each text. */
export const LABEL: Task = {
  name: "label",
  summary: "which of several labels apply to a text",
  fields: MULTI_LABEL.fields,
  section: "label",
  train: TRAIN,
  readSettings: (input) => readWeightSettings("label", input),
  prepare: async (context, use) => {
    const distinct = ({ labels }: MultiLabel) => [...new Set(labels)];
    const { data, names, counts } = await loadLabelled(MULTI_LABEL, context, distinct);
    const weights = () => positiveWeights(counts, data.training.length);
    const kind = multiLabel(names, isWeighted(context, "label") ? weights() : undefined);
    return prepareLabelledTask(
      context,
      {
        ...{ data, kind, head: { kind: "sequence", labels: names, problem: "multi-label" } as const },
        encode: (rows, tokenizer) =>
          textRows(rows, ({ labels }) => names.map((name) => labels.includes(name)), {
            ...encoding(context),
            tokenizer,
          }),
        baselines: (heldOut) =>
          constantBaseline(
            "none ever",
            kind,
            heldOut,
            heldOut.map(() => names.map(() => 0)),
          ),
        sections: () => [],
        nextCommands: (directory) => [`classify ${directory} --text "…"`],
      },
      use,
    );
  },
};

/** A number for each text. */
export const REGRESS: Task = {
  name: "regress",
  summary: "a number for a text",
  fields: REGRESSION.fields,
  train: TRAIN,
  readSettings: () => ({}),
  prepare: async (context, use) => {
    const data = await loadData(REGRESSION, context);
    const kind = regression();
    const mean = data.training.reduce((sum, { example }) => sum + example.value, 0) / data.training.length;
    return prepareLabelledTask(
      context,
      {
        ...{ data, kind, head: { kind: "sequence", labels: ["value"], problem: "regression" } as const },
        encode: (rows, tokenizer) =>
          textRows(rows, ({ value }) => value, { ...encoding(context), tokenizer }),
        baselines: (heldOut) =>
          constantBaseline(
            "always the mean",
            kind,
            heldOut,
            heldOut.map(() => mean),
          ),
        sections: () => [],
        nextCommands: (directory) => [`classify ${directory} --text "…"`],
      },
      use,
    );
  },
};

/** A tag for each word. */
export const TAG: Task = {
  name: "tag",
  summary: "a tag for each word, such as names and places",
  fields: TOKENS.fields,
  section: "tag",
  train: TRAIN,
  readSettings: (input) => readWeightSettings("tag", input),
  prepare: async (context, use) => {
    const { data, names, counts } = await loadLabelled(TOKENS, context, ({ tags }) => tags);
    const kind = wordTags(names, isWeighted(context, "tag") ? weightsOf(counts) : undefined);
    const most = counts.indexOf(Math.max(...counts));
    return prepareLabelledTask(
      context,
      {
        ...{ data, kind, head: { kind: "tokens", labels: names } as const },
        encode: (rows, tokenizer) => tagRows(rows, names, { ...encoding(context), tokenizer }),
        baselines: (heldOut) => {
          const always = heldOut.map(({ target }) => target.tags.map(() => most));
          return constantBaseline(`always "${names[most]}"`, kind, heldOut, always);
        },
        sections: (outcome) => [renderConfusions(confusionMatrix(wordsOf(outcome)))],
        nextCommands: (directory) => [`tag ${directory} --text "…" --grouping first`],
      },
      use,
    );
  },
};

interface AnswerSettings {
  /** Longest answer. */
  readonly maxAnswerTokens: number;
  /** Tokens that a window repeats of the one before; default 128, or less in small windows. */
  readonly stride?: number;
}

/** The part of a text that answers a question. */
export const ANSWER: Task = {
  name: "answer",
  summary: "the part of a text that answers a question",
  fields: QUESTION_ANSWER.fields,
  section: "answer",
  train: { ...TRAIN, contextLength: 384 },
  readSettings: (input) =>
    readFields<AnswerSettings>(
      "answer",
      { maxAnswerTokens: integer(1, 2 ** 16, 15), stride: optional(integer(0, 2 ** 16)) },
      input,
    ),
  prepare: async (context, use) => {
    const data = await loadData(QUESTION_ANSWER, context);
    const { maxAnswerTokens, stride } = context.recipe.answer as AnswerSettings;
    const { contextLength } = context.recipe.train;
    const allowNone = data.available.some(({ example }) => example.answers.length === 0);
    const tokenizer = loadTokenizer(context.base);
    return prepareLabelledTask(
      context,
      {
        ...{ data, head: { kind: "answers" } as const },
        kind: answerSpans(tokenizer, { maxAnswerTokens, allowNone }),
        // Long contexts are cut into windows: no row is too long.
        encode: (rows) => ({
          rows: answerRows(rows, tokenizer, { contextLength, maxLength: contextLength, stride }),
          numLong: 0,
        }),
        baselines: () => [],
        sections: () => [],
        nextCommands: (directory) => [`answer ${directory} --question "…" --text "…"`],
      },
      use,
    );
  },
};

function encoding({ recipe }: TaskContext) {
  return { contextLength: recipe.train.contextLength, longRows: recipe.data.longRows };
}

function readWeightSettings(section: string, input: object): WeightSettings {
  return readFields<WeightSettings>(section, { classWeights: boolean(false) }, input);
}

function isWeighted({ recipe }: TaskContext, section: string): boolean {
  return (recipe[section] as WeightSettings).classWeights;
}

/** Weights by how often each label occurs; 1 for those that do not. */
function weightsOf(counts: readonly number[]): readonly number[] {
  const ofUsed = classWeights({ names: [], counts: counts.filter((count) => count > 0) });
  let next = 0;
  return counts.map((count) => (count > 0 ? ofUsed[next++]! : 1));
}

/**
 * Examples with the labels of all that may be trained on, of which a run may use a part, and how often that part has each.
 *
 * @throws {DataError} as `loadData`, if there is but one label, or one of the held-out examples was never trained on.
 */
async function loadLabelled<E>(
  kind: ExampleKind<E>,
  context: TaskContext,
  labelsOf: (example: E) => readonly string[],
) {
  const labelled = (rows: readonly Row<E>[]) =>
    rows.map(({ example, where }) => ({ labels: labelsOf(example), where }));
  const data = await loadData(kind, context, (rows) => collectLabels(labelled(rows)));
  const known = collectLabels(labelled(data.available));
  checkLabels(labelled(data.validation), known);
  const place = new Map(known.names.map((name, i) => [name, i]));
  const counts = known.names.map(() => 0);
  for (const { labels } of labelled(data.training))
    for (const label of labels) counts[place.get(label)!]! += 1;
  const numUnused = counts.filter((count) => count === 0).length;
  if (numUnused > 0)
    context.onNotice(`${numUnused} of ${counts.length} labels have no example among those trained on`);
  return { data, names: known.names, counts };
}

/** How good the same answer for all is. */
function constantBaseline<T, R>(
  label: string,
  kind: TaskKind<T, R>,
  heldOut: Parameters<TaskKind<T, R>["conclude"]>[0],
  readings: readonly R[],
): Baseline[] {
  return [{ label, ...kind.conclude(heldOut, readings).quality }];
}

/** Tags of words from the lines that predictions show. */
function wordsOf({ predictions }: TaskOutcome) {
  return predictions.flatMap(({ expected, predicted }) => {
    const said = predicted.split(" ");
    return expected.split(" ").map((tag, i) => ({ expected: tag, predicted: said[i]! }));
  });
}
