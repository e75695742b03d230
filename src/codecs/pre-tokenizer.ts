import { CODE_POINT_CLASS, WHITESPACE } from "./unicode-classes.ts";

const SPACE = 0x20;
const APOSTROPHE = 0x27;
const [D, E, L, M, R, S, T, V] = [..."delmrstv"].map((letter) => letter.charCodeAt(0));

/**
 * Where the pre-token that begins at `start` ends: one match of GPT-2's split pattern
 * `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` (Radford et al. 2019,
 * `encoder.py`), scanned by hand on UTF-8 because the regular expression was the bottleneck of encoding.
 * Merges never cross the borders it draws.
 *
 * @param bytes well-formed UTF-8; `start` < `end` are code point borders
 * @example
 * preTokenEnd(new TextEncoder().encode("don't stop"), 3, 10); // => 5
 */
export function preTokenEnd(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start]!;
  if (first === APOSTROPHE) {
    const length = contractionLength(bytes, start, end);
    if (length > 0) return start + length;
  }
  const at = first === SPACE && start + 1 < end ? start + 1 : start;
  const kind = classAt(bytes, at);
  return kind === WHITESPACE ? whitespaceEnd(bytes, start, end) : runEnd(bytes, at, end, kind);
}

/** Length of the contraction that begins at the apostrophe, 0 when there is none. */
function contractionLength(bytes: Uint8Array, start: number, end: number): number {
  const first = start + 1 < end ? bytes[start + 1] : -1;
  if (first === S || first === T || first === M || first === D) return 2;
  const second = start + 2 < end ? bytes[start + 2] : -1;
  const isLong = (second === E && (first === R || first === V)) || (first === L && second === L);
  return isLong ? 3 : 0;
}

/** End of the run of code points of class `kind` that covers `at`. */
function runEnd(bytes: Uint8Array, at: number, end: number, kind: number): number {
  while (at < end) {
    const byte = bytes[at]!;
    if (byte < 0x80) {
      if (CODE_POINT_CLASS[byte] !== kind) return at;
      at++;
    } else {
      if (CODE_POINT_CLASS[codePointAt(bytes, at)] !== kind) return at;
      at += utf8Length(byte);
    }
  }
  return end;
}

/** White space up to the end of the text, or all but the last character before something visible. */
function whitespaceEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  let last = start;
  while (at < end && classAt(bytes, at) === WHITESPACE) {
    last = at;
    at += utf8Length(bytes[at]!);
  }
  return at === end || last === start ? at : last;
}

function classAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]!;
  return CODE_POINT_CLASS[byte < 0x80 ? byte : codePointAt(bytes, at)]!;
}

function utf8Length(lead: number): number {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** Decodes the multi-byte character at `at`. */
function codePointAt(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  const second = bytes[at + 1]! & 0x3f;
  if (lead < 0xe0) return ((lead & 0x1f) << 6) | second;
  const third = bytes[at + 2]! & 0x3f;
  if (lead < 0xf0) return ((lead & 0x0f) << 12) | (second << 6) | third;
  return ((lead & 0x07) << 18) | (second << 12) | (third << 6) | (bytes[at + 3]! & 0x3f);
}
