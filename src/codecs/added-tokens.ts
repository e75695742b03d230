import { SetTest } from "./code-point-set.ts";
import { RUST_WORD } from "./regex/properties.ts";
import type { AddedToken } from "./tokenizer-json.ts";
import { CODE_POINT_CLASS, WHITESPACE } from "./unicode-classes.ts";

/** A stretch of text, or one added token (`id`) found in it. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  /** Undefined for text. */
  readonly id: number | undefined;
}

interface TrieNode {
  readonly next: Map<number, TrieNode>;
  token: AddedToken | undefined;
}

/** Finds added tokens in text: leftmost first, of those that begin at one place the longest. */
export class AddedTokens {
  readonly #root: TrieNode = newNode();
  /** Whether there are tokens that are not special. */
  readonly #hasOrdinary: boolean;

  constructor(tokens: readonly AddedToken[]) {
    for (const token of tokens) if (token.content !== "") this.#insert(token);
    this.#hasOrdinary = tokens.some(({ special }) => !special);
  }

  /**
   * Cuts text at the added tokens in it; nothing is left out.
   *
   * @param special whether special tokens count too, or only ordinary added ones
   */
  split(text: string, special: boolean): Segment[] {
    const segments: Segment[] = [];
    let done = 0;
    const isNeeded = special ? this.#root.next.size > 0 : this.#hasOrdinary;
    for (let at = 0; isNeeded && at < text.length; ) {
      const token = this.#longestAt(text, at);
      if (!token) {
        at++;
        continue;
      }
      const end = at + token.content.length;
      if ((special || !token.special) && standsAlone(token, text, at, end)) {
        const from = token.lstrip ? Math.max(done, spaceStart(text, at)) : at;
        const to = token.rstrip ? spaceEnd(text, end) : end;
        if (from > done) segments.push({ start: done, end: from, id: undefined });
        segments.push({ start: from, end: to, id: token.id });
        done = to;
      }
      at = Math.max(end, done);
    }
    if (done < text.length) segments.push({ start: done, end: text.length, id: undefined });
    return segments;
  }

  #insert(token: AddedToken): void {
    let node = this.#root;
    for (let i = 0; i < token.content.length; i++) {
      const code = token.content.charCodeAt(i);
      let next = node.next.get(code);
      if (!next) {
        next = newNode();
        node.next.set(code, next);
      }
      node = next;
    }
    node.token ??= token;
  }

  #longestAt(text: string, start: number): AddedToken | undefined {
    let node: TrieNode | undefined = this.#root;
    let found: AddedToken | undefined;
    for (let at = start; node; at++) {
      found = node.token ?? found;
      node = at < text.length ? node.next.get(text.charCodeAt(at)) : undefined;
    }
    return found;
  }
}

function newNode(): TrieNode {
  return { next: new Map(), token: undefined };
}

function standsAlone(token: AddedToken, text: string, start: number, end: number): boolean {
  return !token.single_word || !(isWordBefore(text, start) || isWord(text, end));
}

function isWordBefore(text: string, at: number): boolean {
  return isWord(text, at - 1) || (at > 1 && text.codePointAt(at - 2)! > 0xffff && isWord(text, at - 2));
}

/** Whether the character at `at` is one of a word. */
function isWord(text: string, at: number): boolean {
  const code = text.codePointAt(at);
  return code !== undefined && IS_WORD.has(code);
}

const IS_WORD = new SetTest(RUST_WORD);

function spaceStart(text: string, at: number): number {
  while (at > 0 && CODE_POINT_CLASS[text.charCodeAt(at - 1)] === WHITESPACE) at--;
  return at;
}

function spaceEnd(text: string, at: number): number {
  while (at < text.length && CODE_POINT_CLASS[text.charCodeAt(at)] === WHITESPACE) at++;
  return at;
}
