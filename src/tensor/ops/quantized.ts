import { NF4_LEVELS } from "../../core/dequantize.ts";
import { allocate } from "../../core/dtype.ts";
import type { Emitter, QuantizedConstant, TensorSpec } from "../op.ts";
import { type EmittedValue, emitAfter } from "./after.ts";

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

/** An operand of a product; `isFlipped` if its last two axes are swapped. */
export interface Operand {
  readonly name: string;
  readonly isFlipped: boolean;
}

/**
 * The operands of a product, a quantised constant as a matrix that is this product's own and not made before the other operand is there. So
 * it exists while it is multiplied with, and not from its first use to its last.
 */
export function emitOperands(
  emitter: Emitter,
  names: readonly string[],
  specs: readonly TensorSpec[],
): readonly [Operand, Operand] {
  const operand = (i: 0 | 1): Operand => {
    const [name, other] = [names[i]!, { name: names[1 - i]!, spec: specs[1 - i]! }];
    const constant = emitter.quantized(name);
    const isTimely = other.spec.shape.every((dim) => typeof dim === "number");
    if (!constant || !isTimely || emitter.quantized(other.name)) return { name, isFlipped: false };
    return { name: emitRows(emitter, constant, [other]), isFlipped: constant.axis === 0 };
  };
  return [operand(0), operand(1)];
}

/** The whole matrix in float32, for uses of a quantised constant that have no call of their own. */
export function emitDequantized(emitter: Emitter, constant: QuantizedConstant): string {
  const matrix = emitRows(emitter, constant, []);
  if (constant.axis === 1) return matrix;
  return emitter.node("Transpose", [matrix], { attributes: { perm: [1n, 0n] } })[0]!;
}

/** The matrix with blocks along its rows, not made before other values are there. */
function emitRows(emitter: Emitter, constant: QuantizedConstant, before: readonly EmittedValue[]): string {
  if (constant.scheme === "nf4") return expandNf4(emitter, constant, before);
  const data = Int32Array.from({ length: constant.rows }, (_, row) => row);
  const every = { dtype: "int32", shape: [constant.rows], data } as const;
  const indices = emitAfter(emitter, { name: emitter.constant(every), spec: every }, before);
  return gatherRows(emitter, constant, indices)[0]!;
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
function expandNf4(emitter: Emitter, constant: QuantizedConstant, before: readonly EmittedValue[]): string {
  const { rows, rowSize, blockSize } = constant;
  const data = allocate("float32", 512) as Float32Array;
  for (let byte = 0; byte < 256; byte++) {
    data[2 * byte] = NF4_LEVELS[byte >> 4]!;
    data[2 * byte + 1] = NF4_LEVELS[byte & 15]!;
  }
  const pairs = emitter.constant({ dtype: "float32", shape: [256, 2], data });
  const shapeOf = (shape: readonly number[]) =>
    emitter.constant({ dtype: "int64", shape: [shape.length], data: BigInt64Array.from(shape, BigInt) });
  const spec = { dtype: "uint8", shape: [(rows * rowSize) / 2] } as const;
  const bytes = emitAfter(emitter, { name: constant.part("values", spec.shape), spec }, before);
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
