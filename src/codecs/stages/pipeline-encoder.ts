import { AddedTokens } from "../added-tokens.ts";
import { emptyPieces, type Pieces } from "../encoded-input.ts";
import type { TextEncoder } from "../pipeline-tokenizer.ts";
import type { AddedToken } from "../tokenizer-json.ts";
import { requireWellFormed } from "../utf8.ts";
import { AlignedText } from "./aligned-text.ts";
import type { Normalizer } from "./normalizers.ts";
import type { PreTokenizer } from "./pre-tokenizers.ts";
import { CachedModel, type WordModel } from "./word-model.ts";

/** The stages that text goes through. */
export interface Stages {
  readonly added: readonly AddedToken[];
  readonly normalize: Normalizer;
  readonly split: PreTokenizer;
  readonly model: WordModel;
}

/** Text to tokens in stages: added tokens are cut out, the rest is normalized, cut into words, taken apart. */
export class PipelineEncoder implements TextEncoder {
  readonly #stages: Stages;
  readonly #model: WordModel;
  /** Added tokens that are looked for in the text as it is, and those looked for after normalization. */
  readonly #raw: AddedTokens;
  readonly #normalized: AddedTokens;

  constructor(stages: Stages) {
    this.#stages = stages;
    this.#model = new CachedModel(stages.model);
    this.#raw = new AddedTokens(stages.added.filter(({ normalized }) => !normalized));
    const normalized = stages.added.filter((token) => token.normalized);
    this.#normalized = new AddedTokens(
      normalized.map((token) => ({
        ...token,
        content: stages.normalize(new AlignedText(token.content, true)).text,
      })),
    );
  }

  encode(text: string, marked: boolean): Uint32Array {
    return Uint32Array.from(this.#run(text, marked, false).ids);
  }

  encodePieces(text: string, marked: boolean): Pieces {
    return this.#run(text, marked, true);
  }

  #run(text: string, marked: boolean, isTracked: boolean): Pieces {
    requireWellFormed(text);
    const pieces = emptyPieces();
    for (const { start, end, id } of this.#raw.split(text, marked)) {
      if (id !== undefined) {
        pieces.ids.push(id);
        pieces.starts.push(start);
        pieces.ends.push(end);
        continue;
      }
      const part = text.slice(start, end);
      const aligned = isTracked ? AlignedText.tracked(part, start) : new AlignedText(part, start === 0);
      this.#encodePart(this.#stages.normalize(aligned), marked, pieces);
    }
    return pieces;
  }

  #encodePart(part: AlignedText, marked: boolean, pieces: Pieces): void {
    for (const { start, end, id } of this.#normalized.split(part.text, marked)) {
      const stretch = part.slice(start, end);
      if (id !== undefined) {
        pieces.ids.push(id);
        addOffsets(pieces, stretch, 0, end - start);
        continue;
      }
      for (const word of this.#stages.split(stretch)) {
        const { ids, starts, ends } = this.#model.encodeWord(word.text);
        for (let i = 0; i < ids.length; i++) {
          pieces.ids.push(ids[i]!);
          addOffsets(pieces, word, starts[i]!, ends[i]!);
        }
      }
    }
  }
}

/** Where in the original `[start, end)` of a text came from. */
function addOffsets(pieces: Pieces, text: AlignedText, start: number, end: number): void {
  if (!text.starts || !text.ends) return;
  pieces.starts.push(text.starts[start] ?? 0);
  pieces.ends.push(text.ends[end - 1] ?? 0);
}
