/**
 * Writes a GGUF file of a decoder of the Llama shape with random weights, 4-bit as llama.cpp's own quantiser leaves them
 * for type Q4_0: all matrices Q4_0, the head (`output.weight`) Q6_K, norms float32. Same shape, same bytes; a few MB of
 * memory. Format: github.com/ggml-org/ggml, docs/gguf.md; blocks: ggml-common.h.
 */
import { closeSync, openSync, renameSync, writeSync } from "node:fs";
import { seededBytes } from "./protocol.mjs";

const ALIGNMENT = 32;
/** Deviation of the weights. */
const DEVIATION = 0.02;
const CHUNK_BLOCKS = 4096;
/** Values of `ggml_type`. */
const F32 = 0;
const Q4_0 = 2;
const Q6_K = 14;
/** `LLAMA_FTYPE_MOSTLY_Q4_0`. */
const FILE_TYPE = 2;
/** Codes of the types of metadata values. */
const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const STRING = 8;
const ARRAY = 9;
const UINT64 = 10;
/** Codes of `llama_token_type`. */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const BYTE = 6;

/** Weights a block, and bytes. */
const BLOCKS = { [F32]: [1, 4], [Q4_0]: [32, 18], [Q6_K]: [256, 210] };

/** @param {import("../shapes.mjs").Shape} shape */
export function writeRandomGguf(path, shape) {
  const tensors = listTensors(shape);
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w");
  try {
    let written = writeSync(file, header(shape, tensors));
    for (const { type, dims } of tensors) {
      written += writeSync(file, Buffer.alloc(padding(written)));
      written += writeTensor(file, type, dims);
    }
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/** Dimensions as ggml counts them: the input's first. */
function listTensors({ layers, width, heads, keyValueHeads, feedForward, vocabulary }) {
  const keyValueWidth = (width / heads) * keyValueHeads;
  const matrix = (name, inputs, outputs) => ({ name, type: Q4_0, dims: [inputs, outputs] });
  const norm = (name) => ({ name, type: F32, dims: [width] });
  const layer = (at) => [
    norm(`${at}.attn_norm.weight`),
    matrix(`${at}.attn_q.weight`, width, width),
    matrix(`${at}.attn_k.weight`, width, keyValueWidth),
    matrix(`${at}.attn_v.weight`, width, keyValueWidth),
    matrix(`${at}.attn_output.weight`, width, width),
    norm(`${at}.ffn_norm.weight`),
    matrix(`${at}.ffn_gate.weight`, width, feedForward),
    matrix(`${at}.ffn_up.weight`, width, feedForward),
    matrix(`${at}.ffn_down.weight`, feedForward, width),
  ];
  return [
    matrix("token_embd.weight", width, vocabulary),
    ...Array.from({ length: layers }, (_, i) => layer(`blk.${i}`)).flat(),
    norm("output_norm.weight"),
    { name: "output.weight", type: Q6_K, dims: [width, vocabulary] },
  ];
}

function header(shape, tensors) {
  const metadata = listMetadata(shape);
  const writer = new Writer();
  writer.bytes(Buffer.from("GGUF")).uint32(3).uint64(tensors.length).uint64(metadata.length);
  for (const [key, type, value] of metadata) writer.string(key).uint32(type).value(type, value);
  let offset = 0;
  for (const { name, type, dims } of tensors) {
    writer.string(name).uint32(dims.length);
    for (const dim of dims) writer.uint64(dim);
    writer.uint32(type).uint64(offset);
    const size = sizeOf(type, dims);
    offset += size + padding(size);
  }
  writer.bytes(Buffer.alloc(padding(writer.length)));
  return writer.finish();
}

function listMetadata(shape) {
  const { layers, width, heads, keyValueHeads, feedForward, vocabulary, context } = shape;
  const { tokens, types } = listTokens(vocabulary);
  return [
    ["general.architecture", STRING, "llama"],
    ["general.name", STRING, "random weights"],
    ["general.file_type", UINT32, FILE_TYPE],
    ["general.quantization_version", UINT32, 2],
    ["llama.context_length", UINT32, context],
    ["llama.embedding_length", UINT32, width],
    ["llama.block_count", UINT32, layers],
    ["llama.feed_forward_length", UINT32, feedForward],
    ["llama.rope.dimension_count", UINT32, width / heads],
    ["llama.rope.freq_base", FLOAT32, 10000],
    ["llama.attention.head_count", UINT32, heads],
    ["llama.attention.head_count_kv", UINT32, keyValueHeads],
    ["llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5],
    ["llama.vocab_size", UINT32, vocabulary],
    ["tokenizer.ggml.model", STRING, "llama"],
    ["tokenizer.ggml.tokens", ARRAY, { type: STRING, values: tokens }],
    ["tokenizer.ggml.scores", ARRAY, { type: FLOAT32, values: tokens.map((_, id) => -id) }],
    ["tokenizer.ggml.token_type", ARRAY, { type: INT32, values: types }],
    ["tokenizer.ggml.unknown_token_id", UINT32, 0],
    ["tokenizer.ggml.bos_token_id", UINT32, 1],
    ["tokenizer.ggml.eos_token_id", UINT32, 2],
  ];
}

/** A vocabulary of the kind that Llama models have: three special tokens, the 256 bytes, and made-up words. */
function listTokens(vocabulary) {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const special = ["<unk>", "<s>", "</s>", ...bytes];
  const words = Array.from({ length: vocabulary - special.length }, (_, i) => `▁w${i.toString(36)}`);
  const types = [UNKNOWN, CONTROL, CONTROL, ...bytes.map(() => BYTE), ...words.map(() => NORMAL)];
  return { tokens: [...special, ...words], types };
}

/** A number collector: everything little-endian. */
class Writer {
  #parts = [];
  length = 0;

  bytes(part) {
    this.#parts.push(part);
    this.length += part.length;
    return this;
  }

  uint32(value) {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    return this.bytes(part);
  }

  uint64(value) {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    return this.bytes(part);
  }

  float32(value) {
    const part = Buffer.alloc(4);
    part.writeFloatLE(value);
    return this.bytes(part);
  }

  string(text) {
    const part = Buffer.from(text);
    return this.uint64(part.length).bytes(part);
  }

  value(type, value) {
    if (type === UINT32 || type === INT32) return this.uint32(value);
    if (type === UINT64) return this.uint64(value);
    if (type === FLOAT32) return this.float32(value);
    if (type === STRING) return this.string(value);
    this.uint32(value.type).uint64(value.values.length);
    for (const item of value.values) this.value(value.type, item);
    return this;
  }

  finish() {
    return Buffer.concat(this.#parts);
  }
}

function writeTensor(file, type, dims) {
  if (type === F32) {
    const ones = new Float32Array(dims[0]).fill(1);
    return writeSync(file, new Uint8Array(ones.buffer));
  }
  const [, blockBytes] = BLOCKS[type];
  const random = seededBytes(dims[0] + dims[1]);
  const numBlocks = sizeOf(type, dims) / blockBytes;
  let written = 0;
  for (let start = 0; start < numBlocks; start += CHUNK_BLOCKS) {
    const chunk = random(Math.min(CHUNK_BLOCKS, numBlocks - start) * blockBytes);
    for (let at = 0; at < chunk.length; at += blockBytes) setScale(chunk, at, type);
    written += writeSync(file, chunk);
  }
  return written;
}

/**
 * The random bytes of a block are its quants, evenly spread: 16 levels have a deviation of 4.6, 64 of 18.5. Scales are set so
 * that weights get the deviation we want.
 */
function setScale(chunk, at, type) {
  const view = new DataView(chunk.buffer, chunk.byteOffset + at);
  if (type === Q4_0) {
    view.setUint16(0, toHalf(DEVIATION / 4.61), true);
    return;
  }
  const [scales, scale] = [192, 16];
  for (let i = 0; i < 16; i++) view.setInt8(scales + i, scale);
  view.setUint16(scales + 16, toHalf(DEVIATION / 18.47 / scale), true);
}

/** Bits of the nearest float16 below; for normal numbers. */
function toHalf(x) {
  const exponent = Math.floor(Math.log2(x));
  return ((exponent + 15) << 10) | Math.floor((x / 2 ** exponent - 1) * 1024);
}

function sizeOf(type, dims) {
  const [weights, bytes] = BLOCKS[type];
  return (dims.reduce((a, b) => a * b, 1) / weights) * bytes;
}

function padding(length) {
  return -length & (ALIGNMENT - 1);
}
