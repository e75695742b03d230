import { type CodePointSet, union } from "../code-point-set.ts";
import { categorySet } from "../unicode-classes.ts";

/** Sets larger than this are properties, which hold both cases already. */
const MAX_FOLDED = 0x1000;

/** What has cases: letters, Roman numerals, circled letters. */
const CASED = union(["Lu", "Ll", "Lt", "Nl", "So"].map((name) => categorySet(name)!));

/** Adds to sets the other cases of their characters (simple folding: one character for one). */
export class CaseFolding {
  readonly #groups = new Map<number, number[]>();

  constructor() {
    for (const point of pointsOf(CASED)) {
      const fold = foldOf(point);
      const group = this.#groups.get(fold);
      if (group) group.push(point);
      else this.#groups.set(fold, [point]);
    }
  }

  apply(set: CodePointSet): CodePointSet {
    let size = 0;
    for (let i = 0; i < set.length; i += 2) size += set[i + 1]! - set[i]!;
    if (size > MAX_FOLDED) return set;
    const others = [...pointsOf(set)].flatMap((point) => this.#groups.get(foldOf(point)) ?? []);
    return union([set, ...others.map((point) => [point, point + 1])]);
  }
}

function* pointsOf(set: CodePointSet): Generator<number> {
  for (let i = 0; i < set.length; i += 2) for (let point = set[i]!; point < set[i + 1]!; point++) yield point;
}

function foldOf(point: number): number {
  if (point >= 0xd800 && point < 0xe000) return point;
  return single(single(point, "toUpperCase"), "toLowerCase");
}

function single(point: number, method: "toLowerCase" | "toUpperCase"): number {
  const changed = String.fromCodePoint(point)[method]();
  const first = changed.codePointAt(0)!;
  return changed.length === (first > 0xffff ? 2 : 1) ? first : point;
}
