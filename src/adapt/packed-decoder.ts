// B rows · T tokens · C width · H heads · D head width

import { ConfigError, ShapeError } from "../core/errors.ts";
import { expectShape } from "../core/shape.ts";
import type { CausalLM } from "../models/contracts.ts";
import { reachableNodes } from "../tensor/graph.ts";
import { type Rule, rewrite } from "../tensor/rewrite.ts";
import { apply, input, type Node, type Tensor } from "../tensor/tensor.ts";

/** How examples lie in packed rows, both int32 `(B, T)`. */
export interface PackedLayout {
  /** Which example of its row each token is of. */
  readonly documents: Tensor;
  /** The token's place in its example, from 0. */
  readonly positions: Tensor;
}

/**
 * Hidden states `(B, T, C)` of rows in which several examples follow one another, each as if it were alone: attention stays within an
 * example, and positions begin anew. The model's own graph is rewritten for it, so any decoder will do that mixes tokens by
 * causal attention only, and knows positions by rotary tables or by a table of one vector a position.
 *
 * @throws {ConfigError} if the model takes places before the text, or turns by angles that depend on how long the row is.
 * @throws {ShapeError} if the graph mixes tokens in a way that cannot be confined to an example.
 */
export function packedHidden(model: CausalLM, tokens: Tensor, layout: PackedLayout): Tensor {
  expectShape("packedHidden", tokens.shape, [undefined, undefined]);
  if (model.virtualTokens) {
    throw new ConfigError({
      where: "packing",
      expected: "a model that reads nothing before the text",
      got: `one with ${model.virtualTokens} virtual tokens, which only the first example of a row would see`,
      fix: "Pad the examples instead.",
    });
  }
  const hidden = model.hidden(tokens);
  checkAngles(model, hidden, tokens.shape[1] as number);
  const packing = new Packing(layout, tokens.shape[1] as number);
  const [confined] = rewrite([hidden], packing.rule, [tokens, layout.documents, layout.positions]);
  packing.checkWhole();
  return confined!;
}

class Packing {
  readonly #layout: PackedLayout;
  readonly #length: number;
  /** Of blocks of queries and keys; the layers share them. */
  readonly #masks = new Map<string, Tensor>();
  readonly rule: Rule = (node, inputs) => this.#rewrite(node, inputs);

  constructor(layout: PackedLayout, length: number) {
    this.#layout = layout;
    this.#length = length;
  }

  /** @throws {ShapeError} if there was no attention to confine. */
  checkWhole(): void {
    if (this.#masks.size === 0) throw unknownMixing("no causal attention");
  }

  #rewrite(node: Node, inputs: readonly Tensor[]): readonly Tensor[] | undefined {
    switch (node.op?.name) {
      case "attention":
        return this.#confine(node, inputs);
      case "rotary":
        return inputs.length === 3
          ? apply(node.op, [...inputs, this.#layout.positions], node.attributes)
          : undefined;
      case "add":
        return this.#placeRows(inputs);
      default:
        return undefined;
    }
  }

  #confine(node: Node, inputs: readonly Tensor[]): readonly Tensor[] {
    const { causal } = node.attributes as { readonly causal: boolean };
    if (!causal || inputs.length !== 3) throw unknownMixing("attention that is not causal, or has a mask");
    const [q, k] = inputs as [Tensor, Tensor];
    const mask = this.#mask(this.#stretchOf(q), this.#stretchOf(k)); // (B, 1, T', S)
    return apply(node.op!, [...inputs, mask], node.attributes);
  }

  /** Which tokens heads `(B, H, T', D)` are of: attention goes in blocks, which are slices of the whole. */
  #stretchOf(heads: Tensor): readonly [start: number, end: number] {
    const { op, attributes } = heads.node;
    const { axis, start, end } = attributes as { axis: number; start: number; end: number };
    const length = heads.shape[2] as number;
    if (op?.name === "slice" && axis === 2 && end - start === length) return [start, end];
    if (length === this.#length) return [0, length];
    throw unknownMixing(`attention over ${length} of ${this.#length} tokens, which cannot be told`);
  }

  #mask(queries: readonly [number, number], keys: readonly [number, number]): Tensor {
    const name = [...queries, ...keys].join();
    const [B] = this.#layout.documents.shape;
    const cut = ([start, end]: readonly [number, number], shape: (length: number) => readonly number[]) =>
      this.#layout.documents.slice(1, start, end).reshape([B!, ...shape(end - start)]);
    const mask = this.#masks.get(name) ?? cut(queries, (t) => [1, t, 1]).equal(cut(keys, (s) => [1, 1, s]));
    this.#masks.set(name, mask);
    return mask;
  }

  /** A table of positions, one row `(T, C)` a token, which is added to rows of tokens `(B, T, C)`. */
  #placeRows(inputs: readonly Tensor[]): readonly Tensor[] | undefined {
    const at = inputs.findIndex((tensor) => tensor.shape.length === 2 && isTable(tensor));
    const x = inputs[1 - at];
    if (at < 0 || x?.shape.length !== 3 || x.shape[1] !== inputs[at]!.shape[0]) return undefined;
    return [x.add(inputs[at]!.gatherRows(this.#layout.positions))];
  }
}

/** Whether it is a parameter, or its first rows. */
function isTable({ node: { leaf, op, inputs, attributes } }: Tensor): boolean {
  if (op?.name !== "slice") return leaf?.kind === "parameter";
  const { axis, start } = attributes as { axis: number; start: number };
  return axis === 0 && start === 0 && inputs[0]!.node.leaf?.kind === "parameter";
}

/** An example alone would be turned by the angles of a row of its own length. */
function checkAngles(model: CausalLM, hidden: Tensor, length: number): void {
  if (length < 2) return;
  const [long, short] = [hidden, model.hidden(input("tokens", "int32", [1, 2]))].map(firstAngles);
  if (long === undefined || short === undefined || long.every((value, i) => value === short[i])) return;
  throw new ConfigError({
    where: "packing",
    expected: "positions that do not depend on the length of a row",
    got: `rotary angles that differ between rows of 2 and of ${length} tokens`,
    fix: "Pack into shorter rows, or pad the examples instead.",
  });
}

/** Sines of the angles of position 1. */
function firstAngles(hidden: Tensor): Float32Array | undefined {
  const node = reachableNodes([hidden]).find(({ op }) => op?.name === "rotary");
  const leaf = node?.inputs[2]?.node.leaf;
  if (leaf?.kind !== "constant") return undefined;
  const pairs = leaf.value.shape[1]!;
  return (leaf.value.data as Float32Array).slice(pairs, 2 * pairs);
}

function unknownMixing(got: string): ShapeError {
  return new ShapeError({
    where: "packing",
    expected: "a decoder whose tokens meet in causal attention only",
    got,
    fix: "Pad the examples instead.",
  });
}
