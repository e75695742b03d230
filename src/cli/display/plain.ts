import type { StepEvent, TrainEvent } from "../../train/events.ts";
import { showQuality } from "../../train/quality.ts";
import { formatCount, formatDuration, formatSi, formatSmall } from "../../train/report/quantities.ts";
import type { Display } from "../display.ts";
import { makeVisible } from "./columns.ts";
import { advance, beginRun, type RunState, secondsLeft } from "./run-state.ts";

/** Characters of a sample that go into its line. */
const SAMPLE_CHARACTERS = 200;

/** One line for the first step, then one every `intervalMs`; every other event has its own line. No escape codes. */
export function createPlainDisplay(
  stream: NodeJS.WriteStream,
  now: () => number,
  intervalMs: number,
): Display {
  let state = beginRun(now());
  let lastLineMs = Number.NEGATIVE_INFINITY;
  let shownStep = -1;
  const write = (line: string): void => {
    stream.write(`${line}\n`);
  };
  const writeStep = (event: StepEvent): void => {
    lastLineMs = state.nowMs;
    shownStep = event.step;
    write(stepLine(state, event));
  };
  return {
    handle(event) {
      state = advance(state, event, now());
      if (event.type === "step") {
        if (state.nowMs - lastLineMs >= intervalMs) writeStep(event);
        return;
      }
      // The last step before the end would otherwise be missing when it fell within the interval.
      if (event.type === "end" && state.last && state.last.step !== shownStep) writeStep(state.last);
      write(eventLine(event, state));
    },
    notice: (line) => write(makeVisible(line)),
    close() {},
  };
}

function stepLine(state: RunState, event: StepEvent): string {
  const total = state.start?.totalSteps ?? 0;
  const left = secondsLeft(state);
  return [
    `step ${formatCount(event.step)}/${formatCount(total)}`,
    `loss ${Number.isFinite(event.lossNats) ? state.smoothedNats.toFixed(4) : event.lossNats}`,
    `rate ${formatSmall(event.learningRate)}`,
    `gradient ${formatSmall(event.gradientNorm)}`,
    `${formatCount(event.tokensPerSecond)} tokens/s`,
    `${event.gflopPerSecond.toFixed(1)} GFLOP/s`,
    `elapsed ${formatDuration((state.nowMs - state.startedMs) / 1000)}`,
    ...(Number.isFinite(left) ? [`left ${formatDuration(left)}`] : []),
  ].join("  ");
}

/** What an event other than a step says in one line; the live display uses it for what has to stay on screen. */
export function eventLine(event: Exclude<TrainEvent, StepEvent>, state: RunState): string {
  switch (event.type) {
    case "start": {
      const from = event.step > 0 ? `, resumed after step ${formatCount(event.step)}` : "";
      return `${makeVisible(event.title)}: ${formatCount(event.totalSteps)} steps${from}`;
    }
    case "validation": {
      const best = event.best ? "  best" : "";
      const loss = `${event.lossNats.toFixed(4)} nats  ${showQuality(event, 4)}`;
      return `validation at step ${formatCount(event.step)}  ${loss}${best}`;
    }
    case "sample":
      return `sample at step ${formatCount(event.step)}  ${makeVisible(cutSample(event.prompt + event.text))}`;
    case "checkpoint":
      return `checkpoint at step ${formatCount(event.step)}  ${makeVisible(event.path)}  ${formatCount(event.saveMs)} ms`;
    case "skip":
      return `step ${formatCount(event.step)} skipped: ${makeVisible(event.reason)} (${formatCount(event.count)} so far)`;
    case "notice":
      return makeVisible(event.message);
    case "end": {
      const best = state.best ? `  best ${showQuality(state.best, 4)}` : "";
      const cost = `${formatDuration(event.seconds)}  ${formatSi(event.totalFlops, "FLOP")}`;
      return `${event.reason} at step ${formatCount(event.step)}  ${cost}${best}`;
    }
  }
}

function cutSample(text: string): string {
  const characters = [...text];
  if (characters.length <= SAMPLE_CHARACTERS) return text;
  return `${characters.slice(0, SAMPLE_CHARACTERS).join("")}…`;
}
