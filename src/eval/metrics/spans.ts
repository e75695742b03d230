import { DataError } from "../../core/errors.ts";
import { harmonicMean } from "./words.ts";

/** The tags of one text, such as `B-PER`, `I-PER`, `O`. */
export interface TagPair {
  readonly expected: readonly string[];
  readonly predicted: readonly string[];
}

/** A tagged stretch: from `start` up to, not including, `end`. */
export interface TaggedSpan {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

/** How well spans were found: a span counts if type, beginning and end are right. */
export interface SpanQuality {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/**
 * The spans that tags mark, read as leniently as CoNLL's evaluation script: a span also begins where its type changes or follows `O` without a `B`.
 * Knows B, I, O, and E (end) and S (single).
 *
 * @throws {DataError} at a tag that is not of this form.
 */
export function taggedSpans(tags: readonly string[]): TaggedSpan[] {
  const spans: TaggedSpan[] = [];
  let open: { type: string; start: number } | undefined;
  let previous = "O";
  const close = (end: number) => {
    if (open) spans.push({ ...open, end });
    open = undefined;
  };
  for (const [i, tag] of tags.entries()) {
    if (!/^(?:[BIES](?:-.*)?|O)$/s.test(tag)) {
      const expected = "B, I, E or S, - and a type, or O";
      throw new DataError({ where: `tag ${i}`, expected, got: JSON.stringify(tag) });
    }
    const [kind, type] = [tag[0]!, tag.slice(2) || "_"];
    const goesOn = "IE".includes(kind) && "BI".includes(previous) && open?.type === type;
    if (!goesOn) {
      close(i);
      if (kind !== "O") open = { type, start: i };
    }
    previous = kind;
  }
  close(tags.length);
  return spans;
}

/**
 * Precision, recall and F1 over the spans of all texts, as `seqeval` (micro average, its default mode).
 *
 * @throws {DataError} if there are no texts, or the tags of one are not as many on both sides.
 */
export function spanQuality(pairs: readonly TagPair[]): SpanQuality {
  if (pairs.length === 0) throw new DataError({ where: "spans", expected: "at least one text", got: "none" });
  let [right, expected, predicted] = [0, 0, 0];
  for (const [i, pair] of pairs.entries()) {
    if (pair.expected.length !== pair.predicted.length) {
      const [wanted, got] = [`${pair.expected.length} tags`, `${pair.predicted.length}`];
      throw new DataError({ where: `spans, text ${i}`, expected: wanted, got });
    }
    const keysOf = (tags: readonly string[]) =>
      new Set(taggedSpans(tags).map(({ type, start, end }) => `${start} ${end} ${type}`));
    const [theirs, ours] = [keysOf(pair.expected), keysOf(pair.predicted)];
    right += [...ours].filter((key) => theirs.has(key)).length;
    expected += theirs.size;
    predicted += ours.size;
  }
  const precision = predicted === 0 ? 0 : right / predicted;
  const recall = expected === 0 ? 0 : right / expected;
  return { precision, recall, f1: harmonicMean(precision, recall) };
}
