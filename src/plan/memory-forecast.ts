import { PIECE_TOKENS } from "../generate/key-value-cache.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import type { ModelDescription, TensorFootprint } from "../models/describe-model.ts";
import { cachedHeadSize } from "../nn/causal-attention.ts";

// R rows · S tokens in sight · P tokens read at once · H heads · C width · F feed-forward width · V vocabulary

/** What a model is loaded for. */
export interface MemoryRequest {
  /** Tokens of a text, prompt included; default: the model's context, for encoders 512 or that. */
  readonly contextTokens?: number | undefined;
  /** Texts side by side; default 1. */
  readonly rows?: number | undefined;
}

/** Memory that a loaded model takes, in bytes. */
export interface MemoryForecast {
  /** Weights as the runtime keeps them, and those that had to be read to be widened. */
  readonly weightsBytes: number;
  /** Keys and values of texts as long as asked for. */
  readonly cacheBytes: number;
  /** Largest intermediate results while a prompt is read. */
  readonly activationBytes: number;
  /** Node, the runtime's library, and small things. */
  readonly processBytes: number;
  readonly totalBytes: number;
}

/** Measured: Node 20 with the runtime loaded and a small model compiled. */
const PROCESS_BYTES = 150 * 2 ** 20;

/** Scales are mapped, packed, and packed once more with the sums of their blocks (docs/decisions/0018). */
const COPIES_OF_SCALES = 3;

/** Results of the widest layers that are alive at the same time. */
const LIVE_RESULTS = 3;

const FLOAT_BYTES = 4;

/**
 * How much memory a model will take once it is loaded and reads a text of that length; nothing is loaded for that.
 *
 * @example
 * forecastMemory(describeModel("models/gpt2"), { contextTokens: 256 }).totalBytes / 2 ** 30; // in GiB
 */
export function forecastMemory(description: ModelDescription, request: MemoryRequest = {}): MemoryForecast {
  const { rows = 1 } = request;
  const { contextLength } = description.model.shape;
  const contextTokens = Math.min(contextLength, request.contextTokens ?? contextLength);
  const weightsBytes = weightsOf(description);
  const [cacheBytes, activationBytes] =
    description.kind === "causal"
      ? [
          rows * cacheOf(description.model, contextTokens),
          decoderActivations(description.model, contextTokens, rows),
        ]
      : [0, encoderActivations(description.model, contextTokens, rows)];
  const totalBytes = weightsBytes + cacheBytes + activationBytes + PROCESS_BYTES;
  return { weightsBytes, cacheBytes, activationBytes, processBytes: PROCESS_BYTES, totalBytes };
}

function weightsOf({ kind, model, tensors }: ModelDescription): number {
  const total = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  const tables = tensors.filter(({ shape }) => shape[0] === model.shape.vocabularySize && shape.length === 2);
  const [table] = tables;
  // A table that is the head, too, was read whole to pack it, and stays mapped to be looked up.
  const isTied = kind === "causal" && tables.length === 1 && table!.isMultiplied && table!.isMapped;
  return total + (isTied ? table!.bytes : 0);
}

/**
 * A mapped matrix is let go of once it is packed; a mapped table is there as far as it is looked at, which is little. What was read
 * stays beside its packed copy.
 */
function tensorBytes({ isMultiplied, isMapped, bytes, scaleBytes }: TensorFootprint): number {
  const packed = isMultiplied ? bytes + COPIES_OF_SCALES * scaleBytes : 0;
  return packed + (isMapped ? 0 : bytes);
}

/** Keys and values of one text. */
function cacheOf({ shape }: CausalLM, contextTokens: number): number {
  const { numLayers, numKeyValueHeads, headSize, slidingWindow } = shape;
  const slots = Math.min(contextTokens, slidingWindow ? slidingWindow - 1 + PIECE_TOKENS : contextTokens);
  return 2 * numLayers * numKeyValueHeads * cachedHeadSize(headSize) * slots * FLOAT_BYTES;
}

function decoderActivations(model: CausalLM, contextTokens: number, rows: number): number {
  const { numHeads, vocabularySize, width, slidingWindow = contextTokens } = model.shape;
  const P = Math.min(PIECE_TOKENS, contextTokens);
  const S = Math.min(contextTokens, slidingWindow + P);
  const scores = numHeads * P * S;
  const widest = P * widestLayer(model);
  return (
    FLOAT_BYTES * (Math.max(scores, LIVE_RESULTS * widest) + LIVE_RESULTS * P * width + rows * vocabularySize)
  );
}

function encoderActivations(model: Encoder, contextTokens: number, rows: number): number {
  const { numHeads, width } = model.shape;
  const tokens = rows * contextTokens;
  const scores = rows * numHeads * contextTokens ** 2;
  const widest = tokens * widestLayer(model);
  return FLOAT_BYTES * (Math.max(scores, LIVE_RESULTS * widest) + LIVE_RESULTS * tokens * width);
}

/** The widest result inside a layer: the feed-forward width, nearly always. */
function widestLayer({ shape, parameters, lookupPaths }: CausalLM | Encoder): number {
  const lookups = new Set(lookupPaths);
  return parameters.reduce((widest, { path, shape: sizes }) => {
    const isInside = sizes.length === 2 && !lookups.has(path) && !sizes.includes(shape.vocabularySize);
    return isInside ? Math.max(widest, ...sizes) : widest;
  }, 0);
}
