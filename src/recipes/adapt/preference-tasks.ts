import { Dpo, type DpoOptions } from "../../adapt/preference/dpo.ts";
import { dpoMeasure, rewardMeasure } from "../../adapt/preference/pair-measure.ts";
import { preferenceStream, sidesOf } from "../../adapt/preference/preference-examples.ts";
import { type PreferenceRows, preferenceRows } from "../../adapt/preference/preference-rows.ts";
import { RewardModel, RewardModelling } from "../../adapt/preference/reward-model.ts";
import { completionScores } from "../../adapt/preference/score-rows.ts";
import { decoderWithHead } from "../../adapt/tasks/new-head.ts";
import { type ChatTemplate, loadChatTemplate } from "../../codecs/chat-template.ts";
import { plainChatTemplate } from "../../codecs/plain-chat-template.ts";
import { ConfigError, DataError } from "../../core/errors.ts";
import { boolean, oneOf, readFields, real } from "../../core/fields.ts";
import { Random } from "../../core/random.ts";
import { PREFERENCE } from "../../data/rows/chat-kinds.ts";
import type { Preference } from "../../data/rows/examples.ts";
import { fitContext } from "../../data/rows/fit-context.ts";
import type { Row } from "../../data/rows/load-examples.ts";
import type { CausalLM } from "../../models/contracts.ts";
import { saveClassifier, saveModel } from "../../models/save-model.ts";
import type { TableRow } from "../../train/report/html.ts";
import { describeLong, promptFlag } from "./decoder-task.ts";
import { keepNothing } from "./frozen-features.ts";
import { hashExamples, loadData } from "./load-data.ts";
import { type LoadedDecoder, loadDecoder } from "./load-decoder.ts";
import type { PreparedTask, Task, TaskContext } from "./task.ts";

interface PreferenceSettings extends DpoOptions {
  /** A line break between prompt and answers, where these are texts. */
  readonly lineBreak: boolean;
}

interface RewardSettings {
  /** Weight of what keeps rewards about zero. */
  readonly centring: number;
  readonly lineBreak: boolean;
}

const TRAIN = { contextLength: 256, steps: 300, batchSize: 8, learningRate: 1e-4, best: "quality" } as const;

/** Direct preference optimisation: the better of two answers becomes more likely, without leaving the base too far behind. */
export const PREFER: Task = {
  name: "preference",
  summary: "prefer the better of two answers (DPO, IPO)",
  fields: PREFERENCE.fields,
  section: "preference",
  train: TRAIN,
  // Virtual tokens would have to be read before the pairs that the reference scores without them.
  methods: ["lora", "qlora", "full", "ia3"],
  readSettings: (input) =>
    readFields<PreferenceSettings>(
      "preference",
      {
        kind: oneOf(["sigmoid", "ipo"], "sigmoid"),
        beta: real(1e-6, 1e3, 0.1),
        referenceFree: boolean(false),
        supervised: real(0, 1e3, 0),
        lineBreak: boolean(true),
      },
      input,
    ),
  prepare: async (context, use) => {
    const { lineBreak, ...options } = context.recipe.preference as PreferenceSettings;
    const { engine, recipe } = context;
    const pairs = await loadPairs(context, lineBreak);
    const { model, weights } = pairs.base;
    const { batchSize, contextLength, seed } = recipe.train;
    const referenceOf = async (rows: readonly PreferenceRows[]) =>
      options.referenceFree ? {} : { reference: await completionScores(engine, pairs.base, sidesOf(rows)) };
    const stream = {
      ...{ objective: new Dpo(model, options), pairs: pairs.training, batchSize, contextLength, seed },
      maxBuckets: recipe.batch.maxBuckets,
      ...(await referenceOf(pairs.training)),
    };
    const ofHeldOut = await referenceOf(pairs.heldOut);
    return use<CausalLM>({
      ...pairs.common,
      ...{ model, weights, head: [], headModules: [] },
      examples: preferenceStream(stream),
      objective: (of) => new Dpo(of, options),
      measure: (of, values) =>
        dpoMeasure({
          engine,
          objective: new Dpo(of, options),
          weights: values,
          pairs: pairs.heldOut,
          ...ofHeldOut,
        }),
      save: (directory, values, card) => saveModel(directory, { ...pairs.base, weights: values, card }),
      nextCommands: (directory) => [`generate ${directory} ${promptFlag(lineBreak)}`],
    });
  },
};

