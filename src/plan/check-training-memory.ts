import { numElements } from "../core/dtype.ts";
import { EnvironmentError } from "../core/errors.ts";
import { isQuantized } from "../core/weights.ts";
import { availableMemory } from "./available-memory.ts";
import {
  forecastTraining,
  type MemoryOptions,
  type TrainingForecast,
  type TrainingMemoryRequest,
} from "./training-forecast.ts";

/** What a number takes in four bits with a float32 scale for 64 of them, and in float32. */
const QUANTIZED_BYTES = 0.5 + 4 / 64;
const FLOAT_BYTES = 4;

/** A way to make do with less. */
interface Offer {
  readonly what: string;
  readonly bytes: number;
}

/**
 * Refuses a training run that will not fit into memory, before it begins.
 *
 * @param available bytes for the whole process, what it holds already included; default: that and what the machine has left
 * @throws {EnvironmentError} saying how much is needed for what, and what would fit.
 */
export function checkTrainingMemory(
  request: TrainingMemoryRequest,
  available = availableMemory() + process.memoryUsage().rss,
): void {
  const forecast = forecastTraining(request);
  if (forecast.totalBytes <= available) return;
  const offers = offersFor(request, forecast).filter(({ bytes }) => bytes <= available);
  const told = offers.map(({ what, bytes }) => `${what}: about ${gigabytes(bytes)}`);
  const fixes = [...told, "free memory, or run it all the same with --no-check-memory"].join("; ");
  throw new EnvironmentError({
    where: "training",
    expected: `a run that fits into the ${gigabytes(available)} of memory there is`,
    got: `one that needs about ${gigabytes(forecast.totalBytes)} (${describe(forecast)})`,
    fix: `${fixes[0]!.toUpperCase()}${fixes.slice(1)}.`,
  });
}

function describe(forecast: TrainingForecast): string {
  const { trainedBytes, initialBytes, frozenBytes, gradientBytes, momentBytes, activationBytes, heldBytes } =
    forecast;
  const parts: readonly [string, number][] = [
    ["weights", trainedBytes + initialBytes + frozenBytes],
    ["gradients", gradientBytes],
    ["optimizer", momentBytes],
    ["activations", activationBytes],
    ...(heldBytes > 0 ? [["beside the run", heldBytes] as [string, number]] : []),
  ];
  return parts.map(([name, bytes]) => `${name} ${gigabytes(bytes)}`).join(", ");
}

/** The mildest change first; the last of those of options are all of them together. */
function offersFor(request: TrainingMemoryRequest, forecast: TrainingForecast): readonly Offer[] {
  const { options, group = 1 } = request;
  const { batchSize, contextLength, recompute, optimizerState } = options;
  const changes: readonly (Partial<MemoryOptions> & { readonly what: string })[] = [
    ...(recompute ? [] : [{ what: "train.recompute=true", recompute: true }]),
    ...(optimizerState === "int8"
      ? []
      : [{ what: "train.optimizerState=int8", optimizerState: "int8" as const }]),
    ...(batchSize > group ? [{ what: `train.batchSize=${group}`, batchSize: group }] : []),
    ...(contextLength >= 2
      ? [
          {
            what: `texts of ${Math.floor(contextLength / 2)} tokens`,
            contextLength: Math.floor(contextLength / 2),
          },
        ]
      : []),
  ];
  const bytesWith = (change: Partial<MemoryOptions>) =>
    forecastTraining({ ...request, options: { ...options, ...change } }).totalBytes;
  const single = changes.map(({ what, ...change }) => ({ what, bytes: bytesWith(change) }));
  const all = changes.slice(0, -1);
  const together = {
    what: all.map(({ what }) => what).join(" "),
    bytes: bytesWith(Object.assign({}, ...all.map(({ what: _, ...change }) => change))),
  };
  const isSmaller = ({ bytes }: Offer) => bytes < forecast.totalBytes;
  return [...single, ...(all.length > 1 ? [together] : []), ...methodOffers(request, forecast)].filter(
    isSmaller,
  );
}

/** The same base under an adapter, whose own numbers are too few to matter. */
function methodOffers(
  { objective, frozen }: TrainingMemoryRequest,
  forecast: TrainingForecast,
): readonly Offer[] {
  const { trainedBytes, initialBytes, gradientBytes, momentBytes, frozenBytes, totalBytes } = forecast;
  const moving = trainedBytes + initialBytes + gradientBytes + momentBytes;
  const rest = totalBytes - moving - frozenBytes;
  const numbers = objective.model.parameters.reduce((sum, { shape }) => sum + numElements(shape), 0);
  const isAdapter = frozenBytes > trainedBytes;
  const isFew = [...(frozen ?? new Map()).values()].some(isQuantized);
  if (isAdapter && isFew) return [];
  const dense = isAdapter ? frozenBytes / FLOAT_BYTES : numbers;
  const quantized = {
    what: "method qlora",
    bytes: rest + (isAdapter ? moving : 0) + dense * QUANTIZED_BYTES,
  };
  const lora = { what: "method lora", bytes: rest + dense * FLOAT_BYTES };
  return isAdapter ? [quantized] : [lora, quantized];
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e9 ? 2 : 1)} GB`;
}
