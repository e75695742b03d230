import { describe, expect, test } from "vitest";
import { ShapeError } from "../core/errors.ts";
import { interpret } from "../engine/interpreter.ts";
import { ndArray } from "./nd-array.ts";
import { constant, input, parameter, scalar, type Tensor } from "./tensor.ts";

const of = (...shape: (number | string)[]) => input("x", "float32", shape);
const ints = (...shape: (number | string)[]) => input("i", "int32", shape);

/** Values of an expression of x = 0, 1, 2 … */
function counted(shape: readonly number[], build: (x: Tensor) => Tensor): number[] {
  return [...interpret([build(of(...shape))], { x: ndArray(shape, (i) => i) })[0]!.data];
}

describe("methods made of others", () => {
  test("mean, over all or some axes", () => {
    expect(counted([2, 4], (x) => x.mean())).toEqual([3.5]);
    expect(counted([2, 4], (x) => x.mean(0))).toEqual([2, 3, 4, 5]);
    expect(of(2, 3).mean(-1, true).shape).toEqual([2, 1]);
  });

  test("sumTo undoes broadcasting", () => {
    expect(counted([2, 3], (x) => x.sumTo([3]))).toEqual([3, 5, 7]);
    expect(counted([2, 3], (x) => x.sumTo([2, 1]))).toEqual([3, 12]);
    expect(counted([2, 3], (x) => x.sumTo([]))).toEqual([15]);
    expect(of(2, 3).sumTo([1, 1]).shape).toEqual([1, 1]);
  });

  test("squeeze, unsqueeze and stack", () => {
    expect(of(2, 1, 3).squeeze(1).shape).toEqual([2, 3]);
    expect(of(2, 1, 3).squeeze(-2).shape).toEqual([2, 3]);
    expect([0, 1, 2, -1].map((axis) => of(2, 3).unsqueeze(axis).shape)).toEqual([
      [1, 2, 3],
      [2, 1, 3],
      [2, 3, 1],
      [2, 3, 1],
    ]);
    expect(counted([2], (x) => x.stack([x.add(10), x.add(20)], 0))).toEqual([0, 1, 10, 11, 20, 21]);
    expect(counted([2], (x) => x.stack([x.add(10), x.add(20)], -1))).toEqual([0, 10, 20, 1, 11, 21]);
  });

  test("upsample repeats each element along the spatial axes", () => {
    expect(counted([1, 1, 2], (x) => x.upsample(3))).toEqual([0, 0, 0, 1, 1, 1]);
    const wide = counted([1, 1, 2, 2], (x) => x.upsample([1, 2]));
    expect(wide).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    expect(of(2, 3, 4, 5).upsample(2).shape).toEqual([2, 3, 8, 10]);
  });

  test("what changes nothing adds no node", () => {
    const x = of(2, 3);
    for (const same of [
      x.reshape([2, 3]),
      x.slice(1, 0, 3),
      x.pad(0, 0, 0),
      x.broadcastTo([2, 3]),
      x.cast("float32"),
      x.concat([], 0),
      x.split([3], 1)[0],
      x.sum([]),
    ]) {
      expect(same).toBe(x);
    }
  });

  test("a transpose without an order swaps the last two axes", () => {
    expect(of(2, 3, 4).transpose().shape).toEqual([2, 4, 3]);
  });
});

describe("named dimensions", () => {
  const x = of("batch", "tokens", 8);

  test("go through layers and stay named", () => {
    const weight = parameter("w", [4, 8]);
    const bias = parameter("b", [4]);
    expect(x.linear(weight, bias, true).shape).toEqual(["batch", "tokens", 4]);
    expect(of("rows", 8).linear(weight, bias, true).shape).toEqual(["rows", 4]);
    expect(of("batch", 3, 8).linear(weight, undefined, true).shape).toEqual(["batch", 3, 4]);
    expect(x.reshape(["batch", "tokens", 2, 4]).transpose([0, 2, 1, 3]).shape).toEqual([
      "batch",
      2,
      "tokens",
      4,
    ]);
    expect(x.concat([of("batch", "past", 8)], 1).shape).toEqual(["batch", "tokens + past", 8]);
  });

  test("refuse what needs sizes", () => {
    expect(() => x.broadcastTo(["batch", "tokens", 8, 8])).toThrow(
      "broadcastTo: expected sizes that are all known",
    );
    expect(x.slice(1, 0, 1).shape).toEqual(["batch", 1, 8]);
    expect(() => x.slice(1, 0, 2)).toThrow("slice: expected sizes that are all known, got [tokens].");
    expect(() => x.reshape(["tokens", "batch", 8])).toThrow("reshape: expected");
    const q = of("batch", 2, "tokens", 4);
    expect(() => q.attention(q, q, { scale: 1, causal: true })).toThrow("causal attention: expected sizes");
  });
});

