import { setImmediate } from "node:timers/promises";
import { DataError, PlinthError } from "../core/errors.ts";
import type { SourceManifest, SplitManifest } from "./corpus.ts";
import { ShardWriter } from "./shard-writer.ts";
import type { SourceSpec } from "./sources.ts";
import type { SplitName, SplitReader, SplitText } from "./split-reader.ts";
import { tokenWidth } from "./token-file.ts";

/** What preparing needs of a tokenizer; every codec's tokenizer has it. */
export interface CorpusTokenizer {
  readonly vocabularySize: number;
  /** Written between documents. */
  readonly endOfTextId: number;
  encode(text: string): Uint32Array;
  /** Changes whenever any text could encode differently. */
  hash(): string;
}

/** How far preparing has come. */
export interface PrepareProgress {
  /** UTF-8 bytes tokenised. `totalBytes` counts whole files: also JSON around the text, and duplicates. */
  readonly bytes: number;
  readonly totalBytes: number;
  readonly documents: number;
  readonly tokens: number;
}

export interface TokeniseOptions {
  readonly tokenizer: CorpusTokenizer;
  readonly tokensPerShard: number;
  readonly onProgress?: (progress: PrepareProgress) => void;
  readonly signal?: AbortSignal;
}

interface Side {
  documents: number;
  bytes: number;
  characters: number;
  readonly writer: ShardWriter;
}

/** How long tokenising may hold the event loop before others get a turn; one document is never interrupted. */
const TURN_MS = 30;

/**
 * Tokenises everything a reader yields into shards in `directory`, `<|endoftext|>` between the documents of
 * each source and side, and returns the sources' manifests. The caller removes the directory on failure.
 *
 * @throws {DataError} if a source cannot be read or a text cannot be encoded.
 */
export async function writeShards(
  reader: SplitReader,
  sources: readonly SourceSpec[],
  options: TokeniseOptions,
  directory: string,
): Promise<SourceManifest[]> {
  const { tokensPerShard } = options;
  const { vocabularySize } = options.tokenizer;
  const width = tokenWidth(vocabularySize);
  const layout = { directory, width, vocabularySize, tokensPerShard };
  const newSide = (name: string): Side => {
    const writer = new ShardWriter({ ...layout, name });
    return { documents: 0, bytes: 0, characters: 0, writer };
  };
  const sides = sources.map((_, index) => ({
    train: newSide(`source-${index}-train`),
    validation: newSide(`source-${index}-validation`),
  }));
  try {
    await tokenise(options, reader, sides);
    return sources.map(({ paths, weight, textField }, index) => {
      const { train, validation } = sides[index]!;
      const ends = { train: finishSide(train), validation: finishSide(validation) };
      return { paths, weight, textField, ...reader.tallies[index]!, ...ends };
    });
  } finally {
    for (const { train, validation } of sides) {
      train.writer.abandon();
      validation.writer.abandon();
    }
  }
}

async function tokenise(
  { tokenizer, onProgress, signal }: TokeniseOptions,
  reader: SplitReader,
  sides: readonly Record<SplitName, Side>[],
): Promise<void> {
  const separator = Uint32Array.of(tokenizer.endOfTextId);
  const totalBytes = reader.files.flat().reduce((sum, file) => sum + file.sizeBytes, 0);
  const progress = { bytes: 0, totalBytes, documents: 0, tokens: 0 };
  let turnStart = performance.now();
  for (const { text, split, sourceIndex, source } of reader.texts()) {
    const side = sides[sourceIndex]![split];
    const ids = encode(tokenizer, text, source);
    if (side.documents > 0) side.writer.write(separator);
    side.writer.write(ids);
    const bytes = Buffer.byteLength(text);
    side.documents++;
    side.bytes += bytes;
    side.characters += text.length;
    progress.bytes += bytes;
    progress.documents++;
    progress.tokens += ids.length;
    if (performance.now() - turnStart < TURN_MS) continue;
    onProgress?.({ ...progress });
    await setImmediate();
    signal?.throwIfAborted();
    turnStart = performance.now();
  }
  onProgress?.({ ...progress });
}

function encode(tokenizer: CorpusTokenizer, text: string, source: SplitText["source"]): Uint32Array {
  try {
    return tokenizer.encode(text);
  } catch (cause) {
    if (!(cause instanceof PlinthError)) throw cause;
    // The tokenizer cannot know which document it was given.
    throw new DataError({ ...cause.failure, where: `${source}: ${cause.failure.where}` }, { cause });
  }
}

function finishSide({ documents, bytes, characters, writer }: Side): SplitManifest {
  const tokens = writer.numTokens;
  return { documents, bytes, characters, tokens, shards: writer.finish() };
}
