// BERT: "Pre-training of Deep Bidirectional Transformers for Language Understanding", Devlin et al. 2019.
// B batch · T tokens · C width · V vocabulary · L labels

import { ShapeError } from "../../core/errors.ts";
import { expectShape, showShape } from "../../core/shape.ts";
import { attendBothWays } from "../../nn/bidirectional-attention.ts";
import { Embedding } from "../../nn/embedding.ts";
import { LayerNorm } from "../../nn/layer-norm.ts";
import { Linear } from "../../nn/linear.ts";
import { filled, type Parameter, Scope, truncatedNormal } from "../../nn/scope.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Encoder, EncoderHeads, EncoderInput, EncoderShape } from "../contracts.ts";
import { type BertConfig, type BertHeads, bertHeads } from "./config.ts";

/** Every matrix and table starts from a normal cut off at two deviations, as in Google's released code. */
const initialize = truncatedNormal(0.02);

function linear(scope: Scope, inSize: number, outSize: number): Linear {
  return new Linear(scope, { inSize, outSize, bias: true, layout: "out-in", initialize });
}

const ACTIVATIONS: Readonly<Record<BertConfig["activation"], (x: Tensor) => Tensor>> = {
  gelu: (x) => x.gelu(),
  "gelu-tanh": (x) => x.geluTanh(),
  relu: (x) => x.relu(),
  silu: (x) => x.silu(),
};

/** The sum of what a token is, where it stands and which text it is of, normalised. */
class Embeddings {
  readonly tokens: Embedding;
  readonly #positions: Embedding;
  readonly #segments: Embedding;
  readonly #norm: LayerNorm;

  constructor(scope: Scope, config: BertConfig) {
    const { vocabularySize, contextLength, numSegments, width } = config;
    this.tokens = new Embedding(scope.at("word_embeddings"), vocabularySize, width, initialize);
    this.#positions = new Embedding(scope.at("position_embeddings"), contextLength, width, initialize);
    this.#segments = new Embedding(scope.at("token_type_embeddings"), numSegments, width, initialize);
    this.#norm = new LayerNorm(scope.at("LayerNorm"), width, config.layerNormEpsilon);
  }

  forward({ tokens, segments, positions }: EncoderInput): Tensor {
    const what = this.tokens.forward(tokens).add(this.#segments.forward(segments)); // (B, T, C)
    const where = positions ? this.#positions.forward(positions) : this.#firstPositions(tokens); // (T, C)
    return this.#norm.forward(what.add(where));
  }

  #firstPositions(tokens: Tensor): Tensor {
    const length = tokens.shape[1]!;
    if (typeof length === "number") return this.#positions.weight.tensor.slice(0, 0, length);
    const expected = "positions, as the number of tokens is only named";
    throw new ShapeError({ where: "Bert.hidden", expected, got: `tokens ${showShape(tokens.shape)} alone` });
  }
}

/** Multi-head self-attention in both directions, added to its input and normalised. */
class Attention {
  readonly #numHeads: number;
  readonly #query: Linear;
  readonly #key: Linear;
  readonly #value: Linear;
  readonly #output: Linear;
  readonly #norm: LayerNorm;

  constructor(scope: Scope, { width, numHeads, layerNormEpsilon }: BertConfig) {
    this.#numHeads = numHeads;
    this.#query = linear(scope.at("self.query"), width, width);
    this.#key = linear(scope.at("self.key"), width, width);
    this.#value = linear(scope.at("self.value"), width, width);
    this.#output = linear(scope.at("output.dense"), width, width);
    this.#norm = new LayerNorm(scope.at("output.LayerNorm"), width, layerNormEpsilon);
  }

