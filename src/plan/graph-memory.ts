import { BYTES_PER_ELEMENT, numElements } from "../core/dtype.ts";
import { staticShape } from "../core/shape.ts";
import { isQuantized, type Weight, type Weights } from "../core/weights.ts";
import { reachableNodes } from "../tensor/graph.ts";
import * as elementwise from "../tensor/ops/elementwise.ts";
import { isOp } from "../tensor/registry.ts";
import type { Node, Tensor } from "../tensor/tensor.ts";
import { type Allocation, RuntimeArena } from "./runtime-arena.ts";

/** Operators whose result takes the place of an input that nobody needs afterwards. */
const IN_PLACE: ReadonlySet<string> = new Set([
  ...Object.values(elementwise)
    .filter(isOp)
    .map(({ name }) => name),
  ...["softmax", "logSoftmax", "crossEntropy"],
]);

/** Operators whose result is their first input's memory. */
const VIEWS: ReadonlySet<string> = new Set(["reshape", "after", "detach"]);

/** Operators that need as much as their largest result once more while they run. */
const TWICE: ReadonlySet<string> = new Set(["attention"]);

const FLOAT_BYTES = 4;

/**
 * Bytes of memory that results take while a static graph runs. Its nodes run in the order that the runtime gives them, each result lives
 * until its last use, and one for which a place is bound takes none.
 *
 * @param outputs all of them bound to memory of their own
 * @param weights of those that are quantised, a matrix in float32 exists while it is multiplied with
 */
export function graphMemory(outputs: readonly Tensor[], weights: Weights = new Map()): number {
  const order = runtimeOrder(outputs);
  const buffers = new Buffers(order, outputs);
  const arena = new RuntimeArena();
  const places = new Map<Tensor, Allocation>();
  order.forEach((node, i) => {
    const scratch = scratchOf(node, weights).map((bytes) => arena.allocate(bytes));
    for (const tensor of node.outputs) {
      const size = buffers.sizeOf(tensor);
      if (size === 0) continue;
      const replaced = buffers.replacedBy(node, size, i);
      places.set(tensor, (replaced && places.get(replaced)) ?? arena.allocate(size));
      if (replaced) places.delete(replaced);
    }
    for (const place of scratch) arena.free(place);
    for (const tensor of buffers.lastUsedAt(i)) {
      const place = places.get(tensor);
      if (place) arena.free(place);
      places.delete(tensor);
    }
  });
  return arena.touchedBytes;
}

/**
 * The order of ONNX Runtime's sequential executor: depth first from the nodes whose results nobody takes, the last one first; and of a
 * node's inputs the one made last.
 */
function runtimeOrder(outputs: readonly Tensor[]): readonly Node[] {
  const nodes = reachableNodes(outputs).filter(({ op }) => op);
  const taken = new Set(nodes.flatMap(({ inputs }) => inputs.map(({ node }) => node)));
  const stack = nodes.filter((node) => !taken.has(node)).map((node) => ({ node, isDone: false }));
  const seen = new Set<Node>();
  const order: Node[] = [];
  for (let top = stack.pop(); top; top = stack.pop()) {
    const { node, isDone } = top;
    if (isDone) order.push(node);
    if (isDone || seen.has(node)) continue;
    seen.add(node);
    stack.push({ node, isDone: true });
    const sources = new Set(node.inputs.map((tensor) => tensor.node).filter(({ op }) => op));
    for (const source of [...sources].sort((a, b) => a.id - b.id))
      stack.push({ node: source, isDone: false });
  }
  return order;
}

/** Which memory each result lies in, and until when. */
class Buffers {
  /** The result whose memory a tensor shares. */
  readonly #owners = new Map<Tensor, Tensor>();
  readonly #lastUse = new Map<Tensor, number>();
  readonly #usedLast: Tensor[][];
  readonly #bound: ReadonlySet<Tensor>;

  constructor(order: readonly Node[], outputs: readonly Tensor[]) {
    this.#bound = new Set(outputs);
    for (const { op, inputs, outputs: made } of order) {
      if (VIEWS.has(op!.name)) this.#owners.set(made[0]!, this.#owner(inputs[0]!));
    }
    order.forEach(({ inputs, outputs: made }, i) => {
      for (const tensor of [...inputs, ...made]) this.#lastUse.set(this.#owner(tensor), i);
    });
    this.#usedLast = order.map(() => []);
    for (const [tensor, i] of this.#lastUse) this.#usedLast[i]!.push(tensor);
  }

  /** Bytes of memory of its own that a result takes. */
  sizeOf(tensor: Tensor): number {
    const hasMemory = tensor.node.op && !this.#bound.has(tensor) && !this.#owners.has(tensor);
    return hasMemory ? tensorBytes(tensor) : 0;
  }

  /** The result whose memory a node's result of that size takes over. */
  replacedBy({ op, inputs }: Node, size: number, step: number): Tensor | undefined {
    if (!IN_PLACE.has(op!.name)) return undefined;
    return inputs
      .map((input) => this.#owner(input))
      .find((owner) => this.sizeOf(owner) === size && this.#lastUse.get(owner) === step);
  }

  /** Results that nobody needs after that step. */
  lastUsedAt(step: number): readonly Tensor[] {
    return this.#usedLast[step]!;
  }

  #owner(tensor: Tensor): Tensor {
    return this.#owners.get(tensor) ?? tensor;
  }
}

/** What a node needs only while it runs, each in memory of its own. */
function scratchOf({ op, inputs, outputs }: Node, weights: Weights): readonly number[] {
  if (TWICE.has(op!.name)) return [Math.max(...outputs.map(tensorBytes))];
  if (op!.name !== "matmul" && op!.name !== "linear") return [];
  return inputs.flatMap(({ node: { leaf } }) =>
    leaf?.kind === "parameter" ? denseParts(weights.get(leaf.path)) : [],
  );
}

function denseParts(weight: Weight | undefined): readonly number[] {
  if (!weight || !isQuantized(weight)) return [];
  const bytes = FLOAT_BYTES * numElements(weight.shape);
  return weight.scheme === "nf4" ? [bytes / 2, bytes, bytes] : [bytes];
}

function tensorBytes({ shape, dtype }: Tensor): number {
  return numElements(staticShape(shape, "forecast")) * BYTES_PER_ELEMENT[dtype];
}
