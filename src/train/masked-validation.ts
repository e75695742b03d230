import { DataError } from "../core/errors.ts";
import type { Weights } from "../core/weights.ts";
import { NO_LABEL } from "../data/masked-rows.ts";
import type { MaskedOptions } from "../data/masked-sampler.ts";
import { maskedWindows } from "../data/masked-windows.ts";
import type { TokenDataset } from "../data/token-dataset.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import type { Encoder } from "../models/contracts.ts";
import { input } from "../tensor/tensor.ts";
import { checkFiniteLoss } from "./check-loss.ts";
import { maskedFeeds, maskedScores } from "./masked-loss.ts";
import type { BatchShape, Measure, ValidationResult } from "./objective.ts";
import type { MaskedQuality } from "./quality.ts";
import { sliceSize } from "./slices.ts";
import { bindWeights, compileOver } from "./weighted-program.ts";

/** What a measurement adds up. */
interface Tally {
  nats: number;
  right: number;
  count: number;
  pairsRight: number;
  pairs: number;
}

/**
 * Fills in tokens hidden throughout the held-out text, the same ones each time, all of them as `[MASK]`: the share that is
 * right at the first guess.
 */
export class MaskedValidation implements Measure {
  readonly #program: Program;
  readonly #shape: BatchShape;
  readonly #options: MaskedOptions;
  readonly #datasets: readonly TokenDataset[];

  /** @param weights by parameter path; those in memory are read anew each time, where they lie */
  constructor(
    engine: Engine,
    encoder: Encoder,
    weights: Weights,
    measured: {
      readonly shape: BatchShape;
      readonly options: MaskedOptions;
      readonly datasets: readonly TokenDataset[];
    },
  ) {
    this.#shape = { ...measured.shape, batchSize: sliceSize(encoder, measured.shape) };
    this.#options = measured.options;
    this.#datasets = measured.datasets;
    const { masked, nextSentence } = maskedScores(encoder, this.#shape, this.#options);
    const labels = input("labels", "int32", [masked.shape[0]!]);
    const outputs = {
      loss: masked.crossEntropy(labels, { ignoredLabel: NO_LABEL }),
      guesses: masked.argmax(1),
      ...(nextSentence && { nextSentence: nextSentence.argmax(1) }),
    };
    this.#program = compileOver(engine, "validation", outputs, weights);
    bindWeights(this.#program, weights);
  }

  /**
   * @param shuffled the control: with the tokens of each window in random order
   * @throws {DataError} if there is nothing to hide.
   * @throws {EnvironmentError} if the loss is not finite.
   */
  async run(shuffled = false): Promise<ValidationResult & MaskedQuality> {
    const tally: Tally = { nats: 0, right: 0, count: 0, pairsRight: 0, pairs: 0 };
    for (const dataset of this.#datasets) await this.#add(tally, dataset, shuffled);
    const { nats, right, count, pairsRight, pairs } = tally;
    if (count === 0) {
      throw new DataError({ where: "validation split", expected: "text to hide tokens of", got: "none" });
    }
    checkFiniteLoss(nats);
    const maskedAccuracy = right / count;
    return {
      lossNats: nats / count,
      maskedAccuracy,
      standardError: Math.sqrt((maskedAccuracy * (1 - maskedAccuracy)) / count),
      ...(pairs > 0 && { nextSentenceAccuracy: pairsRight / pairs }),
      numTokens: count,
    };
  }

  dispose(): void {
    this.#program.dispose();
  }

  async #add(tally: Tally, dataset: TokenDataset, shuffled: boolean): Promise<void> {
    for (const batch of maskedWindows(dataset, { ...this.#options, ...this.#shape, shuffled })) {
      const { labels, isRandom } = batch;
      const numTargets = labels.reduce((n, label) => n + Number(label !== NO_LABEL), 0);
      const feed = { dtype: "int32", shape: [labels.length], data: labels } as const;
      const { loss, guesses, nextSentence } = await this.#program.run({
        ...maskedFeeds(batch),
        labels: feed,
      });
      tally.nats += (loss!.data[0] as number) * numTargets;
      tally.count += numTargets;
      labels.forEach((label, i) => {
        tally.right += Number(Number(guesses!.data[i]) === label);
      });
      if (!nextSentence) continue;
      isRandom.forEach((label, row) => {
        tally.pairs += Number(label !== NO_LABEL);
        tally.pairsRight += Number(Number(nextSentence.data[row]) === label);
      });
    }
  }
}
