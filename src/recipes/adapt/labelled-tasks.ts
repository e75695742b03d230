import { answerSpans } from "../../adapt/tasks/answer-kind.ts";
import { wordTags } from "../../adapt/tasks/tag-kind.ts";
import type { TaskKind, TaskOutcome } from "../../adapt/tasks/task-kind.ts";
import { answerRows, tagRows, textRows } from "../../adapt/tasks/task-rows.ts";
import { multiLabel, regression, singleLabel } from "../../adapt/tasks/text-kinds.ts";
import { loadTokenizer } from "../../codecs/tokenizer.ts";
import { boolean, integer, readFields } from "../../core/fields.ts";
import { CLASSIFICATION, MULTI_LABEL, REGRESSION, TOKENS } from "../../data/rows/labelled-kinds.ts";
import { checkLabels, classWeights, collectLabels, type Labelled } from "../../data/rows/labels.ts";
import type { Row } from "../../data/rows/load-examples.ts";
import { QUESTION_ANSWER } from "../../data/rows/text-kinds.ts";
import { confusionMatrix } from "../../eval/metrics/classification.ts";
import { renderConfusions } from "../../train/report/confusion.ts";
import type { Baseline } from "../../train/report.ts";
import { prepareLabelledTask } from "./labelled-task.ts";
import { loadData } from "./load-data.ts";
import type { Task, TaskContext } from "./task.ts";

interface ClassifySettings {
  /** Examples count in inverse proportion to how frequent their class is. */
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
  readSettings: (input) => readFields<ClassifySettings>("classify", { classWeights: boolean(false) }, input),
  prepare: async (context, use) => {
    const data = await loadData(CLASSIFICATION, context);
    const labelled = (rows: readonly Row<{ label: string }>[]) =>
      rows.map(({ example, where }) => ({ labels: [example.label], where }));
    const { names, weights } = readLabels(context, {
      available: labelled(data.available),
      training: labelled(data.training),
      validation: labelled(data.validation),
    });
    const { classWeights: isWeighted } = context.recipe.classify as ClassifySettings;
    const numberOf = new Map(names.map((name, i) => [name, i]));
    const kind = singleLabel(names, isWeighted ? weights.weights : undefined);
    return prepareLabelledTask(
      context,
      {
        ...{ data, kind, head: { kind: "sequence", labels: names, problem: "single-label" } as const },
        encode: (rows, tokenizer) =>
          textRows(rows, ({ label }) => numberOf.get(label)!, { ...encoding(context), tokenizer }),
        baselines: (heldOut) => {
          const most = weights.counts.indexOf(Math.max(...weights.counts));
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
  train: TRAIN,
  readSettings: () => ({}),
  prepare: async (context, use) => {
    const data = await loadData(MULTI_LABEL, context);
    const labelled = (rows: readonly Row<{ labels: readonly string[] }>[]) =>
      rows.map(({ example: { labels }, where }) => ({ labels, where }));
    const { names } = readLabels(context, {
      available: labelled(data.available),
      training: labelled(data.training),
      validation: labelled(data.validation),
    });
    const kind = multiLabel(names);
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
  train: TRAIN,
  readSettings: () => ({}),
  prepare: async (context, use) => {
    const data = await loadData(TOKENS, context);
    const labelled = (rows: readonly Row<{ tags: readonly string[] }>[]) =>
      rows.map(({ example: { tags }, where }) => ({ labels: tags, where }));
    const { names, weights } = readLabels(context, {
      available: labelled(data.available),
      training: labelled(data.training),
      validation: labelled(data.validation),
    });
    const kind = wordTags(names);
    const most = weights.counts.indexOf(Math.max(...weights.counts));
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
  /** Tokens that a window repeats of the one before. */
  readonly stride: number;
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
      { maxAnswerTokens: integer(1, 2 ** 16, 15), stride: integer(0, 2 ** 16, 64) },
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

/**
 * Labels of all training examples, of which a run may use a part, with how often that part has them.
 *
 * @throws {DataError} if there is but one, or one of the held-out examples was never trained on.
 */
function readLabels(
  { onNotice }: TaskContext,
  sides: Readonly<Record<"available" | "training" | "validation", readonly Labelled[]>>,
) {
  const known = collectLabels(sides.available);
  checkLabels(sides.validation, known);
  const place = new Map(known.names.map((name, i) => [name, i]));
  const counts = known.names.map(() => 0);
  for (const { labels } of sides.training) for (const label of labels) counts[place.get(label)!]! += 1;
  const numUnused = counts.filter((count) => count === 0).length;
  if (numUnused > 0)
    onNotice(`${numUnused} of ${counts.length} labels have no example among those trained on`);
  const used = counts.filter((count) => count > 0);
  const ofUsed = classWeights({ names: [], counts: used });
  let next = 0;
  const weights = counts.map((count) => (count > 0 ? ofUsed[next++]! : 1));
  return { names: known.names, weights: { counts, weights } };
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
