import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { type CodePoints, uniteCodePoints } from "./code-points.ts";

/** Node of the trie that stands for the empty text. */
export const ROOT = 0;

/**
 * The byte strings of a tokenizer's tokens as a trie, so that all tokens that some automaton takes are found in one pass: nodes in
 * depth-first order, where a node's whole subtree is skipped by going to its `end`.
 *
 * Takes a moment for a large vocabulary (0.2 s for 50,000 tokens): make one for each tokenizer, and keep it.
 */
export class TokenVocabulary {
  /** Ids are below. */
  readonly size: number;
  /** Bytes of the longest token. */
  readonly longest: number;
  /**
   * The characters that text can be written in, where not every byte is a token; then only tokens that are made of such characters
   * take part. Undefined where all are: every text can be written byte by byte.
   */
  readonly characters: CodePoints | undefined;
  /** The byte by which a node is reached. */
  readonly bytes: Uint8Array;
  /** Its distance from the root. */
  readonly depths: Uint16Array;
  /** The first node that is not below it. */
  readonly ends: Int32Array;
  /** Its tokens: `tokens` from here up to the entry of the next node. */
  readonly firstTokens: Int32Array;
  readonly tokens: Int32Array;
  readonly #tokenizer: Pick<Tokenizer, "vocabularySize" | "tokenBytes">;

  constructor(tokenizer: Pick<Tokenizer, "vocabularySize" | "tokenBytes">) {
    this.#tokenizer = tokenizer;
    this.size = tokenizer.vocabularySize;
    const all: [bytes: string, token: number][] = [];
    for (let token = 0; token < this.size; token++) {
      const bytes = Buffer.from(tokenizer.tokenBytes(token)).toString("latin1");
      if (bytes !== "") all.push([bytes, token]); // special tokens are no text
    }
    this.characters = hasAllBytes(all) ? undefined : singleCharacters(all);
    const usable = this.characters ? all.filter(([bytes]) => isWrittenIn(bytes, this.characters!)) : all;
    usable.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.longest = usable.reduce((most, [bytes]) => Math.max(most, bytes.length), 0);
    this.tokens = Int32Array.from(usable, ([, token]) => token);
    const trie = buildTrie(usable.map(([bytes]) => bytes));
    this.bytes = Uint8Array.from(trie.bytes);
    this.depths = Uint16Array.from(trie.depths);
    this.firstTokens = Int32Array.from(trie.firstTokens);
    this.ends = Int32Array.from(trie.ends);
  }

  /** The bytes of a token; none for special ones. @throws {DataError} if there is no such token. */
  tokenBytes(token: number): Uint8Array {
    return this.#tokenizer.tokenBytes(token);
  }
}

function buildTrie(sorted: readonly string[]) {
  const [bytes, depths, firstTokens, ends]: number[][] = [[0], [0], [0], [0]];
  const path = [ROOT]; // nodes of the last text
  let last = "";
  for (const [index, text] of sorted.entries()) {
    let shared = 0;
    while (shared < last.length && last[shared] === text[shared]) shared++;
    while (path.length > shared + 1) ends![path.pop()!] = bytes!.length;
    for (let depth = shared; depth < text.length; depth++) {
      path.push(bytes!.length);
      bytes!.push(text.charCodeAt(depth));
      depths!.push(depth + 1);
      firstTokens!.push(index);
      ends!.push(0);
    }
    last = text;
  }
  while (path.length > 0) ends![path.pop()!] = bytes!.length;
  firstTokens!.push(sorted.length);
  return { bytes: bytes!, depths: depths!, firstTokens: firstTokens!, ends: ends! };
}

/** True if there is a token for every byte that UTF-8 text can hold. */
function hasAllBytes(tokens: readonly [bytes: string, token: number][]): boolean {
  const single = new Set(
    tokens.filter(([bytes]) => bytes.length === 1).map(([bytes]) => bytes.charCodeAt(0)),
  );
  for (let byte = 0; byte <= 0xf4; byte++) {
    if (!single.has(byte) && byte !== 0xc0 && byte !== 0xc1) return false;
  }
  return true;
}

function singleCharacters(tokens: readonly [bytes: string, token: number][]): CodePoints {
  const found = tokens.flatMap(([bytes]) => {
    const characters = charactersOf(bytes);
    return characters?.length === 1 ? [[characters[0]!, characters[0]!]] : [];
  });
  return uniteCodePoints(found);
}

function isWrittenIn(bytes: string, set: CodePoints): boolean {
  const isMember = (character: number) => {
    let [low, high] = [0, set.length / 2];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (set[2 * middle + 1]! < character) low = middle + 1;
      else high = middle;
    }
    return low < set.length / 2 && set[2 * low]! <= character;
  };
  return charactersOf(bytes)?.every(isMember) ?? false;
}

/** Code points of UTF-8; undefined if it is malformed. */
function charactersOf(bytes: string): number[] | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Buffer.from(bytes, "latin1"),
    );
    return Array.from(text, (character) => character.codePointAt(0)!);
  } catch {
    return undefined;
  }
}
