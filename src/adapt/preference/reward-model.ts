// Reward models: Ouyang et al. 2022, "Training language models to follow instructions with human feedback", §3.5, eq. 1.
// B sequences · T tokens · C width

import { type HostTensor, hostTensor } from "../../core/dtype.ts";
import { boolean, readFields, real } from "../../core/fields.ts";
import type { Weights } from "../../core/weights.ts";
import type { Engine } from "../../engine/engine.ts";
import type { CausalLM } from "../../models/contracts.ts";
import { filled, normal, type Parameter, Scope } from "../../nn/scope.ts";
import { reachableNodes } from "../../tensor/graph.ts";
import { constant, input, type Tensor } from "../../tensor/tensor.ts";
import type { BatchShape } from "../../train/objective.ts";
import type { TrainingRow } from "../training-row.ts";
import { onePerPair, type PairObjective } from "./preference-examples.ts";
import type { PreferenceRows } from "./preference-rows.ts";
import { rewardLosses } from "./reward-loss.ts";
import { RowProgram } from "./row-program.ts";
import { sumLines } from "./score-rows.ts";

/** Where the bias of rewards is among a reward model's weights. */
export const BIAS_PATH = "score.bias";

/** Deviation of the head's first weights; that of Hugging Face's models. */
const DEVIATION = 0.02;

/** What a reward model of pairs is trained with. */
export interface RewardOptions {
  /** Weight of (rᵂ + rᴸ)², which keeps rewards about zero. Default 0: none. */
  readonly centring: number;
  /** Whether pairs have margins. Default false. */
  readonly margins: boolean;
}

/**
 * A decoder with a head that says how good a text is: one number, from the hidden state of its last token. The head's weight
 * is `score.weight`, as in Hugging Face's classifiers; `score.bias` is not trained, since no comparison tells anything about
 * it, but set: see {@link centringBias}.
 */
export class RewardModel {
  readonly body: CausalLM;
  /** Of the body, without what only scores the next token, and `score.weight`. */
  readonly parameters: readonly Parameter[];
  readonly #weight: Parameter;
  readonly #bias: Parameter;

  constructor(body: CausalLM) {
    const scope = new Scope("score");
    this.body = body;
    this.#weight = scope.parameter("weight", [1, body.shape.width], normal(DEVIATION), { sumAxis: 1 });
    this.#bias = scope.parameter("bias", [1], filled(0));
    const nodes = new Set(reachableNodes([body.hidden(input("tokens", "int32", [1, 1]))]));
    const read = body.parameters.filter(({ tensor }) => nodes.has(tensor.node));
    this.parameters = [...read, this.#weight];
  }

  /** What is trained where the body is left as it is. */
  get head(): Parameter {
    return this.#weight;
  }

  get shape(): CausalLM["shape"] {
    return this.body.shape;
  }

  /** Rewards `(B)` without the bias, over inputs `tokens` `(B, T)` and `last` `(B)`, the place of each text's last token. */
  scores({ batchSize: B, contextLength: T }: BatchShape): Tensor {
    const hidden = this.body.hidden(input("tokens", "int32", [B, T])); // (B, T, C)
    const starts = Int32Array.from({ length: B }, (_, row) => row * T);
    const places = input("last", "int32", [B]).add(constant(hostTensor("int32", [B], starts)));
    const last = hidden.reshape([B * T, this.shape.width]).gatherRows(places); // (B, C)
    return last.matmul(this.#weight.tensor, { transposeB: true }).reshape([B]);
  }

  /** A program that computes rewards of rows; with the bias, where the weights have one. */
  program(engine: Engine, weights: Weights): RowProgram {
    const hasBias = weights.has(BIAS_PATH);
    return new RowProgram(engine, weights, {
      name: "rewards",
      shape: this.shape,
      output: (shape) => (hasBias ? this.scores(shape).add(this.#bias.tensor) : this.scores(shape)),
    });
  }
}

/** A decoder with a head is trained to give the chosen sides of pairs the higher reward. */
export class RewardModelling implements PairObjective {
  readonly model: RewardModel;
  readonly options: RewardOptions;

  /** @throws {ConfigError} if an option is out of range. */
  constructor(model: RewardModel, options: Partial<RewardOptions> = {}) {
    this.model = model;
    this.options = readFields<RewardOptions>(
      "reward",
      { centring: real(0, 1e3, 0), margins: boolean(false) },
      options,
    );
  }

  get inputNames(): readonly string[] {
    return this.options.margins ? ["tokens", "last", "margin"] : ["tokens", "last"];
  }

  countTargets(sides: readonly TrainingRow[]): Readonly<Record<string, readonly number[]>> {
    const counts = onePerPair(sides);
    return { preference: counts, ...(this.options.centring > 0 && { centring: counts }) };
  }

  losses(shape: BatchShape, labelSmoothing: number): Record<string, Tensor> {
    const { centring, margins } = this.options;
    const numPairs = shape.batchSize / 2;
    const margin = margins
      ? input("margin", "float32", [shape.batchSize]).reshape([numPairs, 2]).slice(1, 0, 1).squeeze(1)
      : undefined;
    return { ...rewardLosses(this.model.scores(shape), { labelSmoothing, centring, margin }) };
  }
}

/**
 * The bias that moves a trained reward model's scale so that the chosen sides of these pairs have a mean of 0: the value of
 * `score.bias`.
 *
 * @example
 * const centred = new Map([...weights, [BIAS_PATH, await centringBias(engine, model, weights, pairs)]]);
 */
export async function centringBias(
  engine: Engine,
  model: RewardModel,
  weights: Weights,
  pairs: readonly PreferenceRows[],
): Promise<HostTensor> {
  const unbiased = new Map([...weights].filter(([path]) => path !== BIAS_PATH));
  const program = model.program(engine, unbiased);
  try {
    const rewards = sumLines(await program.run(pairs.map(({ chosen }) => chosen)));
    const mean = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
    return hostTensor("float32", [1], Float32Array.of(-mean));
  } finally {
    program.dispose();
  }
}
