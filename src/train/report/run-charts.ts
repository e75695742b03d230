import type { StepEvent } from "../events.ts";
import { figureOf, isMaskedQuality, isTaskQuality, isTextQuality, type Quality } from "../quality.ts";
import type { Baseline } from "../report.ts";
import { type ChartColor, type ChartSeries, renderLineChart } from "./line-chart.ts";
import type { RunSummary } from "./run-summary.ts";
import { type Point, smooth, thin } from "./series.ts";

/** Points of a drawn line: beyond two a pixel nobody sees more, and the file grows. */
const MAX_POINTS = 600;

/** Reach of the smoothing to either side, as a part of the run … */
const SMOOTHED_PART = 0.005;
/** … but at least this many steps. */
const MIN_MEMORY = 3;

/** Training and validation loss with the baselines, in nats on the left and bits per byte on the right. */
export function renderLossChart(
  { steps, validations, bitsPerByteFactor }: RunSummary,
  baselines: readonly Baseline[],
): string {
  const raw = pointsOf(steps, ({ lossNats }) => lossNats);
  const checks = validations.map(({ step, lossNats }): Point => ({ x: step, y: lossNats }));
  const series: ChartSeries[] = [
    ...rawAndSmoothed("training", "training", raw, MAX_POINTS),
    { label: "validation", color: "validation", style: "points", points: checks },
  ];
  const levels = bitsPerByteFactor
    ? baselines.filter(isTextQuality).map(({ label, bitsPerByte }) => ({
        label: `${label} ${bitsPerByte.toFixed(3)}`,
        y: bitsPerByte / bitsPerByteFactor,
      }))
    : [];
  const isTask = validations.some(isTaskQuality);
  // A logarithmic axis keeps the slow end of a run from being squashed by its fast beginning.
  const isPositive = [...raw, ...checks].every(({ y }) => y > 0);
  return renderLineChart({
    title: "Training and validation loss",
    unit: isTask ? "nats" : "nats per token",
    xLabel: "step",
    scale: isPositive ? "log" : "linear",
    series,
    levels,
    heightPx: 320,
    ...(bitsPerByteFactor ? { rightAxis: { unit: "bits per byte", factor: bitsPerByteFactor } } : {}),
  });
}

/** What a run is measured in beside the loss, with the baselines; nothing for text, whose loss says it all. */
export function renderQualityChart({ validations }: RunSummary, baselines: readonly Baseline[]): string {
  const last = validations.at(-1);
  if (!last || isTextQuality(last)) return "";
  const read = (quality: Quality): number | undefined => {
    if (isMaskedQuality(quality)) return isMaskedQuality(last) ? quality.maskedAccuracy * 100 : undefined;
    if (!isTaskQuality(quality) || !isTaskQuality(last)) return undefined;
    return quality.metric === last.metric ? quality.value : undefined;
  };
  const points = validations.flatMap((one): Point[] => {
    const y = read(one);
    return y === undefined ? [] : [{ x: one.step, y }];
  });
  const levels = baselines.flatMap((baseline) => {
    const y = read(baseline);
    return y === undefined ? [] : [{ label: `${baseline.label} ${figureOf(baseline, 3).value}`, y }];
  });
  const task = isTaskQuality(last) ? last : undefined;
  return renderLineChart({
    title: task ? `Held-out ${task.metric}` : "Masked tokens filled in right",
    unit: task ? `${task.higherIsBetter ? "higher" : "lower"} is better` : "per cent of the held-out ones",
    xLabel: "step",
    scale: "from-zero",
    series: [{ label: "validation", color: "validation", style: "points", points }],
    levels,
    heightPx: 220,
  });
}

/** Small charts of what else changed over the run. */
export function renderMultiples({ steps }: RunSummary): string {
  const limit = MAX_POINTS / 2;
  const speed = pointsOf(steps, ({ tokensPerSecond }) => tokensPerSecond);
  const norm = pointsOf(steps, ({ gradientNorm }) => gradientNorm);
  const rate = thin(
    pointsOf(steps, ({ learningRate }) => learningRate),
    limit,
  );
  const charts = [
    small("Throughput", "tokens per second", rawAndSmoothed("throughput", "speed", speed, limit)),
    small("Learning rate", "per step", [{ label: "rate", color: "rate", style: "line", points: rate }]),
    small("Gradient norm", "before clipping", rawAndSmoothed("norm", "norm", norm, limit)),
  ];
  return `<div class="multiples">\n${charts.join("\n")}\n</div>`;
}

function small(title: string, unit: string, series: readonly ChartSeries[]): string {
  return renderLineChart({ title, unit, xLabel: "step", scale: "from-zero", series, heightPx: 150 });
}

/** Every step, pale, and their mean over about a hundredth of the run. */
function rawAndSmoothed(
  label: string,
  color: ChartColor,
  raw: readonly Point[],
  maxPoints: number,
): ChartSeries[] {
  const memory = Math.max(MIN_MEMORY, raw.length * SMOOTHED_PART);
  return [
    { label: "one step", color, style: "faint", points: thin(raw, maxPoints) },
    { label, color, style: "line", points: thin(smooth(raw, memory), maxPoints) },
  ];
}

function pointsOf(steps: readonly StepEvent[], read: (event: StepEvent) => number): Point[] {
  return steps
    .map((event): Point => ({ x: event.step, y: read(event) }))
    .filter(({ y }) => Number.isFinite(y));
}
