import type { DType, HostTensor } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";
import type { QuantizationScheme } from "../core/weights.ts";
import type { NdArray } from "./nd-array.ts";
import type { Tensor } from "./tensor.ts";

/** What is known of a tensor before anything runs. */
export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: Shape;
}

/**
 * Everything Plinth knows about an operator, in one place. Being registered is being tested: the registry test
 * checks `gradient` against finite differences of `reference`, and the runtime against `reference`, on `samples`.
 */
export interface Op<A extends object = object> {
  readonly name: string;
  /** The shape rule: what comes out for what goes in. Throws `ShapeError` for what cannot. */
  infer(inputs: readonly TensorSpec[], attributes: A): readonly TensorSpec[];
  /** The obvious float64 computation: the oracle every faster path is held against. */
  reference(inputs: readonly NdArray[], attributes: A): readonly NdArray[];
  /** Writes the operator as ONNX nodes and returns the names of its outputs. */
  emit(call: EmitCall<A>): readonly string[];
  /** Vector–Jacobian product, one entry per input. Absent: no gradient flows (comparisons, indices). */
  gradient?(call: GradientCall<A>): readonly (Tensor | undefined)[];
  /** Floating-point operations of matrix products within it, a multiplication and an addition being two; absent: none. */
  flops?(inputs: readonly TensorSpec[], attributes: A): number;
  /** What comes out counts as a constant: nothing before it is differentiated by way of it. */
  readonly stopsGradient?: true;
  readonly samples: readonly Sample<A>[];
}

/** What an operator's gradient is given. */
export interface GradientCall<A extends object = object> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Gradient of the loss by each output; `undefined` where the loss does not depend on it. */
  readonly gradients: readonly (Tensor | undefined)[];
  readonly attributes: A;
}

/** What an operator is given to write itself. */
export interface EmitCall<A extends object = object> {
  readonly emitter: Emitter;
  /** ONNX names of the inputs, in order. */
  readonly inputs: readonly string[];
  readonly inputSpecs: readonly TensorSpec[];
  readonly outputSpecs: readonly TensorSpec[];
  readonly attributes: A;
}

/** A value of an ONNX attribute; see {@link Emitter.node} for how kinds are told apart. */
export type AttributeValue = number | bigint | string | readonly bigint[] | readonly number[];

/** Where operators write themselves. The one thing `tensor` knows about any runtime. */
export interface Emitter {
  /**
   * Adds a node and returns its output names. Numbers become ONNX floats and bigints ONNX ints, so that the two
   * cannot be confused. An empty input name omits an optional input.
   */
  node(type: string, inputs: readonly string[], options?: NodeOptions): readonly string[];
  /** A constant tensor; equal ones are shared. */
  constant(tensor: HostTensor): string;
  /** Whether the target has this operator of the `com.microsoft` domain or of a recent opset. */
  supports(type: string): boolean;
  /**
   * How the constant of that name is quantised; `undefined` where it is not. Only operators that know what to do with the
   * parts ask: under its own name it is the matrix, dequantised when the program runs.
   */
  quantized(name: string): QuantizedConstant | undefined;
}

/** A constant matrix in blocks of few bits, as `QuantizedTensor` describes it. */
export interface QuantizedConstant {
  readonly scheme: QuantizationScheme;
  readonly blockSize: number;
  /** The axis of the matrix along which blocks run. */
  readonly axis: 0 | 1;
  /** Size of the other axis. */
  readonly rows: number;
  /** Size of that axis. */
  readonly rowSize: number;
  readonly hasZeroPoints: boolean;
  /** The ONNX name of a part, in the shape that its user takes it in. */
  part(name: "values" | "scales" | "zeroPoints", shape: readonly number[]): string;
}

export interface NodeOptions {
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly numOutputs?: number;
  readonly domain?: "" | "com.microsoft";
  /** Said where the target cannot work out the shapes of the outputs by itself. */
  readonly outputSpecs?: readonly TensorSpec[];
}

/** One test case of an operator. Inputs are drawn at random to fit. */
export interface Sample<A extends object = object> {
  readonly shapes: readonly (readonly number[])[];
  readonly attributes: A;
  /** How to draw each input; default: uniform in [-1, 1]. */
  readonly draw?: readonly Draw[];
  /** Whether float32 kernels are expected to reach 1e-4 only after this factor (default 1). */
  readonly slack?: number;
}

/** `signed` [-1, 1] · `positive` [0.5, 2] · `apart` values at least 0.1 from each other and from 0 · integers below n · booleans · values given. */
export type Draw =
  | "signed"
  | "positive"
  | "apart"
  | "boolean"
  | { readonly below: number }
  | { readonly values: readonly number[]; readonly dtype?: DType };
