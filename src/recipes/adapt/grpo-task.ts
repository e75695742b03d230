import { Grpo, type GrpoOptions } from "../../adapt/preference/grpo.ts";
import { GrpoStream } from "../../adapt/preference/grpo-stream.ts";
import {
  exactAnswer,
  matchesPattern,
  type RewardFunction,
  validJson,
} from "../../adapt/preference/reward-rules.ts";
import { taskMeasure } from "../../adapt/preference/task-measure.ts";
import { ConfigError } from "../../core/errors.ts";
import { boolean, integer, oneOf, readFields, real, string } from "../../core/fields.ts";
import type { Instruction } from "../../data/rows/examples.ts";
import type { Row } from "../../data/rows/load-examples.ts";
import { INSTRUCTION } from "../../data/rows/text-kinds.ts";
import type { CausalLM } from "../../models/contracts.ts";
import { saveModel } from "../../models/save-model.ts";
import { promptFlag } from "./decoder-task.ts";
import { hashExamples, loadData } from "./load-data.ts";
import { loadDecoder } from "./load-decoder.ts";
import type { Task } from "./task.ts";

interface GrpoSettings {
  /** What is rewarded: the example's completion word for word, text that fits a pattern, or text that is JSON. */
  readonly reward: "exact" | "pattern" | "json";
  /** With `exact`: the answer is what follows the last of these on its line; empty: the whole text. */
  readonly after: string;
  /** With `pattern`: a regular expression. */
  readonly pattern: string;
  readonly tasksPerRound: number;
  readonly groupSize: number;
  readonly innerEpochs: number;
  readonly maxTokens: number;
  readonly temperature: number;
  /** What it costs to leave the base. */
  readonly beta: number;
  readonly lineBreak: boolean;
  /** So many held-out prompts are answered at each validation. */
  readonly numJudged: number;
}

/** Group relative policy optimisation: the model writes, a rule rewards. */
export const GRPO: Task = {
  name: "grpo",
  summary: "write what a rule rewards (GRPO)",
  fields: INSTRUCTION.fields,
  section: "grpo",
  train: { contextLength: 256, steps: 100, batchSize: 32, learningRate: 1e-4, best: "quality" },
  methods: ["lora", "qlora", "full", "ia3"],
  readSettings,
  prepare: async (context, use) => {
    const settings = context.recipe.grpo as GrpoSettings;
    const { engine, recipe } = context;
    const base = loadDecoder(context.base, recipe);
    const { model, weights, tokenizer } = base;
    const data = await loadData(INSTRUCTION, context);
    const reward = readReward(settings);
    const { tasksPerRound, groupSize, innerEpochs, maxTokens, temperature, beta } = settings;
    const options: Partial<GrpoOptions> = { maxTokens, temperature, beta };
    const { batchSize, seed } = recipe.train;
    const heldOut = toTasks(data.validation, settings).slice(0, settings.numJudged);
    return use<CausalLM>({
      ...{ engine, model, weights, tokenizer, head: [], headModules: [], baselines: [] },
      examples: (of, values) =>
        new GrpoStream({
          ...{ engine, objective: new Grpo(of, options), weights: values, reference: { model, weights } },
          ...{ tokenizer, tasks: toTasks(data.training, settings), reward },
          ...{ tasksPerRound, groupSize, innerEpochs, batchSize, seed },
        }),
      dataHash: hashExamples(data.training, data.validation),
      corpus: data.facts,
      objective: (of) => new Grpo(of, options),
      measure: (of, values) =>
        taskMeasure({
          ...{ engine, objective: new Grpo(of, options), weights: values, tokenizer },
          ...{ tasks: heldOut, reward, seed },
        }),
      judge: async () => undefined,
      save: (directory, values, card) => saveModel(directory, { ...base, weights: values, card }),
      nextCommands: (directory) => [`generate ${directory} ${promptFlag(settings.lineBreak)}`],
    });
  },
};

function toTasks(rows: readonly Row<Instruction>[], { lineBreak }: GrpoSettings) {
  return rows.map(({ example: { prompt, completion } }) => ({
    prompt: lineBreak ? `${prompt}\n` : prompt,
    answer: completion,
  }));
}

/** @throws {ConfigError} if there is no pattern where one is needed, or it is none. */
function readReward({ reward, after, pattern }: GrpoSettings): RewardFunction {
  if (reward === "exact") return exactAnswer(after === "" ? {} : { after });
  if (reward === "json") return validJson();
  try {
    if (pattern !== "") return matchesPattern(new RegExp(pattern, "u"));
  } catch (cause) {
    const got = (cause as Error).message;
    throw new ConfigError({ where: "grpo.pattern", expected: "a regular expression", got }, { cause });
  }
  throw new ConfigError({ where: "grpo.pattern", expected: "a regular expression", got: "nothing" });
}

function readSettings(input: object): GrpoSettings {
  return readFields<GrpoSettings>(
    "grpo",
    {
      reward: oneOf(["exact", "pattern", "json"], "exact"),
      after: string(""),
      pattern: string(""),
      tasksPerRound: integer(1, 2 ** 16, 4),
      groupSize: integer(2, 2 ** 16, 8),
      innerEpochs: integer(1, 2 ** 16, 1),
      maxTokens: integer(1, 2 ** 20, 64),
      temperature: real(1e-3, 1e3, 1),
      beta: real(0, 1e3, 0),
      lineBreak: boolean(true),
      numJudged: integer(1, 2 ** 20, 32),
    },
    input,
  );
}
