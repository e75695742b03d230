/** A binary heap of numbers: `pop` gives the one that comes before all others. */
export class NumberHeap {
  readonly #before: (a: number, b: number) => boolean;
  #items: Float64Array;
  #size = 0;

  /** @param before a strict order; what it looks at must not change for items that are in the heap */
  constructor(before: (a: number, b: number) => boolean, capacity = 1024) {
    this.#before = before;
    this.#items = new Float64Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  push(item: number): void {
    if (this.#size === this.#items.length) {
      const larger = new Float64Array(this.#items.length * 2);
      larger.set(this.#items);
      this.#items = larger;
    }
    const items = this.#items;
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(item, items[parent]!)) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  /** Removes and returns the first item; the heap must not be empty. */
  pop(): number {
    const items = this.#items;
    const first = items[0]!;
    const item = items[--this.#size]!;
    let at = 0;
    for (let child = 1; child < this.#size; child = 2 * at + 1) {
      if (child + 1 < this.#size && this.#before(items[child + 1]!, items[child]!)) child++;
      if (!this.#before(items[child]!, item)) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = item;
    return first;
  }
}