  forward(x: Tensor, mask: Tensor): Tensor {
    const [q, k, v] = [this.#query, this.#key, this.#value].map((project) => project.forward(x));
    const attended = attendBothWays(q!, k!, v!, this.#numHeads, mask);
    return this.#norm.forward(x.add(this.#output.forward(attended)));
  }
}

/** One layer: attention, then two linear layers; each is added to its input before it is normalised. */
class Block {
  readonly #attention: Attention;
  readonly #expand: Linear;
  readonly #contract: Linear;
  readonly #norm: LayerNorm;
  readonly #activate: (x: Tensor) => Tensor;

  constructor(scope: Scope, config: BertConfig) {
    const { width, feedForwardSize } = config;
    this.#attention = new Attention(scope.at("attention"), config);
    this.#expand = linear(scope.at("intermediate.dense"), width, feedForwardSize);
    this.#contract = linear(scope.at("output.dense"), feedForwardSize, width);
    this.#norm = new LayerNorm(scope.at("output.LayerNorm"), width, config.layerNormEpsilon);
    this.#activate = ACTIVATIONS[config.activation];
  }

  forward(x: Tensor, mask: Tensor): Tensor {
    const attended = this.#attention.forward(x, mask);
    const expanded = this.#activate(this.#expand.forward(attended)); // (B, T, feedForwardSize)
    return this.#norm.forward(attended.add(this.#contract.forward(expanded)));
  }
}

/** Scores of the token behind a mask: one more dense layer, then the table of token embeddings read backwards. */
function maskedHead(scope: Scope, config: BertConfig, tied: Embedding | undefined) {
  const { width, vocabularySize, layerNormEpsilon, activation } = config;
  const transform = linear(scope.at("transform.dense"), width, width);
  const norm = new LayerNorm(scope.at("transform.LayerNorm"), width, layerNormEpsilon);
  const table = tied?.weight ?? scope.parameter("decoder.weight", [vocabularySize, width], initialize);
  const bias = scope.parameter("bias", [vocabularySize], filled(0));
  return (hidden: Tensor) => {
    const transformed = norm.forward(ACTIVATIONS[activation](transform.forward(hidden)));
    return transformed.linear(table.tensor, bias.tensor, true); // (…, V)
  };
}

/** A dense layer on the hidden state of the first token, `[CLS]`. */
function poolerHead(scope: Scope, width: number) {
  const dense = linear(scope.at("dense"), width, width);
  return (hidden: Tensor) => {
    const first = hidden.slice(1, 0, 1).squeeze(1); // (B, C)
    return dense.forward(first).tanh();
  };
}

/** Scores of an answer's ends: each token as the first of it, and as the last. */
function answerHead(scope: Scope, width: number) {
  const ends = linear(scope, width, 2);
  return (hidden: Tensor) => {
    const [start, end] = ends.forward(hidden).split([1, 1], 2); // 2 × (B, T, 1)
    return { start: start!.squeeze(2), end: end!.squeeze(2) }; // (B, T)
  };
}

function buildHeads(scope: Scope, config: BertConfig, heads: BertHeads, tokens: Embedding): EncoderHeads {
  const { width } = config;
  const { maskedLanguage, sequenceClassifier: sequences, tokenClassifier: ofTokens } = heads;
  const pooled = heads.pooler ? poolerHead(scope.at("pooler"), width) : undefined;
  const tied = maskedLanguage === "tied" ? tokens : undefined;
  const masked = maskedLanguage && maskedHead(scope.at("cls.predictions"), config, tied);
  const next = heads.nextSentence ? linear(scope.at("cls.seq_relationship"), width, 2) : undefined;
  const labels = sequences?.labels ?? ofTokens?.labels;
  const classifier = labels && linear(scope.at("classifier"), width, labels.length);
  const answers = heads.questionAnswering ? answerHead(scope.at("qa_outputs"), width) : undefined;
  return {
    ...(masked && { maskedLogits: masked }),
    ...(pooled && { pooled }),
    ...(next && { nextSentenceLogits: (of: Tensor) => next.forward(of) }), // (B, 2)
    ...(sequences && {
      sequenceClassifier: { ...sequences, logits: (hidden) => classifier!.forward(pooled!(hidden)) }, // (B, L)
    }),
    ...(ofTokens && {
      tokenClassifier: { ...ofTokens, logits: (hidden) => classifier!.forward(hidden) }, // (…, L)
    }),
    ...(answers && { answerLogits: answers }),
  };
}

/** The BERT encoder, with the heads it is given. Parameter paths are published names without the `bert.` prefix. */
export class Bert implements Encoder {
  readonly family = "bert";
  readonly config: BertConfig;
  /** What the heads were made from; {@link heads} is what they compute. */
  readonly headConfig: BertHeads;
  readonly heads: EncoderHeads;
  readonly parameters: readonly Parameter[];
  readonly lookupPaths: readonly string[];
  readonly #embeddings: Embeddings;
  readonly #blocks: readonly Block[];

  constructor(config: BertConfig, heads: BertHeads = {}) {
    const scope = new Scope();
    this.config = config;
    this.headConfig = bertHeads(heads);
    this.#embeddings = new Embeddings(scope.at("embeddings"), config);
    this.#blocks = Array.from(
      { length: config.numLayers },
      (_, i) => new Block(scope.at(`encoder.layer.${i}`), config),
    );
    this.heads = buildHeads(scope, config, heads, this.#embeddings.tokens);
    this.parameters = scope.parameters;
    const tables = ["position_embeddings", "token_type_embeddings"];
    if (heads.maskedLanguage !== "tied") tables.unshift("word_embeddings");
    this.lookupPaths = tables.map((table) => `embeddings.${table}.weight`);
  }

  get shape(): EncoderShape {
    const { vocabularySize, contextLength, width, numLayers, numHeads, numSegments } = this.config;
    return { vocabularySize, contextLength, width, numLayers, numHeads, numSegments };
  }

  hidden(input: EncoderInput): Tensor {
    return this.hiddenStates(input).at(-1)!;
  }

  /** Hidden states after the embeddings and after each layer: L + 1 tensors `(B, T, C)`. */
  hiddenStates(input: EncoderInput): readonly Tensor[] {
    const [B, T] = input.tokens.shape;
    expectShape("Bert.hidden, tokens", input.tokens.shape, [undefined, undefined]);
    expectShape("Bert.hidden, segments", input.segments.shape, [B, T]);
    expectShape("Bert.hidden, mask", input.mask.shape, [B, T]);
    const states = [this.#embeddings.forward(input)]; // (B, T, C)
    for (const block of this.#blocks) states.push(block.forward(states.at(-1)!, input.mask));
    return states;
  }
}
