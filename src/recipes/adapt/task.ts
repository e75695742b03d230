import type { Tokenizer } from "../../codecs/tokenizer.ts";
import type { Weights } from "../../core/weights.ts";
import type { LoadOptions } from "../../data/rows/load-examples.ts";
import type { Engine } from "../../engine/engine.ts";
import type { ExampleStream, Measure, Objective } from "../../train/objective.ts";
import type { TrainOptions } from "../../train/options.ts";
import type { Quality } from "../../train/quality.ts";
import type { TableRow } from "../../train/report/html.ts";
import type { Baseline } from "../../train/report.ts";
import type { AdaptRecipe } from "./adapt-recipe.ts";
import type { BaseModel, Unfitted } from "./method.ts";

/** Where examples come from. */
export interface DataSources {
  readonly training: LoadOptions;
  /** Examples held out that have files of their own; default: a share of the others. */
  readonly validation?: LoadOptions | undefined;
}

/** What a task is prepared from. */
export interface TaskContext {
  readonly engine: Engine;
  /** The base's directory. */
  readonly base: string;
  readonly data: DataSources;
  readonly recipe: AdaptRecipe;
  /** Told of what the user should know about the data. */
  readonly onNotice: (message: string) => void;
}

/** How well a finished model does on the examples held out, in detail. */
export interface Judgement {
  readonly quality: Quality;
  /** Parts for the report, as HTML. */
  readonly sections: readonly string[];
  /** One record for each example that was judged, for a file of JSON lines. */
  readonly predictions: readonly object[];
}

/** A base made ready for a task, with data. */
export interface PreparedTask<M extends BaseModel> extends Unfitted<M> {
  readonly engine: Engine;
  /** Of the base and of new heads, by path. */
  readonly weights: Weights;
  readonly tokenizer: Tokenizer;
  /** Names of modules that the head is made of, as adapter files list them. */
  readonly headModules: readonly string[];
  /** The examples, or what makes them with the model as it is, such as texts that it writes itself. */
  readonly examples: ExampleStream | ((model: M, weights: Weights) => ExampleStream);
  /** Sequences of a batch that go through together; default 1. */
  readonly group?: number;
  /** What it holds in memory beside the model, such as a teacher; default 0. */
  readonly heldBytes?: number;
  /** Identifies what is trained on and measured with. */
  readonly dataHash: string;
  /** Facts about the data, for the report. */
  readonly corpus: readonly TableRow[];
  readonly baselines: readonly Baseline[];
  objective(model: M): Objective;
  measure(model: M, weights: Weights): Measure;
  /** A closer look at the finished model; nothing where its loss says it all. */
  judge(model: M, weights: Weights): Promise<Judgement | undefined>;
  /** Files that belong beside a model, by name, such as a chat template. */
  readonly files?: Readonly<Record<string, string>>;
  /** Something to look at along the way. */
  sample?(model: M, weights: Weights): Promise<{ readonly prompt: string; readonly text: string }>;
  /** Writes the whole model, for methods that leave no adapter. */
  save(directory: string, weights: Weights, card: string): void;
  /** What to do with the result, as words after `plinth`; the model may be a base with `--adapter` behind it. */
  nextCommands(model: string): readonly string[];
}

/** Is given a prepared task whose kind of model it need not know. */
export type UsePrepared<R> = <M extends BaseModel>(prepared: PreparedTask<M>) => Promise<R>;

/** What a model can be adapted to. */
export interface Task {
  readonly name: string;
  readonly summary: string;
  /** Fields that examples have, which `--field` maps to columns. */
  readonly fields: readonly string[];
  /** Settings of its own; absent where it has none. */
  readonly section?: string;
  /** Methods that suit it; default: all. */
  readonly methods?: readonly string[];
  /** It continues text, and can be learnt from a teacher, too. */
  readonly canBeTaught?: boolean;
  /** Training options that suit it, whatever the method. */
  readonly train: Partial<TrainOptions> & Pick<TrainOptions, "contextLength">;
  /** @throws {ConfigError} if a setting is unknown or out of range. */
  readSettings(input: object): object;
  /**
   * Loads base and data, and hands on what was made of them.
   *
   * @throws {DataError} if examples cannot be used, {@link ConfigError} if the base does not fit the task.
   */
  prepare<R>(context: TaskContext, use: UsePrepared<R>): Promise<R>;
}
