import { DataError } from "../core/errors.ts";
import type { Weights } from "../core/weights.ts";
import type { TokenDataset } from "../data/token-dataset.ts";
import { validationWindows } from "../data/validation-windows.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import { bitsPerByte } from "../eval/bits-per-byte.ts";
import type { CausalLM } from "../models/contracts.ts";
import { checkFiniteLoss } from "./check-loss.ts";
import { batchFeeds, languageModelLoss } from "./language-model-loss.ts";
import type { BatchShape, Measure, ValidationResult } from "./objective.ts";
import type { TextQuality } from "./quality.ts";
import { sliceSize } from "./slices.ts";
import { bindWeights, compileOver } from "./weighted-program.ts";

/** Text held out: its tokens, and how many UTF-8 bytes they stand for. */
export interface HeldOut {
  readonly datasets: readonly TokenDataset[];
  readonly bytes: number;
  /** The document separator: not text, so not scored. */
  readonly endOfTextId: number;
}

/** Scores the whole of the held-out text: every token once, each with at least half a window before it. */
export class Validation implements Measure {
  readonly #program: Program;
  readonly #shape: BatchShape;
  readonly #heldOut: HeldOut;

  /** @param weights by parameter path; those in memory are read anew each time, where they lie */
  constructor(engine: Engine, model: CausalLM, weights: Weights, shape: BatchShape, heldOut: HeldOut) {
    this.#shape = { ...shape, batchSize: sliceSize(model, shape) };
    this.#heldOut = heldOut;
    this.#program = compileOver(
      engine,
      "validation",
      { loss: languageModelLoss(model, this.#shape) },
      weights,
    );
    bindWeights(this.#program, weights);
  }

  /**
   * @throws {DataError} if a dataset has fewer than two tokens, or nothing but separators.
   * @throws {EnvironmentError} if the loss is not finite.
   */
  async run(): Promise<ValidationResult & TextQuality> {
    const { batchSize, contextLength } = this.#shape;
    const { endOfTextId, datasets, bytes } = this.#heldOut;
    let nats = 0;
    let numTokens = 0;
    for (const dataset of datasets) {
      const minContext = Math.max(1, Math.floor(contextLength / 2));
      const options = { minContext, unscoredId: endOfTextId };
      for (const batch of validationWindows(dataset, contextLength, batchSize, options)) {
        const { loss } = await this.#program.run(batchFeeds(batch, this.#shape));
        nats += (loss!.data[0] as number) * batch.numTargets;
        numTokens += batch.numTargets;
      }
    }
    if (numTokens === 0) {
      throw new DataError({ where: "validation split", expected: "text to score", got: "only separators" });
    }
    checkFiniteLoss(nats);
    return { lossNats: nats / numTokens, bitsPerByte: bitsPerByte(nats, bytes), numTokens };
  }

  dispose(): void {
    this.#program.dispose();
  }
}
