import type { Tokenizer } from "../codecs/tokenizer.ts";
import type { HostWeights, Weights } from "../core/weights.ts";
import type { WeightedDataset } from "../data/corpus.ts";
import type { TokenDataset } from "../data/token-dataset.ts";
import type { Engine } from "../engine/engine.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import type { ExampleStream, Measure, Objective } from "../train/objective.ts";
import type { ParameterArena } from "../train/parameter-arena.ts";
import type { Baseline } from "../train/report.ts";
import type { Recipe } from "./recipe.ts";

/** What a trainee is made from. */
export interface TraineeOptions {
  readonly engine: Engine;
  readonly recipe: Recipe;
  readonly tokenizer: Tokenizer;
  readonly train: readonly WeightedDataset[];
  readonly heldOut: readonly TokenDataset[];
  /** UTF-8 bytes that the held-out tokens to be scored stand for. */
  readonly heldOutBytes: number;
  /** What samples continue. */
  readonly prompt: string;
}

/** The model of a run, with all that is done differently for decoders and for encoders. */
export interface Trainee {
  readonly model: CausalLM | Encoder;
  readonly objective: Objective;
  readonly examples: ExampleStream;
  /** First weights, where they are not the model's own. */
  readonly initialWeights?: HostWeights;
  /** The task that Hugging Face pages know the model by. */
  readonly pipelineTag: "text-generation" | "fill-mask";
  /** One sentence about what it was taught. */
  readonly taught: string;
  /** Judges the weights in the arena on the held-out text. */
  measure(arena: ParameterArena): Measure;
  /** What counting alone achieves on the held-out text; the strongest first. */
  baselines(): readonly [Baseline, ...Baseline[]];
  /** Something to look at, from the weights as they are. */
  sample(weights: Weights): Promise<{ readonly prompt: string; readonly text: string }>;
  /** What the trained model achieves where it should not: a check that it reads, rather than knows. */
  controls(weights: HostWeights): Promise<readonly Baseline[]>;
  /** Writes the model directory. */
  save(directory: string, weights: Weights, card: string): void;
  /** What to do with a model directory, as words after `plinth`. */
  nextCommands(directory: string): readonly string[];
}
