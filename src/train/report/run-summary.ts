import type { EndEvent, StartEvent, StepEvent, ValidationEvent } from "../events.ts";
import type { TimedEvent } from "../metrics-log.ts";
import { isTextQuality } from "../quality.ts";

/** What the events of a run add up to. */
export interface RunSummary {
  readonly start: StartEvent | undefined;
  readonly end: EndEvent | undefined;
  readonly steps: readonly StepEvent[];
  readonly validations: readonly ValidationEvent[];
  /** The last that was the best so far. */
  readonly best: ValidationEvent | undefined;
  readonly lastStep: number;
  readonly numTokens: number;
  readonly totalFlops: number;
  /** From the first event to the last, without the time between a process's end and the next one's start. */
  readonly seconds: number;
  /** Validation nats × this = bits per byte; undefined before the first validation, and where nothing is so measured. */
  readonly bitsPerByteFactor: number | undefined;
}

/** Adds up a run, also one that was resumed: each process begins with a start event. */
export function summarizeRun(events: readonly TimedEvent[]): RunSummary {
  const start = findType(events, "start").at(-1);
  const steps = findType(events, "step");
  const validations = findType(events, "validation");
  const best = validations.findLast((one) => one.best);
  const lastStep = steps.reduce((last, { step }) => Math.max(last, step), 0);
  const isRunning = events.at(-1)?.type !== "end";
  return {
    start,
    end: isRunning ? undefined : findType(events, "end").at(-1),
    steps,
    validations,
    best,
    lastStep,
    numTokens: sum(steps, ({ tokensPerSecond, stepMs }) => (tokensPerSecond * stepMs) / 1e3),
    totalFlops: sum(steps, ({ gflopPerSecond, stepMs }) => gflopPerSecond * stepMs * 1e6),
    seconds: activeSeconds(events),
    bitsPerByteFactor:
      best && isTextQuality(best) && best.lossNats > 0 ? best.bitsPerByte / best.lossNats : undefined,
  };
}

function sum(steps: readonly StepEvent[], read: (step: StepEvent) => number): number {
  return steps.reduce((total, step) => total + read(step), 0);
}

/** The events of one type, in order. */
export function findType<T extends TimedEvent["type"]>(
  events: readonly TimedEvent[],
  type: T,
): Extract<TimedEvent, { readonly type: T }>[] {
  return events.filter((event): event is Extract<TimedEvent, { readonly type: T }> => event.type === type);
}

function activeSeconds(events: readonly TimedEvent[]): number {
  let seconds = 0;
  for (const [i, event] of events.entries()) {
    const before = events[i - 1];
    if (before && event.type !== "start")
      seconds += (Date.parse(event.time) - Date.parse(before.time)) / 1000;
  }
  return seconds;
}
