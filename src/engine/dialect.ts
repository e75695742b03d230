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

/** Plain ONNX only: what is exported for other tools, and the floor that any new target starts from. */
export const PLAIN: Dialect = { name: "plain", extras: new Set() };
