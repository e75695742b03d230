import { FormatError } from "../core/errors.ts";
import { decodeUtf8 } from "./utf8.ts";

/** What a piece is. */
export type PieceType = "normal" | "unknown" | "control" | "user-defined" | "unused" | "byte";

/** One entry of a SentencePiece vocabulary. */
export interface Piece {
  readonly text: string;
  /** Log-probability (unigram), or minus the rank (BPE). */
  readonly score: number;
  readonly type: PieceType;
}

/** A SentencePiece `.model`, as far as encoding and decoding need it. */
export interface SentencePieceFile {
  readonly kind: "unigram" | "bpe";
  readonly pieces: readonly Piece[];
  readonly hasByteFallback: boolean;
  /** Ids by the trainer's settings; absent ones are -1 there. */
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  /** Compiled normalization rules; empty for none. */
  readonly charsmap: Uint8Array;
  readonly addsPrefix: boolean;
  readonly removesExtraSpaces: boolean;
}

const TYPES: readonly (PieceType | undefined)[] = [
  undefined,
  "normal",
  "unknown",
  "control",
  "user-defined",
  "unused",
  "byte",
];

/**
 * Reads a SentencePiece `.model`: a protocol buffer (`sentencepiece_model.proto`).
 *
 * @throws {FormatError} if it is damaged, or of a kind other than unigram and BPE.
 */
export function readSentencePieceFile(bytes: Uint8Array, where: string): SentencePieceFile {
  const model = readMessage(bytes, where);
  const trainer = readMessage(bytesOf(model, 2, where), `${where} trainer_spec`);
  const normalizer = readMessage(bytesOf(model, 3, where), `${where} normalizer_spec`);
  const kind = numberOf(trainer, 3, 1);
  if (kind !== 1 && kind !== 2) {
    const expected = "model type 1 (unigram) or 2 (BPE)";
    throw new FormatError({ where: `${where} trainer_spec`, expected, got: String(kind) });
  }
  const suffix = numberOf(trainer, 24, 0);
  if (suffix !== 0 || numberOf(normalizer, 5, 1) !== 1) {
    const expected = "spaces as marks before words";
    throw new FormatError({ where, expected, got: suffix ? "marks after words" : "spaces as they are" });
  }
  const pieces = model
    .filter(({ field }) => field === 1)
    .map(({ value }, id) => readPiece(value, `${where} piece ${id}`));
  const id = (field: number, fallback: number): number | undefined => {
    const value = numberOf(trainer, field, fallback);
    return value >= 0 && value < pieces.length ? value : undefined;
  };
  return {
    kind: kind === 1 ? "unigram" : "bpe",
    pieces,
    hasByteFallback: numberOf(trainer, 35, 0) === 1,
    bosId: id(41, 1),
    eosId: id(42, 2),
    padId: id(43, -1),
    charsmap: bytesOf(normalizer, 2, where),
    addsPrefix: numberOf(normalizer, 3, 1) === 1,
    removesExtraSpaces: numberOf(normalizer, 4, 1) === 1,
  };
}

function readPiece(value: number | Uint8Array, where: string): Piece {
  const message = readMessage(asBytes(value, where), where);
  const text = decodeUtf8(bytesOf(message, 1, where));
  const type = TYPES[numberOf(message, 3, 1)];
  const score = numberOf(message, 2, 0);
  if (type && Number.isFinite(score)) return { text, score, type };
  throw new FormatError({
    where,
    expected: "a piece of a known type with a score",
    got: JSON.stringify(text),
  });
}

interface Entry {
  readonly field: number;
  /** Numbers of the types varint, 32 and 64 bits; bytes of the rest. */
  readonly value: number | Uint8Array;
}

/** Reads the fields of a message; nested ones stay bytes. */
function readMessage(bytes: Uint8Array, where: string): Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: Entry[] = [];
  let at = 0;
  const fail = (got: string): never => {
    throw new FormatError({ where, expected: "a protocol buffer", got: `${got} at byte ${at}` });
  };
  const varint = (): number => {
    let result = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= bytes.length) return fail("its end");
      const byte = bytes[at++]!;
      result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(64, result));
    }
    return fail("a number without end");
  };
  const reserve = (count: number): number => {
    if (!(count >= 0 && count <= bytes.length - at)) fail(`${count} bytes of ${bytes.length - at}`);
    at += count;
    return at - count;
  };
  while (at < bytes.length) {
    const key = varint();
    const field = Math.floor(key / 8);
    switch (key & 7) {
      case 0:
        entries.push({ field, value: varint() });
        break;
      case 1:
        entries.push({ field, value: view.getFloat64(reserve(8), true) });
        break;
      case 2: {
        const length = varint();
        const start = reserve(length);
        entries.push({ field, value: bytes.subarray(start, start + length) });
        break;
      }
      case 5:
        entries.push({ field, value: view.getFloat32(reserve(4), true) });
        break;
      default:
        fail(`type ${key & 7}`);
    }
  }
  return entries;
}

function numberOf(message: readonly Entry[], field: number, fallback: number): number {
  const value = message.findLast((entry) => entry.field === field)?.value;
  return typeof value === "number" ? value : fallback;
}

function bytesOf(message: readonly Entry[], field: number, where: string): Uint8Array {
  const entry = message.findLast((one) => one.field === field);
  return entry ? asBytes(entry.value, where) : new Uint8Array(0);
}

function asBytes(value: number | Uint8Array, where: string): Uint8Array {
  if (typeof value !== "number") return value;
  throw new FormatError({ where, expected: "bytes", got: `the number ${value}` });
}
