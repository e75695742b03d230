/** One place of a template: the text, the second text, or a token that is added. */
export type TemplateItem =
  | { readonly kind: "text" | "pair"; readonly segment: number }
  | { readonly kind: "added"; readonly id: number; readonly segment: number };

/** Which tokens stand around a text, and around and between two. */
export class PostProcessor {
  readonly #single: readonly TemplateItem[];
  readonly #pair: readonly TemplateItem[];

  constructor(single: readonly TemplateItem[], pair: readonly TemplateItem[]) {
    this.#single = single;
    this.#pair = pair;
  }

  /** The template in order. */
  items(hasPair: boolean): readonly TemplateItem[] {
    return hasPair ? this.#pair : this.#single;
  }

  /** How many tokens the template adds. */
  numAdded(hasPair: boolean): number {
    return this.items(hasPair).filter(({ kind }) => kind === "added").length;
  }
}

/** Adds nothing: a pair is one text after the other. */
export const NO_TEMPLATE: PostProcessor = new PostProcessor(
  [{ kind: "text", segment: 0 }],
  [
    { kind: "text", segment: 0 },
    { kind: "pair", segment: 1 },
  ],
);
