import { ConfigError, FormatError } from "../core/errors.ts";
import type { BlockFormat, QuantizedMatrix } from "../core/quantize.ts";
import {
  type QuantizationScheme,
  type QuantizedTensor,
  SCHEME_BITS,
  type StoredTensor,
} from "../core/weights.ts";
import { bnb4Config, openBnb4, planBnb4, writeBnb4 } from "./bnb4-weights.ts";
import type { ModelWeights } from "./model-weights.ts";
import type { PlannedTensor } from "./safetensors-writer.ts";
import type { ShardedWriter } from "./sharded-writer.ts";
import { describeJson, isJsonObject, type JsonObject, type JsonValue } from "./strict-json.ts";

/*
 * Quantised matrices in a model directory. Beside `config.json`'s other fields:
 *
 *   "quantization_config": {
 *     "quant_method": "plinth", "version": 1, "block_size": 32,
 *     "tensors": { "int4": ["model.layers.0.mlp.up_proj.weight", …], "int8": ["model.embed_tokens.weight"] }
 *   }
 *
 * and for each tensor X listed there, of `rows` times `blocks` blocks (core/weights.ts says how they are coded):
 *
 *   X               U8   [rows, blocks, block_size · bits / 8]
 *   X.scales        F32  [rows, blocks]
 *   X.zero_points   U8   [rows, ⌈blocks · bits / 8⌉], where blocks have zero points of their own
 *
 * Rows are those of the matrix, or its columns where it is published as (in, out): blocks run along the axis that a product
 * sums over. NF4 is stored as bitsandbytes stores it (bnb4-weights.ts), for other tools to read.
 */

/** Sizes of blocks that matrices are quantised in; 64 is what bitsandbytes takes for nf4. */
export const BLOCK_SIZES: readonly number[] = [32, 64, 128];

const METHOD = "plinth";
const VERSION = 1;
const SCHEMES = ["int4", "int8"] as const;

/** Which tensors of a model directory are quantised, by published name. */
export interface QuantizationPlan {
  readonly blockSize: number;
  readonly schemes: ReadonlyMap<string, QuantizationScheme>;
  /** Matrices that are multiplied with and yet left as they are. */
  readonly kept: readonly string[];
}

/** What `config.json` says of quantisation, ready to find tensors by it. */
export interface QuantizedWeights {
  /** Names of tensors that are whole, or stand for a whole one: without the parts. */
  readonly names: readonly string[];
  /** The tensor in blocks; `undefined` for one that is not quantised. */
  open(name: string, shape: readonly number[], axis: 0 | 1): QuantizedTensor | undefined;
}

/** `quantization_config` for a plan: Plinth's own, or for nf4 that of bitsandbytes. */
export function quantizationConfig({ blockSize, schemes, kept }: QuantizationPlan): object {
  if ([...schemes.values()].includes("nf4")) return bnb4Config(kept);
  const listed = SCHEMES.map((scheme) => {
    return [scheme, [...schemes].filter(([, of]) => of === scheme).map(([name]) => name)] as const;
  });
  const tensors = Object.fromEntries(listed.filter(([, names]) => names.length > 0));
  return { quant_method: METHOD, version: VERSION, block_size: blockSize, tensors };
}

/** The stored tensors that a quantised matrix of that size becomes. */
export function planParts(
  name: string,
  rows: number,
  rowSize: number,
  format: BlockFormat,
): readonly PlannedTensor[] {
  const { scheme, blockSize, zeroPoints } = format;
  if (scheme === "nf4") return planBnb4(name, rows, rowSize, blockSize);
  const { values, scales, zeros } = partShapes(rows, rowSize, blockSize, scheme);
  return [
    { name, dtype: "U8", shape: values },
    { name: `${name}.scales`, dtype: "F32", shape: scales },
    ...(zeroPoints ? [{ name: `${name}.zero_points`, dtype: "U8", shape: zeros } as const] : []),
  ];
}

/** Writes a quantised matrix as {@link planParts} planned it. */
export function writeParts(writer: ShardedWriter, name: string, matrix: QuantizedMatrix): void {
  if (matrix.scheme === "nf4") {
    writeBnb4(writer, name, matrix);
    return;
  }
  writer.write(name, matrix.values.data);
  writer.write(`${name}.scales`, matrix.scales.data);
  if (matrix.zeroPoints) writer.write(`${name}.zero_points`, matrix.zeroPoints.data);
}

/**
 * Reads `quantization_config`.
 *
 * @returns `undefined` if there is none: nothing is quantised
 * @throws {ConfigError} if the method is not one that Plinth reads.
 * @throws {FormatError} if it is malformed, or names tensors that are not there.
 */
