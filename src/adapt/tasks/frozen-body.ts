// B texts · T tokens

import { type HostTensor, hostTensor, numElements } from "../../core/dtype.ts";
import type { Weights } from "../../core/weights.ts";
import type { RowBatch } from "../../data/rows/row-batches.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Program } from "../../engine/program.ts";
import type { TaskHead } from "../../models/contracts.ts";
import type { Parameter } from "../../nn/scope.ts";
import { countFlops } from "../../tensor/count-flops.ts";
import { reachableNodes } from "../../tensor/graph.ts";
import { rewrite } from "../../tensor/rewrite.ts";
import { input, type Node, type Tensor } from "../../tensor/tensor.ts";
import type { BatchShape } from "../../train/objective.ts";
import { bindWeights, compileOver } from "../../train/weighted-program.ts";
import type { ScoringModel, TextIds } from "./scoring-model.ts";
import { measuredBatches, type TaskBatching } from "./supervised.ts";

/** How texts are put together where their features are computed. */
type Batching = Pick<TaskBatching, "contextLength" | "maxBuckets">;

/** A result of the body that the head reads. */
interface Feature {
  /** The input that it comes by. */
  readonly name: string;
  /** Numbers of one text, or of each token of it. */
  readonly size: number;
  readonly isPerToken: boolean;
}

/**
 * A model whose body stays as it is, so that what the head reads of a text is the same at every step: it is computed once, and kept.
 * The scores are then a graph of the head alone, and so are gradients and what they cost.
 *
 * What is kept are the results of frozen weights that trained ones meet: of a head on the first or last token the states of that
 * token, of a head on all tokens the states of all.
 *
 * @example
 * const still = new FrozenBody(engine, decoderScores(classifier), weights);
 * const objective = new Supervised(still, kind); // trains `still.headParameters`
 */
export class FrozenBody implements ScoringModel {
  readonly head: TaskHead;
  readonly parameters: readonly Parameter[];
  readonly shape: ScoringModel["shape"];
  readonly #engine: Engine;
  readonly #model: ScoringModel;
  readonly #weights: Weights;
  readonly #features: readonly Feature[];
  /** Inputs of the model that the head needs beside features. */
  readonly #others: ReadonlySet<string>;
  readonly #known = new Map<TextIds, readonly Float32Array[]>();

