import { NF4_LEVELS } from "../../core/dequantize.ts";
import { allocate } from "../../core/dtype.ts";
import type { Emitter, QuantizedConstant } from "../op.ts";

// How operators use a matrix that lies in blocks of few bits (core/weights.ts), beyond having it dequantised.

const MICROSOFT = "com.microsoft";

/** Lets the runtime round activations to int8, block by block, which is what makes whole-number products possible. */
const INT8_ACTIVATIONS = 4n;

/** `quant_type` of MatMulBnb4. */
const NF4 = 1n;

/**
 * The product of `a` with a quantised constant in one runtime call, where it has one: for blocks along the axis summed over.
 *
 * @returns `undefined` if it has none, for the caller to write the product as usual
 */
export function emitQuantizedProduct(
  emitter: Emitter,
  [a, weight, bias]: readonly string[],
  transposeWeight: boolean,
): readonly string[] | undefined {
  const constant = emitter.quantized(weight!);
  if (!constant || constant.axis !== (transposeWeight ? 1 : 0)) return undefined;
  const { scheme, rows, rowSize, blockSize } = constant;
  const sizes = { K: BigInt(rowSize), N: BigInt(rows), block_size: BigInt(blockSize) };
  if (scheme === "nf4") {
    if (!emitter.supports("MatMulBnb4")) return undefined;
    const parts = [
      constant.part("values", [(rows * rowSize) / 2]),
      constant.part("scales", [rows * numBlocks(constant)]),
    ];
    const attributes = { ...sizes, quant_type: NF4 };
    const product = emitter.node("MatMulBnb4", [a!, ...parts], { domain: MICROSOFT, attributes });
    return bias ? emitter.node("Add", [product[0]!, bias]) : product;
  }
  if (!emitter.supports("MatMulNBits")) return undefined;
  const bits = scheme === "int4" ? 4 : 8;
  const values = constant.part("values", [rows, numBlocks(constant), (blockSize * bits) / 8]);
  const inputs = [a!, values, scalesOf(constant), zeroPointsOf(constant, bits)];
  return emitter.node("MatMulNBits", bias ? [...inputs, "", bias] : trimmed(inputs), {
    domain: MICROSOFT,
    attributes: { ...sizes, bits: BigInt(bits), accuracy_level: INT8_ACTIVATIONS },
  });
}

/** Rows of a quantised table by index, or `undefined` where the runtime has no call for that. */
export function emitQuantizedRows(
  emitter: Emitter,
  table: string,
  indices: string,
): readonly string[] | undefined {
  const constant = emitter.quantized(table);
  if (constant?.axis !== 1 || constant.scheme === "nf4") return undefined;
  return emitter.supports("GatherBlockQuantized") ? gatherRows(emitter, constant, indices) : undefined;
}

/** The whole matrix in float32, for uses of a quantised constant that have no call of their own. */
export function emitDequantized(emitter: Emitter, constant: QuantizedConstant): string {
  const { rows, axis, scheme } = constant;
  const every = {
    dtype: "int32",
    shape: [rows],
    data: Int32Array.from({ length: rows }, (_, row) => row),
  } as const;
  const matrix =
    scheme === "nf4"
      ? expandNf4(emitter, constant)
      : gatherRows(emitter, constant, emitter.constant(every))[0]!;
  return axis === 1 ? matrix : emitter.node("Transpose", [matrix], { attributes: { perm: [1n, 0n] } })[0]!;
}

function gatherRows(emitter: Emitter, constant: QuantizedConstant, indices: string): readonly string[] {
  const { rows, rowSize, blockSize, scheme } = constant;
  const bits = scheme === "int4" ? 4 : 8;
  const values = constant.part("values", [rows, (rowSize * bits) / 8]);
  const inputs = [values, indices, scalesOf(constant), zeroPointsOf(constant, bits)];
  return emitter.node("GatherBlockQuantized", trimmed(inputs), {
    domain: MICROSOFT,
    attributes: { gather_axis: 0n, quantize_axis: 1n, block_size: BigInt(blockSize), bits: BigInt(bits) },
  });
}

/** Looks bytes up in a table of the pairs of levels they stand for, and scales block by block. */
function expandNf4(emitter: Emitter, constant: QuantizedConstant): string {
  const { rows, rowSize, blockSize } = constant;
  const data = allocate("float32", 512) as Float32Array;
  for (let byte = 0; byte < 256; byte++) {
    data[2 * byte] = NF4_LEVELS[byte >> 4]!;
    data[2 * byte + 1] = NF4_LEVELS[byte & 15]!;
  }
  const pairs = emitter.constant({ dtype: "float32", shape: [256, 2], data });
  const shapeOf = (shape: readonly number[]) =>
    emitter.constant({ dtype: "int64", shape: [shape.length], data: BigInt64Array.from(shape, BigInt) });
  const bytes = constant.part("values", [(rows * rowSize) / 2]);
  const indices = emitter.node("Cast", [bytes], { attributes: { to: 6n } })[0]!; // INT32
  const levels = emitter.node("Gather", [pairs, indices], { attributes: { axis: 0n } })[0]!;
  const blocks = emitter.node("Reshape", [levels, shapeOf([rows * numBlocks(constant), blockSize])])[0]!;
  const scales = constant.part("scales", [rows * numBlocks(constant), 1]);
  const scaled = emitter.node("Mul", [blocks, scales])[0]!;
  return emitter.node("Reshape", [scaled, shapeOf([rows, rowSize])])[0]!;
}

function numBlocks({ rowSize, blockSize }: QuantizedConstant): number {
  return rowSize / blockSize;
}

function scalesOf(constant: QuantizedConstant): string {
  return constant.part("scales", [constant.rows, numBlocks(constant)]);
}

function zeroPointsOf(constant: QuantizedConstant, bits: number): string {
  const shape = [constant.rows, Math.ceil((numBlocks(constant) * bits) / 8)];
  return constant.hasZeroPoints ? constant.part("zeroPoints", shape) : "";
}

/** Without the omitted inputs at the end. */
function trimmed(inputs: readonly string[]): readonly string[] {
  return inputs.at(-1) === "" ? inputs.slice(0, -1) : inputs;
}
