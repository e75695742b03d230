import type { Tokenizer } from "../codecs/tokenizer.ts";
import type { TokenDataset } from "../data/token-dataset.ts";
import { bitsPerByte } from "../eval/bits-per-byte.ts";
import { trainNgram } from "../eval/ngram.ts";
import type { TextQuality } from "../train/quality.ts";

/** Training bytes the baseline counts; enough for its score to stop moving. */
const MAX_TRAINING_BYTES = 8_000_000;
const MAX_VALIDATION_BYTES = 2_000_000;
const ORDER = 5;

/** What counting alone achieves: an interpolated byte n-gram over the same training text, scored on the same held-out text. */
export function scoreNgram(
  tokenizer: Tokenizer,
  train: readonly TokenDataset[],
  heldOut: readonly TokenDataset[],
): TextQuality & { readonly label: string } {
  const model = trainNgram(readBytes(tokenizer, train, MAX_TRAINING_BYTES), {
    order: ORDER,
    vocabularySize: 256,
  });
  const text = readBytes(tokenizer, heldOut, MAX_VALIDATION_BYTES);
  return { label: `${ORDER}-gram of bytes`, bitsPerByte: bitsPerByte(model.totalNats(text), text.length) };
}

function readBytes(tokenizer: Tokenizer, datasets: readonly TokenDataset[], limit: number): Uint8Array {
  const bytes = new Uint8Array(limit);
  const window = new Int32Array(4096);
  let length = 0;
  for (const dataset of datasets) {
    for (let at = 0; at < dataset.numTokens && length < limit; at += window.length) {
      const count = Math.min(window.length, dataset.numTokens - at);
      dataset.read(at, count, window);
      for (const id of window.subarray(0, count)) {
        const token = tokenizer.tokenBytes(id);
        if (length + token.length > limit) return bytes.subarray(0, length);
        bytes.set(token, length);
        length += token.length;
      }
    }
  }
  return bytes.subarray(0, length);
}
