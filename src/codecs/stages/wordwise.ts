import { CachedModel, type WordModel, WordTokens } from "./word-model.ts";

const MARK = "▁";
const INNER_MARK = /[^▁]▁/u;

/**
 * A model for text in which every word begins with a mark. If no token holds a mark after another character, none reaches
 * over the border of two words, so they can be taken apart one by one and remembered.
 *
 * @param model  byte-pair encoding: what it does to one side of a border does not depend on the other
 * @param tokens texts of all tokens that merges make
 */
export function wordwise(model: WordModel, tokens: Iterable<string>, hasMark: boolean): WordModel {
  if (!hasMark) return model; // then marks could be part of a longer unknown stretch
  for (const token of tokens) if (INNER_MARK.test(token)) return model;
  return new Wordwise(new CachedModel(model));
}

class Wordwise implements WordModel {
  readonly #model: WordModel;

  constructor(model: WordModel) {
    this.#model = model;
  }

  encodeWord(text: string): WordTokens {
    const tokens = new WordTokens();
    for (let start = 0; start < text.length; ) {
      const end = wordEnd(text, start);
      const word = this.#model.encodeWord(text.slice(start, end));
      for (let i = 0; i < word.ids.length; i++) {
        tokens.add(word.ids[i]!, word.starts[i]! + start, word.ends[i]! + start);
      }
      start = end;
    }
    return tokens;
  }
}

/** The next mark that follows another character. */
function wordEnd(text: string, start: number): number {
  let at = start;
  while (text[at] === MARK) at++;
  const found = text.indexOf(MARK, at);
  return found < 0 ? text.length : found;
}
