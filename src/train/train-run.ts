import type { HostWeights, Weights } from "../core/weights.ts";
import type { Engine } from "../engine/engine.ts";
import type { TrainEvent } from "./events.ts";
import type { ExampleStream, Measure, Objective } from "./objective.ts";
import type { TrainOptions } from "./options.ts";
import type { ParameterArena } from "./parameter-arena.ts";
import type { Quality } from "./quality.ts";

/** What identifies a run: a checkpoint of another configuration, tokenizer or data is not continued. */
export interface RunIdentity {
  readonly configHash: string;
  readonly tokenizerHash: string;
  readonly dataHash: string;
}

/** A training run: what is trained, on what, how, where, and who is told. */
export interface TrainRun {
  readonly engine: Engine;
  readonly objective: Objective;
  /** Where to start; default: fresh values by the model's own initialisation. */
  readonly initialWeights?: Weights;
  /**
   * Values of everything else that the losses need, by path: in memory, mapped or quantised. They are read where they lie, and
   * those that no loss needs may be there, too.
   */
  readonly frozen?: Weights;
  /** The examples, or what makes them with the weights in the arena, such as texts that the model writes itself. */
  readonly examples: ExampleStream | ((arena: ParameterArena) => ExampleStream);
  /** Makes what judges the weights in the arena. The run disposes it. */
  readonly measure: (arena: ParameterArena) => Measure;
  readonly options: TrainOptions;
  readonly identity: RunIdentity;
  /** Holds `checkpoints/` and `best/`. */
  readonly directory: string;
  /** Continue from the newest intact checkpoint; an error when there is none. */
  readonly resume: boolean;
  readonly title: string;
  readonly onEvent: (event: TrainEvent) => void;
  /** Text to show now and then, from the trained weights as they are. */
  readonly sample?: (weights: Weights) => Promise<{ prompt: string; text: string }>;
  /** Aborting saves a checkpoint and ends the run. */
  readonly signal?: AbortSignal;
}

/** A run whose examples are there. */
export interface ReadyRun extends TrainRun {
  readonly examples: ExampleStream;
}

/** The best validation of a run, by what its options say. */
export type BestResult = Quality & { readonly step: number; readonly lossNats: number };

/** How a run ended. */
export interface TrainResult {
  /** `early-stopped`: validation had not improved for as long as the options allow. */
  readonly reason: "finished" | "early-stopped" | "stopped";
  readonly step: number;
  /** Trained weights of the best validation, by parameter path. */
  readonly bestWeights: HostWeights;
  readonly best: BestResult;
  readonly seconds: number;
  readonly totalFlops: number;
}
