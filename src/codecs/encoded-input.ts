import { ConfigError, DataError } from "../core/errors.ts";
import type { PostProcessor } from "./post-processor.ts";

/** Tokens of a text, and the stretch of it that each stands for: UTF-16 code units, end exclusive. */
export interface Pieces {
  readonly ids: number[];
  readonly starts: number[];
  readonly ends: number[];
}

/** One text, or a pair of texts, as a model wants it: with the special tokens around and between. */
export interface EncodedInput {
  readonly ids: Uint32Array;
  /** 0 or 1 as the tokenizer's template says ("token type ids"): which sentence of a pair, for BERT. */
  readonly segmentIds: Uint8Array;
  /** `[start, end)` in the text (or the pair, see `sources`), as string indices; `[0, 0]` for added tokens. */
  readonly offsets: readonly (readonly [start: number, end: number])[];
  /** 1 for tokens that the template added, 0 for tokens of the texts. */
  readonly specialMask: Uint8Array;
  /** Where a token comes from: 0 the text, 1 the pair, -1 neither. */
  readonly sources: Int8Array;
}

/** Which text gives way when both together are too long. */
export type Truncation = "longest-first" | "text" | "pair";

/** How a text is read, for a model. */
export interface InputOptions {
  /** Longest result, added tokens included. Longer ones are refused, unless `truncate` says what to cut. */
  readonly maxLength?: number | undefined;
  /** What to cut, at the end: the longer text first, or one of the two. */
  readonly truncate?: Truncation | undefined;
  /** Written special tokens, such as `[MASK]`, are those tokens. Default: they are text like any other. */
  readonly marked?: boolean | undefined;
  /** Default true. False leaves out the tokens that the template adds. */
  readonly addSpecial?: boolean | undefined;
}

/** How a long text is cut into windows that overlap. */
export interface WindowOptions {
  /** Longest window, added tokens included. */
  readonly maxLength: number;
  /** Tokens that a window shares with the one before ("doc stride" of extractive question answering). */
  readonly stride: number;
  /** Which text is cut; default the pair where there is one. The other is repeated in every window. */
  readonly cut?: "text" | "pair" | undefined;
  readonly marked?: boolean | undefined;
}

/**
 * Joins a text and perhaps a second one with the tokens of a template, cutting only where asked to.
 *
 * @throws {DataError} if the result is longer than `maxLength` and nothing may be cut, or not enough can be.
 */
export function joinInput(
  processor: PostProcessor,
  text: Pieces,
  pair: Pieces | undefined,
  { maxLength, truncate, addSpecial = true }: InputOptions,
): EncodedInput {
  if (maxLength === undefined) return assemble(processor, text, pair, addSpecial);
  requireCount("maxLength", maxLength, 1);
  const numAdded = addSpecial ? processor.numAdded(pair !== undefined) : 0;
  const excess = text.ids.length + (pair?.ids.length ?? 0) + numAdded - maxLength;
  if (excess <= 0) return assemble(processor, text, pair, addSpecial);
  if (truncate === undefined) throw tooLong(excess + maxLength, maxLength);
  const [keptText, keptPair] = truncated(text, pair, { room: maxLength - numAdded, excess, truncate });
  return assemble(processor, keptText, keptPair, addSpecial);
}

/**
 * Cuts one of the texts into windows of `maxLength` tokens, each repeating the last `stride` tokens of the one before.
 *
 * @throws {DataError} if the text that is repeated leaves no room.
 * @throws {ConfigError} if the stride is not smaller than the room.
 */
