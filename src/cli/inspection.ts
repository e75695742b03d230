import { existsSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { hasTokenizer, loadTokenizer, type TokenizerKind } from "../codecs/tokenizer.ts";
import { numElements } from "../core/dtype.ts";
import { ConfigError, EnvironmentError, FormatError, PlinthError } from "../core/errors.ts";
import { ADAPTER_WEIGHTS, isAdapterDirectory, openAdapterDirectory } from "../hub/adapter-directory.ts";
import { readJsonFile } from "../hub/read-json-file.ts";
import { SafetensorsFile } from "../hub/safetensors.ts";
import type { TensorEntry } from "../hub/safetensors-header.ts";
import type { StoredDType } from "../hub/stored-dtype.ts";
import type { JsonObject, JsonValue } from "../hub/strict-json.ts";
import type { CausalLM, DecoderShape, Encoder, EncoderShape } from "../models/contracts.ts";
import { describeModel } from "../models/describe-model.ts";
import { PARAMS } from "../models/mistral/consolidated.ts";
import { openCheckpoint } from "../models/open-checkpoint.ts";
import { encoderFamilyOf, familyOf, isEncoderType } from "../models/registry.ts";
import { cachedHeadSize } from "../nn/causal-attention.ts";
import { countParameters } from "../nn/scope.ts";
import { availableMemory } from "../plan/available-memory.ts";
import { forecastMemory } from "../plan/memory-forecast.ts";
import { CheckpointStore } from "../train/checkpoint.ts";
import { MANIFEST_FILE, STATE_FILE, TENSORS_FILE, verifyCheckpoint } from "../train/checkpoint-manifest.ts";
import { modelDirectory } from "./model-argument.ts";
import { type TensorStatistics, tensorStatistics } from "./tensor-statistics.ts";

/** One tensor of a file. */
export interface TensorReport {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: StoredDType;
  /** With `--stats`; `null` for integers and empty tensors. */
  readonly stats?: TensorStatistics | null;
}

/** What every kind of inspected thing has. */
export interface Inspection {
  readonly kind: "model" | "adapter" | "checkpoint" | "safetensors";
  readonly path: string;
  /** Numbers in the stored tensors. */
  readonly numElements: number;
  /** Size of the stored tensors. */
  readonly sizeBytes: number;
  /** Numbers by stored type. */
  readonly dtypes: Readonly<Partial<Record<StoredDType, number>>>;
  readonly tensors: readonly TensorReport[];
  readonly model?: ModelReport;
  readonly adapter?: AdapterReport;
  readonly checkpoint?: CheckpointReport;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** What a model directory says of its model. */
export interface ModelReport {
  /** `null` for an architecture that Plinth does not know. */
  readonly family: string | null;
  readonly shape: DecoderShape | EncoderShape | null;
  /** What stands on an encoder's hidden states. */
  readonly heads?: readonly string[];
  /** Trainable numbers: tied tensors count once, buffers not at all. */
  readonly numParameters: number | null;
  readonly memory: MemoryReport | null;
  readonly tokenizer: TokenizerReport | null;
  /** `config.json` as it stands, or what `params.json` would say there. */
  readonly config: JsonObject;
}

/** What an adapter directory says of its adapter. */
export interface AdapterReport {
  /** Such as `LORA`; `null` where it says nothing of the kind. */
  readonly peftType: string | null;
  /** Where its base is from. */
  readonly base: string | null;
  /** `adapter_config.json` as it stands. */
  readonly config: JsonObject;
}

/** Bytes that the model takes as float32. */
export interface MemoryReport {
  readonly weightsBytes: number;
  /** Keys and values of one sequence as long as the context, or as the window that every layer has. */
  readonly cacheBytes: number;
  /** All that it takes to read a text as long as the context; `null` where the tensors are not those of the architecture. */
  readonly runBytes: number | null;
  /** What the machine has for that. */
  readonly availableBytes: number;
  /** Weights, gradients and AdamW's two moments; activations come on top. */
  readonly trainingBytes: number;
}

/** What the directory's tokenizer is, or why it cannot be read. */
export type TokenizerReport =
  | { readonly kind: TokenizerKind; readonly vocabularySize: number }
  | { readonly kind: "unreadable"; readonly problem: string };

/** What a checkpoint says besides its tensors. */
export interface CheckpointReport {
  readonly step: number;
  /** Everything but weights and moments. */
  readonly state: JsonValue;
}

const CHECKPOINT_NAME = /^step-([0-9]+)$/;

/**
 * Looks at whatever a path leads to: a model directory, the directory of a pretraining run (its model, or its newest
 * checkpoint while there is none), an adapter, a checkpoint, or one safetensors file. A checkpoint is verified against its hashes.
 *
 * @throws {EnvironmentError} if there is nothing.
 * @throws {ConfigError} if it is none of these.
 * @throws {FormatError} if it is damaged.
 */
export function inspectPath(path: string, withStats: boolean): Inspection {
  const status = statSync(path, { throwIfNoEntry: false });
  if (!status) {
    const fix = "Check the path.";
    throw new EnvironmentError({ where: path, expected: "a file or directory", got: "nothing there", fix });
  }
  if (!status.isDirectory()) return inspectFile(path, withStats);
  const directory = modelDirectory(path);
  const isModel = ["config.json", PARAMS].some((name) => existsSync(join(directory, name)));
  if (isModel) return inspectModel(directory, withStats);
  if (isAdapterDirectory(path)) return inspectAdapter(path, withStats);
  if (existsSync(join(path, MANIFEST_FILE))) return inspectCheckpoint(path, withStats);
  const newest = [join(path, "checkpoints"), path]
    .flatMap((place) => new CheckpointStore(place).list())
    .at(-1);
  if (newest) return inspectCheckpoint(newest.path, withStats);
  throw new ConfigError({
    where: path,
    expected: "a model directory (with config.json), an adapter, a run, a checkpoint or a .safetensors file",
    got: "a directory with none of these",
  });
}

function inspectFile(path: string, withStats: boolean): Inspection {
  const file = SafetensorsFile.open(path);
  try {
    const tensors = reportTensors([...file.tensors.keys()], file, withStats);
    return {
      kind: "safetensors",
      path,
      ...summarize(file.tensors.values()),
      tensors,
      metadata: file.metadata,
    };
  } finally {
    file.close();
  }
}

function inspectCheckpoint(path: string, withStats: boolean): Inspection {
  const [, digits] = CHECKPOINT_NAME.exec(basename(path)) ?? [];
  if (digits === undefined) {
    throw new FormatError({
      where: path,
      expected: "a checkpoint under its own name, like step-00000100",
      got: `"${basename(path)}" in ${dirname(path)}`,
    });
  }
  const step = Number(digits);
  verifyCheckpoint(path, step);
  const { kind: _kind, ...contents } = inspectFile(join(path, TENSORS_FILE), withStats);
  const state = readJsonFile(join(path, STATE_FILE));
  return { ...contents, kind: "checkpoint", path, checkpoint: { step, state } };
}

function inspectAdapter(path: string, withStats: boolean): Inspection {
  const { config, close } = openAdapterDirectory(path);
  close();
  const word = (value: JsonValue | undefined) => (typeof value === "string" ? value : null);
  const { peft_type: peftType, base_model_name_or_path: base } = config;
  const contents = inspectFile(join(path, ADAPTER_WEIGHTS), withStats);
  return {
    ...contents,
    kind: "adapter",
    path,
    adapter: { peftType: word(peftType), base: word(base), config },
  };
}

function inspectModel(path: string, withStats: boolean): Inspection {
  const directory = openCheckpoint(path);
  try {
    const { weights, config } = directory;
    const entries = weights.names.map((name) => weights.entry(name));
    const model = buildModel(config, path, weights.names);
    const summary = summarize(entries);
    return {
      kind: "model",
      path,
      ...summary,
      model: {
        family: model?.family ?? null,
        shape: model ? shapeOf(model) : null,
        ...(model && isEncoder(model) && { heads: Object.keys(model.heads) }),
        numParameters: model ? countParameters(model.parameters) : null,
        memory: model
          ? estimateMemory(path, model, config.quantization_config ? summary.sizeBytes : undefined)
          : null,
        tokenizer: inspectTokenizer(path),
        config,
      },
      tensors: reportTensors(weights.names, weights, withStats),
    };
  } finally {
    directory.close();
  }
}

type AnyModel = CausalLM | Encoder;

/** The model that a configuration describes; `undefined` if Plinth knows no such architecture. */
function buildModel(config: JsonObject, path: string, names: readonly string[]): AnyModel | undefined {
  const { model_type: type } = config;
  let family: ReturnType<typeof familyOf> | ReturnType<typeof encoderFamilyOf>;
  try {
    family = isEncoderType(type) ? encoderFamilyOf(type, path) : familyOf(type, path);
  } catch (error) {
    if (error instanceof ConfigError) return undefined; // the tensors can be shown all the same
    throw error;
  }
  return family.fromPublished(config, names);
}

/** Only what the contract names: a model may carry more. */
function shapeOf(model: AnyModel): DecoderShape | EncoderShape {
  if (isEncoder(model)) return model.shape;
  const { shape } = model;
  const { vocabularySize, contextLength, width, numLayers, numHeads, numKeyValueHeads, headSize } = shape;
  const sizes = { vocabularySize, contextLength, width, numLayers, numHeads, numKeyValueHeads, headSize };
  return shape.slidingWindow === undefined ? sizes : { ...sizes, slidingWindow: shape.slidingWindow };
}

function isEncoder(model: AnyModel): model is Encoder {
  return "heads" in model;
}

/** @param quantizedBytes what the weights take where they are quantised; else they are float32 */
function estimateMemory(directory: string, model: AnyModel, quantizedBytes?: number): MemoryReport {
  const floatBytes = 4 * countParameters(model.parameters);
  const cacheBytes = isEncoder(model) ? 0 : estimateCache(model.shape);
  return {
    weightsBytes: quantizedBytes ?? floatBytes,
    cacheBytes,
    runBytes: forecastRun(directory),
    availableBytes: availableMemory(),
    trainingBytes: 4 * floatBytes,
  };
}

function forecastRun(directory: string): number | null {
  try {
    return forecastMemory(describeModel(directory)).totalBytes;
  } catch (error) {
    if (error instanceof PlinthError) return null; // what is wrong with it, loading says
    throw error;
  }
}

function estimateCache(shape: DecoderShape): number {
  const { numLayers, numKeyValueHeads, headSize, contextLength, slidingWindow = contextLength } = shape;
  const kept = Math.min(contextLength, slidingWindow);
  return 2 * 4 * numLayers * numKeyValueHeads * kept * cachedHeadSize(headSize);
}

function inspectTokenizer(directory: string): TokenizerReport | null {
  if (!hasTokenizer(directory)) return null;
  try {
    const tokenizer = loadTokenizer(directory);
    return { kind: tokenizer.kind, vocabularySize: tokenizer.vocabularySize };
  } catch (error) {
    if (error instanceof FormatError) return { kind: "unreadable", problem: error.message };
    throw error;
  }
}

interface TensorSource {
  entry(name: string): TensorEntry;
  readFloat32(name: string): { readonly data: unknown };
}

const FLOATS: ReadonlySet<StoredDType> = new Set(["F64", "F32", "F16", "BF16"]);

function reportTensors(names: readonly string[], source: TensorSource, withStats: boolean): TensorReport[] {
  return names.map((name) => {
    const { dtype, shape } = source.entry(name);
    if (!withStats) return { name, shape, dtype };
    const hasNumbers = FLOATS.has(dtype) && numElements(shape) > 0;
    const stats = hasNumbers ? tensorStatistics(source.readFloat32(name).data as Float32Array) : null;
    return { name, shape, dtype, stats };
  });
}

function summarize(entries: Iterable<TensorEntry>) {
  const dtypes: Partial<Record<StoredDType, number>> = {};
  let [count, sizeBytes] = [0, 0];
  for (const { dtype, shape, byteLength } of entries) {
    const size = numElements(shape);
    dtypes[dtype] = (dtypes[dtype] ?? 0) + size;
    count += size;
    sizeBytes += byteLength;
  }
  return { numElements: count, sizeBytes, dtypes };
}
