/** What stands in a cut line's last column. */
const ELLIPSIS = "…";

/** Printable ASCII needs no segmentation: one column each. */
const PLAIN = /^[\x20-\x7e]*$/;

const WIDE_EMOJI = /\p{Emoji_Presentation}|\ufe0f/u;
const ZERO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;

/** Code points of East Asian width W or F, by block (Unicode Standard Annex 11); emoji are matched by property. */
const WIDE_RANGES: readonly (readonly [first: number, last: number])[] = [
  [0x1100, 0x115f],
  [0x2329, 0x232a],
  [0x2e80, 0x303e],
  [0x3041, 0x3247],
  [0x3250, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18dff],
  [0x1aff0, 0x1b2ff],
  [0x1f200, 0x1f265],
  [0x20000, 0x3fffd],
];

const GRAPHEMES = new Intl.Segmenter("en", { granularity: "grapheme" });

/**
 * Terminal columns a text takes: 2 for wide characters and emoji, 0 for a lone combining mark.
 * The text must be free of control characters and escape sequences; see {@link makeVisible}.
 *
 * @example
 * columnWidth("ab漢字"); // => 6
 */
export function columnWidth(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const { segment } of GRAPHEMES.segment(text)) width += graphemeWidth(segment);
  return width;
}

/**
 * The text cut to at most `width` columns, with `…` last where something was cut. Never splits a character.
 *
 * @example
 * cutColumns("漢字漢字", 6); // => "漢字…"
 */
export function cutColumns(text: string, width: number): string {
  if (columnWidth(text) <= width) return text;
  return width > 0 ? takeColumns(text, width - 1) + ELLIPSIS : "";
}

/**
 * The longest beginning of the text that fits in `width` columns. Never splits a character.
 *
 * @example
 * takeColumns("a漢字", 4); // => "a漢"
 */
export function takeColumns(text: string, width: number): string {
  let taken = "";
  let used = 0;
  for (const { segment } of GRAPHEMES.segment(text)) {
    used += graphemeWidth(segment);
    if (used > width) break;
    taken += segment;
  }
  return taken;
}

/**
 * Text from a model or a file made safe for one terminal line: line breaks become `↵`, tabs `⇥`, other control
 * characters their Unicode pictures, and invisible or direction-changing characters their code point.
 *
 * @example
 * makeVisible("a\n\u001b[31m"); // => "a↵␛[31m"
 */
export function makeVisible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => {
    const code = character.codePointAt(0)!;
    if (character === "\n") return "↵";
    if (character === "\t") return "⇥";
    if (character === "\u200d") return character; // joins emoji
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "␡";
    return `<${code.toString(16).toUpperCase().padStart(4, "0")}>`;
  });
}

function graphemeWidth(grapheme: string): number {
  if (ZERO_WIDTH.test(grapheme)) return 0;
  if (WIDE_EMOJI.test(grapheme)) return 2;
  const code = grapheme.codePointAt(0)!;
  return WIDE_RANGES.some(([first, last]) => code >= first && code <= last) ? 2 : 1;
}
