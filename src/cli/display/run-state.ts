import type {
  EndEvent,
  SampleEvent,
  StartEvent,
  StepEvent,
  TrainEvent,
  ValidationEvent,
} from "../../train/events.ts";

/** A point of a loss curve. */
export interface CurvePoint {
  readonly step: number;
  readonly lossNats: number;
}

/** Everything a display shows of a run. Plain data: `advance` makes the next one. */
export interface RunState {
  readonly start: StartEvent | undefined;
  readonly last: StepEvent | undefined;
  /** Exponential mean of the loss over about the last 30 steps. */
  readonly smoothedNats: number;
  /** Training losses, each the mean of `stride` steps; at most {@link MAX_POINTS}. */
  readonly curve: readonly CurvePoint[];
  readonly stride: number;
  /** Losses not yet in the curve. */
  readonly pending: { readonly count: number; readonly sum: number };
  readonly validations: readonly ValidationEvent[];
  readonly best: ValidationEvent | undefined;
  readonly sample: SampleEvent | undefined;
  readonly numSkipped: number;
  readonly end: EndEvent | undefined;
  readonly startedMs: number;
  readonly nowMs: number;
  /** When the first step of this process ended, and which it was: the time left follows from what came after. */
  readonly firstStep: { readonly step: number; readonly endedMs: number } | undefined;
}

/** Four points for each column of a wide terminal. */
const MAX_POINTS = 1024;

/** Weight of the past in the smoothed loss: a memory of 1 / (1 − 0.967) ≈ 30 steps. */
const SMOOTHING = 0.967;

/** What a display knows before the first event. */
export function beginRun(nowMs: number): RunState {
  return {
    start: undefined,
    last: undefined,
    smoothedNats: Number.NaN,
    curve: [],
    stride: 1,
    pending: { count: 0, sum: 0 },
    validations: [],
    best: undefined,
    sample: undefined,
    numSkipped: 0,
    end: undefined,
    startedMs: nowMs,
    nowMs,
    firstStep: undefined,
  };
}

/** The state after one more event. */
export function advance(state: RunState, event: TrainEvent, nowMs: number): RunState {
  const now = { ...state, nowMs };
  switch (event.type) {
    case "start":
      return { ...beginRun(nowMs), start: event };
    case "step":
      return takeStep(now, event);
    case "validation":
      return {
        ...now,
        validations: [...state.validations, event],
        best: event.best ? event : state.best,
      };
    case "sample":
      return { ...now, sample: event };
    case "skip":
      return { ...now, numSkipped: event.count };
    case "end":
      return { ...now, end: event };
    case "checkpoint":
    case "notice":
      return now;
  }
}

/** Seconds until the last step at the pace since the first; NaN before there is a pace. */
export function secondsLeft(state: RunState): number {
  const { start, last, firstStep } = state;
  if (!start || !last || !firstStep) return Number.NaN;
  const left = start.totalSteps - last.step;
  if (last.step <= firstStep.step) return (left * last.stepMs) / 1000;
  // Validation and checkpoints are in the pace, because they will be in the rest as well.
  return (left * (state.nowMs - firstStep.endedMs)) / (last.step - firstStep.step) / 1000;
}

function takeStep(state: RunState, event: StepEvent): RunState {
  const firstStep = state.firstStep ?? { step: event.step, endedMs: state.nowMs };
  const next = { ...state, last: event, firstStep };
  // A loss that is not a number is shown as such, but would poison every mean.
  if (!Number.isFinite(event.lossNats)) return next;
  const smoothedNats = Number.isNaN(state.smoothedNats)
    ? event.lossNats
    : SMOOTHING * state.smoothedNats + (1 - SMOOTHING) * event.lossNats;
  return extendCurve({ ...next, smoothedNats }, event);
}

function extendCurve(state: RunState, { step, lossNats }: StepEvent): RunState {
  const count = state.pending.count + 1;
  const sum = state.pending.sum + lossNats;
  if (count < state.stride) return { ...state, pending: { count, sum } };
  const curve = [...state.curve, { step, lossNats: sum / count }];
  const pending = { count: 0, sum: 0 };
  if (curve.length < MAX_POINTS) return { ...state, curve, pending };
  return { ...state, curve: mergePairs(curve), stride: state.stride * 2, pending };
}

function mergePairs(curve: readonly CurvePoint[]): CurvePoint[] {
  return Array.from({ length: Math.floor(curve.length / 2) }, (_, i) => ({
    step: curve[2 * i + 1]!.step,
    lossNats: (curve[2 * i]!.lossNats + curve[2 * i + 1]!.lossNats) / 2,
  }));
}
