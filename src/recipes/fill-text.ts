import type { Tokenizer } from "../codecs/tokenizer.ts";
import type { Weights } from "../core/weights.ts";
import { NO_LABEL } from "../data/masked-rows.ts";
import type { MaskedOptions } from "../data/masked-sampler.ts";
import { maskedWindows } from "../data/masked-windows.ts";
import type { TokenDataset } from "../data/token-dataset.ts";
import type { Engine } from "../engine/engine.ts";
import type { Encoder } from "../models/contracts.ts";
import { maskedFeeds, maskedScores } from "../train/masked-loss.ts";

/** Tokens of a sample, at most. */
const SAMPLE_TOKENS = 64;

/** Stands for a hidden token. */
const HIDDEN = "▁";

/** What a sample is made of. */
export interface FillOptions {
  readonly engine: Engine;
  readonly model: Encoder;
  readonly tokenizer: Tokenizer;
  readonly masking: MaskedOptions;
  readonly contextLength: number;
  readonly heldOut: readonly TokenDataset[];
}

/** The beginning of the held-out text with tokens hidden, and as the weights fill it in. */
export async function fillText(
  { engine, model, tokenizer, masking, contextLength, heldOut }: FillOptions,
  weights: Weights,
): Promise<{ prompt: string; text: string }> {
  const shape = { batchSize: 1, contextLength };
  const options = { ...masking, ...shape };
  const [batch] = maskedWindows(heldOut[0]!, options);
  const scores = maskedScores(model, shape, masking).masked;
  const program = engine.compile("sample", { guesses: scores.argmax(1) }, { constants: weights });
  try {
    const { guesses } = await program.run(maskedFeeds(batch!));
    const filled = batch!.tokens.slice();
    for (const [i, at] of batch!.positions.entries()) {
      if (batch!.labels[i] !== NO_LABEL) filled[at] = Number(guesses!.data[i]);
    }
    const shown = (tokens: Int32Array) => show(tokens.subarray(0, SAMPLE_TOKENS), tokenizer, masking);
    return { prompt: `${shown(batch!.tokens)} `, text: `→ ${shown(filled)}` };
  } finally {
    program.dispose();
  }
}

/** Text of ids, in stretches between the hidden ones. */
function show(tokens: Int32Array, tokenizer: Tokenizer, { vocabulary }: MaskedOptions): string {
  const stretches: number[][] = [[]];
  for (const id of tokens) {
    if (id === vocabulary.maskId) stretches.push([]);
    else stretches.at(-1)!.push(id);
  }
  return stretches.map((ids) => tokenizer.decode(ids)).join(HIDDEN);
}
