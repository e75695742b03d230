import type { Place, Pushdown, Stack } from "./pushdown.ts";
import type { Terminal } from "./terminal.ts";
import { ROOT, type TokenVocabulary } from "./token-vocabulary.ts";

/** Tokens that may come next. */
export interface Mask {
  readonly words: Uint32Array;
  /** After any of them, so many more tokens are enough. */
  readonly costliest: number;
}

/** What one computation of a mask has found. */
interface Search {
  readonly words: Uint32Array;
  /** Tokens after which it takes more than this are left out. */
  readonly budget: number;
  /** Nodes where a stack was entered already, by stack. */
  readonly entered: Map<Stack, Set<number>>;
  costliest: number;
}

/** Finds the tokens that a text may go on with. */
export class Masks {
  readonly #pushdown: Pushdown;
  readonly #vocabulary: TokenVocabulary;

  constructor(pushdown: Pushdown, vocabulary: TokenVocabulary) {
    this.#pushdown = pushdown;
    this.#vocabulary = vocabulary;
  }

  /** The mask of a set of places. With a budget each token leaves a text that so many more can complete. */
  compute(places: readonly Place[], budget: number): Mask {
    const words = new Uint32Array((this.#vocabulary.size + 31) >>> 5);
    const search: Search = { words, budget, entered: new Map(), costliest: 0 };
    for (const { terminal, state, next } of places) {
      if (budget === Number.POSITIVE_INFINITY) this.#addSteps(search, terminal, state, next);
      else this.#walk(search, terminal, state, next, ROOT);
    }
    return search;
  }

  /** What is known of a state of an automaton, and what follows its end. */
  #addSteps(search: Search, terminal: Terminal, state: number, next: Stack): void {
    const { inside, rise, exits } = terminal.steps(state);
    for (let i = 0; i < inside.length; i++) search.words[i]! |= inside[i]!;
    if (rise > Number.NEGATIVE_INFINITY) {
      search.costliest = Math.max(search.costliest, terminal.cost(state) + rise + next.cost);
    }
    for (const node of exits) this.#enter(search, next, node);
  }

  /** Goes on below a node of the trie with all that a stack begins with. */
  #enter(search: Search, stack: Stack, node: number): void {
    if (this.#vocabulary.ends[node] === node + 1) return; // no token is longer
    let nodes = search.entered.get(stack);
    if (!nodes) {
      nodes = new Set();
      search.entered.set(stack, nodes);
    }
    if (nodes.has(node)) return;
    nodes.add(node);
    for (const { terminal, next } of this.#pushdown.entries(stack).starts) {
      this.#walk(search, terminal, terminal.start, next, node);
      if (terminal.automaton.isAccepting(terminal.start)) this.#enter(search, next, node);
    }
  }

  /** Takes the tokens below a node that the automaton takes from a state on. */
  #walk(search: Search, terminal: Terminal, from: number, next: Stack, top: number): void {
    const { bytes, depths, ends, firstTokens, tokens, longest } = this.#vocabulary;
    const states = new Float64Array(longest + 1); // by depth
    states[depths[top]!] = from;
    for (let node = top + 1; node < ends[top]!; ) {
      const state = terminal.automaton.next(states[depths[node]! - 1]!, bytes[node]!);
      if (state < 0) {
        node = ends[node]!;
        continue;
      }
      states[depths[node]!] = state;
      const [first, last] = [firstTokens[node]!, firstTokens[node + 1]!];
      const cost = last > first ? terminal.cost(state) + next.cost : 0;
      if (last > first && cost <= search.budget) {
        search.costliest = Math.max(search.costliest, cost);
        for (let i = first; i < last; i++) search.words[tokens[i]! >>> 5]! |= 1 << (tokens[i]! & 31);
      }
      if (terminal.automaton.isAccepting(state)) this.#enter(search, next, node);
      node++;
    }
  }
}
