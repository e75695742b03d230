import { ConfigError } from "../../core/errors.ts";

/** A language of byte strings as a deterministic automaton. From every state some accepting one can be reached. */
export interface ByteAutomaton {
  readonly start: number;
  /** The state after one more byte; −1 if nothing of the language continues so. */
  next(state: number, byte: number): number;
  /** What was read is in the language. */
  isAccepting(state: number): boolean;
  /** Accepting, and no byte may follow. */
  isFinal(state: number): boolean;
  /** Fewest further bytes until it accepts. */
  distance(state: number): number;
  /** A byte that is one step nearer; only where the distance is not 0. */
  nearerByte(state: number): number;
  /** States with the same key take the same strings of up to `horizon` bytes, and accept after the same ones of them. */
  horizonKey(state: number, horizon: number): number;
}

/** All bytes from `low` to `high` lead to one state. */
export interface ByteEdge<State> {
  readonly low: number;
  readonly high: number;
  readonly to: State;
}

/** An automaton by its rules; states are any values with a key each. */
export interface AutomatonRules<State> {
  readonly start: State;
  readonly keyOf: (state: State) => number | string;
  readonly edgesOf: (state: State) => Iterable<ByteEdge<State>>;
  readonly accepts: (state: State) => boolean;
}

/** More states than that are refused: several hundred kilobytes of text as a choice, or a pattern that explodes. */
export const MAX_STATES = 2 ** 16;

/**
 * Lists the states that rules lead to, and leaves out those from which nothing is accepted.
 *
 * @param where named in the error
 * @returns undefined for the empty language
 * @throws {ConfigError} if there are more than {@link MAX_STATES}.
 */
export function buildAutomaton<State>(
  rules: AutomatonRules<State>,
  where: string,
): TableAutomaton | undefined {
  const numbers = new Map<number | string, number>([[rules.keyOf(rules.start), 0]]);
  const states = [rules.start];
  const edges: ByteEdge<number>[][] = [];
  for (let at = 0; at < states.length; at++) {
    const found: ByteEdge<number>[] = [];
    for (const { low, high, to } of rules.edgesOf(states[at]!)) {
      const key = rules.keyOf(to);
      let number = numbers.get(key);
      if (number === undefined) {
        number = states.length;
        if (number === MAX_STATES) throw tooLarge(where);
        numbers.set(key, number);
        states.push(to);
      }
      found.push({ low, high, to: number });
    }
    edges.push(found);
  }
  return trim(edges, states.map(rules.accepts));
}

/** @throws {ConfigError} always. */
export function tooLarge(where: string): ConfigError {
  return new ConfigError({
    where,
    expected: `a form of text that takes at most ${MAX_STATES} states to follow`,
    got: "a larger one",
    fix: "Use smaller counts in it, or fewer of them one inside another.",
  });
}

function trim(edges: readonly ByteEdge<number>[][], accepts: readonly boolean[]): TableAutomaton | undefined {
  const sources: number[][] = edges.map(() => []);
  for (const [from, list] of edges.entries()) for (const { to } of list) sources[to]!.push(from);
  const distances = new Int32Array(edges.length).fill(-1);
  const queue = [...accepts.keys()].filter((state) => accepts[state]);
  for (const state of queue) distances[state] = 0;
  for (let at = 0; at < queue.length; at++) {
    for (const from of sources[queue[at]!]!) {
      if (distances[from]! >= 0) continue;
      distances[from] = distances[queue[at]!]! + 1;
      queue.push(from);
    }
  }
  if (distances[0]! < 0) return undefined;
  const kept = [...distances.keys()].filter((state) => distances[state]! >= 0);
  const renumbered = new Int32Array(edges.length).fill(-1);
  for (const [number, state] of kept.entries()) renumbered[state] = number;
  const alive = kept.map((state) =>
    edges[state]!.map((edge) => ({ ...edge, to: renumbered[edge.to]! })).filter(({ to }) => to >= 0),
  );
  return new TableAutomaton(
    alive,
    Int32Array.from(kept, (state) => distances[state]!),
  );
}

/** A {@link ByteAutomaton} whose transitions are listed. State 0 is the start; states at distance 0 accept. */
export class TableAutomaton implements ByteAutomaton {
  readonly start = 0;
  readonly numStates: number;
  readonly #distances: Int32Array;
  /** Bytes that no state tells apart have one class: runs of bytes, in order. */
  readonly #classOf = new Uint8Array(256);
  readonly #classStarts: number[] = [];
  readonly #table: Int32Array;
  readonly #isFinal: Uint8Array;