export function openQuantizedWeights(
  config: JsonObject,
  weights: ModelWeights,
  where: string,
): QuantizedWeights | undefined {
  const quantization = config.quantization_config ?? null;
  if (quantization === null) return undefined;
  const place = `${where} quantization_config`;
  if (!isJsonObject(quantization)) {
    throw new FormatError({ where: place, expected: "an object", got: describeJson(quantization) });
  }
  if (quantization.quant_method === "bitsandbytes") return openBnb4(quantization, weights, place);
  if (quantization.quant_method === METHOD) return openOwn(quantization, weights, place);
  throw new ConfigError({
    where: `${place} quant_method`,
    expected: `"${METHOD}" or "bitsandbytes"`,
    got: describeJson(quantization.quant_method),
    fix: "Use the unquantised model, and quantise it with plinth quantize.",
  });
}

function openOwn(config: JsonObject, weights: ModelWeights, where: string): QuantizedWeights {
  if (config.version !== VERSION) {
    throw new FormatError({
      where: `${where} version`,
      expected: `${VERSION}`,
      got: describeJson(config.version),
    });
  }
  const blockSize = checkBlockSize(config.block_size, `${where} block_size`);
  const schemes = readTensorLists(config.tensors, `${where} tensors`);
  const parts = new Set<string>();
  for (const name of schemes.keys()) {
    if (!weights.has(name) || !weights.has(`${name}.scales`)) {
      const got = weights.has(name) ? "no scales for it" : "no such tensor";
      throw new FormatError({
        where: `${where} tensors, ${describeJson(name)}`,
        expected: "a quantised tensor",
        got,
      });
    }
    parts.add(`${name}.scales`).add(`${name}.zero_points`);
  }
  return {
    names: weights.names.filter((name) => !parts.has(name)),
    open: (name, shape, axis) => {
      const scheme = schemes.get(name);
      if (!scheme) return undefined;
      const [rows, rowSize] = [shape[1 - axis]!, shape[axis]!];
      const shapes = partShapes(rows, rowSize, blockSize, scheme);
      const part = (suffix: string, dtype: "U8" | "F32", expected: readonly number[]): StoredTensor => {
        checkPart(weights, name + suffix, dtype, expected, `${scheme} [${shape}] in blocks of ${blockSize}`);
        return weights.stored(name + suffix);
      };
      return {
        ...{ scheme, blockSize, shape, axis },
        values: part("", "U8", shapes.values),
        scales: part(".scales", "F32", shapes.scales),
        ...(weights.has(`${name}.zero_points`) && { zeroPoints: part(".zero_points", "U8", shapes.zeros) }),
      };
    },
  };
}

function partShapes(rows: number, rowSize: number, blockSize: number, scheme: QuantizationScheme) {
  const bits = SCHEME_BITS[scheme];
  const blocks = rowSize / blockSize;
  return {
    values: [rows, blocks, (blockSize * bits) / 8],
    scales: [rows, blocks],
    zeros: [rows, Math.ceil((blocks * bits) / 8)],
  };
}

function checkPart(
  weights: ModelWeights,
  name: string,
  dtype: "U8" | "F32",
  shape: readonly number[],
  what: string,
): void {
  const entry = weights.entry(name);
  if (entry.dtype === dtype && entry.shape.join() === shape.join()) return;
  throw new FormatError({
    where: `${entry.path}, tensor ${describeJson(name)}`,
    expected: `${dtype} [${shape}] for ${what}, as config.json says`,
    got: `${entry.dtype} [${entry.shape}]`,
  });
}

function checkBlockSize(value: JsonValue | undefined, where: string): number {
  if (typeof value === "number" && BLOCK_SIZES.includes(value)) return value;
  throw new FormatError({ where, expected: `one of ${BLOCK_SIZES.join(", ")}`, got: describeJson(value) });
}

function readTensorLists(value: JsonValue | undefined, where: string): Map<string, QuantizationScheme> {
  const schemes = new Map<string, QuantizationScheme>();
  for (const [scheme, names] of isJsonObject(value) ? Object.entries(value) : [["", value] as const]) {
    const known = SCHEMES.find((candidate) => candidate === scheme);
    if (!known || !Array.isArray(names) || !names.every((name): name is string => typeof name === "string")) {
      const got = isJsonObject(value)
        ? `${describeJson(scheme)}: ${describeJson(names)}`
        : describeJson(value);
      throw new FormatError({ where, expected: `lists of names under ${SCHEMES.join(" and ")}`, got });
    }
    for (const name of names) {
      if (schemes.has(name))
        throw new FormatError({ where, expected: "each tensor once", got: `${describeJson(name)} again` });
      schemes.set(name, known);
    }
  }
  return schemes;
}
