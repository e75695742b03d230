/** Code points as sorted, disjoint ranges `[start, end)`, flattened. */
export type CodePointSet = readonly number[];

const LIMIT = 0x110000;

/** The set of one range, both ends included. */
export function range(first: number, last: number): CodePointSet {
  return [first, last + 1];
}

/** What is in any of the sets. */
export function union(sets: readonly CodePointSet[]): CodePointSet {
  const pairs: [number, number][] = [];
  for (const set of sets) for (let i = 0; i < set.length; i += 2) pairs.push([set[i]!, set[i + 1]!]);
  pairs.sort((a, b) => a[0] - b[0]);
  const result: number[] = [];
  for (const [start, end] of pairs) {
    const last = result.length - 1;
    if (last > 0 && start <= result[last]!) result[last] = Math.max(result[last]!, end);
    else result.push(start, end);
  }
  return result;
}

/** What is not in the set. */
export function invert(set: CodePointSet): CodePointSet {
  const result: number[] = [];
  let at = 0;
  for (let i = 0; i < set.length; i += 2) {
    if (set[i]! > at) result.push(at, set[i]!);
    at = set[i + 1]!;
  }
  if (at < LIMIT) result.push(at, LIMIT);
  return result;
}

/** What is in both sets. */
export function intersect(a: CodePointSet, b: CodePointSet): CodePointSet {
  return invert(union([invert(a), invert(b)]));
}

/** What is in one of the sets, not in both. */
export function difference(a: CodePointSet, b: CodePointSet): CodePointSet {
  return intersect(union([a, b]), invert(intersect(a, b)));
}

/** Tests membership: a table where text mostly is, a binary search elsewhere. */
export class SetTest {
  static readonly TABLE_SIZE: number = 0x3000;
  readonly table: Uint8Array = new Uint8Array(SetTest.TABLE_SIZE);
  readonly #ranges: Int32Array;

  constructor(set: CodePointSet) {
    this.#ranges = Int32Array.from(set);
    for (let i = 0; i < set.length; i += 2) this.table.fill(1, set[i], set[i + 1]);
  }

  has(point: number): boolean {
    if (point < SetTest.TABLE_SIZE) return this.table[point] === 1;
    const ranges = this.#ranges;
    let [low, high] = [0, ranges.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ranges[middle]! <= point) low = middle + 1;
      else high = middle;
    }
    return (low & 1) === 1;
  }
}
