import { ConfigError, DataError } from "../../core/errors.ts";
import { BoundGrammar } from "./bound-grammar.ts";
import type { Grammar } from "./grammar.ts";
import { type Mask, Masks } from "./masks.ts";
import { type Place, Pushdown } from "./pushdown.ts";
import type { ConstraintState, TokenConstraint } from "./token-constraint.ts";
import { TokenVocabulary } from "./token-vocabulary.ts";

/** Bytes of masks kept, so that texts that come to the same place share them; beyond that they are forgotten, and found again. */
const MAX_MASK_BYTES = 64 * 2 ** 20;

/**
 * A constraint by a grammar.
 *
 * A state is a set of places in automata with the stacks of what follows each. What tokens do inside an automaton is known once for each of
 * its states; only tokens that go on behind its end are followed through the stack, and the whole mask is kept with the state.
 */
export class GrammarConstraint implements TokenConstraint {
  readonly start: ConstraintState;
  readonly #vocabulary: TokenVocabulary;
  readonly #pushdown: Pushdown;
  readonly #masks: Masks;
  readonly #states = new Map<string, GrammarState>();

  /**
   * @param where names the constraint in errors
   * @throws {ConfigError} if no text fits, or none that the vocabulary's tokens can spell.
   */
  constructor(grammar: Grammar, vocabulary: TokenVocabulary, where: string) {
    this.#vocabulary = vocabulary;
    const bound = new BoundGrammar(grammar, vocabulary);
    if (bound.root.cost === Number.POSITIVE_INFINITY) throw unsatisfiable(where, grammar);
    this.#pushdown = new Pushdown(bound);
    this.#masks = new Masks(this.#pushdown, vocabulary);
    const { places, canEnd } = this.#pushdown.enter(this.#pushdown.start());
    this.start = this.#state(places, canEnd);
  }

  /** The state after a token; undefined if it is not allowed. */
  after(places: readonly Place[], token: number): ConstraintState | undefined {
    const bytes = this.#vocabulary.tokenBytes(token);
    if (bytes.length === 0) return undefined;
    let now = { places, canEnd: false };
    for (const byte of bytes) {
      const next = now.places.flatMap(({ terminal, state, next }) => {
        const after = terminal.automaton.next(state, byte);
        return after < 0 ? [] : [{ terminal, state: after, next }];
      });
      if (next.length === 0) return undefined;
      now = this.#pushdown.settle(next);
    }
    return this.#state(now.places, now.canEnd);
  }

  /** The mask of a state; see {@link ConstraintState.allowed}. */
  mask(places: readonly Place[], budget: number): Mask {
    return this.#masks.compute(places, budget);
  }

  #state(places: readonly Place[], canEnd: boolean): ConstraintState {
    const keys = places.map(({ terminal, state, next }) => `${terminal.id},${state},${next.id}`).sort();
    const key = `${canEnd ? "end " : ""}${keys.join(" ")}`;
    const known = this.#states.get(key);
    if (known) return known;
    if (this.#states.size * (this.#vocabulary.size / 8) > MAX_MASK_BYTES) this.#states.clear();
    const state = new GrammarState(this, places, canEnd);
    this.#states.set(key, state);
    return state;
  }
}

class GrammarState implements ConstraintState {
  readonly canEnd: boolean;
  readonly #constraint: GrammarConstraint;
  readonly #places: readonly Place[];
  #mask: Mask | undefined;

  constructor(constraint: GrammarConstraint, places: readonly Place[], canEnd: boolean) {
    this.#constraint = constraint;
    this.#places = places;
    this.canEnd = canEnd;
  }

  get mustEnd(): boolean {
    return this.canEnd && this.#places.length === 0;
  }

  get cost(): number {
    if (this.canEnd) return 0;
    return Math.min(...this.#places.map(({ terminal, state, next }) => terminal.cost(state) + next.cost));
  }

  allowed(remaining: number = Number.POSITIVE_INFINITY): Uint32Array {
    this.#mask ??= this.#constraint.mask(this.#places, Number.POSITIVE_INFINITY);
    // With no way to be done in time there is nothing to be gained: then all that is valid stays allowed.
    if (this.#mask.costliest <= remaining - 1 || this.cost > remaining || this.mustEnd)
      return this.#mask.words;
    return this.#constraint.mask(this.#places, remaining - 1).words;
  }

  advance(token: number): ConstraintState {
    const next = this.#constraint.after(this.#places, token);
    if (next) return next;
    throw new DataError({
      where: "constraint",
      expected: "a token that is allowed here",
      got: `token ${token}`,
    });
  }
}

function unsatisfiable(where: string, grammar: Grammar): ConfigError {
  const expected = "a constraint that some text satisfies";
  const bytes = new TokenVocabulary({ vocabularySize: 256, tokenBytes: (token) => Uint8Array.of(token) });
  const isPossible = new BoundGrammar(grammar, bytes).root.cost < Number.POSITIVE_INFINITY;
  if (!isPossible) return new ConfigError({ where, expected, got: "one that none does" });
  return new ConfigError({
    where,
    expected,
    got: "one that no text does that this tokenizer can write",
    fix: "It lacks characters that are needed: use a tokenizer with all bytes.",
  });
}
