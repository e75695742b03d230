const ROOT = 0;
const NONE = 0;

/**
 * Counts of all n-grams up to some order, as a trie in typed arrays: a node is a string of symbols, its child by
 * a symbol the string one longer. Children are found through one open-addressing table keyed by parent and
 * symbol, compared exactly, so no two n-grams share a count. About 40 bytes a node.
 */
export class NgramTrie {
  #numNodes = 1;
  #parents = new Uint32Array(1 << 12);
  #symbols = new Uint32Array(1 << 12);
  /** How often the node's string occurred. */
  #counts = new Uint32Array(1 << 12);
  /** How often anything followed it. */
  #followers = new Uint32Array(1 << 12);
  /** How many different symbols followed it. */
  #kinds = new Uint32Array(1 << 12);
  /** Node ids by hash; 0, the root, is nobody's child and means "free". */
  #slots = new Uint32Array(1 << 13);

  get numNodes(): number {
    return this.#numNodes;
  }

  /** The empty string. */
  get root(): number {
    return ROOT;
  }

  count(node: number): number {
    return this.#counts[node]!;
  }

  followers(node: number): number {
    return this.#followers[node]!;
  }

  kinds(node: number): number {
    return this.#kinds[node]!;
  }

  /** The node of `parent` followed by `symbol`, or 0 if that never occurred. */
  find(parent: number, symbol: number): number {
    return this.#slots[this.#slotOf(parent, symbol)]!;
  }

  /** Counts one occurrence of `parent` followed by `symbol`, and returns its node. */
  add(parent: number, symbol: number): number {
    let slot = this.#slotOf(parent, symbol);
    let node = this.#slots[slot]!;
    if (node === NONE) {
      if (this.#numNodes === this.#parents.length) {
        this.#grow();
        slot = this.#slotOf(parent, symbol);
      }
      node = this.#numNodes++;
      this.#slots[slot] = node;
      this.#parents[node] = parent;
      this.#symbols[node] = symbol;
      this.#kinds[parent]!++;
    }
    this.#counts[node]!++;
    this.#followers[parent]!++;
    return node;
  }

  /** The slot that holds the child, or the free one where it belongs. */
  #slotOf(parent: number, symbol: number): number {
    const mask = this.#slots.length - 1;
    let hash = Math.imul(parent, 0x9e3779b1) ^ Math.imul(symbol + 1, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    for (let slot = (hash ^ (hash >>> 13)) & mask; ; slot = (slot + 1) & mask) {
      const node = this.#slots[slot]!;
      if (node === NONE || (this.#parents[node] === parent && this.#symbols[node] === symbol)) return slot;
    }
  }

  #grow(): void {
    const capacity = this.#parents.length * 2;
    this.#parents = enlarge(this.#parents, capacity);
    this.#symbols = enlarge(this.#symbols, capacity);
    this.#counts = enlarge(this.#counts, capacity);
    this.#followers = enlarge(this.#followers, capacity);
    this.#kinds = enlarge(this.#kinds, capacity);
    this.#slots = new Uint32Array(capacity * 2);
    for (let node = 1; node < this.#numNodes; node++) {
      this.#slots[this.#slotOf(this.#parents[node]!, this.#symbols[node]!)] = node;
    }
  }
}

function enlarge(array: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(length);
  larger.set(array);
  return larger;
}
