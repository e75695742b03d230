import type { EncodedInput } from "../../codecs/encoded-input.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { DataError } from "../../core/errors.ts";
import type { QuestionAnswer, Tokens } from "../../data/rows/examples.ts";
import { type Fit, fitContext, type LongRows } from "../../data/rows/fit-context.ts";
import type { Row } from "../../data/rows/load-examples.ts";
import type { AnswerTarget, AskedQuestion } from "./answer-kind.ts";
import { type QuestionWindowOptions, questionWindows } from "./answer-spans.ts";
import type { TagTarget } from "./tag-kind.ts";
import type { TaskRow } from "./task-kind.ts";

/** How examples become ids. */
export interface EncodeTaskOptions {
  readonly tokenizer: Tokenizer;
  /** Most tokens, special ones included. */
  readonly contextLength: number;
  /** What becomes of longer ones; of those that are cut, the beginning stays. */
  readonly longRows: LongRows;
}

/**
 * Texts, or pairs of texts, with what is to be said of each.
 *
 * @throws {DataError} if one is longer than the context and nothing was said about such.
 */
export function textRows<E extends { readonly text: string; readonly pair?: string }, T>(
  rows: readonly Row<E>[],
  targetOf: (example: E) => T,
  { tokenizer, contextLength, longRows }: EncodeTaskOptions,
): Fit<TaskRow<T>> {
  const encoded = rows.map(({ example, where }) => {
    const { text, pair } = example;
    const input = tokenizer.encodeInput(text, pair);
    const shown = pair === undefined ? text : `${text} ⏎ ${pair}`;
    return { ...rowOf(input, targetOf(example), shown, where), example };
  });
  return fitContext(encoded, contextLength, longRows, (row) => {
    const { text, pair } = row.example;
    const options = { maxLength: contextLength, truncate: "longest-first" } as const;
    return { ...row, ...rowOf(tokenizer.encodeInput(text, pair, options), row.target, row.text, row.where) };
  });
}

/**
 * Words with tags, joined by single spaces. A word's first token carries its tag; words that are cut off, or of which the tokenizer
 * leaves nothing, have none.
 *
 * @param labels all tags, in order of their numbers
 * @throws {DataError} if a text is longer than the context and nothing was said about such, or a tag is unknown.
 */
export function tagRows(
  rows: readonly Row<Tokens>[],
  labels: readonly string[],
  { tokenizer, contextLength, longRows }: EncodeTaskOptions,
): Fit<TaskRow<TagTarget>> {
  const numberOf = new Map(labels.map((label, i) => [label, i]));
  const encoded = rows.map(({ example, where }) => {
    const tags = example.tags.map((tag) => {
      const number = numberOf.get(tag);
      if (number !== undefined) return number;
      const expected = `one of the ${labels.length} tags seen in training`;
      throw new DataError({ where: `${where} tags`, expected, got: JSON.stringify(tag) });
    });
    const input = tokenizer.encodeInput(example.tokens.join(" "));
    const target = targetOf(input, example.tokens, tags);
    return { ...rowOf(input, target, example.tokens.join(" "), where), words: example.tokens, tags };
  });
  return fitContext(encoded, contextLength, longRows, (row) => {
    const options = { maxLength: contextLength, truncate: "longest-first" } as const;
    const input = tokenizer.encodeInput(row.text, undefined, options);
    return { ...row, ...rowOf(input, targetOf(input, row.words, row.tags), row.text, row.where) };
  });
}

/**
 * Questions with their contexts, in windows that overlap where a context is long. A window that does not have the whole of the (first)
 * answer in it points at `[CLS]`, so that its scores of answers are kept low.
 *
 * @throws {DataError} if a question leaves no room for its context, or the tokenizer has no `[CLS]`.
 */
export function answerRows(
  rows: readonly Row<QuestionAnswer>[],
  tokenizer: Tokenizer,
  options: QuestionWindowOptions,
): TaskRow<AnswerTarget>[] {
  return rows.flatMap(({ example, where }) => {
    const { question, context, answers } = example;
    const asked: AskedQuestion = { question, context, right: answers.map(({ text }) => text) };
    const [first] = answers;
    return questionWindows(tokenizer, example, options, where).map((window) => {
      if (window.ids[0] !== tokenizer.specials.cls) {
        const expected = "a tokenizer that begins texts with [CLS], where windows without the answer point";
        throw new DataError({ where, expected, got: "another" });
      }
      const span = first && placesOf(window, first.start, first.start + first.text.length);
      const target = { window, asked, ...(span ?? { start: 0, end: 0 }) };
      return rowOf(window, target, question, where);
    });
  });
}

function rowOf<T>(input: EncodedInput, target: T, text: string, where: string) {
  const { ids, segmentIds } = input;
  return { ids, segmentIds, target, text, where, numTokens: ids.length };
}

/** Of each word, the first token that has some of it. */
function targetOf(
  { offsets, specialMask }: EncodedInput,
  words: readonly string[],
  tags: readonly number[],
): TagTarget {
  const found: { tag: number; place: number }[] = [];
  let place = 0;
  let start = 0;
  for (const [i, word] of words.entries()) {
    const end = start + word.length;
    while (place < offsets.length && (specialMask[place] === 1 || offsets[place]![1] <= start)) place++;
    if (place < offsets.length && offsets[place]![0] < end) found.push({ tag: tags[i]!, place });
    start = end + 1;
  }
  return { tags: found.map(({ tag }) => tag), places: found.map((one) => one.place) };
}

/** The places of a stretch's first and last token; nothing where the window does not have all of it. */
function placesOf(
  { offsets, sources }: EncodedInput,
  start: number,
  end: number,
): { readonly start: number; readonly end: number } | undefined {
  const own = Array.from(offsets.keys()).filter((place) => sources[place] === 1);
  const first = own.find((place) => offsets[place]![1] > start);
  const last = own.findLast((place) => offsets[place]![0] < end);
  if (first === undefined || last === undefined || last < first) return undefined;
  // In the window before, or the one behind.
  if (first === own[0] && offsets[first]![0] > start) return undefined;
  if (last === own.at(-1) && offsets[last]![1] < end) return undefined;
  return { start: first, end: last };
}
