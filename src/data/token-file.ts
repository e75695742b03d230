import { endianness } from "node:os";
import { DataError } from "../core/errors.ts";

/** Bytes a token takes on disk: 2 while every id fits in 16 bits, else 4. */
export type TokenWidth = 2 | 4;

/**
 * The narrowest width for a vocabulary.
 *
 * @example
 * tokenWidth(65_536); // => 2
 */
export function tokenWidth(vocabularySize: number): TokenWidth {
  return vocabularySize <= 65_536 ? 2 : 4;
}

/**
 * Token ids as little-endian unsigned integers, the whole content of a shard file.
 *
 * @throws {DataError} if an id is outside the vocabulary.
 */
export function packTokens(ids: ArrayLike<number>, width: TokenWidth, vocabularySize: number): Buffer {
  const packed = width === 2 ? new Uint16Array(ids.length) : new Uint32Array(ids.length);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (!(id >= 0 && id < vocabularySize)) {
      throw new DataError({ where: "tokenizer", expected: `ids below ${vocabularySize}`, got: `${id}` });
    }
    packed[i] = id;
  }
  return swapOnBigEndian(Buffer.from(packed.buffer), width);
}

/** The ids in bytes read from a shard; the bytes may be reordered in place and must be aligned to the width. */
export function unpackTokens(bytes: Buffer, width: TokenWidth): Uint16Array | Uint32Array {
  const { buffer, byteOffset, length } = swapOnBigEndian(bytes, width);
  return width === 2
    ? new Uint16Array(buffer, byteOffset, length / 2)
    : new Uint32Array(buffer, byteOffset, length / 4);
}

function swapOnBigEndian(bytes: Buffer, width: TokenWidth): Buffer {
  if (endianness() === "LE") return bytes;
  return width === 2 ? bytes.swap16() : bytes.swap32();
}
