import { EnvironmentError } from "../core/errors.ts";
import type { BatchShape } from "../train/objective.ts";
import { sliceSize } from "../train/slices.ts";
import { availableMemory } from "./available-memory.ts";
import { forecastTraining, type TrainingForecast, type TrainingMemoryRequest } from "./training-forecast.ts";

/** A way to make do with less, and what the run would be then. */
export interface TrainingAlternative {
  /** As it is to be typed. */
  readonly what: string;
  readonly request: () => TrainingMemoryRequest;
}

/** What a run is held against. */
export interface TrainingMemoryCheck {
  /** Bytes for the whole process, what it holds already included; default: that and what the machine has left. */
  readonly available?: number;
  /** What else there is than other options, such as the same run by another method. */
  readonly alternatives?: readonly TrainingAlternative[];
  /** False: says what the run needs and lets it begin all the same. Default true. */
  readonly refuses?: boolean;
}

/**
 * Refuses a training run that will not fit into memory, before it begins. What is suggested instead fits, by the same forecast.
 *
 * @returns the forecast
 * @throws {EnvironmentError} saying how much is needed for what, and what would fit.
 */
export function checkTrainingMemory(
  request: TrainingMemoryRequest,
  {
    available = availableMemory() + process.memoryUsage().rss,
    alternatives = [],
    refuses = true,
  }: TrainingMemoryCheck = {},
): TrainingForecast {
  const forecast = forecastTraining(request);
  if (!refuses || forecast.totalBytes <= available) return forecast;
  const offers = [...changedOptions(request), ...alternatives].flatMap((offer) => {
    const { totalBytes } = forecastTraining(offer.request());
    return totalBytes <= available ? [`${offer.what}: about ${gigabytes(totalBytes)}`] : [];
  });
  const rest = "free memory, or run it all the same with --no-check-memory.";
  throw new EnvironmentError({
    where: "training",
    expected: `a run that fits into the ${gigabytes(available)} of memory there is`,
    got: `one that needs ${describeForecast(forecast)}`,
    fix: offers.length > 0 ? `Would fit: ${offers.join("; ")}; or ${rest}` : `F${rest.slice(1)}`,
  });
}

/** How much a run needs, and what for. */
export function describeForecast(forecast: TrainingForecast): string {
  const { trainedBytes, initialBytes, frozenBytes, gradientBytes, momentBytes, activationBytes } = forecast;
  const { measureBytes, writerBytes, heldBytes, totalBytes } = forecast;
  const parts: readonly [string, number][] = [
    ["weights", trainedBytes + initialBytes + frozenBytes],
    ["gradients", gradientBytes],
    ["optimizer", momentBytes],
    ["activations", activationBytes],
    ["measuring and samples", measureBytes + writerBytes],
    ...(heldBytes > 0 ? [["beside the run", heldBytes] as [string, number]] : []),
  ];
  const told = parts.map(([name, bytes]) => `${name} ${gigabytes(bytes)}`).join(", ");
  return `about ${gigabytes(totalBytes)} (${told})`;
}

/** The same run but for something. */
type Change = (request: TrainingMemoryRequest) => TrainingMemoryRequest;

/** The mildest change first; the last is all of them that leave texts as long as they are. */
function changedOptions(request: TrainingMemoryRequest): readonly TrainingAlternative[] {
  const { options, group = 1, shapes = [] } = request;
  const changes: readonly (readonly [what: string, isOpen: boolean, Change])[] = [
    ["train.recompute=true", !options.recompute, withOptions({ recompute: true })],
    ["train.optimizerState=int8", options.optimizerState !== "int8", withOptions({ optimizerState: "int8" })],
    ["batch.maxBuckets=1", lengthsOf(shapes).length > 1, inOneBucket],
    [`train.batchSize=${group}`, options.batchSize > group, inSmallestBatches],
  ];
  const open = changes.filter(([, isOpen]) => isOpen);
  const half = Math.floor(options.contextLength / 2);
  const offers: TrainingAlternative[] = open.map(([what, , change]) => ({
    what: `--set ${what}`,
    request: () => change(request),
  }));
  if (half > 0)
    offers.push({ what: `--set train.contextLength=${half}`, request: () => atHalfLength(request) });
  if (open.length > 1) {
    const what = `--set ${open.map(([setting]) => setting).join(" ")}`;
    offers.push({ what, request: () => open.reduce((of, [, , change]) => change(of), request) });
  }
  return offers;
}

function withOptions(changed: Partial<TrainingMemoryRequest["options"]>): Change {
  return (request) => ({ ...request, options: { ...request.options, ...changed } });
}

/** All batches padded to the longest. How many rows the last of an epoch has is not known: the most that it may take counts. */
function inOneBucket(request: TrainingMemoryRequest): TrainingMemoryRequest {
  const { shapes = [], objective, group = 1 } = request;
  const contextLength = Math.max(...lengthsOf(shapes));
  const longest = shapes.filter((shape) => shape.contextLength === contextLength);
  const batchSize = Math.max(...longest.map((shape) => shape.batchSize));
  const lasts = Array.from({ length: batchSize / group - 1 }, (_, i) =>
    sliceSize(objective.model, { batchSize: (i + 1) * group, contextLength }, group),
  );
  const last = Math.max(group, ...lasts);
  return {
    ...request,
    shapes: [
      { batchSize, contextLength },
      { batchSize: last, contextLength },
    ],
  };
}

function inSmallestBatches(request: TrainingMemoryRequest): TrainingMemoryRequest {
  const { shapes, group = 1 } = request;
  const small = shapes && lengthsOf(shapes).map((contextLength) => ({ batchSize: group, contextLength }));
  return { ...withOptions({ batchSize: group })(request), shapes: small };
}

function atHalfLength(request: TrainingMemoryRequest): TrainingMemoryRequest {
  const half = (length: number) => Math.max(1, Math.floor(length / 2));
  const { options, shapes } = request;
  return {
    ...withOptions({ contextLength: half(options.contextLength) })(request),
    shapes: shapes?.map(({ batchSize, contextLength }) => ({
      batchSize,
      contextLength: half(contextLength),
    })),
  };
}

function lengthsOf(shapes: readonly BatchShape[]): readonly number[] {
  return [...new Set(shapes.map(({ contextLength }) => contextLength))];
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e9 ? 2 : 1)} GB`;
}
