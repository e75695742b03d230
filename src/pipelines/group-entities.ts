import { largest } from "../core/largest.ts";

/**
 * How tokens become entities. `none`: each token is one. `simple`: neighbours of one label are joined, as the tags `B-` and `I-`
 * say. The others first make one token of the pieces of each word, with the label of its `first` piece, of the piece that is
 * surest (`max`), or of the `average` of all.
 */
export const GROUPINGS = ["none", "simple", "first", "average", "max"] as const;

/** See {@link GROUPINGS}. */
export type Grouping = (typeof GROUPINGS)[number];

/** A token of a text with the probabilities of its labels. */
export interface ScoredToken {
  readonly start: number;
  readonly end: number;
  /** It goes on with the word before it. */
  readonly isPiece: boolean;
  readonly probabilities: Float64Array;
}

/** A stretch of a text with one label. */
export interface Entity {
  readonly label: string;
  /** Mean probability of its tokens. */
  readonly score: number;
  /** Where it is in the text: string indices, end exclusive. */
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Joins tokens to entities, in order of the text. */
export function groupEntities(
  tokens: readonly ScoredToken[],
  text: string,
  labels: readonly string[],
  grouping: Grouping,
): Entity[] {
  const words = grouping === "none" || grouping === "simple" ? tokens : joinPieces(tokens, grouping);
  const tagged = words.map(({ start, end, probabilities }) => {
    const best = largest(probabilities, 1)[0]!;
    return { start, end, label: labels[best]!, score: probabilities[best]! };
  });
  const groups = grouping === "none" ? tagged.map((token) => [token]) : joinNeighbours(tagged);
  return groups.map((group) => {
    const [start, end] = [group[0]!.start, group.at(-1)!.end];
    const score = group.reduce((sum, token) => sum + token.score, 0) / group.length;
    const label = grouping === "none" ? group[0]!.label : readTag(group[0]!.label).name;
    return { label, score, start, end, text: text.slice(start, end) };
  });
}

function joinPieces(tokens: readonly ScoredToken[], grouping: "first" | "average" | "max"): ScoredToken[] {
  const words: ScoredToken[][] = [];
  for (const token of tokens) {
    if (token.isPiece && words.length > 0) words.at(-1)!.push(token);
    else words.push([token]);
  }
  return words.map((pieces) => {
    const [start, end] = [pieces[0]!.start, pieces.at(-1)!.end];
    return { start, end, isPiece: false, probabilities: probabilitiesOf(pieces, grouping) };
  });
}

function probabilitiesOf(
  pieces: readonly ScoredToken[],
  grouping: "first" | "average" | "max",
): Float64Array {
  const all = pieces.map(({ probabilities }) => probabilities);
  if (grouping === "first") return all[0]!;
  if (grouping === "max")
    return all[
      largest(
        all.map((one) => Math.max(...one)),
        1,
      )[0]!
    ]!;
  return all[0]!.map((_, label) => all.reduce((sum, one) => sum + one[label]!, 0) / all.length);
}

/** A label without its tag; one without a tag goes on with what is before it. */
function readTag(label: string): { readonly begins: boolean; readonly name: string } {
  const isTagged = /^[BI]-/.test(label);
  return { begins: label.startsWith("B-"), name: isTagged ? label.slice(2) : label };
}

interface TaggedToken {
  readonly start: number;
  readonly end: number;
  readonly label: string;
  readonly score: number;
}

function joinNeighbours(tokens: readonly TaggedToken[]): TaggedToken[][] {
  const groups: TaggedToken[][] = [];
  for (const token of tokens) {
    const { begins, name } = readTag(token.label);
    const last = groups.at(-1);
    if (last && !begins && readTag(last.at(-1)!.label).name === name) last.push(token);
    else groups.push([token]);
  }
  return groups;
}
