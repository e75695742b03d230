import { createHash, type Hash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";

/** The identity of a file's content. */
export interface FileDigest {
  readonly sizeBytes: number;
  /** SHA-256, lower-case hexadecimal. */
  readonly sha256: string;
}

/** Bytes handled at once: long enough to amortise the calls, short enough to stay in the cache between them. */
const CHUNK_BYTES = 1 << 20;

/**
 * Writes a new file front to back and hashes it on the way, so that its digest costs no second reading.
 * System errors pass unchanged.
 */
export class HashingFileWriter {
  readonly #descriptor: number;
  readonly #hash: Hash = createHash("sha256");
  #sizeBytes = 0;
  #open = true;

  /** Creates the file; an existing one is emptied first. */
  constructor(path: string) {
    this.#descriptor = openSync(path, "w");
  }

  /** Appends the bytes. They are not copied. */
  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      const chunk = bytes.subarray(at, at + CHUNK_BYTES);
      this.#hash.update(chunk);
      writeFully(this.#descriptor, chunk);
    }
    this.#sizeBytes += bytes.length;
  }

  /** Forces the file to the disk, closes it and returns its digest. */
  finish(): FileDigest {
    fsyncSync(this.#descriptor);
    this.close();
    return { sizeBytes: this.#sizeBytes, sha256: this.#hash.digest("hex") };
  }

  /** Closes without the guarantee; for the way out after a failure. Harmless when already closed. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#descriptor);
  }
}

/** Writes a whole new file, forces it to the disk and returns its digest. System errors pass unchanged. */
export function writeSynced(path: string, data: string | Uint8Array): FileDigest {
  const writer = new HashingFileWriter(path);
  try {
    writer.write(typeof data === "string" ? new TextEncoder().encode(data) : data);
    return writer.finish();
  } finally {
    writer.close();
  }
}

/** Size and SHA-256 of a file, read once with a small buffer. System errors pass unchanged. */
export function digestFile(path: string): FileDigest {
  const descriptor = openSync(path, "r");
  try {
    const hash = createHash("sha256");
    const buffer = new Uint8Array(CHUNK_BYTES);
    let sizeBytes = 0;
    for (;;) {
      const count = readSync(descriptor, buffer, 0, buffer.length, sizeBytes);
      if (count === 0) return { sizeBytes, sha256: hash.digest("hex") };
      hash.update(buffer.subarray(0, count));
      sizeBytes += count;
    }
  } finally {
    closeSync(descriptor);
  }
}

/** One system call may write less than it was given. */
function writeFully(descriptor: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) done += writeSync(descriptor, bytes, done, bytes.length - done);
}
