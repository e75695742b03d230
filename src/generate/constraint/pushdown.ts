import type { BoundGrammar, GrammarNode } from "./bound-grammar.ts";
import type { Terminal } from "./terminal.ts";

/** What follows some part of a text: any one of its frames. */
export interface Stack {
  readonly id: number;
  readonly frames: readonly Frame[];
  /** The text may end. */
  readonly isEnd: boolean;
  /** So many tokens are enough to complete the text. */
  readonly cost: number;
  /** What {@link Pushdown.entries} found. */
  entries?: Entries;
}

/** A part of the grammar, and what follows it. */
export interface Frame {
  readonly node: GrammarNode;
  readonly next: Stack;
}

/** What a text can go on with. */
export interface Entries {
  /** Automata that may begin, and what follows each. */
  readonly starts: readonly { readonly terminal: Terminal; readonly next: Stack }[];
  readonly canEnd: boolean;
}

/** A place within an automaton, and what follows it. */
export interface Place {
  readonly terminal: Terminal;
  readonly state: number;
  readonly next: Stack;
}

/** Stacks kept for reuse; beyond that many they are forgotten, which costs time and nothing else. */
const MAX_STACKS = 50_000;

/**
 * The stacks of a grammar, as a graph: where one text can be read in several ways, ways that go on alike share what follows, so the number
 * of places never grows with depth. Stacks never change, and equal ones are the same object.
 */
export class Pushdown {
  readonly #grammar: BoundGrammar;
  readonly #known = new Map<string, Stack>();
  readonly #united = new Map<string, Stack>();
  #numStacks = 0;

  constructor(grammar: BoundGrammar) {
    this.#grammar = grammar;
  }

  /** Before the first byte. */
  start(): Stack {
    return this.#stack([{ node: this.#grammar.root, next: this.#stack([], true) }], false);
  }

  /** The automata that can begin now. Parts that nothing can complete are not entered. */
  entries(stack: Stack): Entries {
    stack.entries ??= this.#findEntries(stack);
    return stack.entries;
  }

  /** Places with, for those at the end of their automaton, where the text can go on; and whether it can end. */
  settle(places: readonly Place[]): { places: Place[]; canEnd: boolean } {
    const found = new Map<string, Place>();
    let canEnd = false;
    const add = (place: Place) => {
      if (place.terminal.automaton.isFinal(place.state)) return;
      const key = `${place.terminal.id},${place.state}`;
      const other = found.get(key);
      const next = other ? this.#unite(other.next, place.next) : place.next;
      found.set(key, next === place.next ? place : { ...place, next });
    };
    const enter = (stack: Stack) => {
      const entries = this.entries(stack);
      canEnd ||= entries.canEnd;
      for (const { terminal, next } of entries.starts) {
        add({ terminal, state: terminal.start, next });
        if (terminal.automaton.isAccepting(terminal.start)) enter(next);
      }
    };
    for (const place of places) {
      add(place);
      if (place.terminal.automaton.isAccepting(place.state)) enter(place.next);
    }
    return { places: [...found.values()], canEnd };
  }

  /** As {@link settle}, of a stack. */
  enter(stack: Stack): { places: Place[]; canEnd: boolean } {
    const { starts, canEnd } = this.entries(stack);
    const settled = this.settle(
      starts.map(({ terminal, next }) => ({ terminal, state: terminal.start, next })),
    );
    return { places: settled.places, canEnd: canEnd || settled.canEnd };
  }

  #findEntries(stack: Stack): Entries {
    const starts = new Map<Terminal, Stack>();
    const seen = new Set<string>();
    const open: Frame[] = [];
    let canEnd = stack.isEnd;
    const push = (node: GrammarNode, next: Stack) => {
      const key = `${node.id},${next.id}`;
      if (node.cost === Number.POSITIVE_INFINITY || seen.has(key)) return;
      seen.add(key);
      open.push({ node, next });
    };
    const pop = ({ frames, isEnd }: Stack) => {
      canEnd ||= isEnd;
      for (const { node, next } of frames) push(node, next);
    };
    pop(stack);
    for (let frame = open.pop(); frame; frame = open.pop()) {
      const { node, next } = frame;
      if (node.kind === "terminal") {
        const other = starts.get(node.terminal);
        starts.set(node.terminal, other ? this.#unite(other, next) : next);
      } else if (node.kind === "empty") pop(next);
      else if (node.kind === "pair") push(node.first, this.#stack([{ node: node.rest, next }], false));
      else if (node.kind === "choice") for (const part of node.parts) push(part, next);
      else if (node.kind === "rule") push(node.body!, next);
      else {
        if (node.min === 0) pop(next);
        if (node.max > 0)
          push(node.part, this.#stack([{ node: this.#grammar.afterRound(node), next }], false));
      }
    }
    return { starts: Array.from(starts, ([terminal, next]) => ({ terminal, next })), canEnd };
  }

  #unite(a: Stack, b: Stack): Stack {
    if (a === b) return a;
    const key = a.id < b.id ? `${a.id},${b.id}` : `${b.id},${a.id}`;
    const known = this.#united.get(key);
    if (known) return known;
    const united = this.#stack([...a.frames, ...b.frames], a.isEnd || b.isEnd);
    this.#united.set(key, united);
    return united;
  }

  /** Frames of one part of the grammar become one, with all that may follow it: else they would double with each level. */
  #stack(given: readonly Frame[], isEnd: boolean): Stack {
    const byNode = new Map<GrammarNode, Stack>();
    for (const { node, next } of given) {
      const other = byNode.get(node);
      byNode.set(node, other ? this.#unite(other, next) : next);
    }
    const frames = Array.from(byNode, ([node, next]) => ({ node, next })).sort(
      (a, b) => a.node.id - b.node.id,
    );
    const key = `${isEnd ? "end " : ""}${frames.map(({ node, next }) => `${node.id}.${next.id}`).join(" ")}`;
    const known = this.#known.get(key);
    if (known) return known;
    if (this.#known.size >= MAX_STACKS) {
      this.#known.clear();
      this.#united.clear();
    }
    const cost = isEnd ? 0 : Math.min(...frames.map(({ node, next }) => node.cost + next.cost));
    const stack: Stack = { id: this.#numStacks++, frames, isEnd, cost };
    this.#known.set(key, stack);
    return stack;
  }
}
