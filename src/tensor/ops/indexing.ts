import { ShapeError } from "../../core/errors.ts";
import { type Shape, sameShape, showShape, staticShape } from "../../core/shape.ts";
import { ndArray, unravel } from "../nd-array.ts";
import type { Op } from "../op.ts";
import { expectIndices } from "./checks.ts";
import { int64s } from "./constants.ts";
import { emitQuantizedRows } from "./quantized.ts";

type NoAttributes = Readonly<Record<string, never>>;

/** Rows of a table by index: table `(V, …)`, indices of any shape `(…)` → `(…indices, …row)`. */
export const gatherRows: Op<NoAttributes> = {
  name: "gatherRows",
  infer: ([table, indices]) => {
    expectIndices("gatherRows", indices!);
    return [{ dtype: table!.dtype, shape: [...indices!.shape, ...table!.shape.slice(1)] }];
  },
  reference: ([table, indices]) => {
    const rowSize = table!.data.length / table!.shape[0]!;
    const shape = [...indices!.shape, ...table!.shape.slice(1)];
    const at = (flat: number) => indices!.data[Math.floor(flat / rowSize)]! * rowSize + (flat % rowSize);
    return [ndArray(shape, (flat) => table!.data[at(flat)]!)];
  },
  emit: ({ emitter, inputs }) =>
    emitQuantizedRows(emitter, inputs[0]!, inputs[1]!) ??
    emitter.node("Gather", inputs, { attributes: { axis: 0n } }),
  gradient: ({ inputs: [table, indices], gradients: [g] }) => [
    table!.zero().broadcastTo(table!.shape).scatterAddRows(indices!, g!),
    undefined,
  ],
  samples: [
    { shapes: [[5, 3], [4]], attributes: {}, draw: ["signed", { below: 5 }] },
    {
      shapes: [
        [4, 1],
        [2, 3],
      ],
      attributes: {},
      draw: ["signed", { below: 4 }],
    },
    { shapes: [[3, 2], []], attributes: {}, draw: ["signed", { below: 3 }] },
  ],
};

/** The table with each update row added at its index; an index met twice gets both. */
export const scatterAddRows: Op<NoAttributes> = {
  name: "scatterAddRows",
  infer: ([table, indices, updates]) => {
    expectIndices("scatterAddRows", indices!);
    const expected: Shape = [...indices!.shape, ...table!.shape.slice(1)];
    if (!sameShape(expected, updates!.shape)) {
      throw new ShapeError({
        where: "scatterAddRows",
        expected: `updates ${showShape(expected)}`,
        got: showShape(updates!.shape),
      });
    }
    return [table!];
  },
  reference: ([table, indices, updates]) => {
    const data = table!.data.slice();
    const rowSize = data.length / table!.shape[0]!;
    updates!.data.forEach((value, flat) => {
      data[indices!.data[Math.floor(flat / rowSize)]! * rowSize + (flat % rowSize)]! += value;
    });
    return [{ shape: table!.shape, data }];
  },
  emit: ({ emitter, inputs: [table, indices, updates], inputSpecs }) => {
    // Not ScatterND: the runtime adds its rows on several threads and loses some of those with the same index
    // (onnxruntime issue 18048). ScatterElements adds one after the other.
    const row = staticShape(inputSpecs[0]!.shape.slice(1), "scatterAddRows");
    const lines = emitter.node("Reshape", [updates!, int64s(emitter, [-1, ...row])])[0]!;
    const column = emitter.node("Reshape", [indices!, int64s(emitter, [-1, ...row.map(() => 1)])])[0]!;
    const targets = emitter.node("Expand", [column, emitter.node("Shape", [lines])[0]!])[0]!;
    return emitter.node("ScatterElements", [table!, targets, lines], {
      attributes: { axis: 0n, reduction: "add" },
    });
  },
  gradient: ({ inputs: [, indices], gradients: [g] }) => [g!, undefined, g!.gatherRows(indices!)],
  samples: [
    {
      shapes: [[5, 3], [4], [4, 3]],
      attributes: {},
      draw: ["signed", { values: [0, 2, 2, 4] }, "signed"],
    },
    {
      shapes: [
        [2, 1],
        [3, 1],
        [3, 1, 1],
      ],
      attributes: {},
      draw: ["signed", { below: 2 }, "signed"],
    },
    { shapes: [[4], [2], [2]], attributes: {}, draw: ["signed", { below: 4 }, "signed"] },
  ],
};

