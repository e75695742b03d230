import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { ConfigError, FormatError } from "../core/errors.ts";
import { type BlockFormat, quantize } from "../core/quantize.ts";
import { type QuantizationScheme, SCHEME_BITS } from "../core/weights.ts";
import { type ModelDirectory, writeModelDirectoryLater } from "../hub/model-directory.ts";
import { BLOCK_SIZES, planParts, type QuantizationPlan, writeParts } from "../hub/quantized-weights.ts";
import { ShardedWriter } from "../hub/sharded-writer.ts";
import type { Parameter } from "../nn/scope.ts";
import { matchTensors } from "./match-tensors.ts";
import { openCheckpoint } from "./open-checkpoint.ts";
import { headOfCausal, headOfEncoder, isQuantizable, MIN_NUMBERS } from "./quantizable.ts";
import { companions } from "./quantized-companions.ts";
import { encoderFamilyOf, type Family, familyOf, isEncoderType } from "./registry.ts";

/** How a model is quantised. */
export interface QuantizeOptions {
  readonly scheme: QuantizationScheme;
  /** Numbers that share a scale: 32, 64 or 128; default 32, and 64 for nf4. */
  readonly blockSize?: number;
  /** A zero point for each block: a little more exact, and larger by one number in `blockSize`. */
  readonly zeroPoints?: boolean;
  /** Leaves the output head, and the token table where that is the head, in the type they are stored in. */
  readonly keepHead?: boolean;
  /** Stops between two tensors; nothing is left behind. */
  readonly signal?: AbortSignal;
  /** Called before each tensor. */
  readonly onTensor?: (progress: {
    readonly name: string;
    readonly index: number;
    readonly count: number;
  }) => void;
}

