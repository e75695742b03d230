import { DataError } from "../core/errors.ts";

const encoder = new TextEncoder();
// A byte order mark is text like any other: decoding must give back what was encoded.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * UTF-8 bytes of `text`.
 *
 * @throws {DataError} if the text holds half of a surrogate pair, which no UTF-8 bytes stand for.
 * @example
 * encodeUtf8("é"); // => new Uint8Array([0xc3, 0xa9])
 */
export function encodeUtf8(text: string): Uint8Array {
  requireWellFormed(text);
  return encoder.encode(text);
}

/** Text of UTF-8 bytes; each invalid sequence becomes U+FFFD, as the Encoding standard prescribes. */
export function decodeUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** @throws {DataError} at the first lone surrogate. */
export function requireWellFormed(text: string): void {
  const at = loneSurrogateAt(text);
  if (at < 0) return;
  const code = text.charCodeAt(at).toString(16).toUpperCase();
  throw new DataError({
    where: "encode",
    expected: "well-formed Unicode text",
    got: `the lone surrogate U+${code} at position ${at}`,
    fix: "Decode the source as UTF-8, or cut the text between characters.",
  });
}

/** Index of the first lone surrogate, -1 for well-formed text. */
export function loneSurrogateAt(text: string): number {
  return text.search(/\p{Surrogate}/u);
}

/**
 * How many bytes at the end of `bytes` begin a character that more bytes might complete: 0 to 3. A cut there
 * changes no decoding, because an invalid sequence never reaches beyond the next lead byte.
 *
 * @example
 * incompleteTailLength(new Uint8Array([0x61, 0xe2, 0x82])); // => 2
 */
export function incompleteTailLength(bytes: Uint8Array): number {
  for (let length = 1; length <= Math.min(3, bytes.length); length++) {
    const lead = bytes[bytes.length - length]!;
    if (lead < 0x80) return 0;
    if (lead < 0xc0) continue; // a continuation byte: the lead is further left
    return length < sequenceLength(lead) ? length : 0;
  }
  return 0;
}

/** Bytes of the character that a lead byte announces; 0 for a byte that leads nothing. */
function sequenceLength(lead: number): number {
  if (lead < 0xc2 || lead > 0xf4) return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}
