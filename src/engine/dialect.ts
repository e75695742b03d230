/** A runtime target: the operators it has beyond the plain ONNX ones every target runs. */
export interface Dialect {
  readonly name: string;
  readonly extras: ReadonlySet<string>;
}

/** ONNX Runtime's CPU provider. */
export const CPU: Dialect = {
  name: "cpu",
  extras: new Set([
    "FusedMatMul",
    "FastGelu",
    "QuickGelu",
    "GroupQueryAttention",
    "RotaryEmbedding",
    "SimplifiedLayerNormalization",
    "MatMulNBits",
    "MatMulBnb4",
    "GatherBlockQuantized",
  ]),
};

/** Operators that multiply with quantised constants as they are; they may round activations to int8, or pack a second copy of the constant. */
const QUANTIZED_PRODUCTS = new Set(["MatMulNBits", "MatMulBnb4"]);

/**
 * For programs of gradients: products with quantised constants are products of float32 with the matrices they stand for, each of which exists
 * only while it is multiplied with.
 */
export const CPU_TRAINING: Dialect = {
  name: "cpu training",
  extras: new Set([...CPU.extras].filter((type) => !QUANTIZED_PRODUCTS.has(type))),
};

/** Plain ONNX only: what is exported for other tools, and the floor that any new target starts from. */
export const PLAIN: Dialect = { name: "plain", extras: new Set() };
