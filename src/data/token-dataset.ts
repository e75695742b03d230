import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { DataError, FormatError } from "../core/errors.ts";
import type { ShardManifest } from "./shard-writer.ts";
import { type TokenWidth, unpackTokens } from "./token-file.ts";

/** Arrays that tokens can be read into. */
export type TokenArray = Int32Array | Uint32Array;

interface OpenShard {
  readonly path: string;
  readonly descriptor: number;
  /** Index of the shard's first token in the whole sequence. */
  readonly start: number;
  readonly tokens: number;
}

/**
 * The tokens of one source on one side of the split, on disk. Reads are positional, so the sequence may be far
 * larger than memory; files stay open until `close()`, and replacing the corpus meanwhile does not disturb them.
 */
export class TokenDataset {
  readonly numTokens: number;
  readonly #shards: readonly OpenShard[];
  readonly #width: TokenWidth;
  #scratch: Buffer<ArrayBuffer> = Buffer.from(new ArrayBuffer(0));

  /**
   * @param directory the corpus directory; shard names are relative to it
   * @throws {FormatError} if a shard is missing or not as long as the manifest says.
   */
  constructor(directory: string, shards: readonly ShardManifest[], width: TokenWidth) {
    const open: OpenShard[] = [];
    this.#width = width;
    this.#shards = open;
    let start = 0;
    try {
      for (const { file, tokens } of shards) {
        open.push({ ...openShard(join(directory, file), tokens, width), start });
        start += tokens;
      }
    } catch (cause) {
      this.close();
      throw cause;
    }
    this.numTokens = start;
  }

  /**
   * Reads tokens `offset … offset + length − 1` into `into`, beginning at its index `at`.
   *
   * @throws {DataError} if the range is not inside the sequence or does not fit.
   * @throws {FormatError} if a shard has become shorter since it was opened.
   */
  read(offset: number, length: number, into: TokenArray, at = 0): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.numTokens && at + length <= into.length)) {
      throw new DataError({
        where: "TokenDataset.read",
        expected: `a range within ${this.numTokens} tokens and room for it`,
        got: `${length} from ${offset} into ${into.length - at}`,
      });
    }
    const end = offset + length;
    for (const shard of this.#shards) {
      const from = Math.max(offset, shard.start);
      const to = Math.min(end, shard.start + shard.tokens);
      if (from < to) into.set(this.#readShard(shard, from - shard.start, to - from), at + from - offset);
    }
  }

  /** Closes the files; the dataset cannot be read afterwards. */
  close(): void {
    const open = this.#shards as OpenShard[];
    for (const { descriptor } of open.splice(0)) closeSync(descriptor);
  }

  #readShard(shard: OpenShard, offset: number, length: number): Uint16Array | Uint32Array {
    const sizeBytes = length * this.#width;
    if (this.#scratch.length < sizeBytes) this.#scratch = Buffer.from(new ArrayBuffer(sizeBytes));
    for (let done = 0; done < sizeBytes; ) {
      const position = offset * this.#width + done;
      const count = readSync(shard.descriptor, this.#scratch, done, sizeBytes - done, position);
      if (count === 0) throw truncated(shard.path, shard.tokens * this.#width, position);
      done += count;
    }
    return unpackTokens(this.#scratch.subarray(0, sizeBytes), this.#width);
  }
}

function openShard(path: string, tokens: number, width: TokenWidth): Omit<OpenShard, "start"> {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch (cause) {
    const failure = { where: path, expected: "a shard named in corpus.json", got: (cause as Error).message };
    throw new FormatError(failure, { cause });
  }
  const { size } = fstatSync(descriptor);
  if (size !== tokens * width) {
    closeSync(descriptor);
    throw truncated(path, tokens * width, size);
  }
  return { path, descriptor, tokens };
}

function truncated(path: string, expectedBytes: number, gotBytes: number): FormatError {
  return new FormatError({
    where: path,
    expected: `${expectedBytes} bytes, as in corpus.json`,
    got: `${gotBytes}`,
    fix: "Prepare the corpus again.",
  });
}