/** One element per line of the last axis: x `(…, V)`, indices `(…, K)` → `(…, K)`. */
export const takeAlongLast: Op<NoAttributes> = {
  name: "takeAlongLast",
  infer: ([x, indices]) => {
    expectIndices("takeAlongLast", indices!);
    if (!sameShape(x!.shape.slice(0, -1), indices!.shape.slice(0, -1))) {
      throw new ShapeError({
        where: "takeAlongLast",
        expected: `indices ${showShape([...x!.shape.slice(0, -1), "count"])}`,
        got: showShape(indices!.shape),
      });
    }
    return [{ dtype: x!.dtype, shape: indices!.shape }];
  },
  reference: ([x, indices]) => {
    const size = x!.shape.at(-1)!;
    const count = indices!.shape.at(-1)!;
    const at = (flat: number) => Math.floor(flat / count) * size + indices!.data[flat]!;
    return [ndArray(indices!.shape, (flat) => x!.data[at(flat)]!)];
  },
  emit: ({ emitter, inputs }) => emitter.node("GatherElements", inputs, { attributes: { axis: -1n } }),
  gradient: ({ inputs: [x, indices], gradients: [g] }) => [
    x!.zero().broadcastTo(x!.shape).scatterAddAlongLast(indices!, g!),
    undefined,
  ],
  samples: [
    {
      shapes: [
        [3, 4],
        [3, 1],
      ],
      attributes: {},
      draw: ["signed", { below: 4 }],
    },
    {
      shapes: [
        [2, 1, 3],
        [2, 1, 2],
      ],
      attributes: {},
      draw: ["signed", { below: 3 }],
    },
    { shapes: [[5], [2]], attributes: {}, draw: ["signed", { below: 5 }] },
  ],
};

/** x with each update added at its index on the last axis: x `(…, V)`, indices and updates `(…, K)`. */
export const scatterAddAlongLast: Op<NoAttributes> = {
  name: "scatterAddAlongLast",
  infer: ([x, indices, updates]) => {
    expectIndices("scatterAddAlongLast", indices!);
    if (!sameShape(indices!.shape, updates!.shape)) {
      throw new ShapeError({
        where: "scatterAddAlongLast",
        expected: `updates ${showShape(indices!.shape)}`,
        got: showShape(updates!.shape),
      });
    }
    return [x!];
  },
  reference: ([x, indices, updates]) => {
    const data = x!.data.slice();
    const size = x!.shape.at(-1)!;
    const count = indices!.shape.at(-1)!;
    updates!.data.forEach((value, flat) => {
      data[Math.floor(flat / count) * size + indices!.data[flat]!]! += value;
    });
    return [{ shape: x!.shape, data }];
  },
  emit: ({ emitter, inputs }) =>
    emitter.node("ScatterElements", inputs, { attributes: { axis: -1n, reduction: "add" } }),
  gradient: ({ inputs: [, indices], gradients: [g] }) => [g!, undefined, g!.takeAlongLast(indices!)],
  samples: [
    {
      shapes: [
        [3, 4],
        [3, 2],
        [3, 2],
      ],
      attributes: {},
      draw: ["signed", { below: 4 }, "signed"],
    },
    { shapes: [[5], [3], [3]], attributes: {}, draw: ["signed", { values: [1, 1, 4] }, "signed"] },
    {
      shapes: [
        [1, 2],
        [1, 1],
        [1, 1],
      ],
      attributes: {},
      draw: ["signed", { below: 2 }, "signed"],
    },
  ],
};

/** Ones where the index equals the column, zeros elsewhere: indices `(…)` → float32 `(…, depth)`. */
export const oneHot: Op<{ readonly depth: number }> = {
  name: "oneHot",
  infer: ([indices], { depth }) => {
    expectIndices("oneHot", indices!);
    return [{ dtype: "float32", shape: [...indices!.shape, depth] }];
  },
  reference: ([indices], { depth }) => {
    const shape = [...indices!.shape, depth];
    return [
      ndArray(shape, (flat) =>
        Number(indices!.data[Math.floor(flat / depth)] === unravel(flat, shape).at(-1)),
      ),
    ];
  },
  emit: ({ emitter, inputs, inputSpecs, attributes: { depth } }) => {
    // Not ONNX's OneHot: the CPU runtime has it for few index types.
    const { dtype } = inputSpecs[0]!;
    const columns =
      dtype === "int64"
        ? BigInt64Array.from({ length: depth }, (_, i) => BigInt(i))
        : Int32Array.from({ length: depth }, (_, i) => i);
    const range = emitter.constant({ dtype, shape: [depth], data: columns });
    const column = emitter.node("Unsqueeze", [inputs[0]!, int64s(emitter, [-1])])[0]!;
    const hits = emitter.node("Equal", [column, range])[0]!;
    return emitter.node("Cast", [hits], { attributes: { to: 1n } });
  },
  samples: [
    { shapes: [[3]], attributes: { depth: 4 }, draw: [{ below: 4 }] },
    { shapes: [[2, 1]], attributes: { depth: 1 }, draw: [{ below: 1 }] },
    { shapes: [[]], attributes: { depth: 3 }, draw: [{ below: 3 }] },
  ],
};
