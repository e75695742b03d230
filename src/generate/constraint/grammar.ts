import { type ByteAutomaton, listAutomaton } from "./byte-automaton.ts";

/**
 * A form of text: byte automata put together, with recursion. Independent of any vocabulary.
 *
 * In a `repeat` without an upper bound, and in recursion, every round takes at least one byte.
 */
export type Grammar =
  | { readonly kind: "text"; readonly automaton: ByteAutomaton }
  | { readonly kind: "sequence"; readonly parts: readonly Grammar[] }
  | { readonly kind: "choice"; readonly parts: readonly Grammar[] }
  | { readonly kind: "repeat"; readonly part: Grammar; readonly min: number; readonly max: number }
  | GrammarRule;

/** A part that may contain itself. */
export interface GrammarRule {
  readonly kind: "rule";
  /** Set before the grammar is used. */
  body: Grammar;
}

/** No text at all fits. */
export const NOTHING: Grammar = { kind: "choice", parts: [] };

/** Only the empty text fits. */
export const EMPTY: Grammar = { kind: "sequence", parts: [] };

/** What an automaton accepts; {@link NOTHING} for undefined. */
export function textOf(automaton: ByteAutomaton | undefined): Grammar {
  return automaton ? { kind: "text", automaton } : NOTHING;
}

/** One of some texts, letter by letter. */
export function literal(...texts: readonly string[]): Grammar {
  const encoder = new TextEncoder();
  return textOf(
    listAutomaton(
      texts.map((text) => encoder.encode(text)),
      "choice",
    ),
  );
}

/** One after another. */
export function sequence(...parts: readonly Grammar[]): Grammar {
  if (parts.includes(NOTHING)) return NOTHING;
  const kept = parts.filter((part) => part !== EMPTY);
  if (kept.length === 0) return EMPTY;
  return kept.length === 1 ? kept[0]! : { kind: "sequence", parts: kept };
}

/** Any one of them. */
export function choice(...parts: readonly Grammar[]): Grammar {
  const kept = parts.filter((part) => part !== NOTHING);
  if (kept.length === 0) return NOTHING;
  return kept.length === 1 ? kept[0]! : { kind: "choice", parts: kept };
}

/** Between `min` and `max` times. */
export function repeat(part: Grammar, min: number, max: number): Grammar {
  if (max < min) return NOTHING;
  return max === 0 ? EMPTY : { kind: "repeat", part, min, max };
}

/** A part that may or may not be there. */
export function optional(
  part: Grammar,
  { mayLack, mayHave }: { mayLack: boolean; mayHave: boolean },
): Grammar {
  return choice(...(mayHave ? [part] : []), ...(mayLack ? [EMPTY] : []));
}
