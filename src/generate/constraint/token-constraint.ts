/** What a text may be, over one vocabulary. Made once, used for any number of texts at a time. */
export interface TokenConstraint {
  /** Before the first token. */
  readonly start: ConstraintState;
}

/** How far a constrained text has come. Never changes, so copies of a text share it. */
export interface ConstraintState {
  /** The text is complete here: an end token may follow. */
  readonly canEnd: boolean;
  /** The text is complete, and nothing but an end may follow: no token needs to be drawn any more. */
  readonly mustEnd: boolean;
  /** So many more tokens are enough to complete the text; often fewer are. */
  readonly cost: number;
  /**
   * The tokens that may come next, other than ends: bit `t & 31` of word `t >> 5` for token t. Each leaves a text that can be
   * completed. None only where `mustEnd`. The array is shared: do not change it.
   *
   * @param remaining tokens there is room for. Where that becomes tight, only tokens after which the text can be completed in time
   *   are allowed, if there are any.
   */
  allowed(remaining?: number): Uint32Array;
  /** @throws {DataError} if the token is not allowed here. */
  advance(token: number): ConstraintState;
}

/**
 * The mask for `sampleToken`: what may come next, with the end tokens where the text can end, and without them elsewhere, even if
 * one of them stands for some text.
 *
 * @example
 * const allowed = tokenMask(state, plan.stopTokens, maxTokens - tokens.length);
 * const token = sampleToken(scores, tokens, options, random, { allowed });
 */
export function tokenMask(
  state: ConstraintState,
  endTokens: Iterable<number>,
  remaining?: number,
): Uint32Array {
  const ends = [...endTokens];
  const allowed = state.allowed(remaining);
  const words = ends.reduce((count, token) => Math.max(count, (token >>> 5) + 1), allowed.length);
  const mask = new Uint32Array(words);
  mask.set(allowed);
  for (const token of ends) {
    if (state.canEnd) mask[token >>> 5]! |= 1 << (token & 31);
    else mask[token >>> 5]! &= ~(1 << (token & 31));
  }
  return mask;
}
