import { describe, expect, test } from "vitest";
import { hostTensor } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { interpret } from "../engine/interpreter.ts";
import { grad, gradients, valueAndGrad } from "./gradient.ts";
import { type NdArray, ndArray } from "./nd-array.ts";
import { constant, input, parameter, type Tensor } from "./tensor.ts";

const x = input("x", "float64", []);
const y = input("y", "float64", []);
const at = (tensors: readonly Tensor[], values: Readonly<Record<string, number | NdArray>>) => {
  const feeds = Object.entries(values).map(([name, value]) => [
    name,
    typeof value === "number" ? ndArray([], () => value) : value,
  ]);
  return interpret(tensors, Object.fromEntries(feeds) as Record<string, NdArray>);
};
const numbers = (tensors: readonly Tensor[], values: Readonly<Record<string, number | NdArray>>) =>
  at(tensors, values).map(({ data }) => data[0]!);

describe("gradients against calculus", () => {
  test("a value used twice collects from both uses: x·x and its square", () => {
    const square = x.mul(x);
    expect(numbers(gradients(square.mul(square), [x, square]), { x: 3 })).toEqual([4 * 27, 2 * 9]);
  });

  test("a diamond: f = (x + y)·(x − y) = x² − y²", () => {
    const f = x.add(y).mul(x.sub(y));
    expect(numbers(gradients(f, [x, y]), { x: 3, y: 5 })).toEqual([6, -10]);
  });

  test("a chain of diamonds does not multiply the work: 2^k paths, k nodes", () => {
    let f = x;
    for (let i = 0; i < 40; i++) f = f.add(f);
    expect(numbers(gradients(f, [x]), { x: 1 })).toEqual([2 ** 40]);
  });

  test("a scalar by itself is 1", () => {
    expect(numbers(gradients(x, [x]), { x: 7 })).toEqual([1]);
  });

  test("what the scalar does not depend on gets zeros of its shape", () => {
    const unused = input("unused", "float64", [2, 3]);
    const [g] = gradients(x.mul(2), [unused]);
    expect(at([g!], { x: 1 })[0]).toEqual(ndArray([2, 3]));
  });

  test("nothing flows through comparisons, indices and casts to integers", () => {
    const v = input("v", "float64", [3]);
    const hits = v.greater(0).cast("float64");
    const best = v.takeAlongLast(v.reshape([1, 3]).argmax(1));
    const values = { v: ndArray([3], (i) => [1, -2, 5][i]!) };
    const [g] = gradients(v.mul(hits).sum().add(best.sum()), [v]);
    expect([...at([g!], values)[0]!.data]).toEqual([1, 0, 2]);
  });

  test("valueAndGrad and grad agree with gradients", () => {
    const f = (a: Tensor, b: Tensor) => a.mul(a).mul(b);
    const { value, gradients: both } = valueAndGrad(f)(x, y);
    expect(numbers([value, ...both, ...grad(f)(x, y)], { x: 3, y: 5 })).toEqual([45, 30, 9, 30, 9]);
  });

  test("a table gathered from twice, and used as a matrix, collects all three", () => {
    const table = parameter("table", [3, 2], "float64");
    const ids = constant(hostTensor("int32", [2], Int32Array.of(2, 2)));
    const f = table.gatherRows(ids).sum().add(table.gatherRows(ids).sum()).add(table.mul(table).sum());
    const [g] = gradients(f, [table]);
    const values = { table: ndArray([3, 2], (i) => i) };
    expect([...at([g!], values)[0]!.data]).toEqual([0, 2, 4, 6, 8 + 4, 10 + 4]);
  });
});

describe("what is refused", () => {
  test("anything but a scalar", () => {
    const v = input("v", "float64", [3]);
    expect(() => gradients(v, [v])).toThrow(ShapeError);
    expect(() => gradients(v, [v])).toThrow("gradients: expected a scalar, got [3]. Sum it first.");
  });

  test("a path through an operator that has no gradient", () => {
    const q = input("q", "float32", [1, 1, 8]);
    const cache = input("cache", "float32", [1, 1, 2, 8]);
    const lengths = input("lengths", "int32", [1]);
    const { result } = q.cachedAttention(
      { key: q, value: q, pastKey: cache, pastValue: cache, lengths, totalLength: lengths },
      { numHeads: 1, numKeyValueHeads: 1, scale: 1 },
    );
    expect(() => gradients(result.sum(), [q])).toThrow("got cachedAttention.");
  });
});