describe("scalars", () => {
  test("hold the value in the dtype's own storage", () => {
    for (const dtype of ["float32", "float64", "int32", "int64", "int8", "uint8", "bool"] as const) {
      const { leaf } = scalar(dtype, 1).node;
      const value = leaf?.kind === "constant" ? leaf.value : undefined;
      expect([value?.dtype, Number(value?.data[0]), value?.data.length]).toEqual([dtype, 1, 1]);
    }
  });

  test("are not rounded unasked", () => {
    expect(() => scalar("int64", 0.5)).toThrow("scalar: expected a number that int64 holds, got 0.5.");
    expect(() => ints(3).mul(0.5)).toThrow(ShapeError);
    expect(() => ints(4).mean()).toThrow("got 0.25.");
  });
});

describe("shapes that do not fit are refused where the operator is applied", () => {
  const image = of(2, 4, 6, 6);
  const row = of(2, 4, 6);
  const table = parameter("t", [5, 2]);
  const cases: readonly (readonly [string, () => unknown, string])[] = [
    ["add", () => of(2, 3).add(of(2, 4)), "add: expected shapes that broadcast"],
    ["dtypes", () => of(2).add(ints(2)), "add: expected operands of one dtype, got float32 and int32."],
    ["div", () => ints(2).div(ints(2)), "div: expected floats, got int32."],
    [
      "matmul",
      () => of(2, 3).matmul(of(2, 3)),
      "matmul: expected inner sizes that agree, got [2, 3] · [2, 3].",
    ],
    ["matmul vector", () => of(3).matmul(of(3, 2)), "matmul: expected at least 2 axes, got [3]."],
    [
      "linear bias",
      () => of(2, 3).linear(of(4, 3), of(3), true),
      "linear: expected x [rows, 3] and bias [4]",
    ],
    ["where", () => of(2).where(of(2), of(2)), "where: expected a bool condition, got float32."],
    [
      "reshape",
      () => of(2, 3).reshape([4, 2]),
      "reshape: expected a shape with the elements of [2, 3], got [4, 2].",
    ],
    ["transpose", () => of(2, 3).transpose([0, 0]), "transpose: expected an order of the 2 axes"],
    ["squeeze", () => of(2, 3).squeeze(0), "squeeze: expected size 1 on axis 0, got [2, 3]."],
    ["unsqueeze", () => of(2, 3).unsqueeze(3), "unsqueeze: expected an axis in [-3, 3), got 3."],
    ["slice", () => of(4).slice(0, 2, 5), "slice: expected 0 ≤ start < end ≤ 4 on axis 0, got [2, 5)."],
    ["concat", () => of(2, 3).concat([of(3, 2)], 0), "concat: expected tensors like [2, 3] except on axis 0"],
    ["split", () => of(5).split([2, 2], 0), "split: expected sizes that add up to 5, got [2, 2]."],
    ["sum", () => of(2).sum(1), "sum: expected an axis in [-1, 1), got 1."],
    ["gather", () => of(5, 2).gatherRows(of(3)), "gatherRows: expected int32 or int64 indices, got float32."],
    ["scatter", () => of(5, 2).scatterAddRows(ints(3), of(3, 3)), "scatterAddRows: expected updates [3, 2]"],
    [
      "take",
      () => of(3, 4).takeAlongLast(ints(2, 1)),
      "takeAlongLast: expected indices [3, count], got [2, 1].",
    ],
    ["topK", () => of(3, 4).topK(5), "topK: expected a count in [1, 4] for [3, 4], got 5."],
    ["topK of none", () => of(3, 4).topK(0), "topK: expected a count in [1, 4]"],
    [
      "layerNorm",
      () => of(2, 3).layerNorm(of(2), of(3), 1e-5),
      "layerNorm: expected parameters [3] for x [2, 3]",
    ],
    ["crossEntropy", () => of(2, 3).crossEntropy(ints(3)), "crossEntropy: expected labels [2]"],
    ["labels", () => of(2, 3).crossEntropy(of(2)), "crossEntropy labels: expected int32 or int64 indices"],
    ["groups", () => row.groupNorm(of(4), of(4), 3, 1e-5), "groupNorm: expected x (batch, channels, …)"],
    ["norm of groups", () => row.groupNorm(of(3), of(4), 2, 1e-5), "groupNorm: expected"],
    ["convolution", () => row.convolution(of(3, 5, 2)), "convolution: expected x (batch, 5, …) of 3 axes"],
    [
      "rank of weight",
      () => image.convolution(of(3, 4, 2)),
      "convolution: expected x (batch, 4, …) of 3 axes",
    ],
    [
      "rank of x",
      () => of(4, 6).convolution(of(4, 4, 2)),
      "convolution: expected x (batch, channels, length)",
    ],
    ["bias", () => row.convolution(of(3, 4, 2), of(4)), "and bias [3]"],
    [
      "channels in groups",
      () => row.convolution(of(3, 2, 2), undefined, { groups: 2 }),
      "that 2 groups divide",
    ],
    [
      "window",
      () => row.convolution(of(3, 4, 8)),
      "convolution: expected a window of at most 6 on spatial axis 0, got 8.",
    ],
    [
      "stride",
      () => row.convolution(of(3, 4, 2), undefined, { stride: 0 }),
      "stride of integers ≥ 1, got [0].",
    ],
    [
      "padding",
      () => row.convolution(of(3, 4, 2), undefined, { padding: -1 }),
      "padding of integers ≥ 0, got [-1, -1].",
    ],
    [
      "entries",
      () => image.convolution(of(3, 4, 2, 2), undefined, { stride: [1] }),
      "stride for 2 spatial axes, got 1 entries.",
    ],
    [
      "output padding",
      () => row.convolutionTranspose(of(4, 3, 2), undefined, { stride: 2, outputPadding: [2] }),
      "output padding below the stride 2",
    ],
    [
      "nothing left",
      () => of(1, 4, 1).convolutionTranspose(of(4, 3, 2), undefined, { padding: 1 }),
      "convolutionTranspose: expected something left after padding",
    ],
    ["pool", () => row.maxPool({ kernel: 7 }), "pool: expected a window of at most 6"],
    [
      "pool padding",
      () => row.averagePool({ kernel: 2, padding: 2 }),
      "pool: expected padding below the window's size [2], got [2, 2].",
    ],
    ["pool kernel", () => row.maxPool({ kernel: 1.5 }), "pool: expected kernel of integers ≥ 1, got [1.5]."],
    ["upsample", () => row.upsample([2, 2]), "upsample: expected factors for 1 spatial axes, got 2 entries."],
    ["rotary", () => of(1, 2, 6, 4).rotary(table, table, { layout: "half" }), "rotary: expected cos and sin"],
    [
      "rotary width",
      () => of(1, 2, 3, 2).rotary(table, table, { layout: "half" }),
      "rotary: expected cos and sin",
    ],
    [
      "rotary positions",
      () => of(1, 2, 3, 4).rotary(table, table, { layout: "half" }, ints(2, 3)),
      "rotary: expected positions [1, 3], got [2, 3].",
    ],
    [
      "attention",
      () => of(1, 3, 2, 4).attention(of(1, 2, 2, 4), of(1, 2, 2, 4), { scale: 1, causal: false }),
      "attention: expected q [B, H, T, D]",
    ],
  ];
  test.each(cases)("%s", (_, build, message) => {
    expect(build).toThrow(ShapeError);
    expect(build).toThrow(message);
  });

  test("cached attention names the input that does not fit", () => {
    const attributes = { numHeads: 4, numKeyValueHeads: 2, scale: 1 };
    const good = {
      key: of(1, 3, 16),
      value: of(1, 3, 16),
      pastKey: of(1, 2, 5, 8),
      pastValue: of(1, 2, 5, 8),
      lengths: ints(1),
      totalLength: ints(1),
    };
    expect(of(1, 3, 32).cachedAttention(good, attributes).presentKey.shape).toEqual([1, 2, 5, 8]);
    const wrong = (part: Partial<typeof good>) => () =>
      of(1, 3, 32).cachedAttention({ ...good, ...part }, attributes);
    expect(wrong({ value: of(1, 3, 32) })).toThrow(
      "cachedAttention value: expected float32 [1, 3, 16], got float32 [1, 3, 32].",
    );
    expect(wrong({ pastValue: of(1, 2, 6, 8) })).toThrow(
      "cachedAttention pastValue: expected float32 [1, 2, 5, 8]",
    );
    expect(wrong({ lengths: of(1) })).toThrow(
      "cachedAttention lengths: expected int32 [1], got float32 [1].",
    );
    expect(wrong({ totalLength: ints() })).toThrow(
      "cachedAttention totalLength: expected int32 [1], got int32 [].",
    );
    expect(() => of(1, 3, 6).cachedAttention(good, attributes)).toThrow("a width that 4 heads divide");
    expect(() => of(1, 3, 16).cachedAttention(good, attributes)).toThrow(
      "cachedAttention: expected heads of a multiple of 8 numbers, got 4. Pad them.",
    );
  });
});

test("a tensor's node says where it comes from", () => {
  const value = { dtype: "float32", shape: [1], data: Float32Array.of(2) } as const;
  expect(constant(value).node.leaf).toEqual({ kind: "constant", value });
  expect(parameter("w", [1]).node.leaf).toEqual({ kind: "parameter", path: "w" });
  expect(of(1).node.leaf).toEqual({ kind: "input", name: "x" });
  expect(of(1).exp().node.op?.name).toBe("exp");
});