/** What quantising did. */
export interface QuantizeReport {
  readonly tensors: readonly QuantizedReport[];
  readonly kept: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** One matrix that was quantised. */
export interface QuantizedReport {
  readonly name: string;
  readonly scheme: QuantizationScheme;
  /** Root of the summed squared differences, relative to that of the numbers. */
  readonly relativeError: number;
}

/** A tensor of the directory and what becomes of it. */
interface Step {
  readonly name: string;
  readonly parameter: Parameter;
  readonly format: BlockFormat | undefined;
}

/**
 * Quantises the matrices of a model directory into another one, a tensor at a time: no more than the largest is in memory.
 * Norms, biases and small matrices stay as they are stored. What is only looked up, never multiplied with, takes 8 bits: it
 * costs no arithmetic, and hardly any accuracy. For nf4, which is there to be adapted, and the way other tools read it, tables
 * and the head stay as they are.
 *
 * @throws {ConfigError} if the model is quantised already, or options do not fit it.
 * @throws {FormatError} if the directory is not a whole model.
 * @throws {EnvironmentError} if `target` is in other use or the system refuses. What was there is intact.
 * @throws what `signal` was aborted with.
 */
export async function quantizeModel(
  source: string,
  target: string,
  options: QuantizeOptions,
): Promise<QuantizeReport> {
  const opened = openCheckpoint(source);
  try {
    checkUnquantized(opened, join(source, "config.json"));
    const steps = isEncoderType(opened.config.model_type)
      ? planSteps(opened, encoderFamilyOf(opened.config.model_type, source), headOfEncoder, options)
      : planSteps(opened, familyOf(opened.config.model_type, source), headOfCausal, options);
    return await writeQuantized(opened, target, steps, options);
  } finally {
    opened.close();
  }
}

interface Quantizable {
  readonly parameters: readonly Parameter[];
  readonly lookupPaths: readonly string[];
}

function planSteps<M extends Quantizable>(
  { path: directory, config, weights }: ModelDirectory,
  family: Family<M>,
  headOf: (model: M) => string | undefined,
  options: QuantizeOptions,
): readonly Step[] {
  const format = blockFormat(options);
  const model = family.fromPublished(config, weights.names);
  const nameOf = matchTensors(directory, model, family, weights.names);
  const head = options.keepHead || format.scheme === "nf4" ? headOf(model) : undefined;
  const steps = model.parameters.map((parameter): Step => {
    const { path, shape, sumAxis } = parameter;
    const name = nameOf.get(path)!;
    checkShape(directory, weights.entry(name), name, shape);
    if (path === head || !isQuantizable(parameter, model, format.scheme)) {
      return { name, parameter, format: undefined };
    }
    checkDivides(name, shape[sumAxis!]!, format.blockSize);
    const isTable = model.lookupPaths.includes(path);
    return { name, parameter, format: isTable ? { scheme: "int8", blockSize: format.blockSize } : format };
  });
  if (steps.some(({ format: of }) => of)) return steps;
  throw new ConfigError({
    where: directory,
    expected: `a model with matrices of at least ${MIN_NUMBERS} numbers to quantise`,
    got: "none",
  });
}

async function writeQuantized(
  opened: ModelDirectory,
  target: string,
  steps: readonly Step[],
  { signal, onTensor, ...options }: QuantizeOptions,
): Promise<QuantizeReport> {
  const { weights } = opened;
  const tensors: QuantizedReport[] = [];
  const plans = steps.map(({ name, parameter: { shape, sumAxis }, format }) => {
    const { dtype } = weights.entry(name);
    return format
      ? planParts(name, shape[1 - sumAxis!]!, shape[sumAxis!]!, format)
      : [{ name, dtype, shape }];
  });
  let bytesAfter = 0;
  await writeModelDirectoryLater(target, companions(opened, planOf(steps, options)), async (directory) => {
    const writer = new ShardedWriter(directory, plans);
    try {
      for (const [index, step] of steps.entries()) {
        onTensor?.({ name: step.name, index, count: steps.length });
        await setImmediate(); // so that an abort is noticed
        signal?.throwIfAborted();
        const report = writeStep(opened, writer, step);
        if (report) tensors.push(report);
      }
      bytesAfter = writer.sizeBytes;
      writer.finish();
    } finally {
      writer.close();
    }
  });
  const bytesBefore = steps.reduce((total, { name }) => total + weights.entry(name).byteLength, 0);
  return { tensors, kept: steps.length - tensors.length, bytesBefore, bytesAfter };
}

/** The tensor is out of reach when this returns, so that the next one may take its memory. */
function writeStep(
  { weights }: ModelDirectory,
  writer: ShardedWriter,
  step: Step,
): QuantizedReport | undefined {
  const { name, parameter, format } = step;
  if (!format) {
    const bytes = new Uint8Array(weights.entry(name).byteLength);
    weights.readInto(name, bytes);
    writer.write(name, bytes);
    return undefined;
  }
  const matrix = quantize(
    weights.readFloat32(name),
    parameter.sumAxis!,
    format,
    `${weights.entry(name).path}, tensor ${name}`,
  );
  writeParts(writer, name, matrix);
  const { squaredError, squaredNorm } = matrix;
  const relativeError = squaredNorm > 0 ? Math.sqrt(squaredError / squaredNorm) : 0;
  return { name, scheme: format.scheme, relativeError };
}

function planOf(steps: readonly Step[], options: QuantizeOptions): QuantizationPlan {
  const kept = steps.filter(({ parameter, format }) => !format && parameter.sumAxis !== undefined);
  return {
    blockSize: blockFormat(options).blockSize,
    schemes: new Map(steps.flatMap(({ name, format }) => (format ? [[name, format.scheme] as const] : []))),
    kept: kept.map(({ name }) => name),
  };
}

function blockFormat({ scheme, blockSize, zeroPoints = false }: QuantizeOptions): Required<BlockFormat> {
  if (!Object.hasOwn(SCHEME_BITS, scheme)) {
    throw new ConfigError({
      where: "scheme",
      expected: Object.keys(SCHEME_BITS).join(", "),
      got: `${scheme}`,
    });
  }
  const size = blockSize ?? (scheme === "nf4" ? 64 : 32);
  if (!BLOCK_SIZES.includes(size)) {
    throw new ConfigError({
      where: "blockSize",
      expected: `one of ${BLOCK_SIZES.join(", ")}`,
      got: `${size}`,
    });
  }
  if (zeroPoints && scheme === "nf4") {
    throw new ConfigError({
      where: "zeroPoints",
      expected: "none for nf4, whose levels are fixed",
      got: "true",
    });
  }
  return { scheme, blockSize: size, zeroPoints };
}

function checkUnquantized({ config }: ModelDirectory, where: string): void {
  const quantization = config.quantization_config ?? null;
  if (quantization === null) return;
  const method = (quantization as Readonly<Record<string, unknown>>).quant_method;
  throw new ConfigError({
    where: `${where} quantization_config`,
    expected: "a model that is not quantised yet",
    got: `quant_method ${JSON.stringify(method ?? null)}`,
    fix: "Quantise the model it was made from.",
  });
}

function checkShape(
  directory: string,
  entry: { readonly shape: readonly number[] },
  name: string,
  shape: readonly number[],
): void {
  if (entry.shape.join() === shape.join()) return;
  throw new FormatError({
    where: `${directory}, tensor ${name}`,
    expected: `shape [${shape}] as config.json says`,
    got: `[${entry.shape}]`,
  });
}

function checkDivides(name: string, rowSize: number, blockSize: number): void {
  if (rowSize % blockSize === 0) return;
  const smaller = BLOCK_SIZES.filter((size) => rowSize % size === 0).at(-1);
  throw new ConfigError({
    where: `blockSize, for tensor ${name}`,
    expected: `a divisor of ${rowSize}, the numbers that a product sums over`,
    got: `${blockSize}`,
    fix: smaller ? `Use ${smaller}.` : "No block size divides it: this model cannot be quantised.",
  });
}
