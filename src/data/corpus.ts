import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, FormatError } from "../core/errors.ts";
import type { ShardManifest } from "./shard-writer.ts";
import type { SourceTally, SplitName } from "./split-reader.ts";
import { readChunks } from "./text-file.ts";
import { TokenDataset } from "./token-dataset.ts";
import type { TokenWidth } from "./token-file.ts";

/** Version of the directory layout and of `corpus.json`. */
export const CORPUS_FORMAT = 1;

/** Name of the manifest inside a corpus directory. */
export const MANIFEST_FILE = "corpus.json";

/** What one source put on one side of the split. */
export interface SplitManifest {
  readonly documents: number;
  /** UTF-8 bytes of the documents; separators between them carry none. */
  readonly bytes: number;
  /** UTF-16 code units of the documents. */
  readonly characters: number;
  /** Token ids in the shards, separators included. */
  readonly tokens: number;
  readonly shards: readonly ShardManifest[];
}

/** One source: what it was made from, what was met, and what came out. */
export interface SourceManifest extends Readonly<SourceTally>, Readonly<Record<SplitName, SplitManifest>> {
  readonly paths: readonly string[];
  readonly weight: number;
  readonly textField: string;
}

/** `corpus.json`: everything known about a tokenised corpus. */
export interface CorpusManifest {
  readonly formatVersion: number;
  /** Hash of everything the shards depend on: tokenizer, options, files with sizes and times. */
  readonly specHash: string;
  readonly tokenizerHash: string;
  readonly vocabularySize: number;
  readonly endOfTextId: number;
  readonly tokenWidth: TokenWidth;
  readonly validationFraction: number;
  readonly splitBy: "document" | "tail";
  readonly seed: number;
  readonly sources: readonly SourceManifest[];
}

/** A dataset and its share of the mixture. */
export interface WeightedDataset {
  readonly dataset: TokenDataset;
  readonly weight: number;
}

/** An opened corpus. Sources in manifest order; those with nothing on a side are left out of that side. */
export interface Corpus {
  readonly directory: string;
  readonly manifest: CorpusManifest;
  readonly train: readonly WeightedDataset[];
  readonly validation: readonly WeightedDataset[];
  close(): void;
}

/**
 * Opens a corpus made by `prepareCorpus`, checking that it was made with this tokenizer and that every shard
 * has its full length. With `verifyHashes` every byte is read and compared with its SHA-256 as well.
 *
 * @throws {ConfigError} if another tokenizer made it.
 * @throws {FormatError} if the manifest cannot be read or a shard is missing, truncated or altered.
 */
export function openCorpus(
  directory: string,
  tokenizerHash: string,
  options: { readonly verifyHashes?: boolean } = {},
): Corpus {
  const manifest = readManifest(directory);
  if (manifest.tokenizerHash !== tokenizerHash) {
    throw new ConfigError({
      where: directory,
      expected: `the tokenizer it was made with (${manifest.tokenizerHash.slice(0, 12)}…)`,
      got: `another one (${tokenizerHash.slice(0, 12)}…)`,
      fix: "Use that tokenizer, or prepare the corpus again.",
    });
  }
  const opened: TokenDataset[] = [];
  const openSplit = (split: SplitName): WeightedDataset[] =>
    manifest.sources
      .filter((source) => source[split].tokens > 0)
      .map((source) => {
        const dataset = new TokenDataset(directory, source[split].shards, manifest.tokenWidth);
        opened.push(dataset);
        return { dataset, weight: source.weight };
      });
  const close = () => {
    for (const dataset of opened) dataset.close();
  };
  try {
    const corpus = {
      directory,
      manifest,
      train: openSplit("train"),
      validation: openSplit("validation"),
      close,
    };
    if (options.verifyHashes) verifyShards(corpus);
    return corpus;
  } catch (cause) {
    close();
    throw cause;
  }
}

/**
 * Reads `corpus.json`.
 *
 * @throws {FormatError} if it is missing, not JSON, or of another format version.
 */
export function readManifest(directory: string): CorpusManifest {
  const path = join(directory, MANIFEST_FILE);
  let manifest: CorpusManifest;
  try {
    manifest = JSON.parse(readFileSync(path, "utf8")) as CorpusManifest;
  } catch (cause) {
    throw new FormatError(
      { where: path, expected: "a corpus manifest in JSON", got: (cause as Error).message },
      { cause },
    );
  }
  if (manifest?.formatVersion !== CORPUS_FORMAT || !Array.isArray(manifest.sources)) {
    throw new FormatError({
      where: path,
      expected: `a corpus of format version ${CORPUS_FORMAT}`,
      got: `version ${manifest?.formatVersion}`,
      fix: "Prepare the corpus again.",
    });
  }
  return manifest;
}

function verifyShards({ directory, manifest }: Corpus): void {
  const shards = manifest.sources.flatMap(({ train, validation }) => [...train.shards, ...validation.shards]);
  for (const { file, sha256 } of shards) {
    const hash = createHash("sha256");
    for (const chunk of readChunks(join(directory, file))) hash.update(chunk);
    const got = hash.digest("hex");
    if (got !== sha256) {
      throw new FormatError({
        where: join(directory, file),
        expected: `SHA-256 ${sha256.slice(0, 12)}…`,
        got: `${got.slice(0, 12)}…`,
        fix: "Prepare the corpus again.",
      });
    }
  }
}