  /** @param weights of the body, at least */
  constructor(engine: Engine, model: ScoringModel, weights: Weights) {
    this.#engine = engine;
    this.#model = model;
    this.#weights = weights;
    this.head = model.head;
    this.parameters = model.headParameters;
    this.shape = model.shape;
    const [one, two] = [1, 2].map((contextLength) => this.#met({ batchSize: 1, contextLength }));
    this.#features = one!.map((tensor, i) => {
      const size = numElements(tensor.shape as number[]);
      return { name: `feature ${i}`, size, isPerToken: numElements(two![i]!.shape as number[]) !== size };
    });
    const leaves = reachableNodes(Object.values(this.scores({ batchSize: 1, contextLength: 1 })));
    this.#others = new Set(leaves.flatMap(({ leaf }) => (leaf?.kind === "input" ? [leaf.name] : [])));
  }

  get headParameters(): readonly Parameter[] {
    return this.parameters;
  }

  scores(shape: BatchShape): Readonly<Record<string, Tensor>> {
    const whole = this.#model.scores(shape);
    const names = Object.keys(whole);
    const given = new Map(
      this.#met(shape, whole).map((tensor, i) => {
        const { name, size, isPerToken } = this.#features[i]!;
        const width = isPerToken ? size * shape.contextLength : size;
        return [tensor, input(name, "float32", [shape.batchSize, width]).reshape(tensor.shape)];
      }),
    );
    const rule = ({ outputs }: Node) =>
      outputs.some((tensor) => given.has(tensor))
        ? outputs.map((tensor) => given.get(tensor) ?? tensor)
        : undefined;
    const scores = rewrite(Object.values(whole), rule);
    return Object.fromEntries(names.map((name, i) => [name, scores[i]!]));
  }

  /** Features must have been computed; see {@link prepare}. */
  feeds(texts: readonly TextIds[], contextLength: number): Record<string, HostTensor> {
    const feeds = Object.entries(this.#model.feeds(texts, contextLength));
    const features = this.#features.map(({ name, size, isPerToken }, i) => {
      const width = isPerToken ? size * contextLength : size;
      const data = new Float32Array(texts.length * width); // (B, …); nothing is read of padding
      for (const [row, text] of texts.entries()) data.set(this.#known.get(text)![i]!, row * width);
      return [name, hostTensor("float32", [texts.length, width], data)] as const;
    });
    return Object.fromEntries([...feeds.filter(([name]) => this.#others.has(name)), ...features]);
  }

  /** Bytes that the features of these texts take. */
  bytesFor(texts: readonly TextIds[]): number {
    const numbersOf = ({ ids }: TextIds) =>
      this.#features.reduce((sum, { size, isPerToken }) => sum + (isPerToken ? size * ids.length : size), 0);
    return texts.reduce((sum, text) => sum + Float32Array.BYTES_PER_ELEMENT * numbersOf(text), 0);
  }

  /** Operations of computing the features of these texts. */
  flopsFor(texts: readonly TextIds[], batching: Batching): number {
    const ofBatch = ({ rows, paddedLength }: RowBatch) =>
      countFlops(this.#met({ batchSize: rows.length, contextLength: paddedLength }));
    return measuredBatches(texts, batching).reduce((sum, batch) => sum + ofBatch(batch), 0);
  }

  async prepare(texts: readonly TextIds[], batching: Batching): Promise<number> {
    const missing = texts.filter((text) => !this.#known.has(text));
    if (missing.length === 0) return 0;
    const programs = new Map<string, Program>();
    try {
      for (const batch of measuredBatches(missing, batching)) {
        const key = `${batch.rows.length} × ${batch.paddedLength}`;
        const program = programs.get(key) ?? this.#compile(batch);
        programs.set(key, program);
        const members = batch.rows.map((place) => missing[place]!);
        await this.#read(members, batch.paddedLength, program);
      }
    } finally {
      for (const program of programs.values()) program.dispose();
    }
    return this.flopsFor(missing, batching);
  }

  /** Computes the features of some texts, and keeps them without those of padding. */
  async #read(texts: readonly TextIds[], contextLength: number, program: Program): Promise<void> {
    const feeds = Object.entries(this.#model.feeds(texts, contextLength));
    const found = await program.run(Object.fromEntries(feeds.filter(([name]) => program.inputs.has(name))));
    for (const [row, text] of texts.entries()) {
      const own = this.#features.map(({ name, size, isPerToken }) => {
        const data = found[name]!.data as Float32Array;
        const start = (row * data.length) / texts.length;
        return data.slice(start, start + (isPerToken ? size * text.ids.length : size));
      });
      this.#known.set(text, own);
    }
  }

  #compile({ rows, paddedLength }: RowBatch): Program {
    const met = this.#met({ batchSize: rows.length, contextLength: paddedLength });
    const outputs = Object.fromEntries(this.#features.map(({ name }, i) => [name, met[i]!]));
    const program = compileOver(this.#engine, "features", outputs, this.#weights);
    bindWeights(program, this.#weights);
    return program;
  }

  /** What trained parameters meet of the body's results, in the order of the graph. */
  #met(shape: BatchShape, scores = this.#model.scores(shape)): readonly Tensor[] {
    const trained = new Set(this.parameters.map(({ path }) => path));
    const moving = new Set<Node>();
    const still = new Set<Node>();
    const met = new Set<Tensor>();
    for (const node of reachableNodes(Object.values(scores))) {
      const { leaf, inputs } = node;
      const path = leaf?.kind === "parameter" ? leaf.path : undefined;
      if (path === undefined ? inputs.some((from) => moving.has(from.node)) : trained.has(path)) {
        moving.add(node);
        for (const from of inputs) if (from.node.op && still.has(from.node)) met.add(from);
      } else if (path !== undefined || inputs.some((from) => still.has(from.node))) {
        still.add(node);
      }
    }
    return [...met];
  }
}
