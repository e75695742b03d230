import type { ChatTemplate } from "../../codecs/chat-template.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { DataError } from "../../core/errors.ts";
import type { Weights } from "../../core/weights.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Measure } from "../../train/objective.ts";
import { numLearnt, type TrainingRow } from "../training-row.ts";
import type { Grpo } from "./grpo.ts";
import { type RewardFunction, rewardOf, type Task } from "./reward-rules.ts";
import { logProbProgram, sumLines, type WeightedModel } from "./score-rows.ts";
import { writeCompletions } from "./write-completions.ts";

/** How far a policy has moved from a reference. */
export interface Divergence {
  /** Kullback–Leibler divergence of a whole text, in nats, and its standard error. */
  readonly natsPerText: number;
  readonly standardError: number;
  readonly natsPerToken: number;
}

/**
 * The Kullback–Leibler divergence of a policy from a reference, by texts that the policy has written at temperature 1: the mean of
 * ln π − ln π_ref, which is the divergence in expectation.
 *
 * @throws {DataError} if there are no texts.
 */
export async function measureDivergence(
  engine: Engine,
  policy: WeightedModel,
  reference: WeightedModel,
  written: readonly TrainingRow[],
): Promise<Divergence> {
  if (written.length === 0) {
    throw new DataError({ where: "divergence", expected: "texts of the policy", got: "none" });
  }
  const sums: Float32Array[] = [];
  for (const model of [policy, reference]) {
    const program = logProbProgram(engine, model);
    try {
      sums.push(sumLines(await program.run(written)));
    } finally {
      program.dispose();
    }
  }
  const differences = Array.from(sums[0]!, (sum, i) => sum - sums[1]![i]!);
  const { mean, standardError } = meanOf(differences);
  const numTokens = written.reduce((sum, row) => sum + numLearnt(row), 0);
  return { natsPerText: mean, standardError, natsPerToken: (mean * written.length) / numTokens };
}

/** Tasks held out, and what judges the answers. */
export interface TaskMeasureOptions {
  readonly engine: Engine;
  readonly objective: Grpo;
  /** Of the model in training, frozen ones included; those in memory are read anew each time. */
  readonly weights: Weights;
  readonly tokenizer: Tokenizer;
  readonly template?: ChatTemplate | undefined;
  readonly tasks: readonly Task[];
  readonly reward: RewardFunction;
  readonly seed: number;
}

/**
 * Measures the mean reward of one completion for each of the tasks, drawn with the same random numbers each time. What the
 * trainer has for a loss is the reward with its sign turned: the lower the better.
 *
 * @throws {DataError} if there are no tasks.
 */
export function taskMeasure(options: TaskMeasureOptions): Measure {
  const { engine, objective, weights, tokenizer, template, tasks, reward, seed } = options;
  const { model } = objective;
  const { maxTokens, temperature } = objective.options;
  if (tasks.length === 0) throw new DataError({ where: "tasks held out", expected: "some", got: "none" });
  return {
    run: async () => {
      const prompts = tasks.map(({ prompt }) => prompt);
      const writing = { tokenizer, template, maxTokens, temperature, seed };
      const groups = await writeCompletions(engine, { model, weights }, prompts, writing);
      const rewards: number[] = [];
      for (const [i, task] of tasks.entries())
        rewards.push(await rewardOf(reward, groups[i]![0]!.text, task));
      const { mean, standardError } = meanOf(rewards);
      return {
        ...{ metric: "mean reward", value: mean, higherIsBetter: true, standardError },
        lossNats: -mean,
        numTokens: groups.reduce((sum, [completion]) => sum + numLearnt(completion!.row), 0),
      };
    },
    dispose: () => {},
  };
}

function meanOf(values: readonly number[]): { readonly mean: number; readonly standardError: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / Math.max(1, values.length - 1));
  return { mean, standardError: deviation / Math.sqrt(values.length) };
}
