/**
 * GPT-2's byte alphabet (Radford et al. 2019, `bytes_to_unicode`): every byte has a printable character, so
 * that vocabularies of byte strings can be written as JSON. Bytes that are printable in Latin-1 stand for
 * themselves; the other 68, in order, are U+0100, U+0101 …
 */

/** The 256 bytes in the order of their ids in GPT-2's vocabulary, which is also that of their characters. */
export const BYTE_ORDER: Uint8Array = buildOrder();

/** Character of each byte: `BYTE_TO_CHAR[0x20]` is `"Ġ"`. */
export const BYTE_TO_CHAR: readonly string[] = buildCharacters();

const CHAR_TO_BYTE: ReadonlyMap<string, number> = new Map(BYTE_TO_CHAR.map((char, byte) => [char, byte]));

/**
 * A byte string in the alphabet.
 *
 * @example
 * bytesToAlphabet(new TextEncoder().encode(" é")); // => "ĠÃ©"
 */
export function bytesToAlphabet(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += BYTE_TO_CHAR[byte];
  return text;
}

/** The bytes a string of the alphabet stands for; undefined if a character is not of the alphabet. */
export function alphabetToBytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const byte = CHAR_TO_BYTE.get(text[i]!);
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

function buildOrder(): Uint8Array {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  return Uint8Array.from([...bytes.filter(isPrintable), ...bytes.filter((byte) => !isPrintable(byte))]);
}

function buildCharacters(): string[] {
  const characters: string[] = [];
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    characters.push(String.fromCharCode(isPrintable(byte) ? byte : next++));
  }
  return characters;
}
