import type { Node, Tensor } from "./tensor.ts";

/** Every node the tensors depend on, in an order in which they can be computed. */
export function reachableNodes(tensors: Iterable<Tensor>): Node[] {
  const seen = new Set<Node>();
  const waiting = [...tensors].map((tensor) => tensor.node);
  for (let node = waiting.pop(); node; node = waiting.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    for (const { node: source } of node.inputs) if (!seen.has(source)) waiting.push(source);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** Tensors by name, such as a program's results. */
export type Named<T> = Readonly<Record<string, T>>;
