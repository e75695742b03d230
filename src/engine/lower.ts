import { ShapeError } from "../core/errors.ts";
import { reachableNodes } from "../tensor/graph.ts";
import type { TensorSpec } from "../tensor/op.ts";
import type { Node, Tensor } from "../tensor/tensor.ts";
import type { Dialect } from "./dialect.ts";
import { OnnxModel } from "./onnx-model.ts";

/** A graph written out: the ONNX bytes, and what goes in and comes out by name. */
export interface LoweredGraph {
  readonly bytes: Uint8Array;
  readonly inputs: ReadonlyMap<string, TensorSpec>;
  /** Leaves that are constants of the program, whose values its session is given. */
  readonly constants: ReadonlyMap<string, TensorSpec>;
  readonly outputs: ReadonlyMap<string, TensorSpec>;
}

/**
 * Writes everything the outputs depend on as ONNX. Inputs and parameters become graph inputs under their names, those
 * named in `constants` become constants; only those that the outputs need appear.
 *
 * @throws {ShapeError} if two different leaves share a name, or an output has an input's.
 */
export function lower(
  name: string,
  outputs: Readonly<Record<string, Tensor>>,
  dialect: Dialect,
  constants: Iterable<string> = [],
): LoweredGraph {
  const model = new OnnxModel(dialect);
  const names = new Map<Tensor, string>();
  const named = new Map<string, Tensor>();
  const held = new Set(constants);
  for (const node of reachableNodes(Object.values(outputs))) {
    const emitted = node.op ? emitNode(node, names, model) : [emitLeaf(node, model, held, named)];
    node.outputs.forEach((tensor, i) => {
      names.set(tensor, emitted[i]!);
    });
  }
  for (const [outputName, tensor] of Object.entries(outputs)) {
    if (named.has(outputName)) throw duplicate(`an input and an output named "${outputName}"`);
    model.output(outputName, names.get(tensor)!, tensor);
  }
  const leaves = [...named];
  return {
    bytes: model.toBytes(name),
    inputs: new Map(leaves.filter(([leaf]) => !held.has(leaf))),
    constants: new Map(leaves.filter(([leaf]) => held.has(leaf))),
    outputs: new Map(Object.entries(outputs)),
  };
}

function duplicate(got: string): ShapeError {
  return new ShapeError({ where: "compile", expected: "one tensor for each name", got });
}

function emitNode(node: Node, names: ReadonlyMap<Tensor, string>, emitter: OnnxModel): readonly string[] {
  const inputs = node.inputs.map((tensor) => names.get(tensor)!);
  const { attributes } = node;
  return node.op!.emit({ emitter, inputs, inputSpecs: node.inputs, outputSpecs: node.outputs, attributes });
}

function emitLeaf(
  node: Node,
  model: OnnxModel,
  held: ReadonlySet<string>,
  named: Map<string, Tensor>,
): string {
  const leaf = node.leaf!;
  if (leaf.kind === "constant") return model.constant(leaf.value);
  const tensor = node.outputs[0]!;
  const name = leaf.kind === "input" ? leaf.name : leaf.path;
  if (named.has(name)) {
    throw duplicate(`two different tensors named "${name}"`);
  }
  named.set(name, tensor);
  if (held.has(name)) model.heldConstant(name, tensor);
  else model.input(name, tensor);
  return name;
}
