import { type ByteEdge, buildAutomaton, type TableAutomaton, tooLarge } from "./byte-automaton.ts";
import { type ByteRanges, utf8Ranges } from "./code-points.ts";
import { anywhere, parseRegex, type RegexNode } from "./regex-syntax.ts";

/** Places of an expression, with counts multiplied out. */
const MAX_PLACES = 60_000;

/** Places looked at while states are listed: bounds the time to a fraction of a second. */
const MAX_WORK = 300_000;

/**
 * The texts that a regular expression matches, as an automaton over their UTF-8; undefined if there are none.
 *
 * @param mode `whole`: the expression covers the whole text; `search`: it occurs somewhere in it, as JSON Schema's `pattern`
 * @param where named in errors
 * @throws {ConfigError} if the expression is malformed, uses what {@link parseRegex} refuses, or takes too many states.
 */
export function regexAutomaton(
  pattern: string,
  mode: "whole" | "search",
  where: string,
): TableAutomaton | undefined {
  const node = parseRegex(pattern, where);
  return nodeAutomaton(mode === "whole" ? node : anywhere(node), where);
}

/** As {@link regexAutomaton}, of an expression that was read. */
export function nodeAutomaton(node: RegexNode, where: string): TableAutomaton | undefined {
  const places = new Places(where);
  const [start, end] = [places.add(), places.add()];
  places.connect(node, start, end);
  return buildAutomaton<PlaceSet>(
    {
      start: { places: places.closure([start], true, false), isStart: true },
      keyOf: (set) => (set.isStart ? `^${set.places.join()}` : set.places.join()),
      edgesOf: (set) => places.edgesOf(set.places),
      accepts: (set) => places.closure(set.places, set.isStart, true).includes(end),
    },
    where,
  );
}

/** Where one may be after some bytes, sorted. */
interface PlaceSet {
  readonly places: readonly number[];
  /** Nothing was read: `^` still holds. */
  readonly isStart: boolean;
}

/** A nondeterministic automaton: places with edges by bytes, free ones, and ones that are free only at an end of the text. */
class Places {
  readonly #where: string;
  readonly #edges: ByteEdge<number>[][] = [];
  readonly #free: number[][] = [];
  readonly #atStart: number[][] = [];
  readonly #atEnd: number[][] = [];
  #work = 0;

  constructor(where: string) {
    this.#where = where;
  }

  add(): number {
    if (this.#edges.length === MAX_PLACES) throw tooLarge(this.#where);
    for (const list of [this.#edges, this.#free, this.#atStart, this.#atEnd]) list.push([]);
    return this.#edges.length - 1;
  }

  /** Adds ways between two places for what the expression matches. */
  connect(node: RegexNode, from: number, to: number): void {
    if (node.kind === "set") this.#connectBytes(utf8Ranges(node.set), from, to);
    else if (node.kind === "repeat") this.#repeat(node.part, node.min, node.max, from, to);
    else if (node.kind === "textStart") this.#atStart[from]!.push(to);
    else if (node.kind === "textEnd") this.#atEnd[from]!.push(to);
    else if (node.kind === "choice") for (const part of node.parts) this.connect(part, from, to);
    else this.#free[node.parts.reduce((at, part) => this.#follow(part, at), from)]!.push(to);
  }

  #follow(part: RegexNode, from: number): number {
    const to = this.add();
    this.connect(part, from, to);
    return to;
  }

  #repeat(part: RegexNode, min: number, max: number, from: number, to: number): void {
    let at = from;
    for (let i = 0; i < min; i++) at = this.#follow(part, at);
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.add();
      this.#free[at]!.push(loop);
      this.connect(part, loop, loop);
      at = loop;
    }
    for (let i = min; i < max && max !== Number.POSITIVE_INFINITY; i++) {
      this.#free[at]!.push(to);
      at = this.#follow(part, at);
    }
    this.#free[at]!.push(to);
  }

  /** Shares what sequences that are neighbours have in common at the left, and equal ends at the right. */
  #connectBytes(sequences: readonly ByteRanges[], from: number, to: number): void {
    const known = new Map<string, number>();
    const place = (rest: readonly ByteRanges[]): number => {
      if (rest[0]!.length === 0) return to;
      const key = JSON.stringify(rest);
      const found = known.get(key) ?? this.add();
      if (!known.has(key)) {
        known.set(key, found);
        link(rest, found);
      }
      return found;
    };
    const link = (all: readonly ByteRanges[], source: number): void => {
      for (let i = 0; i < all.length; ) {
        const [low, high] = all[i]![0]!;
        const rest: ByteRanges[] = [];
        for (; i < all.length && all[i]![0]![0] === low && all[i]![0]![1] === high; i++)
          rest.push(all[i]!.slice(1));
        this.#edges[source]!.push({ low, high, to: place(rest) });
      }
    };
    link(sequences, from);
  }

  /** The places that can be reached free, sorted. */
  closure(places: Iterable<number>, isStart: boolean, isEnd: boolean): number[] {
    const found = new Set(places);
    for (const place of found) {
      for (const next of this.#free[place]!) found.add(next);
      if (isStart) for (const next of this.#atStart[place]!) found.add(next);
      if (isEnd) for (const next of this.#atEnd[place]!) found.add(next);
      this.#work++;
    }
    if (this.#work > MAX_WORK) throw tooLarge(this.#where);
    // Places that only pass on are in the closure by what they pass on to.
    const counts = (place: number) =>
      this.#edges[place]!.length + this.#atEnd[place]!.length > 0 || this.#free[place]!.length === 0;
    return [...found].filter(counts).sort((a, b) => a - b);
  }

  edgesOf(set: readonly number[]): ByteEdge<PlaceSet>[] {
    const edges = set.flatMap((place) => this.#edges[place]!);
    const starts = [...new Set(edges.flatMap(({ low, high }) => [low, high + 1]))].sort((a, b) => a - b);
    const indexOf = new Map(starts.map((start, index) => [start, index]));
    const targets: Set<number>[] = starts.map(() => new Set());
    for (const { low, high, to } of edges) {
      for (let i = indexOf.get(low)!; i < indexOf.get(high + 1)!; i++) targets[i]!.add(to);
    }
    this.#work += edges.length;
    return targets.flatMap((to, i) => {
      if (to.size === 0) return [];
      const places = this.closure(to, false, false);
      return [{ low: starts[i]!, high: starts[i + 1]! - 1, to: { places, isStart: false } }];
    });
  }
}
