import { mapBroadcast } from "../nd-array.ts";
import type { Op } from "../op.ts";
import { errorFunction, unary } from "./elementwise.ts";

type NoAttributes = Readonly<Record<string, never>>;

/** `max(x, 0)`; the gradient at 0 is 0. */
export const relu: Op<NoAttributes> = unary("relu", {
  onnx: "Relu",
  compute: (x) => Math.max(x, 0),
  vjp: ({ x, g }) => x.greater(0).where(g, g.zero()),
  draw: ["apart"],
});

/** `x · σ(x)` (Elfwing et al. 2017), also called swish. */
export const silu: Op<NoAttributes> = {
  ...unary("silu", {
    onnx: "",
    compute: (x) => x / (1 + Math.exp(-x)),
    // y' = σ + y·(1 − σ)
    vjp: ({ x, y, g }) => {
      const gate = x.sigmoid();
      return g.mul(gate.add(y.sub(y.mul(gate))));
    },
  }),
  emit: ({ emitter, inputs: [x] }) => {
    if (emitter.supports("QuickGelu")) {
      return emitter.node("QuickGelu", [x!], { domain: "com.microsoft", attributes: { alpha: 1 } });
    }
    return emitter.node("Mul", [x!, emitter.node("Sigmoid", [x!])[0]!]);
  },
};

/** Exact GELU: `x · Φ(x) = x/2 · (1 + erf(x/√2))` (Hendrycks & Gimpel 2016). */
export const gelu: Op<NoAttributes> = {
  ...unary("gelu", {
    onnx: "Gelu",
    compute: (x) => (x / 2) * (1 + errorFunction(x / Math.SQRT2)),
    // y' = Φ(x) + x·φ(x)
    vjp: ({ x, g }) => {
      const cumulative = x.mul(Math.SQRT1_2).erf().add(1).mul(0.5);
      const density = x
        .mul(x)
        .mul(-0.5)
        .exp()
        .mul(1 / Math.sqrt(2 * Math.PI));
      return g.mul(cumulative.add(x.mul(density)));
    },
  }),
};

const TANH_SCALE = Math.sqrt(2 / Math.PI);
const TANH_CUBIC = 0.044715;

/**
 * GELU by tanh: `x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))`, as GPT-2 computes it.
 *
 * Since `(1 + tanh u)/2 = σ(2u)`, the gradient is worked in sigmoids: with `s = σ(2u)` and `y = x·s`,
 * `y' = s + y·(1 − s)·(2u)'`. That takes fewer passes over memory than the textbook form.
 */
export const geluTanh: Op<NoAttributes> = {
  name: "geluTanh",
  infer: ([x]) => [x!],
  reference: (inputs) => [
    mapBroadcast(inputs, (x) => (x! / 2) * (1 + Math.tanh(TANH_SCALE * (x! + TANH_CUBIC * x! ** 3)))),
  ],
  emit: ({ emitter, inputs, inputSpecs }) =>
    emitter.supports("FastGelu") && inputSpecs[0]!.shape.length > 0
      ? emitter.node("FastGelu", inputs, { domain: "com.microsoft" })
      : emitter.node("Gelu", inputs, { attributes: { approximate: "tanh" } }),
  gradient: ({ inputs: [x], outputs: [y], gradients: [g] }) => {
    const square = x!.mul(x!);
    const gate = x!.mul(square.mul(2 * TANH_SCALE * TANH_CUBIC).add(2 * TANH_SCALE)).sigmoid();
    const slope = square.mul(6 * TANH_SCALE * TANH_CUBIC).add(2 * TANH_SCALE);
    return [g!.mul(gate.add(y!.sub(y!.mul(gate)).mul(slope)))];
  },
  samples: [[7], [3, 1, 5], [1], []].map((shape) => ({ shapes: [shape], attributes: {} })),
};
