import { NF4_LEVELS } from "../core/dequantize.ts";
import { type HostTensor, hostTensor, numElements } from "../core/dtype.ts";
import { ConfigError, FormatError } from "../core/errors.ts";
import type { QuantizedMatrix } from "../core/quantize.ts";
import type { QuantizedTensor, StoredTensor } from "../core/weights.ts";
import type { ModelWeights } from "./model-weights.ts";
import type { QuantizedWeights } from "./quantized-weights.ts";
import type { PlannedTensor } from "./safetensors-writer.ts";
import type { ShardedWriter } from "./sharded-writer.ts";
import { decodeUtf8, describeJson, isJsonObject, type JsonObject, parseStrictJson } from "./strict-json.ts";

/*
 * NF4 as the Python package bitsandbytes stores it, which `transformers` reads: for each matrix X
 *
 *   X                                  U8   [rows · row size / 2, 1], the first of two codes in the high half
 *   X.absmax                           F32  [blocks], the scales
 *   X.quant_map                        F32  [16], the levels
 *   X.quant_state.bitsandbytes__nf4    U8   JSON: block size, shape, dtype before
 *
 * With "double quantisation" absmax is U8, levels of X.nested_quant_map times X.nested_absmax, plus an offset.
 */

const STATE = ".quant_state.bitsandbytes__nf4";
const PARTS = [STATE, ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"];
/** The state is a few numbers; a larger one is not read. */
const MAX_STATE_BYTES = 65_536;

/** `quantization_config` as `transformers` writes it. */
export function bnb4Config(kept: readonly string[]): object {
  const modules = kept.map((name) => name.replace(/\.weight$/, ""));
  return {
    _load_in_4bit: true,
    _load_in_8bit: false,
    bnb_4bit_compute_dtype: "float32",
    bnb_4bit_quant_storage: "uint8",
    bnb_4bit_quant_type: "nf4",
    bnb_4bit_use_double_quant: false,
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: [...new Set(["lm_head", ...modules])],
    load_in_4bit: true,
    load_in_8bit: false,
    quant_method: "bitsandbytes",
  };
}

/** The stored tensors that an nf4 matrix of that size becomes. */
export function planBnb4(
  name: string,
  rows: number,
  rowSize: number,
  blockSize: number,
): readonly PlannedTensor[] {
  return [
    { name, dtype: "U8", shape: [(rows * rowSize) / 2, 1] },
    { name: `${name}.absmax`, dtype: "F32", shape: [(rows * rowSize) / blockSize] },
    { name: `${name}.quant_map`, dtype: "F32", shape: [NF4_LEVELS.length] },
    { name: name + STATE, dtype: "U8", shape: [encodeState(rows, rowSize, blockSize).length] },
  ];
}

/** Writes an nf4 matrix as {@link planBnb4} planned it. */
export function writeBnb4(writer: ShardedWriter, name: string, matrix: QuantizedMatrix): void {
  const { values, scales, shape, axis, blockSize } = matrix;
  writer.write(name, values.data);
  writer.write(`${name}.absmax`, scales.data);
  writer.write(`${name}.quant_map`, Float32Array.from(NF4_LEVELS));
  writer.write(name + STATE, encodeState(shape[1 - axis]!, shape[axis]!, blockSize));
}

function encodeState(rows: number, rowSize: number, blocksize: number): Uint8Array {
  const state = { quant_type: "nf4", blocksize, dtype: "float32", shape: [rows, rowSize] };
  return new TextEncoder().encode(JSON.stringify(state));
}

/**
 * Opens the nf4 matrices among a model's tensors.
 *
 * @throws {ConfigError} if the configuration asks for another kind of bitsandbytes quantisation.
 */
export function openBnb4(config: JsonObject, weights: ModelWeights, where: string): QuantizedWeights {
  if (config.load_in_4bit !== true || config.bnb_4bit_quant_type !== "nf4") {
    throw new ConfigError({
      where,
      expected: "load_in_4bit with bnb_4bit_quant_type nf4",
      got: `load_in_4bit ${describeJson(config.load_in_4bit)}, bnb_4bit_quant_type ${describeJson(config.bnb_4bit_quant_type)}`,
      fix: "Use the unquantised model, and quantise it with plinth quantize.",
    });
  }
  const quantized = new Set(
    weights.names.filter((name) => name.endsWith(STATE)).map((name) => name.slice(0, -STATE.length)),
  );
  const parts = new Set([...quantized].flatMap((name) => PARTS.map((suffix) => name + suffix)));
  return {
    names: weights.names.filter((name) => !parts.has(name)),
    open: (name, shape, axis) => (quantized.has(name) ? openMatrix(weights, name, shape, axis) : undefined),
  };
}

function openMatrix(
  weights: ModelWeights,
  name: string,
  shape: readonly number[],
  axis: 0 | 1,
): QuantizedTensor {
  const [rows, rowSize] = [shape[1 - axis]!, shape[axis]!];
  const state = readState(weights, name);
  const { blocksize, shape: stated } = state;
  const where = `${weights.entry(name).path}, tensor ${describeJson(name)}`;
  const fits = typeof blocksize === "number" && blocksize >= 16 && rowSize % blocksize === 0;
  if (state.quant_type !== "nf4" || !fits || describeJson(stated) !== describeJson([rows, rowSize])) {
    throw new FormatError({
      where,
      expected: `nf4 [${rows}, ${rowSize}] in whole blocks, as config.json says`,
      got: `${describeJson(state.quant_type)}, shape ${describeJson(stated)}, blocks of ${describeJson(blocksize)}`,
    });
  }
  checkSize(weights, name, "U8", (rows * rowSize) / 2);
  checkLevels(weights, `${name}.quant_map`);
  const blocks = (rows * rowSize) / blocksize;
  return {
    ...{ scheme: "nf4", blockSize: blocksize, shape, axis },
    values: weights.stored(name),
    scales: openScales(weights, name, state, blocks),
  };
}

function readState(weights: ModelWeights, name: string): JsonObject {
  const { byteLength, path } = weights.entry(name + STATE);
  const where = `${path}, tensor ${describeJson(name + STATE)}`;
  const bytes = new Uint8Array(Math.min(byteLength, MAX_STATE_BYTES));
  if (bytes.length === byteLength) {
    weights.readInto(name + STATE, bytes);
    const state = parseStrictJson(decodeUtf8(bytes, where), where);
    if (isJsonObject(state)) return state;
  }
  throw new FormatError({ where, expected: "a JSON object", got: `${byteLength} bytes of something else` });
}

/** The scales as they lie, or worked out where they are quantised themselves. */
function openScales(weights: ModelWeights, name: string, state: JsonObject, blocks: number): StoredTensor {
  const absmax = `${name}.absmax`;
  if (state.nested_blocksize === undefined) {
    checkSize(weights, absmax, "F32", blocks);
    return weights.stored(absmax);
  }
  const { nested_blocksize: size, nested_offset: offset } = state;
  if (typeof size !== "number" || !Number.isInteger(size) || size < 1 || typeof offset !== "number") {
    const where = `${weights.entry(name + STATE).path}, tensor ${describeJson(name + STATE)}`;
    throw new FormatError({ where, expected: "nested_blocksize and nested_offset", got: describeJson(size) });
  }
  checkSize(weights, absmax, "U8", blocks);
  checkSize(weights, `${name}.nested_absmax`, "F32", Math.ceil(blocks / size));
  checkSize(weights, `${name}.nested_quant_map`, "F32", 256);
  const [codes, scales, levels] = [absmax, `${name}.nested_absmax`, `${name}.nested_quant_map`].map(
    (part) => weights.read(part).data as Uint8Array | Float32Array,
  );
  // In two float32 steps, as bitsandbytes does it.
  const data = Float32Array.from(
    codes!,
    (code, i) => Math.fround(levels![code]! * scales![Math.floor(i / size)]!) + offset,
  );
  return hostTensor("float32", [blocks], data);
}

function checkLevels(weights: ModelWeights, name: string): void {
  checkSize(weights, name, "F32", NF4_LEVELS.length);
  const levels: HostTensor = weights.read(name);
  if (NF4_LEVELS.every((level, i) => Math.abs(level - Number(levels.data[i])) < 1e-6)) return;
  const where = `${weights.entry(name).path}, tensor ${describeJson(name)}`;
  throw new FormatError({
    where,
    expected: "the 16 levels of nf4",
    got: describeJson(Array.from(levels.data, Number)),
  });
}

function checkSize(weights: ModelWeights, name: string, dtype: "U8" | "F32", count: number): void {
  const entry = weights.entry(name);
  if (entry.dtype === dtype && numElements(entry.shape) === count) return;
  throw new FormatError({
    where: `${entry.path}, tensor ${describeJson(name)}`,
    expected: `${count} numbers of ${dtype}`,
    got: `${entry.dtype} [${entry.shape}]`,
  });
}
