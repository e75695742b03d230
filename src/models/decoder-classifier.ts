// B texts · T tokens · C width · L labels

import { hostTensor } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import type { LayerCaches } from "../nn/causal-attention.ts";
import { Linear } from "../nn/linear.ts";
import { normal, type Parameter, Scope } from "../nn/scope.ts";
import { reachableNodes } from "../tensor/graph.ts";
import { constant, input, type Tensor } from "../tensor/tensor.ts";
import type {
  CachedStep,
  CausalLM,
  ClassificationProblem,
  DecoderShape,
  SequenceClassifier,
} from "./contracts.ts";

/** Deviation of the head's first weights: `initializer_range` of the published configurations. */
const WEIGHT_DEVIATION = 0.02;

export interface DecoderClassifierOptions {
  readonly labels: readonly string[];
  readonly problem: ClassificationProblem;
  /** Batches are padded with it; what a text has of it at its end is taken for padding, too, as in the reference implementation. */
  readonly padId: number | undefined;
}

/**
 * A decoder that sorts texts: a head without bias on the hidden state of each text's last token, in place of the one that scores next
 * tokens. So it is a decoder whose {@link logits} are those of labels, and adapters take it for one.
 *
 * Parameters are those that hidden states need, and the head's, `score.weight` `(L, C)`.
 *
 * @throws {ConfigError} if there are no labels.
 */
export class DecoderClassifier implements CausalLM, SequenceClassifier {
  readonly body: CausalLM;
  readonly labels: readonly string[];
  readonly problem: ClassificationProblem;
  readonly padId: number | undefined;
  readonly parameters: readonly Parameter[];
  readonly headParameters: readonly Parameter[];
  readonly lookupPaths: readonly string[];
  readonly #head: Linear;

  constructor(body: CausalLM, { labels, problem, padId }: DecoderClassifierOptions) {
    if (labels.length === 0) {
      throw new ConfigError({ where: "classifier", expected: "at least one label", got: "none" });
    }
    const scope = new Scope();
    const { width, vocabularySize } = body.shape;
    this.body = body;
    this.labels = labels;
    this.problem = problem;
    this.padId = padId;
    const sizes = { inSize: width, outSize: labels.length, bias: false };
    const initialize = normal(WEIGHT_DEVIATION);
    this.#head = new Linear(scope.at("score"), { ...sizes, layout: "out-in", initialize });
    const needed = hiddenPaths(body);
    const ofBody = body.parameters.filter(({ path }) => needed.has(path));
    // A table that is also the head of the language model is only looked up here.
    const tables = ofBody.filter(({ shape }) => shape.length === 2 && shape[0] === vocabularySize);
    this.lookupPaths = [...new Set([...body.lookupPaths, ...tables.map(({ path }) => path)])];
    this.headParameters = scope.parameters;
    this.parameters = [...ofBody, ...scope.parameters];
  }

  get family(): string {
    return this.body.family;
  }

  get shape(): DecoderShape {
    return this.body.shape;
  }

  /** Hidden states `(…, C)` of last tokens → scores `(…, L)`. */
  logits(hidden: Tensor): Tensor {
    return this.#head.forward(hidden);
  }

  hidden(tokens: Tensor): Tensor {
    return this.body.hidden(tokens);
  }

  hiddenCached(tokens: Tensor, positions: Tensor, cache: LayerCaches): CachedStep {
    return this.body.hiddenCached(tokens, positions, cache);
  }

  /** Where a text ends: its last token that is no padding; the first one if all are. */
  lastPlace(ids: ArrayLike<number>): number {
    let place = ids.length - 1;
    while (place > 0 && ids[place] === this.padId) place--;
    return place;
  }
}

/**
 * Scores of whole texts by a classifier, perhaps with an adapter on it: tokens `(B, T)`, padded at the end, and the place of each text's
 * last one, int32 `(B)` → `(B, L)`.
 */
export function lastTokenLogits(model: CausalLM, tokens: Tensor, lastPlaces: Tensor): Tensor {
  const [B, T] = tokens.shape as [number, number];
  const starts = constant(
    hostTensor(
      "int32",
      [B],
      Int32Array.from({ length: B }, (_, row) => row * T),
    ),
  );
  const hidden = model.hidden(tokens).reshape([B * T, model.shape.width]);
  return model.logits(hidden.gatherRows(lastPlaces.add(starts)));
}

/** The parameters that a decoder's hidden states are made of. */
function hiddenPaths(body: CausalLM): ReadonlySet<string> {
  const nodes = reachableNodes([body.hidden(input("tokens", "int32", [1, 1]))]);
  return new Set(nodes.flatMap(({ leaf }) => (leaf?.kind === "parameter" ? [leaf.path] : [])));
}
