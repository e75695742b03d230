import type { Random } from "../core/random.ts";

/** What masking has to know of a vocabulary. */
export interface MaskingVocabulary {
  readonly size: number;
  readonly padId: number;
  readonly clsId: number;
  readonly sepId: number;
  readonly maskId: number;
  /** Never masked, and never put in place of a token. */
  readonly specialIds: ReadonlySet<number>;
}

/** How tokens are chosen to be predicted. */
export interface MaskingRules {
  readonly vocabulary: MaskingVocabulary;
  /** Share of the tokens, special ones not counted. */
  readonly fraction: number;
  /**
   * Whether a token belongs to the word of the one before it. Given, whole words are chosen; a word that would exceed the
   * share is passed over.
   */
  readonly continuesWord?: (previous: number, id: number) => boolean;
}

/** How many of `count` tokens are chosen: the rounded share, and at least one where there are any. */
export function numChosen(count: number, fraction: number): number {
  return count === 0 ? 0 : Math.max(1, Math.round(fraction * count));
}

/**
 * Chooses the tokens of a text to predict, uniformly: ascending positions.
 *
 * @see Devlin et al. 2019, §3.1 and app. A.1; whole words: the note of May 2019 in the released code
 */
export function chooseMasked(tokens: Int32Array, rules: MaskingRules, random: Random): number[] {
  const { vocabulary, fraction, continuesWord } = rules;
  const words: number[][] = [];
  let count = 0;
  for (const [at, id] of tokens.entries()) {
    if (vocabulary.specialIds.has(id)) continue;
    count++;
    const word = words.at(-1);
    const continues = word?.at(-1) === at - 1 && continuesWord?.(tokens[at - 1]!, id);
    if (continues) word!.push(at);
    else words.push([at]);
  }
  const wanted = numChosen(count, fraction);
  const chosen: number[] = [];
  // The first places of a Fisher–Yates shuffle, as many as it takes.
  for (let i = 0; i < words.length && chosen.length < wanted; i++) {
    const j = i + random.integer(words.length - i);
    const word = words[j]!;
    words[j] = words[i]!;
    if (chosen.length + word.length <= wanted) chosen.push(...word);
  }
  return chosen.sort((a, b) => a - b);
}

/** Puts `[MASK]` in place of the chosen tokens, in 8 of 10 cases; else leaves the token, or puts a random one there. */
export function disguise(
  tokens: Int32Array,
  chosen: readonly number[],
  { size, maskId, specialIds }: MaskingVocabulary,
  random: Random,
): void {
  for (const at of chosen) {
    const draw = random.uniform();
    if (draw < 0.8) {
      tokens[at] = maskId;
    } else if (draw < 0.9) {
      let id = random.integer(size);
      while (specialIds.has(id)) id = random.integer(size);
      tokens[at] = id;
    }
  }
}