/** A reward model: a number that says how good an answer is. */
export const REWARD: Task = {
  name: "reward",
  summary: "tell how good an answer is, from pairs of a better and a worse one",
  fields: PREFERENCE.fields,
  section: "reward",
  train: TRAIN,
  methods: ["lora", "qlora", "full", "head", "ia3"],
  readSettings: (input) =>
    readFields<RewardSettings>("reward", { centring: real(0, 1e3, 0), lineBreak: boolean(true) }, input),
  prepare: async (context, use) => {
    const { lineBreak, centring } = context.recipe.reward as RewardSettings;
    const { engine, recipe } = context;
    const pairs = await loadPairs(context, lineBreak);
    const { tokenizer } = pairs.base;
    const { batchSize, contextLength, seed } = recipe.train;
    // Kept as transformers keeps reward models: a classifier with one score.
    const head = { labels: ["reward"], problem: "regression", padId: tokenizer.specials.pad } as const;
    const random = new Random(seed).fork("head");
    const { model, weights, headParameters } = decoderWithHead(pairs.base, head, random);
    const objective = (of: CausalLM) => new RewardModelling(new RewardModel(of), { centring });
    const { maxBuckets } = recipe.batch;
    const batching = { pairs: pairs.training, batchSize, contextLength, maxBuckets, seed };
    return use<CausalLM>({
      ...pairs.common,
      ...{ model, weights, head: headParameters, headModules: ["score"], objective },
      corpus: [...pairs.common.corpus, ...keepNothing(context, "pairs are not among what is kept")],
      examples: preferenceStream({ objective: objective(model), ...batching }),
      measure: (of, values) => rewardMeasure(engine, new RewardModel(of), values, pairs.heldOut),
      save: (directory, values, card) =>
        saveClassifier(directory, { ...pairs.base, model, weights: values, card }),
      nextCommands: (directory) => [`classify ${directory} --text "…"`],
    });
  },
};

/** What tasks on pairs have alike. */
interface LoadedPairs {
  readonly base: LoadedDecoder;
  readonly training: readonly PreferenceRows[];
  readonly heldOut: readonly PreferenceRows[];
  readonly common: Pick<
    PreparedTask<CausalLM>,
    "engine" | "tokenizer" | "group" | "dataHash" | "corpus" | "baselines" | "judge"
  >;
}

async function loadPairs(context: TaskContext, lineBreak: boolean): Promise<LoadedPairs> {
  const { engine, recipe } = context;
  if (recipe.train.batchSize % 2 !== 0) {
    const expected = "an even number: each pair is two sequences";
    throw new ConfigError({ where: "train.batchSize", expected, got: `${recipe.train.batchSize}` });
  }
  const base = loadDecoder(context.base, recipe);
  const { tokenizer } = base;
  const template = loadChatTemplate(context.base) ?? plainChatTemplate(tokenizer);
  const data = await loadData(PREFERENCE, context);
  const facts: TableRow[] = [];
  const side = (label: string, rows: readonly Row<Preference>[]) => {
    const encoded = encodePairs(rows, context, { base, template, lineBreak });
    if (encoded.told) {
      facts.push({ label: `${label}, long`, value: encoded.told });
      context.onNotice(`${label} pairs: ${encoded.told}`);
    }
    return encoded.pairs;
  };
  const training = side("training", data.training);
  const heldOut = side("held-out", data.validation);
  return {
    ...{ base, training, heldOut },
    common: {
      ...{ engine, tokenizer, group: 2, baselines: [] },
      dataHash: hashExamples(data.training, data.validation),
      corpus: [...data.facts, ...facts],
      judge: async () => undefined,
    },
  };
}

interface PairEncoding {
  readonly base: LoadedDecoder;
  readonly template: ChatTemplate;
  readonly lineBreak: boolean;
}

/**
 * Pairs as tokens. Where one side is cut the other may be the better for it, so long pairs are left out or refused, never cut.
 *
 * @throws {ConfigError} if they are to be cut.
 */
function encodePairs(
  rows: readonly Row<Preference>[],
  { recipe }: TaskContext,
  { base, template, lineBreak }: PairEncoding,
): { readonly pairs: readonly PreferenceRows[]; readonly told: string } {
  const { contextLength } = recipe.train;
  const { longRows } = recipe.data;
  if (longRows === "truncate") {
    const expected = "refuse or drop: a pair that is cut need not be one any more";
    throw new ConfigError({ where: "data.longRows", expected, got: '"truncate"' });
  }
  const options = { tokenizer: base.tokenizer, template, contextLength: Number.MAX_SAFE_INTEGER };
  const encoded = rows.map(({ example, where }) => {
    const put =
      lineBreak && typeof example.prompt === "string"
        ? { ...example, prompt: `${example.prompt}\n` }
        : example;
    const pair = encodeAt(where, () => preferenceRows([put], options)[0]!);
    return { pair, where, numTokens: Math.max(pair.chosen.tokens.length, pair.rejected.tokens.length) };
  });
  const { rows: fitting, numLong } = fitContext(encoded, contextLength, longRows, (row) => row);
  if (fitting.length === 0) {
    const got = `none within ${contextLength} tokens`;
    throw new DataError({ where: "preference pairs", expected: "at least one that fits", got });
  }
  const told = describeLong({ numLong, numEmpty: 0 }, { maxLength: contextLength, long: longRows });
  return { pairs: fitting.map(({ pair }) => pair), told };
}

/** Names the row in errors about the pair in it. */
function encodeAt<T>(where: string, encode: () => T): T {
  try {
    return encode();
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    const { failure } = cause;
    throw new DataError(
      { ...failure, where: `${where}, ${failure.where.replace(/^preference pair 1,? ?/, "")}` },
      { cause },
    );
  }
}