  /** Use {@link buildAutomaton}. */
  constructor(edges: readonly (readonly ByteEdge<number>[])[], distances: Int32Array) {
    this.numStates = edges.length;
    this.#distances = distances;
    const isStart = new Uint8Array(257);
    isStart[0] = 1;
    for (const list of edges) {
      for (const { low, high } of list) {
        isStart[low] = 1;
        isStart[high + 1] = 1;
      }
    }
    for (let byte = 0; byte < 256; byte++) {
      if (isStart[byte]) this.#classStarts.push(byte);
      this.#classOf[byte] = this.#classStarts.length - 1;
    }
    const width = this.#classStarts.length;
    this.#table = new Int32Array(edges.length * width).fill(-1);
    for (const [state, list] of edges.entries()) {
      for (const { low, high, to } of list) {
        const row = state * width;
        this.#table.fill(to, row + this.#classOf[low]!, row + this.#classOf[high]! + 1);
      }
    }
    this.#isFinal = Uint8Array.from(edges, (list, state) =>
      Number(list.length === 0 && distances[state] === 0),
    );
  }

  next(state: number, byte: number): number {
    return this.#table[state * this.#classStarts.length + this.#classOf[byte]!]!;
  }

  isAccepting(state: number): boolean {
    return this.#distances[state] === 0;
  }

  isFinal(state: number): boolean {
    return this.#isFinal[state] === 1;
  }

  distance(state: number): number {
    return this.#distances[state]!;
  }

  nearerByte(state: number): number {
    const nearer = this.#distances[state]! - 1;
    const edge = this.edgesOf(state).find(({ to }) => this.#distances[to] === nearer)!;
    return edge.low;
  }

  horizonKey(state: number, _horizon: number): number {
    return state;
  }

  /** Transitions of a state, as runs of bytes in order. */
  edgesOf(state: number): ByteEdge<number>[] {
    const edges: { low: number; high: number; to: number }[] = [];
    const row = state * this.#classStarts.length;
    for (const [index, low] of this.#classStarts.entries()) {
      const to = this.#table[row + index]!;
      if (to < 0) continue;
      const high = (this.#classStarts[index + 1] ?? 256) - 1;
      const last = edges.at(-1);
      if (last?.to === to && last.high === low - 1) last.high = high;
      else edges.push({ low, high, to });
    }
    return edges;
  }
}

/** True if the automaton accepts the bytes. */
export function acceptsBytes(automaton: ByteAutomaton, bytes: Uint8Array): boolean {
  let state = automaton.start;
  for (const byte of bytes) {
    state = automaton.next(state, byte);
    if (state < 0) return false;
  }
  return automaton.isAccepting(state);
}

/** What is in both languages; undefined if nothing is. */
export function intersect(a: TableAutomaton, b: TableAutomaton, where: string): TableAutomaton | undefined {
  return buildAutomaton(
    {
      start: [0, 0] as readonly [number, number],
      keyOf: ([p, q]) => p * b.numStates + q,
      edgesOf: ([p, q]) => overlaps(a.edgesOf(p), b.edgesOf(q)),
      accepts: ([p, q]) => a.isAccepting(p) && b.isAccepting(q),
    },
    where,
  );
}

/** What is in the first language and not in the second; undefined if nothing is. */
export function subtract(a: TableAutomaton, b: TableAutomaton, where: string): TableAutomaton | undefined {
  return buildAutomaton(
    {
      start: [0, 0] as readonly [number, number],
      keyOf: ([p, q]) => p * (b.numStates + 1) + q + 1,
      edgesOf: ([p, q]) => overlaps(a.edgesOf(p), withGaps(q < 0 ? [] : b.edgesOf(q))),
      accepts: ([p, q]) => a.isAccepting(p) && !(q >= 0 && b.isAccepting(q)),
    },
    where,
  );
}

/** What is in either language. */
export function unite(automata: readonly TableAutomaton[], where: string): TableAutomaton | undefined {
  if (automata.length === 1) return automata[0];
  return buildAutomaton(
    {
      start: automata.map(() => 0),
      keyOf: (states) => states.join(),
      edgesOf: (states) => {
        const first: ByteEdge<number[]>[] = [{ low: 0, high: 255, to: [] }];
        const all = automata.reduce(
          (edges, automaton, i) =>
            overlaps(edges, withGaps(states[i]! < 0 ? [] : automaton.edgesOf(states[i]!))).map(
              ({ low, high, to: [before, state] }) => ({ low, high, to: [...before, state] }),
            ),
          first,
        );
        return all.filter(({ to }) => to.some((state) => state >= 0));
      },
      accepts: (states) =>
        automata.some((automaton, i) => states[i]! >= 0 && automaton.isAccepting(states[i]!)),
    },
    where,
  );
}

/** Exactly the given byte strings. */
export function listAutomaton(texts: readonly Uint8Array[], where: string): TableAutomaton | undefined {
  interface Node {
    readonly id: number;
    readonly children: Map<number, Node>;
    isEnd: boolean;
  }
  let count = 0;
  const newNode = (): Node => ({ id: count++, children: new Map(), isEnd: false });
  const root = newNode();
  for (const bytes of texts) {
    let node = root;
    for (const byte of bytes) {
      let child = node.children.get(byte);
      if (!child) {
        if (count === MAX_STATES) throw tooLarge(where);
        child = newNode();
        node.children.set(byte, child);
      }
      node = child;
    }
    node.isEnd = true;
  }
  return buildAutomaton(
    {
      start: root,
      keyOf: ({ id }) => id,
      edgesOf: ({ children }) => [...children].map(([byte, to]) => ({ low: byte, high: byte, to })),
      accepts: ({ isEnd }) => isEnd,
    },
    where,
  );
}

/** Runs of bytes with the states that both lists lead to. */
function overlaps<A, B>(a: readonly ByteEdge<A>[], b: readonly ByteEdge<B>[]): ByteEdge<[A, B]>[] {
  const found: ByteEdge<[A, B]>[] = [];
  for (let [i, j] = [0, 0]; i < a.length && j < b.length; ) {
    const low = Math.max(a[i]!.low, b[j]!.low);
    const high = Math.min(a[i]!.high, b[j]!.high);
    if (low <= high) found.push({ low, high, to: [a[i]!.to, b[j]!.to] });
    if (a[i]!.high === high) i++;
    else j++;
  }
  return found;
}

/** The same runs, and −1 for the bytes between them. */
function withGaps(edges: readonly ByteEdge<number>[]): ByteEdge<number>[] {
  const all: ByteEdge<number>[] = [];
  let from = 0;
  for (const edge of edges) {
    if (edge.low > from) all.push({ low: from, high: edge.low - 1, to: -1 });
    all.push(edge);
    from = edge.high + 1;
  }
  if (from < 256) all.push({ low: from, high: 255, to: -1 });
  return all;
}