/** Draws a value for each tensor that fills its shape. */
function drawn(tensors: readonly Tensor[], seed: number): Record<string, NdArray> {
  const random = new Random(seed);
  const values = tensors.map((tensor) => {
    const { leaf } = tensor.node;
    const name = leaf?.kind === "input" ? leaf.name : "";
    return [name, ndArray(tensor.shape as number[], () => 2 * random.uniform() - 1)];
  });
  return Object.fromEntries(values) as Record<string, NdArray>;
}

/**
 * Second derivatives, analytic against differences of the analytic first ones. The first gradient of each input is weighed to a
 * scalar, so that errors cannot cancel.
 */
function expectSecondDerivatives(f: Tensor, inputs: readonly Tensor[], seed: number): void {
  const values = drawn(inputs, seed);
  const random = new Random(seed + 1);
  const slope = gradients(f, inputs)
    .map((g) => {
      const weights = ndArray(g.shape as number[], () => random.uniform() + 0.5);
      return g.mul(constant({ dtype: "float64", ...weights })).sum();
    })
    .reduce((a, b) => a.add(b));
  const second = at(gradients(slope, inputs), values);
  inputs.forEach((tensor, which) => {
    const name = (tensor.node.leaf as { name: string }).name;
    values[name]!.data.forEach((value, i) => {
      const moved = (by: number) => {
        const data = values[name]!.data.with(i, value + by);
        return at([slope], { ...values, [name]: { shape: values[name]!.shape, data } })[0]!.data[0]!;
      };
      const numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
      const error = Math.abs(second[which]!.data[i]! - numeric);
      expect(error, `${name}[${i}]: ${second[which]!.data[i]} vs ${numeric}`).toBeLessThan(
        1e-6 + 1e-5 * Math.abs(numeric),
      );
    });
  });
}

describe("second derivatives against differences", () => {
  const matrix = (name: string, ...shape: number[]) => input(name, "float64", shape);

  test("elementwise: tanh, sigmoid, exp, GELU, SiLU, division", () => {
    const [a, b] = [matrix("a", 3), matrix("b", 3)];
    const f = a.tanh().mul(b.sigmoid()).add(a.mul(b).exp()).add(a.gelu()).add(b.silu()).add(a.geluTanh());
    expectSecondDerivatives(f.div(b.mul(b).add(1)).sum(), [a, b], 1);
  });

  test("a linear layer, layer norm and cross-entropy", () => {
    const [a, w, bias] = [matrix("a", 2, 3), matrix("w", 4, 3), matrix("bias", 4)];
    const [scale, shift] = [matrix("scale", 4), matrix("shift", 4)];
    const labels = constant(hostTensor("int32", [2], Int32Array.of(3, 0)));
    const normal = a.linear(w, bias, true).layerNorm(scale, shift, 0.1);
    expectSecondDerivatives(
      normal.crossEntropy(labels, { labelSmoothing: 0.1 }),
      [a, w, bias, scale, shift],
      2,
    );
  });

  test("causal attention with shared heads, of RMS-normalised rows", () => {
    const [q, k, v, scale] = [
      matrix("q", 1, 2, 3, 2),
      matrix("k", 1, 1, 3, 2),
      matrix("v", 1, 1, 3, 2),
      matrix("scale", 2),
    ];
    const seen = q.rmsNorm(scale, 0.1).attention(k, v, { scale: 0.7, causal: true });
    expectSecondDerivatives(seen.mul(seen).sum(), [q, k, v, scale], 3);
  });

  test("a convolution, group norm, an average pool and softmax", () => {
    const [a, w] = [matrix("a", 1, 2, 5), matrix("w", 4, 1, 2)];
    const [scale, shift] = [matrix("scale", 4), matrix("shift", 4)];
    const image = a.convolution(w, undefined, { groups: 2, padding: [[1, 0]] });
    const pooled = image.groupNorm(scale, shift, 2, 0.1).averagePool({ kernel: 2, padding: 1 });
    expectSecondDerivatives(pooled.softmax(2).mul(pooled).sum(), [a, w, scale, shift], 4);
  });

  test("|x|³ has 6|x|, though sign has no slope of its own", () => {
    const cube = x.abs().mul(x.abs()).mul(x.abs());
    const [first] = gradients(cube, [x]);
    expect(numbers(gradients(first!, [x]), { x: -2 })).toEqual([12]);
  });
});
