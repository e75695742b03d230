import { createHash } from "node:crypto";
import { ConfigError } from "../core/errors.ts";
import { ContentSet, hashContent } from "./deduplicate.ts";
import { listFiles, type SkipListener, type SourceFile } from "./list-files.ts";
import { checkSource, type Document, readFileDocuments, type SourceSpec } from "./sources.ts";
import { wholeCharacter } from "./text-file.ts";

/** A side of the split. */
export type SplitName = "train" | "validation";

/** What is read and how it is divided between training and validation. */
export interface SplitOptions {
  readonly sources: readonly SourceSpec[];
  /** Share kept for validation, in [0, 1). */
  readonly validationFraction: number;
  /**
   * `document`: each document goes whole to one side, by a seeded hash of its content, so adding documents
   * moves none of the others. `tail`: the last part of each source's characters is validation; for one long
   * text.
   */
  readonly splitBy: "document" | "tail";
  readonly seed: number;
  /** Drop documents equal to an earlier one, across all sources. Default true. */
  readonly deduplicate?: boolean;
  /** Files and folders to leave out when met in a folder or by a glob, such as the run's own output. */
  readonly exclude?: readonly string[];
  readonly onSkip?: SkipListener;
}

/** A document, or with `tail` its part, on its side of the split. */
export interface SplitText extends Document {
  readonly split: SplitName;
  readonly sourceIndex: number;
}

/** What was met while reading one source. */
export interface SourceTally {
  files: number;
  /** Binary files and dangling links met in folders or by globs, and passed over. */
  skippedFiles: number;
  duplicates: number;
  emptyDocuments: number;
}

/**
 * Reads sources and says which side of the split each text is on. The files are listed once, on construction,
 * so that every pass and the specification hash see the same ones.
 */
export class SplitReader {
  readonly files: readonly (readonly SourceFile[])[];
  /** Filled by the latest call of `texts()`. */
  tallies: readonly SourceTally[] = [];
  readonly #options: SplitOptions;
  readonly #danglingLinks: readonly number[];

  /**
   * @throws {ConfigError} if an option is out of range.
   * @throws {DataError} if a path is missing, unreadable or matches nothing.
   */
  constructor(options: SplitOptions) {
    checkSplitOptions(options);
    this.#options = options;
    const danglingLinks = options.sources.map(() => 0);
    this.#danglingLinks = danglingLinks;
    this.files = options.sources.map((source, index) =>
      listFiles(source, {
        ...(options.exclude && { exclude: options.exclude }),
        onSkip: (path, reason) => {
          danglingLinks[index]!++;
          options.onSkip?.(path, reason);
        },
      }),
    );
  }

  /** All texts, source by source, in reading order. */
  *texts(): Generator<SplitText> {
    const { splitBy, onSkip } = this.#options;
    const numTrain = splitBy === "tail" ? this.#countTrainCharacters() : [];
    const remaining = [...numTrain];
    for (const { sourceIndex, document, hash } of this.#documents(onSkip)) {
      if (splitBy === "document") {
        const { validationFraction, seed } = this.#options;
        const split = isHeldOut(hash, seed, validationFraction) ? "validation" : "train";
        yield { ...document, split, sourceIndex };
        continue;
      }
      const { text, source } = document;
      const cut = wholeCharacter(text, Math.min(text.length, remaining[sourceIndex]!));
      remaining[sourceIndex]! -= cut === text.length ? cut : remaining[sourceIndex]!;
      if (cut > 0) yield { text: text.slice(0, cut), source, split: "train", sourceIndex };
      if (cut < text.length) yield { text: text.slice(cut), source, split: "validation", sourceIndex };
    }
  }

  /** With `tail`: floor((1 − fraction) · length) of each source, in UTF-16 code units. Reads everything once. */
  #countTrainCharacters(): number[] {
    const lengths = this.#options.sources.map(() => 0);
    for (const { sourceIndex, document } of this.#documents()) lengths[sourceIndex]! += document.text.length;
    return lengths.map((length) => Math.floor((1 - this.#options.validationFraction) * length));
  }

  *#documents(onSkip?: SkipListener): Generator<{ sourceIndex: number; document: Document; hash: Buffer }> {
    const seen = new ContentSet();
    const tallies = this.files.map((files, index) => newTally(files.length, this.#danglingLinks[index]!));
    this.tallies = tallies;
    for (const [sourceIndex, files] of this.files.entries()) {
      const tally = tallies[sourceIndex]!;
      const skip: SkipListener = (path, reason) => {
        tally.skippedFiles++;
        onSkip?.(path, reason);
      };
      for (const document of readFiles(files, this.#options.sources[sourceIndex]!.textField, skip)) {
        const hash = hashContent(document.text);
        if (document.text === "") tally.emptyDocuments++;
        else if (!seen.add(hash) && this.#options.deduplicate !== false) tally.duplicates++;
        else yield { sourceIndex, document, hash };
      }
    }
  }
}

function* readFiles(
  files: readonly SourceFile[],
  textField: string,
  skip: SkipListener,
): Generator<Document> {
  for (const file of files) yield* readFileDocuments(file, textField, skip);
}

function newTally(files: number, skippedFiles: number): SourceTally {
  return { files, skippedFiles, duplicates: 0, emptyDocuments: 0 };
}

/** 48 bits of a hash of seed and content, as a number in [0, 1), against the fraction. */
function isHeldOut(contentHash: Buffer, seed: number, fraction: number): boolean {
  const bits = createHash("sha256").update(`split ${seed} `).update(contentHash).digest().readUIntBE(0, 6);
  return bits / 2 ** 48 < fraction;
}

function checkSplitOptions({ sources, validationFraction, seed }: SplitOptions): void {
  if (sources.length === 0) {
    throw new ConfigError({ where: "data", expected: "at least one source", got: "none" });
  }
  for (const source of sources) checkSource(source);
  if (!(validationFraction >= 0 && validationFraction < 1)) {
    throw new ConfigError({
      where: "validationFraction",
      expected: "a number in [0, 1)",
      got: `${validationFraction}`,
    });
  }
  if (!Number.isSafeInteger(seed)) {
    throw new ConfigError({ where: "seed", expected: "an integer", got: `${seed}` });
  }
}
