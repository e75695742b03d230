import { numElements } from "../../core/dtype.ts";
import { staticShape } from "../../core/shape.ts";
import type { EmitCall, Emitter, Op, TensorSpec } from "../op.ts";
import { int64s } from "./constants.ts";

/**
 * The first input unchanged, but not before the others, all floats, have been computed: for results that should be worked out late, or
 * once more instead of being kept. To the runtime the result is a value of its own, so what is made of it is neither merged with what
 * is made of the first input nor moved ahead of the others.
 */
export const after: Op<Readonly<Record<string, never>>> = {
  name: "after",
  infer: ([x]) => [{ dtype: x!.dtype, shape: staticShape(x!.shape, "after") }],
  reference: ([x]) => [x!],
  emit: ({ emitter, inputs: [x, ...others], inputSpecs: [spec, ...otherSpecs] }: EmitCall) => [
    emitAfter(
      emitter,
      { name: x!, spec: spec! },
      others.map((name, i) => ({ name, spec: otherSpecs[i]! })),
    ),
  ],
  gradient: ({ gradients: [g] }) => [g],
  samples: [
    { shapes: [[2, 3], [4]], attributes: {} },
    { shapes: [[5], [2, 3], []], attributes: {} },
    { shapes: [[], [1, 2]], attributes: {} },
    { shapes: [[3]], attributes: {}, draw: [{ below: 4 }] },
  ],
};

/** A value of the graph being written. */
export interface EmittedValue {
  readonly name: string;
  readonly spec: TensorSpec;
}

/**
 * A reshape to the shape it has, which costs nothing; but that shape is chosen by looking at an element of each of the others. It is the
 * same either way, which no optimizer sees.
 */
export function emitAfter(emitter: Emitter, x: EmittedValue, others: readonly EmittedValue[]): string {
  const one = (type: string, inputs: readonly string[], attributes = {}) =>
    emitter.node(type, inputs, { attributes })[0]!;
  const elements = others
    .filter(({ spec }) => numElements(staticShape(spec.shape, "after")) > 0)
    .map(({ name, spec: { shape } }) => {
      const all = (value: number) =>
        int64s(
          emitter,
          shape.map(() => value),
        );
      const first = shape.length === 0 ? name : one("Slice", [name, all(0), all(1)]);
      return one("Reshape", [first, int64s(emitter, [1])]);
    });
  if (elements.length === 0) return x.name;
  const sum = elements.length === 1 ? elements[0]! : one("Sum", elements);
  const sizes = int64s(emitter, staticShape(x.spec.shape, "after"));
  const chosen = one("Where", [one("Equal", [sum, sum]), sizes, sizes]);
  const [result] = emitter.node("Reshape", [x.name, chosen], {
    attributes: x.spec.shape.includes(0) ? { allowzero: 1n } : {},
    outputSpecs: [x.spec],
  });
  return result!;
}
