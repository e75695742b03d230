import { ShapeError } from "../core/errors.ts";
import { showShape } from "../core/shape.ts";
import { reachableNodes } from "./graph.ts";
import { Recomputation } from "./recompute.ts";
import type { Node, Tensor } from "./tensor.ts";

export interface GradientOptions {
  /**
   * Keeps only a few results of the way to the scalar and works the others out once more when their gradients are (Chen et al. 2016,
   * "Training Deep Nets with Sublinear Memory Cost"): less memory for the work of another pass, and the same gradients. All sizes
   * have to be known.
   */
  readonly recompute?: boolean;
}

/**
 * Gradients of a scalar by each of `wrt`, as graph extensions (reverse mode). A tensor the scalar does not depend on
 * gets zeros of its shape.
 *
 * @throws {ShapeError} if `of` is not a scalar, or passes through an operator without a gradient on the way to a
 *   requested tensor.
 * @example
 * const x = input("x", "float32", []);
 * const [dx] = gradients(x.mul(x), [x]); // 2x
 */
export function gradients(
  of: Tensor,
  wrt: readonly Tensor[],
  { recompute = false }: GradientOptions = {},
): readonly Tensor[] {
  if (of.shape.length > 0) {
    throw new ShapeError({
      where: "gradients",
      expected: "a scalar",
      got: showShape(of.shape),
      fix: "Sum it first.",
    });
  }
  const nodes = reachableNodes([of]);
  const active = nodesBetween(nodes, wrt);
  const collected = new Map<Tensor, Tensor>([[of, of.scalar(1)]]);
  const recomputation = recompute ? new Recomputation(nodes, of, wrt) : undefined;
  for (const node of nodes.reverse()) {
    if (!active.has(node) || !node.op) continue;
    const byOutputs = node.outputs.map((output) => collected.get(output));
    if (byOutputs.every((g) => g === undefined)) continue;
    const { inputs, outputs } = recomputation?.enter(node, collected) ?? node;
    propagate({ ...node, inputs, outputs }, node.inputs, byOutputs, active, collected);
  }
  return wrt.map((tensor) => collected.get(tensor) ?? tensor.zero().broadcastTo(tensor.shape));
}

/** Nodes that depend on any of `wrt`: the only ones worth differentiating. */
function nodesBetween(nodes: readonly Node[], wrt: readonly Tensor[]): Set<Node> {
  const active = new Set<Node>(wrt.map((tensor) => tensor.node));
  for (const node of nodes) {
    if (node.op?.stopsGradient) continue;
    if (node.inputs.some((tensor) => active.has(tensor.node))) active.add(node);
  }
  return active;
}

/** @param targets the node's inputs as the graph has them, which is where their gradients are collected */
function propagate(
  node: Node,
  targets: readonly Tensor[],
  byOutputs: readonly (Tensor | undefined)[],
  active: ReadonlySet<Node>,
  collected: Map<Tensor, Tensor>,
): void {
  const { op, inputs, outputs, attributes } = node;
  if (!op?.gradient) {
    throw new ShapeError({
      where: "gradients",
      expected: "differentiable operators between the scalar and what it is differentiated by",
      got: op?.name ?? "a leaf",
    });
  }
  const byInputs = op.gradient({ inputs, outputs, gradients: byOutputs, attributes });
  targets.forEach((tensor, i) => {
    const g = byInputs[i];
    if (g === undefined || !active.has(tensor.node)) return;
    const before = collected.get(tensor);
    collected.set(tensor, before ? accumulate(before, g) : g);
  });
}

/** `a + b`; a scatter into zeros is redirected into the other term, which saves a pass over an embedding table. */
function accumulate(a: Tensor, b: Tensor): Tensor {
  for (const [scattered, other] of [
    [b, a],
    [a, b],
  ] as const) {
    const { op, inputs } = scattered.node;
    if (op?.name === "scatterAddRows" && inputs[0]!.node.op?.name === "broadcastTo") {
      return other.scatterAddRows(inputs[1]!, inputs[2]!);
    }
  }
  return a.add(b);
}

/** The gradient of a scalar function of tensors by all its arguments. See {@link valueAndGrad}. */
export function grad(f: (...args: Tensor[]) => Tensor): (...args: Tensor[]) => readonly Tensor[] {
  return (...args) => gradients(f(...args), args);
}

/**
 * Turns a scalar function of tensors into one that yields its value and its gradients by all arguments.
 *
 * @example
 * const { value, gradients } = valueAndGrad((w) => w.mul(w).sum())(parameter("w", [3]));
 */
export function valueAndGrad(
  f: (...args: Tensor[]) => Tensor,
): (...args: Tensor[]) => { value: Tensor; gradients: readonly Tensor[] } {
  return (...args) => {
    const value = f(...args);
    return { value, gradients: gradients(value, args) };
  };
}
