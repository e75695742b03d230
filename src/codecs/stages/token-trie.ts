import { FormatError } from "../../core/errors.ts";
import { PairTable } from "../pair-table.ts";

/** Longest token that prefixes are searched for; published ones have up to 128 characters. */
const MAX_TOKEN_LENGTH = 2048;

/** Token texts as a trie over code units: finds all tokens that begin at a place. */
export class TokenTrie {
  readonly #children: PairTable;
  readonly #tokens: number[] = [-1];

  /** @throws {FormatError} if a token is longer than can be searched for in reasonable time. */
  constructor(tokens: Iterable<readonly [text: string, id: number]>, where: string) {
    const list = [...tokens];
    this.#children = new PairTable(list.reduce((sum, [text]) => sum + text.length, 0));
    for (const [text, id] of list) {
      if (text.length > MAX_TOKEN_LENGTH) {
        const expected = `tokens of at most ${MAX_TOKEN_LENGTH} characters`;
        throw new FormatError({ where, expected, got: `one of ${text.length}` });
      }
      this.#insert(text, id);
    }
  }

  /** The node after `node` by the code unit `unit`; -1 if no token goes on so. The root is 0. */
  next(node: number, unit: number): number {
    return this.#children.get(node, unit);
  }

  /** The token that ends at a node, -1 if none does. */
  tokenAt(node: number): number {
    return this.#tokens[node]!;
  }

  #insert(text: string, id: number): void {
    let node = 0;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      let next = this.#children.get(node, unit);
      if (next < 0) {
        next = this.#tokens.push(-1) - 1;
        this.#children.set(node, unit, next);
      }
      node = next;
    }
    this.#tokens[node] = id;
  }
}
