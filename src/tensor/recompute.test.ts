import { describe, expect, test } from "vitest";
import { Random } from "../core/random.ts";
import { interpret } from "../engine/interpreter.ts";
import { cutGraph } from "./cuts.ts";
import { gradients } from "./gradient.ts";
import { reachableNodes } from "./graph.ts";
import { type NdArray, ndArray } from "./nd-array.ts";
import { input, parameter, type Tensor } from "./tensor.ts";

const WIDTH = 4;

/** A residual stream past layers that each make a wide result, and its sum of squares. */
function residual(numLayers: number, dtype: "float32" | "float64" = "float64") {
  const weights = Array.from({ length: numLayers }, (_, i) => parameter(`w${i}`, [WIDTH, 3 * WIDTH], dtype));
  let x = input("x", dtype, [2, WIDTH]).mul(parameter("scale", [WIDTH], dtype));
  for (const weight of weights) {
    const wide = x.matmul(weight).tanh();
    x = x.add(wide.matmul(weight, { transposeB: true }));
  }
  return { weights, loss: x.mul(x).sum() };
}

function feedsOf(tensors: readonly Tensor[]): Record<string, NdArray> {
  const random = new Random(1);
  const leaves = reachableNodes(tensors).filter(({ leaf }) => leaf && leaf.kind !== "constant");
  return Object.fromEntries(
    leaves.map(({ leaf, outputs }) => [
      leaf!.kind === "input" ? leaf!.name : (leaf as { path: string }).path,
      ndArray(outputs[0]!.shape as number[], () => random.normal()),
    ]),
  );
}

/** How often each operator is in the graph of the tensors. */
function countOps(tensors: readonly Tensor[], name: string): number {
  return reachableNodes(tensors).filter(({ op }) => op?.name === name).length;
}

describe("cuts", () => {
  test("lie where nothing but the residual stream passes, and segments grow with the root of the depth", () => {
    const { loss } = residual(64, "float32");
    const { segments } = cutGraph(reachableNodes([loss]), loss);
    expect(segments.length).toBeGreaterThan(4);
    expect(segments.length).toBeLessThan(40);
    for (const segment of segments.slice(0, -1)) expect(segment.at(-1)!.op!.name).toBe("add");
    const ends = segments.slice(0, -1).map((segment) => segment.at(-1)!.outputs[0]!);
    // 2 × 4 numbers each: the stream alone.
    for (const end of ends) expect(end.shape).toEqual([2, WIDTH]);
  });

  test("no cuts where everything is wide from beginning to end", () => {
    const x = input("x", "float32", [8]).mul(parameter("p", [8]));
    expect(cutGraph(reachableNodes([x.sum()]), x.sum()).segments).toHaveLength(1);
  });

  test("two streams side by side are cut together", () => {
    const [a, b] = [residual(16).loss, residual(16).loss];
    const loss = a.sub(b).sigmoid();
    expect(cutGraph(reachableNodes([loss]), loss).segments.length).toBeGreaterThan(4);
  });
});

describe("gradients with recomputation", () => {
  test("are those without, bit for bit, in float64", () => {
    const { weights, loss } = residual(24);
    const plain = gradients(loss, weights);
    const again = gradients(loss, weights, { recompute: true });
    const feeds = feedsOf(plain);
    expect(interpret(again, feeds)).toEqual(interpret(plain, feeds));
    expect(countOps(again, "tanh")).toBeGreaterThan(countOps(plain, "tanh"));
    expect(countOps(again, "tanh")).toBeLessThanOrEqual(2 * 24);
  });

  test("by a few parameters only, by an input, and by a result on the way", () => {
    const { weights, loss } = residual(24);
    const x = reachableNodes([loss]).find(({ leaf }) => leaf?.kind === "input")!.outputs[0]!;
    const inner = reachableNodes([loss]).filter(({ op }) => op?.name === "add")[11]!.outputs[0]!;
    for (const wrt of [[weights[20]!], [weights[3]!, weights[9]!], [x], [inner, weights[2]!]]) {
      const plain = gradients(loss, wrt);
      const again = gradients(loss, wrt, { recompute: true });
      const feeds = feedsOf([...plain, loss]);
      expect(interpret(again, feeds)).toEqual(interpret(plain, feeds));
    }
  });

  test("a mask that every layer uses is not in the way of cuts, nor is what parameters alone make", () => {
    const mask = input("mask", "int32", [2]).greater(0).reshape([2, 1]);
    const weights = Array.from({ length: 24 }, (_, i) => parameter(`w${i}`, [WIDTH, 3 * WIDTH], "float64"));
    const shared = parameter("bias", [3 * WIDTH], "float64").exp();
    let x = input("x", "float64", [2, WIDTH]).mul(parameter("scale", [WIDTH], "float64"));
    for (const weight of weights) {
      const norm = weight.mul(weight).sum(0, true).sqrt();
      const wide = mask.where(x.matmul(weight.div(norm)).add(shared), x.zero()).tanh();
      x = x.add(wide.matmul(weight, { transposeB: true }));
    }
    const wrt = [...weights, reachableNodes([shared])[0]!.outputs[0]!];
    const plain = gradients(x.sum(), wrt);
    const again = gradients(x.sum(), wrt, { recompute: true });
    const feeds = { ...feedsOf(plain), mask: ndArray([2], (i) => i) };
    expect(interpret(again, feeds)).toEqual(interpret(plain, feeds));
    expect(countOps(again, "tanh")).toBeGreaterThan(24);
    // What a weight alone makes is made again, too, instead of being kept.
    expect(countOps(again, "div")).toBeGreaterThan(countOps(plain, "div"));
  });

  test("sizes have to be known", () => {
    const loss = input("x", "float32", ["n"]).mul(parameter("p", [])).sum();
    expect(() => gradients(loss, [], { recompute: true })).toThrow(
      "recompute: expected sizes that are all known",
    );
  });
});
