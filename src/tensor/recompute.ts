import { cutGraph } from "./cuts.ts";
import { apply, type Node, type Tensor } from "./tensor.ts";

/**
 * Works the results of a graph out once more while its gradients are taken, segment by segment from the back. Only what crosses from
 * one segment to the next is kept in between.
 *
 * The copy of a segment starts from what crosses into it, held back until the gradients behind the segment are there: the runtime orders
 * nodes by what they need and nothing else. That all gradients behind are waited for, those of parameters as well, lets go of
 * the copy before.
 */
export class Recomputation {
  readonly #segmentOf = new Map<Node, readonly Node[]>();
  readonly #flowing: ReadonlySet<Tensor>;
  readonly #trained: ReadonlySet<Tensor>;
  /** The gradients that had been collected when the current segment was entered. */
  #known: ReadonlyMap<Tensor, Tensor> = new Map();
  #current: readonly Node[] | undefined;
  /** What stands for the tensors of the current segment, and for those that cross into it. */
  #copies = new Map<Tensor, Tensor>();

  constructor(nodes: readonly Node[], end: Tensor, wrt: readonly Tensor[]) {
    const { segments, flowing } = cutGraph(nodes, end);
    this.#flowing = flowing;
    this.#trained = new Set(wrt);
    for (const segment of segments) for (const node of segment) this.#segmentOf.set(node, segment);
    this.#current = segments.at(-1);
  }

  /**
   * The node's inputs and outputs as its gradient shall see them. Nodes come in falling order.
   *
   * @param collected gradients so far, by the tensors of the graph
   */
  enter(
    node: Node,
    collected: ReadonlyMap<Tensor, Tensor>,
  ): { readonly inputs: readonly Tensor[]; readonly outputs: readonly Tensor[] } {
    const segment = this.#segmentOf.get(node)!;
    if (segment !== this.#current) this.#copy(segment, collected);
    const current = (tensor: Tensor) => this.#copies.get(tensor) ?? tensor;
    return { inputs: node.inputs.map(current), outputs: node.outputs.map(current) };
  }

  #copy(segment: readonly Node[], collected: ReadonlyMap<Tensor, Tensor>): void {
    const arrived = [...collected].filter(
      ([of, gradient]) => this.#known.get(of) !== gradient && this.#segmentOf.get(of.node) !== this.#current,
    );
    const gradients = arrived.map(([, gradient]) => gradient);
    this.#current = segment;
    this.#known = new Map(collected);
    this.#copies = new Map();
    for (const node of segment) this.#copyNode(node, gradients);
  }

  #copyNode(node: Node, gradients: readonly Tensor[]): void {
    const inputs = node.inputs.map((tensor) => {
      const known = this.#copies.get(tensor);
      if (known || !this.#flowing.has(tensor)) return known ?? tensor;
      const held = tensor.after(gradients);
      this.#copies.set(tensor, held);
      return held;
    });
    if (inputs.every((tensor, i) => tensor === node.inputs[i])) {
      const first = this.#leafToHold(node);
      if (first < 0) return;
      inputs[first] = inputs[first]!.after(gradients);
    }
    apply(node.op!, inputs, node.attributes).forEach((copy, i) => {
      this.#copies.set(node.outputs[i]!, copy);
    });
  }

  /** Of a node that starts from leaves alone, the one to hold back; a frozen parameter may be a constant that is best left alone. */
  #leafToHold({ inputs }: Node): number {
    const isInput = inputs.findIndex(({ node }) => node.leaf?.kind === "input");
    return isInput >= 0 ? isInput : inputs.findIndex((tensor) => this.#trained.has(tensor));
  }
}
