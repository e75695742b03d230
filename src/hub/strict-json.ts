import { FormatError } from "../core/errors.ts";

/** A value JSON text can hold. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** Longest number literal taken; the longest float64 needs 25 characters. */
const MAX_NUMBER_LENGTH = 400;

/**
 * Values and keys in one text. Two bytes of text can become an object of fifty, so a file's size alone bounds neither
 * memory nor time; the index of the largest published model has 91,000 keys.
 */
const MAX_VALUES = 1_000_000;
const MAX_KEYS = 250_000;

const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

/**
 * Parses JSON text, and refuses what `JSON.parse` lets pass: the same key twice in one object (it keeps the
 * last without a word, so two readers can see two different files), nesting deep enough to exhaust the stack,
 * numbers that overflow to infinity, lone surrogates, and more values than any honest file has. `__proto__` becomes an ordinary key.
 *
 * @param where    named in the error, e.g. the file
 * @param maxDepth deepest nesting of arrays and objects allowed
 * @throws {FormatError} with the character position of the first fault.
 * @example
 * parseStrictJson('{"a": [1, 2]}', "x.json"); // => { a: [1, 2] }
 */
export function parseStrictJson(text: string, where: string, maxDepth: number = 64): JsonValue {
  return new StrictParser(text, where, maxDepth).parseDocument();
}

/**
 * Decodes UTF-8 strictly: malformed bytes are an error rather than replacement characters, and a byte order
 * mark stays in the text, where a parser will refuse it.
 *
 * @throws {FormatError} if the bytes are not UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError({ where, expected: "UTF-8 text", got: "bytes that are not UTF-8" }, { cause });
  }
}

/** True for JSON objects: not null, not an array. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * A JSON value in a few words for an error message, however large the value is.
 *
 * @example
 * describeJson([1, "two"]); // => '[1, "two"]'
 */
export function describeJson(value: JsonValue | undefined): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") {
    return value.length <= 80 ? JSON.stringify(value) : `${JSON.stringify(value.slice(0, 80))}…`;
  }
  if (Array.isArray(value)) {
    const shown = value.slice(0, 8).map((item) => (Array.isArray(item) ? "[…]" : describeJson(item)));
    return `[${shown.join(", ")}${value.length > 8 ? ", …" : ""}]`;
  }
  return isJsonObject(value) ? "an object" : String(value);
}

class StrictParser {
  readonly #text: string;
  readonly #where: string;
  readonly #maxDepth: number;
  #at = 0;
  #numValues = 0;
  #numKeys = 0;

  constructor(text: string, where: string, maxDepth: number) {
    this.#text = text;
    this.#where = where;
    this.#maxDepth = maxDepth;
  }

  parseDocument(): JsonValue {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#fail("the end of the JSON text");
    return value;
  }

  #value(depth: number): JsonValue {
    this.#skipSpace();
    if (++this.#numValues > MAX_VALUES) this.#fail(`at most ${MAX_VALUES} values`, "more");
    switch (this.#text[this.#at]) {
      case "{":
        return this.#object(this.#deeper(depth));
      case "[":
        return this.#array(this.#deeper(depth));
      case '"':
        return this.#string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #deeper(depth: number): number {
    if (depth >= this.#maxDepth) this.#fail(`nesting of at most ${this.#maxDepth}`);
    return depth + 1;
  }

  #object(depth: number): JsonObject {
    const result: Record<string, JsonValue> = {};
    this.#numValues++; // an object takes as much memory as two of the others
    this.#at++;
    if (this.#take("}")) return result;
    do {
      this.#skipSpace();
      if (this.#text[this.#at] !== '"') this.#fail("a quoted key");
      if (++this.#numKeys > MAX_KEYS) this.#fail(`at most ${MAX_KEYS} keys`, "more");
      const keyAt = this.#at;
      const key = this.#string();
      if (Object.hasOwn(result, key)) {
        this.#at = keyAt;
        this.#fail("each key once in an object", `${describeJson(key)} again`);
      }
      if (!this.#take(":")) this.#fail('":"');
      setOwn(result, key, this.#value(depth));
    } while (this.#take(","));
    if (!this.#take("}")) this.#fail('"," or "}"');
    return result;
  }

  #array(depth: number): JsonValue[] {
    const result: JsonValue[] = [];
    this.#at++;
    if (this.#take("]")) return result;
    do {
      result.push(this.#value(depth));
    } while (this.#take(","));
    if (!this.#take("]")) this.#fail('"," or "]"');
    return result;
  }

  #string(): string {
    const text = this.#text;
    const start = this.#at;
    let escaped = false;
    let at = start + 1;
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === 0x22 || code < 0x20) break;
      if (code !== 0x5c) continue;
      escaped = true;
      at++;
    }
    this.#at = at;
    if (text[at] !== '"') this.#fail('a string closed by "');
    this.#at = at + 1;
    return escaped ? this.#unescape(start) : text.slice(start + 1, at);
  }

  /** The built-in parser knows the escapes; what it would let pass is checked here. */
  #unescape(start: number): string {
    const quoted = this.#text.slice(start, this.#at);
    this.#at = start;
    let value: string;
    try {
      value = JSON.parse(quoted) as string;
    } catch {
      this.#fail("a string with valid escapes", describeJson(quoted));
    }
    if (/\p{Surrogate}/u.test(value)) this.#fail("a string without lone surrogates", describeJson(quoted));
    this.#at = start + quoted.length;
    return value;
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail("a JSON value");
    this.#at += word.length;
    return value;
  }

  #number(): number {
    let end = this.#at;
    while (end < this.#text.length && "+-.0123456789eE".includes(this.#text[end]!)) end++;
    if (end === this.#at) this.#fail("a JSON value");
    if (end - this.#at > MAX_NUMBER_LENGTH) this.#fail(`a number of at most ${MAX_NUMBER_LENGTH} characters`);
    const literal = this.#text.slice(this.#at, end);
    const value = Number(literal);
    if (!NUMBER.test(literal) || !Number.isFinite(value)) {
      this.#fail("a finite JSON number", describeJson(literal));
    }
    this.#at = end;
    return value;
  }

  #take(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    for (; ; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    }
  }

  #fail(expected: string, got: string = describeJson(this.#text[this.#at])): never {
    const found = this.#at < this.#text.length ? got : "the end of the text";
    throw new FormatError({ where: this.#where, expected, got: `${found} at character ${this.#at}` });
  }
}

/** Plain assignment to `__proto__` would change the object's prototype instead of adding a key. */
function setOwn(target: Record<string, JsonValue>, key: string, value: JsonValue): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
  } else {
    target[key] = value;
  }
}
