// B sequences · T tokens

import { integer, oneOf, readFields, real } from "../../core/fields.ts";
import type { CausalLM } from "../../models/contracts.ts";
import { input, type Tensor } from "../../tensor/tensor.ts";
import type { BatchShape, Objective } from "../../train/objective.ts";
import type { AdvantageScale } from "./advantages.ts";
import { modelLogProbs, refuseSmoothing } from "./completion-log-probs.ts";
import { divergenceLoss, type GrpoLossOptions, policyLoss } from "./grpo-loss.ts";

/** What GRPO does; see {@link GrpoLossOptions} for the rest. */
export interface GrpoOptions extends GrpoLossOptions {
  /** Weight of the divergence from the reference; 0, the default: there is no reference. */
  readonly beta: number;
  readonly scale: AdvantageScale;
  /** Divides the scores, both where texts are drawn and where they are scored. Default 1. */
  readonly temperature: number;
}

/**
 * Checks the options of GRPO and fills in the defaults, which are those of trl 1.16: `dapo`, ε 0.2, no divergence, 256 tokens.
 *
 * @throws {ConfigError} if a key is unknown or out of range.
 */
export function grpoOptions(given: Partial<GrpoOptions> = {}): GrpoOptions {
  return readFields<GrpoOptions>(
    "grpo",
    {
      aggregation: oneOf(["dapo", "grpo", "dr_grpo"], "dapo"),
      clip: real(1e-6, 0.999, 0.2),
      maxTokens: integer(1, 2 ** 20, 256),
      beta: real(0, 1e3, 0),
      scale: oneOf(["group", "batch", "none"], "group"),
      temperature: real(1e-3, 1e3, 1),
    },
    given,
  );
}

/**
 * A decoder is trained to write what is rewarded: group relative policy optimisation. Its examples are texts that it has
 * written itself; see `GrpoStream`.
 *
 * @see Shao et al. 2024, §4.1
 */
export class Grpo implements Objective {
  readonly model: CausalLM;
  readonly options: GrpoOptions;

  /** @throws {ConfigError} if an option is out of range. */
  constructor(model: CausalLM, options: Partial<GrpoOptions> = {}) {
    this.model = model;
    this.options = grpoOptions(options);
  }

  /** Whether a reference is needed. */
  get hasReference(): boolean {
    return this.options.beta > 0;
  }

  losses(shape: BatchShape, labelSmoothing: number): Record<string, Tensor> {
    refuseSmoothing("GRPO", labelSmoothing);
    const { batchSize: B, contextLength: T } = shape;
    const policy = modelLogProbs(this.model, shape, this.options.temperature);
    const drawn = {
      advantages: input("advantages", "float32", [B]),
      oldLogProbs: input("oldLogProbs", "float32", [B, T]),
    };
    const improvement = policyLoss(policy, drawn, this.options);
    if (!this.hasReference) return { policy: improvement };
    const reference = input("referenceLogProbs", "float32", [B, T]);
    const divergence = divergenceLoss(policy, reference, this.options).mul(this.options.beta);
    return { policy: improvement, divergence };
  }
}
