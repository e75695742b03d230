import { createHash } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { ConfigError, DataError, PlinthError } from "../core/errors.ts";
import {
  CORPUS_FORMAT,
  type CorpusManifest,
  MANIFEST_FILE,
  openCorpus,
  readManifest,
  type SourceManifest,
} from "./corpus.ts";
import { replaceDirectory } from "./replace-directory.ts";
import { writeFully } from "./shard-writer.ts";
import { type SplitOptions, SplitReader } from "./split-reader.ts";
import { tokenWidth } from "./token-file.ts";
import { type TokeniseOptions, writeShards } from "./tokenise.ts";

export interface PrepareOptions extends SplitOptions, Omit<TokeniseOptions, "tokensPerShard"> {
  /** Becomes the corpus directory; left out when met in a source folder. */
  readonly outDir: string;
  /** Default 2^26: files of at most 128 or 256 MiB. */
  readonly tokensPerShard?: number;
}

/** The manifest, and whether an earlier corpus of the same specification was found and kept. */
export interface PreparedCorpus extends CorpusManifest {
  readonly reused: boolean;
}

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
    const sources = await writeShards(reader, options.sources, { ...options, tokensPerShard }, directory);
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
