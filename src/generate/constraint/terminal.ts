import { type ByteAutomaton, TableAutomaton } from "./byte-automaton.ts";
import { ROOT, type TokenVocabulary } from "./token-vocabulary.ts";

/** Where the shortest completion is longer than that, its bytes are counted in place of its tokens. */
const MAX_COUNTED_BYTES = 2048;

/** Bytes of steps kept for one automaton; beyond that they are forgotten, and found again. */
const MAX_STEP_BYTES = 64 * 2 ** 20;

/** What tokens do that begin at one state of an automaton. */
export interface TokenSteps {
  /** Those that end within it, or where it may end: bits as in a mask. */
  readonly inside: Uint32Array;
  /** How much such a token can raise the cost, at most; negative if all lower it, −∞ if there are none. */
  readonly rise: number;
  /** Nodes of the trie, other than the root, after which the automaton may end, so that a token may go on in what follows. */
  readonly exits: Int32Array;
}

/** An automaton over a vocabulary. */
export class Terminal {
  readonly id: number;
  readonly automaton: ByteAutomaton;
  readonly #vocabulary: TokenVocabulary;
  readonly #steps = new Map<number, TokenSteps>();
  /** By state; NaN where not known yet. Undefined for automata that count. */
  readonly #costs: Float64Array | undefined;

  constructor(id: number, automaton: ByteAutomaton, vocabulary: TokenVocabulary) {
    this.id = id;
    this.automaton = automaton;
    this.#vocabulary = vocabulary;
    if (automaton instanceof TableAutomaton)
      this.#costs = new Float64Array(automaton.numStates).fill(Number.NaN);
  }

  get start(): number {
    return this.automaton.start;
  }

  /**
   * So many tokens are enough from a state to an accepting one: those of one shortest completion, cut into tokens as well as can be. From
   * a state with a cost c > 0 between tokens, some token leads to one with c − 1 or less.
   */
  cost(state: number): number {
    const costs = this.#costs;
    // Counted ones by their bytes: then the costs of states far from both counts differ by what they are apart.
    if (!costs) return this.automaton.distance(state);
    const known = costs[state]!;
    if (!Number.isNaN(known)) return known;
    if (this.automaton.distance(state) > MAX_COUNTED_BYTES) return this.automaton.distance(state);
    const { path, bytes } = this.#shortestWay(state);
    costs[path.at(-1)!] = 0;
    for (let at = bytes.length - 1; at >= 0; at--) {
      costs[path[at]!] = 1 + this.#cheapestAfterToken(path, bytes, at, costs);
    }
    return costs[state]!;
  }

  /** What each token does from a state on. */
  steps(state: number): TokenSteps {
    const key = this.automaton.horizonKey(state, this.#vocabulary.longest);
    let steps = this.#steps.get(key);
    if (!steps) {
      if (this.#steps.size * (this.#vocabulary.size / 8) > MAX_STEP_BYTES) this.#steps.clear();
      steps = this.#findSteps(state);
      this.#steps.set(key, steps);
    }
    return steps;
  }

  #shortestWay(from: number): { path: number[]; bytes: number[] } {
    const path = [from];
    const bytes: number[] = [];
    for (let state = from; this.automaton.distance(state) > 0; path.push(state)) {
      const byte = this.automaton.nearerByte(state);
      bytes.push(byte);
      state = this.automaton.next(state, byte);
    }
    return { path, bytes };
  }

  #cheapestAfterToken(
    path: readonly number[],
    bytes: readonly number[],
    at: number,
    costs: Float64Array,
  ): number {
    const { ends, firstTokens } = this.#vocabulary;
    let cheapest = Number.POSITIVE_INFINITY;
    let node = ROOT;
    for (let to = at; to < bytes.length; to++) {
      let child = node + 1;
      while (child < ends[node]! && this.#vocabulary.bytes[child] !== bytes[to]) child = ends[child]!;
      if (child >= ends[node]!) break;
      node = child;
      if (firstTokens[node + 1]! > firstTokens[node]!) {
        cheapest = Math.min(cheapest, costs[path[to + 1]!]!);
      }
    }
    return cheapest;
  }

  #findSteps(from: number): TokenSteps {
    const { size, bytes, depths, ends, firstTokens, tokens } = this.#vocabulary;
    const inside = new Uint32Array((size + 31) >>> 5);
    const exits: number[] = [];
    const states = new Float64Array(this.#vocabulary.longest + 1); // by depth
    states[0] = from;
    let most = Number.NEGATIVE_INFINITY;
    for (let node = ROOT + 1; node < bytes.length; ) {
      const state = this.automaton.next(states[depths[node]! - 1]!, bytes[node]!);
      if (state < 0) {
        node = ends[node]!;
        continue;
      }
      states[depths[node]!] = state;
      if (this.automaton.isAccepting(state)) exits.push(node);
      const [first, last] = [firstTokens[node]!, firstTokens[node + 1]!];
      if (last > first) most = Math.max(most, this.cost(state));
      for (let i = first; i < last; i++) inside[tokens[i]! >>> 5]! |= 1 << (tokens[i]! & 31);
      node++;
    }
    return { inside, rise: most - this.cost(from), exits: Int32Array.from(exits) };
  }
}
