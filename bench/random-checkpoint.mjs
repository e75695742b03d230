/** Checkpoints of Mistral's family in the hub's layout with random weights; a few MB of memory, whatever their size. */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { planParts, quantizationConfig } from "../dist/hub/quantized-weights.js";
import { mistralConfig } from "../dist/models/mistral/config.js";
import { Mistral } from "../dist/models/mistral/model.js";
import { publishedName, toPublishedConfig } from "../dist/models/mistral/weights.js";
import { seededBytes } from "./peers/protocol.mjs";

const SHARD_BYTES = 5e9;
const BYTES = { BF16: 2, F32: 4, U8: 1 };
/** Weights repeat after so many bytes: drawing each anew would take minutes. */
const REPEAT_BYTES = 2 ** 24;
/**
 * Each tensor begins that much further on in them, an odd number: the runtime keeps equal constants once, and layers that are all the same
 * would be read from the cache instead of from memory.
 */
const SHIFT_BYTES = 65_537;
const CHUNK_NUMBERS = 2 ** 16;
/** What a scale is for weights with a deviation of about 0.02: of whole numbers that are all as likely, 4 bits or 8. */
const SCALES = { int4: 0.02 / 4.6, int8: 0.02 / 74 };

/** @param {import("./shapes.mjs").Shape} shape */
export function describeMistral(shape) {
  return mistralConfig({
    width: shape.width,
    numLayers: shape.layers,
    numHeads: shape.heads,
    numKeyValueHeads: shape.keyValueHeads,
    feedForwardSize: shape.feedForward,
    vocabularySize: shape.vocabulary,
    contextLength: shape.context,
    ...(shape.window && { slidingWindow: shape.window }),
  });
}

/**
 * A checkpoint as `plinth quantize --scheme int4` leaves it: all matrices in 4 bits, the head too; the token table, which is only looked
 * up, in 8.
 *
 * @param {import("./shapes.mjs").Shape} shape
 * @param {number} blockSize numbers to a scale
 */
export function writeQuantizedCheckpoint(directory, shape, blockSize) {
  const model = new Mistral(describeMistral(shape));
  const schemes = new Map();
  const tensors = model.parameters.flatMap(({ path, shape: [rows, rowSize] }) => {
    const name = publishedName(path);
    if (rowSize === undefined) return [{ name, dtype: "F32", shape: [rows], value: 1 }];
    const scheme = model.lookupPaths.includes(path) ? "int8" : "int4";
    schemes.set(name, scheme);
    const [values, scales] = planParts(name, rows, rowSize, { scheme, blockSize });
    return [values, { ...scales, value: SCALES[scheme] }];
  });
  const quantization = quantizationConfig({ blockSize, schemes, kept: [] });
  const config = { ...toPublishedConfig(model.config, undefined), quantization_config: quantization };
  const random = seededBytes(1)(REPEAT_BYTES);
  const twice = Buffer.concat([random, random]);
  let start = 0;
  writeCheckpoint(directory, config, tensors, (file, tensor) => {
    writeNumbers(file, tensor, twice.subarray(start, start + REPEAT_BYTES));
    start = (start + SHIFT_BYTES) % REPEAT_BYTES;
  });
}

/**
 * A bfloat16 checkpoint whose files are as long as they should be, but hold nothing after their headers: they take no room where
 * the file system knows holes.
 *
 * @param {import("./shapes.mjs").Shape} shape
 */
export function writeEmptyCheckpoint(directory, shape) {
  const { config, parameters } = new Mistral(describeMistral(shape));
  const tensors = parameters.map(({ path, shape: of }) => ({
    name: publishedName(path),
    dtype: "BF16",
    shape: of,
  }));
  writeCheckpoint(directory, toPublishedConfig(config, undefined), tensors, () => {});
}

function writeCheckpoint(directory, config, tensors, writeTensor) {
  const partial = `${directory}.tmp`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const writeJson = (name, value) => writeFileSync(join(partial, name), JSON.stringify(value));
  const shards = spread(tensors);
  const weightMap = {};
  for (const [i, shard] of shards.entries()) {
    const number = (n) => `${n}`.padStart(5, "0");
    const file = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    for (const { name } of shard) weightMap[name] = file;
    writeShard(join(partial, file), shard, writeTensor);
  }
  const total = tensors.reduce((bytes, tensor) => bytes + sizeOf(tensor), 0);
  writeJson("config.json", config);
  writeJson("model.safetensors.index.json", { metadata: { total_size: total }, weight_map: weightMap });
  renameSync(partial, directory);
}

function spread(tensors) {
  const shards = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    if (bytes + sizeOf(tensor) > SHARD_BYTES) {
      shards.push([]);
      bytes = 0;
    }
    bytes += sizeOf(tensor);
    shards.at(-1).push(tensor);
  }
  return shards;
}

function writeShard(path, tensors, writeTensor) {
  const header = {};
  let offset = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    header[name] = { dtype, shape, data_offsets: [offset, offset + sizeOf(tensor)] };
    offset += sizeOf(tensor);
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc(-json.length & 63, " ")]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const file = openSync(path, "w");
  try {
    writeSync(file, Buffer.concat([length, padded]));
    for (const tensor of tensors) writeTensor(file, tensor);
    ftruncateSync(file, length.length + padded.length + offset);
  } finally {
    closeSync(file);
  }
}

/** A tensor of one value, or of random bytes. */
function writeNumbers(file, tensor, random) {
  const { value } = tensor;
  const same = () => new Uint8Array(new Float32Array(CHUNK_NUMBERS).fill(value).buffer);
  const source = value === undefined ? random : same();
  for (let left = sizeOf(tensor); left > 0; left -= source.length) {
    writeSync(file, source.subarray(0, Math.min(left, source.length)));
  }
}

function sizeOf({ dtype, shape }) {
  return BYTES[dtype] * shape.reduce((a, b) => a * b, 1);
}
