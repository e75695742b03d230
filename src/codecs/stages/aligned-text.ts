/**
 * Text on its way from the original to the model, and for each code unit the stretch `[start, end)` of the original
 * that it stands for. Where nobody asks for offsets they are not carried along, and `starts` and `ends` are undefined.
 */
export class AlignedText {
  readonly text: string;
  readonly starts: Int32Array | undefined;
  readonly ends: Int32Array | undefined;
  /** Whether the text begins where the original begins: some prefixes are put only there. */
  readonly isFirst: boolean;

  constructor(
    text: string,
    isFirst: boolean,
    starts: Int32Array | undefined = undefined,
    ends: Int32Array | undefined = undefined,
  ) {
    this.text = text;
    this.isFirst = isFirst;
    this.starts = starts;
    this.ends = ends;
  }

  /** Original text with its offsets, which begin at `shift`; both halves of a surrogate pair stand for the pair. */
  static tracked(text: string, shift: number): AlignedText {
    const starts = new Int32Array(text.length);
    const ends = new Int32Array(text.length);
    for (let at = 0; at < text.length; ) {
      const size = sizeAt(text, at);
      starts.fill(shift + at, at, at + size);
      ends.fill(shift + at + size, at, at + size);
      at += size;
    }
    return new AlignedText(text, shift === 0, starts, ends);
  }

  /** The part `[from, to)`. */
  slice(from: number, to: number): AlignedText {
    if (from === 0 && to === this.text.length) return this;
    const isFirst = this.isFirst && from === 0;
    return new AlignedText(
      this.text.slice(from, to),
      isFirst,
      this.starts?.subarray(from, to),
      this.ends?.subarray(from, to),
    );
  }
}

/**
 * Writes a changed text, reading a source from left to right. Which original characters a new one stands for follows
 * the Hugging Face library: what replaces a character stands for it, what is inserted stands for the character read last.
 */
export class TextEdit {
  readonly #source: AlignedText;
  readonly #starts: number[] | undefined;
  readonly #ends: number[] | undefined;
  #text = "";
  #at = 0;

  constructor(source: AlignedText) {
    this.#source = source;
    if (source.starts) [this.#starts, this.#ends] = [[], []];
  }

  /** Where the source is read next. */
  get at(): number {
    return this.#at;
  }

  /** Copies the source up to `end`. */
  keepTo(end: number): void {
    if (end <= this.#at) return;
    this.#text += this.#source.text.slice(this.#at, end);
    for (let i = this.#at; this.#starts && i < end; i++) this.#align(i, 1);
    this.#at = end;
  }

  /** Leaves the source out up to `end`. */
  skipTo(end: number): void {
    this.#at = end;
  }

  /** Writes `text` in place of the next character of the source. */
  replaceNext(text: string): void {
    this.#text += text;
    this.#align(this.#at, text.length);
    this.#at += sizeAt(this.#source.text, this.#at);
  }

  /** Writes `text` that is not in the source. */
  insert(text: string): void {
    this.#text += text;
    this.#align(this.#at - 1, text.length);
  }

  /** Leaves out `count` characters of the source. */
  skip(count: number): void {
    for (let i = 0; i < count && this.#at < this.#source.text.length; i++) {
      this.#at += sizeAt(this.#source.text, this.#at);
    }
  }

  /** The text as written, and the rest of the source. */
  finish(): AlignedText {
    this.keepTo(this.#source.text.length);
    const starts = this.#starts && Int32Array.from(this.#starts);
    const ends = this.#ends && Int32Array.from(this.#ends);
    return new AlignedText(this.#text, this.#source.isFirst, starts, ends);
  }

  #align(from: number, count: number): void {
    if (!this.#starts) return;
    const start = from < 0 ? 0 : (this.#source.starts?.[from] ?? 0);
    const end = from < 0 ? 0 : (this.#source.ends?.[from] ?? 0);
    for (let i = 0; i < count; i++) {
      this.#starts.push(start);
      this.#ends?.push(end);
    }
  }
}

/** Code units of the character at `at`. */
export function sizeAt(text: string, at: number): number {
  return text.codePointAt(at)! > 0xffff ? 2 : 1;
}