export function joinWindows(
  processor: PostProcessor,
  text: Pieces,
  pair: Pieces | undefined,
  { maxLength, stride, cut = pair ? "pair" : "text" }: WindowOptions,
): EncodedInput[] {
  requireCount("maxLength", maxLength, 1);
  requireCount("stride", stride, 0);
  const numAdded = processor.numAdded(pair !== undefined);
  const long = cut === "pair" ? (pair ?? emptyPieces()) : text;
  const repeated = cut === "pair" ? text : pair;
  const room = maxLength - numAdded - (repeated?.ids.length ?? 0);
  if (room < 1) throw tooLong(maxLength - room + 1, maxLength);
  if (long.ids.length > room && stride >= room) {
    const expected = `less than the ${room} tokens that a window has room for`;
    throw new ConfigError({ where: "stride", expected, got: String(stride) });
  }
  const windows: EncodedInput[] = [];
  for (let start = 0; ; start += room - stride) {
    const part = slicePieces(long, start, start + room);
    const parts: [Pieces, Pieces | undefined] = cut === "pair" ? [text, part] : [part, pair];
    windows.push(assemble(processor, ...parts, true));
    if (start + room >= long.ids.length) return windows;
  }
}

/** No tokens. */
export function emptyPieces(): Pieces {
  return { ids: [], starts: [], ends: [] };
}

interface Cut {
  /** Tokens that the texts may have together. */
  readonly room: number;
  /** Tokens that are too many. */
  readonly excess: number;
  readonly truncate: Truncation;
}

function truncated(text: Pieces, pair: Pieces | undefined, cut: Cut): [Pieces, Pieces | undefined] {
  const { room, excess, truncate } = cut;
  if (truncate === "longest-first" && pair) {
    const [first, second] = shortened(text.ids.length, pair.ids.length, Math.max(0, room));
    return [slicePieces(text, 0, first), slicePieces(pair, 0, second)];
  }
  const target = truncate === "pair" ? pair : text;
  const kept = (target?.ids.length ?? 0) - excess;
  if (target === undefined || kept < 0) {
    const expected = `a text to cut ${excess} tokens from, as "${truncate}" says`;
    throw new DataError({ where: "truncate", expected, got: target ? `${kept + excess} tokens` : "no pair" });
  }
  const part = slicePieces(target, 0, kept);
  return truncate === "pair" ? [text, part] : [part, pair];
}

/** Lengths of two texts in `room`: the longer one is cut down to the shorter one, then both in halves. */
function shortened(first: number, second: number, room: number): [number, number] {
  const short = Math.min(first, second);
  let [kept, other] = [short, short > room ? short : Math.max(short, room - short)];
  if (kept + other > room) [kept, other] = [Math.floor(room / 2), Math.ceil(room / 2)];
  return first > second ? [other, kept] : [kept, other];
}

function slicePieces({ ids, starts, ends }: Pieces, from: number, to: number): Pieces {
  return { ids: ids.slice(from, to), starts: starts.slice(from, to), ends: ends.slice(from, to) };
}

function assemble(
  processor: PostProcessor,
  text: Pieces,
  pair: Pieces | undefined,
  addSpecial: boolean,
): EncodedInput {
  const ids: number[] = [];
  const segmentIds: number[] = [];
  const offsets: [number, number][] = [];
  const sources: number[] = [];
  for (const item of processor.items(pair !== undefined)) {
    if (item.kind === "added") {
      if (!addSpecial) continue;
      ids.push(item.id);
      offsets.push([0, 0]);
      segmentIds.push(item.segment);
      sources.push(-1);
      continue;
    }
    const pieces = item.kind === "text" ? text : (pair ?? emptyPieces());
    for (const [i, id] of pieces.ids.entries()) {
      ids.push(id);
      offsets.push([pieces.starts[i]!, pieces.ends[i]!]);
      segmentIds.push(item.segment);
      sources.push(item.kind === "text" ? 0 : 1);
    }
  }
  return {
    ids: Uint32Array.from(ids),
    segmentIds: Uint8Array.from(segmentIds),
    offsets,
    specialMask: Uint8Array.from(sources, (source) => (source < 0 ? 1 : 0)),
    sources: Int8Array.from(sources),
  };
}

function tooLong(length: number, maxLength: number): DataError {
  return new DataError({
    where: "encodeInput",
    expected: `at most ${maxLength} tokens`,
    got: String(length),
    fix: 'Shorten the text, set "truncate", or cut it into windows.',
  });
}

function requireCount(where: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new ConfigError({ where, expected: `an integer ≥ ${least}`, got: String(value) });
}
