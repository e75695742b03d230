import { createHash, type Hash } from "node:crypto";
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { packTokens, type TokenWidth } from "./token-file.ts";

/** One shard file as the manifest records it. */
export interface ShardManifest {
  /** Name inside the corpus directory. */
  readonly file: string;
  readonly tokens: number;
  readonly sha256: string;
}

/** How shards are named and cut. */
export interface ShardLayout {
  readonly directory: string;
  /** Shards are `<name>-00000.bin`, `<name>-00001.bin` … */
  readonly name: string;
  readonly width: TokenWidth;
  readonly vocabularySize: number;
  /** Every shard but the last holds exactly this many. */
  readonly tokensPerShard: number;
}

interface OpenShard {
  readonly file: string;
  readonly descriptor: number;
  readonly hash: Hash;
  tokens: number;
}

/** Tokens gathered before they are written, so that short documents do not cost a system call each. */
const BUFFER_TOKENS = 64 * 1024;

/** Appends token ids to numbered shard files of bounded size, hashing as it writes. */
export class ShardWriter {
  readonly #layout: ShardLayout;
  readonly #shards: ShardManifest[] = [];
  readonly #buffer = new Uint32Array(BUFFER_TOKENS);
  #buffered = 0;
  #open: OpenShard | undefined;
  #numTokens = 0;

  constructor(layout: ShardLayout) {
    this.#layout = layout;
  }

  get numTokens(): number {
    return this.#numTokens;
  }

  /** @throws {DataError} if an id is outside the vocabulary; it may be noticed by a later call. */
  write(ids: Uint32Array): void {
    for (let offset = 0; offset < ids.length; ) {
      const part = ids.subarray(offset, offset + BUFFER_TOKENS - this.#buffered);
      this.#buffer.set(part, this.#buffered);
      this.#buffered += part.length;
      offset += part.length;
      if (this.#buffered === BUFFER_TOKENS) this.#flush();
    }
    this.#numTokens += ids.length;
  }

  /** Writes and syncs what is left and returns the record of all shards. */
  finish(): ShardManifest[] {
    this.#flush();
    this.#closeShard();
    return this.#shards;
  }

  /** Lets go of an open file after a failure. */
  abandon(): void {
    if (this.#open) closeSync(this.#open.descriptor);
    this.#open = undefined;
  }

  #flush(): void {
    const { width, vocabularySize, tokensPerShard } = this.#layout;
    for (let offset = 0; offset < this.#buffered; ) {
      this.#open ??= this.#openShard();
      const count = Math.min(this.#buffered - offset, tokensPerShard - this.#open.tokens);
      const bytes = packTokens(this.#buffer.subarray(offset, offset + count), width, vocabularySize);
      writeFully(this.#open.descriptor, bytes);
      this.#open.hash.update(bytes);
      this.#open.tokens += count;
      offset += count;
      if (this.#open.tokens === tokensPerShard) this.#closeShard();
    }
    this.#buffered = 0;
  }

  #openShard(): OpenShard {
    const { directory, name } = this.#layout;
    const file = `${name}-${String(this.#shards.length).padStart(5, "0")}.bin`;
    return { file, descriptor: openSync(join(directory, file), "wx"), hash: createHash("sha256"), tokens: 0 };
  }

  #closeShard(): void {
    if (!this.#open) return;
    const { file, descriptor, hash, tokens } = this.#open;
    fsyncSync(descriptor);
    closeSync(descriptor);
    this.#open = undefined;
    this.#shards.push({ file, tokens, sha256: hash.digest("hex") });
  }
}

/** Writes all bytes; a single call may write fewer. */
export function writeFully(descriptor: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) {
    written += writeSync(descriptor, bytes, written, bytes.length - written);
  }
}
