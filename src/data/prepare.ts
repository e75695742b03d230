import { createHash } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import { ConfigError, DataError, PlinthError } from "../core/errors.ts";
import {
  CORPUS_FORMAT,
  type CorpusManifest,
  MANIFEST_FILE,
  openCorpus,
  readManifest,
  type SourceManifest,
  type SplitManifest,
} from "./corpus.ts";
import { replaceDirectory } from "./replace-directory.ts";
import { ShardWriter, writeFully } from "./shard-writer.ts";
import { type SplitName, type SplitOptions, SplitReader, type SplitText } from "./split-reader.ts";
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
  /** UTF-8 bytes tokenised; `totalBytes` is the size of the files, which JSON rows exceed a little. */
  readonly bytes: number;
  readonly totalBytes: number;
  readonly documents: number;
  readonly tokens: number;
}

export interface PrepareOptions extends SplitOptions {
  readonly tokenizer: CorpusTokenizer;
  /** Becomes the corpus directory; left out when met in a source folder. */
  readonly outDir: string;
  /** Default 2^26: files of at most 128 or 256 MiB. */
  readonly tokensPerShard?: number;
  readonly onProgress?: (progress: PrepareProgress) => void;
  readonly signal?: AbortSignal;
}

/** The manifest, and whether an earlier corpus of the same specification was found and kept. */
export interface PreparedCorpus extends CorpusManifest {
  readonly reused: boolean;
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
 * Tokenises sources once, into a directory of shards with a manifest, `<|endoftext|>` between documents.
 *
 * The directory appears whole or not at all: it is written beside `outDir`, synced and renamed. If `outDir`
 * already holds a corpus of the same specification (tokenizer, options, and every file's size and modification
 * time), it is kept as it is; a corpus of another specification is replaced.
 *
 * @throws {DataError} if a source cannot be read or has no training text, or nothing is left for validation.
 * @throws {ConfigError} if an option is out of range or `outDir` holds something that is not a corpus.
 * @throws {EnvironmentError} if the disk is full or refuses; nothing is left behind.
 */
export async function prepareCorpus(options: PrepareOptions): Promise<PreparedCorpus> {
  const exclude = [...(options.exclude ?? []), options.outDir];
  const reader = new SplitReader({ ...options, exclude });
  const tokensPerShard = options.tokensPerShard ?? 2 ** 26;
  if (!(Number.isSafeInteger(tokensPerShard) && tokensPerShard >= 1)) {
    throw new ConfigError({ where: "tokensPerShard", expected: "an integer ≥ 1", got: `${tokensPerShard}` });
  }
  const specHash = hashSpecification(options, tokensPerShard, reader);
  const existing = findReusable(options.outDir, specHash, options.tokenizer.hash());
  if (existing) return { ...existing, reused: true };
  assertReplaceable(options.outDir);
  return await replaceDirectory(options.outDir, async (directory) => {
    const sources = await writeShards(options, tokensPerShard, reader, directory);
    assertUsable(options, sources);
    const manifest = toManifest(options, specHash, sources);
    writeManifest(join(directory, MANIFEST_FILE), manifest);
    return { ...manifest, reused: false };
  });
}

function hashSpecification(options: PrepareOptions, tokensPerShard: number, reader: SplitReader): string {
  const { tokenizer, validationFraction, splitBy, seed, deduplicate = true } = options;
  const sources = options.sources.map(({ paths, weight, textField }, index) => ({
    paths: paths.map((path) => resolve(path)),
    weight,
    textField,
    files: reader.files[index]!.map(({ path, sizeBytes, mtimeMs }) => [resolve(path), sizeBytes, mtimeMs]),
  }));
  const specification = {
    format: CORPUS_FORMAT,
    tokenizer: [tokenizer.hash(), tokenizer.vocabularySize, tokenizer.endOfTextId],
    split: [splitBy, validationFraction, seed, deduplicate],
    tokensPerShard,
    sources,
  };
  return createHash("sha256").update(JSON.stringify(specification)).digest("hex");
}

function findReusable(outDir: string, specHash: string, tokenizerHash: string): CorpusManifest | undefined {
  if (!existsSync(join(outDir, MANIFEST_FILE))) return undefined;
  try {
    if (readManifest(outDir).specHash !== specHash) return undefined;
    const corpus = openCorpus(outDir, tokenizerHash);
    corpus.close();
    return corpus.manifest;
  } catch (cause) {
    // A damaged corpus is made again rather than reused.
    if (cause instanceof PlinthError) return undefined;
    throw cause;
  }
}

function assertReplaceable(outDir: string): void {
  if (!existsSync(outDir)) return;
  const isDirectory = statSync(outDir).isDirectory();
  if (isDirectory && (readdirSync(outDir).length === 0 || existsSync(join(outDir, MANIFEST_FILE)))) return;
  throw new ConfigError({
    where: outDir,
    expected: "a new or empty folder, or an earlier corpus",
    got: isDirectory ? "a folder with other things in it" : "a file",
    fix: "Choose another folder.",
  });
}

async function writeShards(
  options: PrepareOptions,
  tokensPerShard: number,
  reader: SplitReader,
  directory: string,
): Promise<SourceManifest[]> {
  const { vocabularySize } = options.tokenizer;
  const width = tokenWidth(vocabularySize);
  const layout = { directory, width, vocabularySize, tokensPerShard };
  const newSide = (name: string): Side => {
    const writer = new ShardWriter({ ...layout, name });
    return { documents: 0, bytes: 0, characters: 0, writer };
  };
  const sides = options.sources.map((_, index) => ({
    train: newSide(`source-${index}-train`),
    validation: newSide(`source-${index}-validation`),
  }));
  try {
    await tokenise(options, reader, sides);
    return options.sources.map(({ paths, weight, textField }, index) => {
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
  { tokenizer, onProgress, signal }: PrepareOptions,
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

function assertUsable(
  { validationFraction, splitBy }: SplitOptions,
  sources: readonly SourceManifest[],
): void {
  for (const { paths, train, files, skippedFiles, emptyDocuments, validation } of sources) {
    if (train.tokens > 0) continue;
    const got = `none in ${files} files (${skippedFiles} binary, ${emptyDocuments} documents empty, ${validation.documents} for validation)`;
    throw new DataError({ where: paths.join(","), expected: "text to train on", got });
  }
  if (validationFraction === 0 || sources.some(({ validation }) => validation.tokens > 0)) return;
  const documents = sources.reduce((sum, { train }) => sum + train.documents, 0);
  throw new DataError({
    where: "validation split",
    expected: `a share of ${validationFraction} of the ${splitBy === "tail" ? "text" : "documents"}`,
    got: `none of ${documents} documents`,
    fix: "Split by tail, give more documents, or raise validationFraction.",
  });
}

function toManifest(
  { tokenizer, validationFraction, splitBy, seed }: PrepareOptions,
  specHash: string,
  sources: readonly SourceManifest[],
): CorpusManifest {
  return {
    formatVersion: CORPUS_FORMAT,
    specHash,
    tokenizerHash: tokenizer.hash(),
    vocabularySize: tokenizer.vocabularySize,
    endOfTextId: tokenizer.endOfTextId,
    tokenWidth: tokenWidth(tokenizer.vocabularySize),
    validationFraction,
    splitBy,
    seed,
    sources,
  };
}

function writeManifest(path: string, manifest: CorpusManifest): void {
  const descriptor = openSync(path, "wx");
  try {
    writeFully(descriptor, Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
