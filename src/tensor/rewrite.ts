import { reachableNodes } from "./graph.ts";
import { apply, type Node, type Tensor } from "./tensor.ts";

/**
 * What becomes of an operator: the tensors that stand for its outputs, or `undefined` to leave it as it is. `inputs` are the node's own,
 * rewritten already; what a rule builds is not shown to it again.
 */
export type Rule = (node: Node, inputs: readonly Tensor[]) => readonly Tensor[] | undefined;

/**
 * A graph with some of its operators replaced: nodes are met in order of computation, and those behind a replaced one are
 * applied anew. The graph given stays as it is.
 *
 * @param from tensors that the graph continues: they, and what lies before them, are left alone
 * @example
 * const doubled = rewrite([y], (node, inputs) =>
 *   node.op?.name === "tanh" ? [apply(node.op, inputs, node.attributes)[0]!.mul(2)] : undefined);
 */
export function rewrite(
  outputs: readonly Tensor[],
  rule: Rule,
  from: readonly Tensor[] = [],
): readonly Tensor[] {
  const kept = new Set(reachableNodes(from));
  const replaced = new Map<Tensor, Tensor>();
  const current = (tensor: Tensor) => replaced.get(tensor) ?? tensor;
  for (const node of reachableNodes(outputs)) {
    if (kept.has(node) || !node.op) continue;
    const inputs = node.inputs.map(current);
    const isTouched = inputs.some((tensor, i) => tensor !== node.inputs[i]);
    const results =
      rule(node, inputs) ?? (isTouched ? apply(node.op, inputs, node.attributes) : node.outputs);
    node.outputs.forEach((output, i) => {
      if (results[i] !== output) replaced.set(output, results[i]!);
    });
  }
  return outputs.map(current);
}
