import type { EncodedInput } from "../codecs/encoded-input.ts";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError, DataError } from "../core/errors.ts";
import { largest, softmax } from "../core/largest.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import type { EncoderBatch } from "./encoder-batch.ts";
import type { EncoderModel, EncoderText } from "./encoder-model.ts";

// B texts · T tokens · N masks · C width · V vocabulary

export interface FillMaskOptions {
  /** Candidates for each mask; default 5. */
  readonly topK?: number | undefined;
  /** Only these words are candidates; each must be one token. */
  readonly targets?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What may stand behind a mask. */
export interface MaskCandidate {
  readonly tokenId: number;
  readonly token: string;
  readonly probability: number;
  /** The text with this in place of the mask; other masks stay. Absent for texts given as ids. */
  readonly text?: string;
}

/** One mask, with its candidates from the likeliest on. */
export interface FilledMask {
  /** Which token of the text it is, special tokens counted. */
  readonly place: number;
  readonly candidates: readonly MaskCandidate[];
}

/**
 * What may stand behind each mask of each text.
 *
 * @returns for each text, its masks in order
 * @throws {ConfigError} if the model has no head for it, or a target is not one token.
 * @throws {DataError} if a text has no mask, or is longer than the model reads.
 * @example
 * const [[mask]] = await fillMask(model, ["Paris is the [MASK] of France."]);
 * mask.candidates[0].token; // "capital"
 */
export async function fillMask(
  model: EncoderModel,
  texts: readonly EncoderText[],
  { topK = 5, targets, signal }: FillMaskOptions = {},
): Promise<FilledMask[][]> {
  if (!Number.isSafeInteger(topK) || topK < 1) {
    throw new ConfigError({ where: "topK", expected: "an integer ≥ 1", got: `${topK}` });
  }
  const logits = model.head("maskedLogits", "masked tokens");
  const maskId = readMaskId(model);
  const ids = targets?.map((target) => targetId(model, target));
  const items = model.encode(texts, { marked: true });
  const masks = items.map((item, i) => findMasks(model, item, maskId, i));
  const filled: FilledMask[][] = texts.map(() => []);
  const use = ({ scores }: Readonly<Record<string, HostTensor>>, { places }: EncoderBatch) => {
    let row = 0;
    const V = scores!.shape[1]!;
    for (const text of places) {
      for (const place of masks[text]!) {
        const probabilities = softmax((scores!.data as Float32Array).subarray(row * V, ++row * V));
        const best = ids
          ? largest(
              ids.map((id) => probabilities[id]!),
              topK,
            ).map((i) => ids[i]!)
          : largest(probabilities, topK);
        const candidates = best.map((id) => candidate(model, { id, place }, texts[text]!, items[text]!));
        filled[text]!.push({
          place,
          candidates: candidates.map((one) => ({ ...one, probability: probabilities[one.tokenId]! })),
        });
      }
    }
  };
  const build = (hidden: Tensor) => {
    const [B, T, C] = hidden.shape;
    const rows = hidden.reshape([`${B}·${T}`, C!]).gatherRows(input("masks", "int32", ["N"])); // (N, C)
    return { scores: logits(rows) }; // (N, V)
  };
  const feed = ({ places, length }: EncoderBatch) => {
    const rows = places.flatMap((text, row) => masks[text]!.map((place) => row * length + place));
    return { masks: { dtype: "int32", shape: [rows.length], data: Int32Array.from(rows) } } as const;
  };
  await model.run({ name: "fill masks", build }, items, use, { signal, feed });
  return filled;
}

function readMaskId({ tokenizer, loaded }: EncoderModel): number {
  const { mask } = tokenizer.specials;
  if (mask !== undefined) return mask;
  const expected = "a tokenizer with a mask token";
  throw new ConfigError({ where: loaded.directory, expected, got: "one without" });
}

function findMasks(
  { tokenizer }: EncoderModel,
  { ids }: EncodedInput,
  maskId: number,
  index: number,
): number[] {
  const places = Array.from(ids).flatMap((id, place) => (id === maskId ? [place] : []));
  if (places.length > 0) return places;
  const expected = `a text with ${tokenizer.tokenText(maskId)} in it`;
  throw new DataError({ where: `text ${index + 1}`, expected, got: "one without" });
}

/** A word's id; word pieces may also be given as the vocabulary spells them, such as `##ing`. */
function targetId({ tokenizer }: EncoderModel, target: string): number {
  const known = tokenizer.idOf(target);
  if (known !== undefined) return known;
  const ids = tokenizer.encode(target);
  if (ids.length === 1 && ids[0] !== tokenizer.specials.unk) return ids[0]!;
  const pieces = Array.from(ids, (id) => tokenizer.tokenText(id)).join(" ");
  throw new ConfigError({
    where: `target ${JSON.stringify(target)}`,
    expected: "a word that is one token",
    got: `${ids.length}: ${pieces}`,
  });
}

interface Filling {
  readonly id: number;
  readonly place: number;
}

function candidate(
  { tokenizer }: EncoderModel,
  { id, place }: Filling,
  text: EncoderText,
  { offsets, sources }: EncodedInput,
): Omit<MaskCandidate, "probability"> {
  const token = tokenizer.decode([id], { skipSpecial: false });
  if (typeof text === "object" && "ids" in text) return { tokenId: id, token };
  const [start, end] = offsets[place]!;
  const whole = typeof text === "string" ? text : text[sources[place] === 1 ? 1 : 0];
  const isPiece = /^##./.test(tokenizer.tokenText(id));
  // A piece goes on with the word before it.
  const before = isPiece ? whole.slice(0, start).trimEnd() : whole.slice(0, start);
  const filling = isPiece ? tokenizer.tokenText(id).slice(2) : token.trim();
  return { tokenId: id, token, text: before + filling + whole.slice(end) };
}
