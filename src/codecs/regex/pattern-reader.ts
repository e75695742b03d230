import { FormatError } from "../../core/errors.ts";

/** Groups and classes inside one another. */
const MAX_DEPTH = 40;

/** A pattern as it is read. */
export class PatternReader {
  readonly #pattern: string;
  readonly #where: string;
  /** Whether it is in the syntax of Rust. */
  readonly isRust: boolean;
  #at = 0;
  #depth = 0;

  constructor(pattern: string, where: string, isRust: boolean) {
    this.isRust = isRust;
    this.#pattern = pattern;
    this.#where = where;
  }

  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#pattern.length;
  }

  /** Up to `count` code units that come next. */
  rest(count: number): string {
    return this.#pattern.slice(this.#at, this.#at + count);
  }

  /** Reads the next character. */
  next(expected: string): string {
    const point = this.#pattern.codePointAt(this.#at);
    if (point === undefined) this.fail(expected, "the end of the pattern");
    const char = String.fromCodePoint(point);
    this.#at += char.length;
    return char;
  }

  /** Reads `text` if it comes next. */
  take(text: string): boolean {
    if (!this.#pattern.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  /** Reads what a sticky expression matches here, at most `limit` code units. */
  match(sticky: RegExp, limit: number = 64): string {
    sticky.lastIndex = 0;
    const found = sticky.exec(this.rest(limit))?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  /** Reads something nested, not too deep. */
  nested<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH) this.fail(`nesting of at most ${MAX_DEPTH}`, "more");
    const result = read();
    this.#depth--;
    return result;
  }

  fail(expected: string, got: string): never {
    const where = `${this.#where}, character ${this.#at} of the pattern`;
    throw new FormatError({ where, expected, got: got.replaceAll(/\s/g, " ") });
  }
}
