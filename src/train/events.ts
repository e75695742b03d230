import type { Quality } from "./quality.ts";

/** What a training run says as it goes. Displays, `metrics.jsonl` and reports all consume these. */
export type TrainEvent =
  | StartEvent
  | StepEvent
  | ValidationEvent
  | SampleEvent
  | CheckpointEvent
  | SkipEvent
  | NoticeEvent
  | EndEvent;

/** First of all, also after a resume. */
export interface StartEvent {
  readonly type: "start";
  /** Shown as the title, e.g. `gpt2 · 6 layers × 384 · 10.7 M parameters`. */
  readonly title: string;
  readonly totalSteps: number;
  /** Steps done before this process began; above 0 after a resume. */
  readonly step: number;
  readonly numParameters: number;
  readonly tokensPerStep: number;
  readonly flopsPerStep: number;
}

/** One optimizer step. Losses are mean natural-log cross-entropy per token. */
export interface StepEvent {
  readonly type: "step";
  readonly step: number;
  readonly lossNats: number;
  readonly learningRate: number;
  /** Global gradient norm before clipping. */
  readonly gradientNorm: number;
  readonly stepMs: number;
  readonly tokensPerSecond: number;
  readonly gflopPerSecond: number;
}

/** What was held out was scored. */
export type ValidationEvent = Quality & {
  readonly type: "validation";
  readonly step: number;
  readonly lossNats: number;
  /** How many targets were predicted: tokens, or labels. */
  readonly numTokens: number;
  /** True when this is the best validation of the run so far. */
  readonly best: boolean;
};

/** Text from the weights as they are. */
export interface SampleEvent {
  readonly type: "sample";
  readonly step: number;
  readonly prompt: string;
  readonly text: string;
}

/** A checkpoint was saved. */
export interface CheckpointEvent {
  readonly type: "checkpoint";
  readonly step: number;
  readonly path: string;
  readonly saveMs: number;
}

/** A step whose loss or gradients were not finite: weights and moments were left as they were. */
export interface SkipEvent {
  readonly type: "skip";
  readonly step: number;
  readonly reason: string;
  /** Skipped steps since the run began. */
  readonly count: number;
}

/** Something the user should read, e.g. that a damaged checkpoint was passed over. */
export interface NoticeEvent {
  readonly type: "notice";
  readonly step: number;
  readonly message: string;
}

/** Last of all. */
export interface EndEvent {
  readonly type: "end";
  readonly step: number;
  readonly seconds: number;
  readonly totalFlops: number;
  readonly reason: "finished" | "early-stopped" | "stopped";
}
