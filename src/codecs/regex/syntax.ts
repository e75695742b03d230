import type { CodePointSet } from "../code-point-set.ts";

/** How a repetition gives back: as little as needed, as much as needed, or nothing. */
export type RepeatMode = "greedy" | "lazy" | "possessive";

/** A place between characters. */
export type Place =
  | "line-start"
  | "line-end"
  | "text-start"
  | "text-end"
  | "text-end-or-newline"
  | "search-start"
  | "word-border"
  | "no-word-border";

/** A parsed regular expression. */
export type RegexNode =
  | { readonly kind: "set"; readonly set: CodePointSet }
  | { readonly kind: "sequence"; readonly parts: readonly RegexNode[] }
  | { readonly kind: "choice"; readonly options: readonly RegexNode[] }
  | {
      readonly kind: "repeat";
      readonly body: RegexNode;
      readonly min: number;
      readonly max: number;
      readonly mode: RepeatMode;
    }
  | { readonly kind: "capture"; readonly index: number; readonly body: RegexNode }
  | { readonly kind: "back-reference"; readonly index: number }
  | { readonly kind: "look"; readonly behind: boolean; readonly negative: boolean; readonly body: RegexNode }
  | { readonly kind: "atomic"; readonly body: RegexNode }
  | { readonly kind: "place"; readonly place: Place };

/** How many characters a node matches, at least and at most. */
export function widthOf(node: RegexNode): { readonly min: number; readonly max: number } {
  switch (node.kind) {
    case "set":
      return { min: 1, max: 1 };
    case "sequence": {
      const widths = node.parts.map(widthOf);
      const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
      return { min: sum(widths.map(({ min }) => min)), max: sum(widths.map(({ max }) => max)) };
    }
    case "choice": {
      const widths = node.options.map(widthOf);
      const min = Math.min(...widths.map((width) => width.min));
      return { min, max: Math.max(...widths.map((width) => width.max)) };
    }
    case "repeat": {
      const { min, max } = widthOf(node.body);
      return { min: min * node.min, max: max === 0 ? 0 : max * node.max };
    }
    case "capture":
    case "atomic":
      return widthOf(node.body);
    case "back-reference":
      return { min: 0, max: Number.POSITIVE_INFINITY };
    default:
      return { min: 0, max: 0 };
  }
}
