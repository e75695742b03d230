// B sequences, of each pair the chosen one and then the rejected · T tokens

import { boolean, oneOf, readFields, real } from "../../core/fields.ts";
import type { CausalLM } from "../../models/contracts.ts";
import { input, type Tensor } from "../../tensor/tensor.ts";
import type { BatchShape } from "../../train/objective.ts";
import { numLearnt, type TrainingRow } from "../training-row.ts";
import { modelLogProbs } from "./completion-log-probs.ts";
import { chosenLoss, type DpoLossOptions, dpoLoss } from "./dpo-loss.ts";
import { onePerPair, type PairObjective } from "./preference-examples.ts";

/** What DPO does; see {@link DpoLossOptions} for the rest. */
export interface DpoOptions extends DpoLossOptions {
  /** Lets the reference find all texts equally likely, so that none is needed. Default false. */
  readonly referenceFree: boolean;
  /**
   * Weight of a second loss, the mean nats of a chosen token. It holds the chosen sides up: what the first loss wants is only that the others are
   * less likely still (Pang et al. 2024, "Iterative reasoning preference optimization", eq. 2). Default 0: none.
   */
  readonly supervised: number;
}

/**
 * Checks the options of DPO and fills in the defaults: `sigmoid`, β 0.1, with a reference.
 *
 * @throws {ConfigError} if a key is unknown or out of range.
 */
export function dpoOptions(given: Partial<DpoOptions> = {}): DpoOptions {
  return readFields<DpoOptions>(
    "dpo",
    {
      kind: oneOf(["sigmoid", "ipo"], "sigmoid"),
      beta: real(1e-6, 1e3, 0.1),
      referenceFree: boolean(false),
      supervised: real(0, 1e3, 0),
    },
    given,
  );
}

/**
 * A decoder is trained to prefer the chosen completions to the rejected ones without leaving a reference too far behind: direct preference
 * optimisation. The label smoothing of a run is the share of pairs thought to be the wrong way round.
 *
 * What the reference makes of the pairs never changes, so it is computed once and fed: see `completionScores`.
 *
 * @see Rafailov et al. 2023, eq. 7
 */
export class Dpo implements PairObjective {
  readonly model: CausalLM;
  readonly options: DpoOptions;

  /** @throws {ConfigError} if an option is out of range. */
  constructor(model: CausalLM, options: Partial<DpoOptions> = {}) {
    this.model = model;
    this.options = dpoOptions(options);
  }

  get inputNames(): readonly string[] {
    return this.options.referenceFree ? ["tokens", "targets"] : ["tokens", "targets", "reference"];
  }

  countTargets(sides: readonly TrainingRow[]): Readonly<Record<string, readonly number[]>> {
    const counts = sides.map((row, i) => (i % 2 === 0 ? numLearnt(row) : 0));
    return {
      preference: onePerPair(sides),
      ...(this.options.supervised > 0 && { supervised: counts }),
    };
  }

  losses(shape: BatchShape, labelSmoothing: number): Record<string, Tensor> {
    const { referenceFree, supervised } = this.options;
    const policy = modelLogProbs(this.model, shape);
    const reference = referenceFree ? undefined : input("reference", "float32", [shape.batchSize]);
    return {
      preference: dpoLoss(policy, reference, this.options, labelSmoothing),
      ...(supervised > 0 && { supervised: chosenLoss(policy).mul(supervised) }),
    };
  }
}
