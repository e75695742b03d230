import type { Weights } from "../../core/weights.ts";
import type { Engine } from "../../engine/engine.ts";
import { checkFiniteLoss } from "../../train/check-loss.ts";
import type { Measure, ValidationResult } from "../../train/objective.ts";
import { numLearnt } from "../training-row.ts";
import type { Dpo } from "./dpo.ts";
import { sidesOf } from "./preference-examples.ts";
import type { PreferenceRows } from "./preference-rows.ts";
import type { RewardModel } from "./reward-model.ts";
import type { RowProgram } from "./row-program.ts";
import { logProbProgram, sumLines } from "./score-rows.ts";

/** How pairs are judged by rewards of their sides. */
export interface PairJudgement {
  /** Share of the pairs whose chosen side has the higher reward; a tie is half right, as tossing a coin would be. */
  readonly accuracy: number;
  /** Of the accuracy, as of that many independent draws. */
  readonly standardError: number;
  /** Means over pairs; the margin is the difference of the two. */
  readonly chosenReward: number;
  readonly rejectedReward: number;
  readonly margin: number;
}

/**
 * Judges pairs by rewards of their sides: chosen, rejected, chosen …
 *
 * @example
 * judgePairs([2, 1, 0, 3]).accuracy; // => 0.5
 */
export function judgePairs(rewards: ArrayLike<number>): PairJudgement {
  const numPairs = rewards.length / 2;
  const sum = { right: 0, chosen: 0, rejected: 0 };
  for (let pair = 0; pair < numPairs; pair++) {
    const [chosen, rejected] = [rewards[2 * pair]!, rewards[2 * pair + 1]!];
    sum.right += chosen === rejected ? 0.5 : Number(chosen > rejected);
    sum.chosen += chosen;
    sum.rejected += rejected;
  }
  const accuracy = sum.right / numPairs;
  return {
    accuracy,
    standardError: Math.sqrt((accuracy * (1 - accuracy)) / numPairs),
    chosenReward: sum.chosen / numPairs,
    rejectedReward: sum.rejected / numPairs,
    margin: (sum.chosen - sum.rejected) / numPairs,
  };
}

/** Pairs held out, and what judges them. */
export interface DpoMeasureOptions {
  readonly engine: Engine;
  readonly objective: Dpo;
  /** Of the model in training, frozen ones included. */
  readonly weights: Weights;
  readonly pairs: readonly PreferenceRows[];
  /** ln π_ref of the sides, in the order of `sidesOf`; needed unless the objective is free of a reference. */
  readonly reference?: ArrayLike<number>;
}

/** Measures what DPO takes for rewards on pairs held out: β · (ln π − ln π_ref). */
export function dpoMeasure({ engine, objective, weights, pairs, reference }: DpoMeasureOptions): Measure {
  const { model, options } = objective;
  const sides = sidesOf(pairs);
  const program = logProbProgram(engine, { model, weights });
  return new PairMeasure(program, pairs, (lines) => {
    const ratios = sumLines(lines).map((sum, i) => sum - (options.referenceFree ? 0 : reference![i]!));
    const lossNats =
      options.kind === "sigmoid"
        ? bradleyTerry(ratios.map((ratio) => options.beta * ratio))
        : identityPreference(
            ratios.map((ratio, i) => ratio / numLearnt(sides[i]!)),
            options.beta,
          );
    return { rewards: ratios.map((ratio) => options.beta * ratio), lossNats };
  });
}

/** Measures a reward model on pairs held out. */
export function rewardMeasure(
  engine: Engine,
  model: RewardModel,
  weights: Weights,
  pairs: readonly PreferenceRows[],
): Measure {
  return new PairMeasure(model.program(engine, weights), pairs, (lines) => {
    const rewards = sumLines(lines);
    return { rewards, lossNats: bradleyTerry(rewards) };
  });
}

class PairMeasure implements Measure {
  readonly #program: RowProgram;
  readonly #pairs: readonly PreferenceRows[];
  readonly #judge: (lines: readonly Float32Array[]) => { rewards: Float32Array; lossNats: number };

  constructor(
    program: RowProgram,
    pairs: readonly PreferenceRows[],
    judge: (lines: readonly Float32Array[]) => { rewards: Float32Array; lossNats: number },
  ) {
    this.#program = program;
    this.#pairs = pairs;
    this.#judge = judge;
  }

  async run(): Promise<ValidationResult> {
    const { rewards, lossNats } = this.#judge(await this.#program.run(sidesOf(this.#pairs)));
    checkFiniteLoss(lossNats);
    const { accuracy, standardError, chosenReward, rejectedReward, margin } = judgePairs(rewards);
    return {
      metric: "pair accuracy",
      value: accuracy,
      higherIsBetter: true,
      standardError,
      others: { "reward chosen": chosenReward, "reward rejected": rejectedReward, margin },
      lossNats,
      numTokens: this.#pairs.length,
    };
  }

  dispose(): void {
    this.#program.dispose();
  }
}

/** Mean of −ln σ(chosen − rejected), without overflow. */
function bradleyTerry(rewards: Float32Array): number {
  return meanOfPairs(rewards, (lead) => Math.max(0, -lead) + Math.log1p(Math.exp(-Math.abs(lead))));
}

function identityPreference(rewards: Float32Array, beta: number): number {
  return meanOfPairs(rewards, (lead) => (lead - 1 / (2 * beta)) ** 2);
}

function meanOfPairs(rewards: Float32Array, loss: (lead: number) => number): number {
  let sum = 0;
  for (let i = 0; i < rewards.length; i += 2) sum += loss(rewards[i]! - rewards[i + 1]!);
  return sum / (rewards.length / 2);
}
