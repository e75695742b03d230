import { ConfigError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { type SplitOptions, SplitReader } from "./split-reader.ts";
import { cutPoint } from "./text-file.ts";

/** Long documents are sampled in excerpts of about this size, so that one book does not crowd out the rest. */
const EXCERPT_CHARACTERS = 16 * 1024;

/**
 * Up to `maxBytes` UTF-8 bytes of training text to train a tokenizer on, from all over the corpus; validation
 * text is never among it. Give it the same options as `prepareCorpus`.
 *
 * Each source's share of the bytes follows its weight; what a small source cannot fill goes to the others.
 * Within a source that has more than its share, excerpts of about 16 Ki characters (whole documents, if
 * shorter) are kept with equal chance by a seeded draw, so a long text is represented end to end. Reads the
 * sources twice: once to measure them.
 *
 * @throws {ConfigError} if an option is out of range.
 * @throws {DataError} if a source cannot be read.
 */
export function* sampleTraining(options: SplitOptions, maxBytes: number): Generator<string> {
  if (!(maxBytes > 0)) {
    throw new ConfigError({ where: "maxBytes", expected: "more than 0 bytes", got: `${maxBytes}` });
  }
  const { onSkip: _, ...quiet } = options;
  const reader = new SplitReader(quiet);
  const available = measureTraining(reader, options.sources.length);
  const shares = shareOut(
    maxBytes,
    available,
    options.sources.map(({ weight }) => weight),
  );
  const random = new Random(options.seed).fork("sample training");
  const spent = options.sources.map(() => 0);
  for (const { text, split, sourceIndex } of reader.texts()) {
    if (split !== "train") continue;
    const share = shares[sourceIndex]!;
    const isWhole = share >= available[sourceIndex]!;
    for (const excerpt of isWhole ? [text] : excerpts(text)) {
      if (!isWhole && random.uniform() >= share / available[sourceIndex]!) continue;
      const bytes = Buffer.byteLength(excerpt);
      if (spent[sourceIndex]! + bytes > share) continue;
      spent[sourceIndex]! += bytes;
      yield excerpt;
    }
  }
}

function measureTraining(reader: SplitReader, numSources: number): number[] {
  const bytes = new Array<number>(numSources).fill(0);
  for (const { text, split, sourceIndex } of reader.texts()) {
    if (split === "train") bytes[sourceIndex]! += Buffer.byteLength(text);
  }
  return bytes;
}

/** Divides a budget by weight; sources that have less than their part give the rest back to the others. */
function shareOut(budget: number, available: readonly number[], weights: readonly number[]): number[] {
  const shares = available.map(() => 0);
  let open = available.map((_, index) => index);
  let left = budget;
  for (;;) {
    const totalWeight = open.reduce((sum, index) => sum + weights[index]!, 0);
    const small = open.filter((index) => available[index]! <= (left * weights[index]!) / totalWeight);
    if (small.length === 0) {
      for (const index of open) shares[index] = (left * weights[index]!) / totalWeight;
      return shares;
    }
    for (const index of small) {
      shares[index] = available[index]!;
      left -= available[index]!;
    }
    open = open.filter((index) => !small.includes(index));
  }
}

function* excerpts(text: string): Generator<string> {
  let start = 0;
  while (text.length - start > EXCERPT_CHARACTERS) {
    const window = text.slice(start, start + EXCERPT_CHARACTERS + 1);
    const end = start + cutPoint(window, EXCERPT_CHARACTERS);
    yield text.slice(start, end);
    start = end;
  }
  yield text.slice(start);
}
