import path from "node:path";
import { ShapeError } from "../core/errors.ts";
import { showShape } from "../core/shape.ts";
import { isInFile, isQuantized, type StoredTensor, type Weight, type Weights } from "../core/weights.ts";
import { reachableNodes } from "../tensor/graph.ts";
import type { TensorSpec } from "../tensor/op.ts";
import type { Node, Tensor } from "../tensor/tensor.ts";
import type { Dialect } from "./dialect.ts";
import { OnnxModel } from "./onnx-model.ts";
import { readStored } from "./stored-tensor.ts";

/** A graph written out: the ONNX bytes, and what goes in and comes out by name. */
export interface LoweredGraph {
  readonly bytes: Uint8Array;
  readonly inputs: ReadonlyMap<string, TensorSpec>;
  /** Constants whose values are not in the bytes: given to the session, or mapped by it. */
  readonly constants: ReadonlyMap<string, StoredTensor>;
  /** Where the files of those constants are that lie in files; all are in one folder. */
  readonly folder: string | undefined;
  /** Whether a quantised constant becomes a dense matrix in the graph, which must not be done ahead of time. */
  readonly dequantizes: boolean;
  readonly outputs: ReadonlyMap<string, TensorSpec>;
}

/**
 * Writes everything the outputs depend on as ONNX. Inputs and parameters become graph inputs under their names, those
 * named in `constants` become constants; only those that the outputs need appear.
 *
 * @throws {ShapeError} if two different leaves share a name, an output has an input's, or a constant does not fit.
 * @throws {EnvironmentError} if a constant has to be read from its file and cannot be.
 */
export function lower(
  name: string,
  outputs: Readonly<Record<string, Tensor>>,
  dialect: Dialect,
  constants: Weights = new Map(),
): LoweredGraph {
  const model = new OnnxModel(dialect);
  const names = new Map<Tensor, string>();
  const named = new Map<string, Tensor>();
  const held = new HeldWeights(name, constants);
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
  return {
    bytes: model.toBytes(name),
    inputs: new Map([...named].filter(([leaf]) => !constants.has(leaf))),
    constants: model.held,
    folder: held.folder,
    dequantizes: model.dequantizes,
    outputs: new Map(Object.entries(outputs)),
  };
}

/** Constants by name, checked as they are taken, and with their files in one folder. */
class HeldWeights {
  readonly #program: string;
  readonly #weights: Weights;
  #folder: string | undefined;

  constructor(program: string, weights: Weights) {
    this.#program = program;
    this.#weights = weights;
  }

  get folder(): string | undefined {
    return this.#folder;
  }

  take(name: string, spec: TensorSpec): Weight | undefined {
    const weight = this.#weights.get(name);
    if (!weight) return undefined;
    this.#checkFits(name, spec, weight);
    if (isQuantized(weight)) {
      const { values, scales, zeroPoints } = weight;
      return {
        ...weight,
        values: this.#place(values),
        scales: this.#place(scales),
        ...(zeroPoints && { zeroPoints: this.#place(zeroPoints) }),
      };
    }
    return this.#place(weight);
  }

  /** The runtime maps files of one folder only; from others, tensors are read. */
  #place(tensor: StoredTensor): StoredTensor {
    if (!isInFile(tensor)) return tensor;
    const folder = path.dirname(tensor.file.path);
    this.#folder ??= folder;
    return folder === this.#folder ? tensor : readStored(tensor);
  }

  #checkFits(name: string, spec: TensorSpec, weight: Weight): void {
    const got: TensorSpec = isQuantized(weight) ? { dtype: "float32", shape: weight.shape } : weight;
    if (got.dtype === spec.dtype && got.shape.join() === spec.shape.join()) return;
    throw new ShapeError({
      where: `program ${this.#program}, tensor ${name}`,
      expected: `${spec.dtype} ${showShape(spec.shape)}`,
      got: `${got.dtype} ${showShape(got.shape)}`,
    });
  }
}

function duplicate(got: string): ShapeError {
  return new ShapeError({ where: "compile", expected: "one tensor for each name", got });
}

function emitNode(node: Node, names: ReadonlyMap<Tensor, string>, emitter: OnnxModel): readonly string[] {
  const inputs = node.inputs.map((tensor) => names.get(tensor)!);
  const { attributes } = node;
  return node.op!.emit({ emitter, inputs, inputSpecs: node.inputs, outputSpecs: node.outputs, attributes });
}

function emitLeaf(node: Node, model: OnnxModel, held: HeldWeights, named: Map<string, Tensor>): string {
  const leaf = node.leaf!;
  if (leaf.kind === "constant") return model.constant(leaf.value);
  const tensor = node.outputs[0]!;
  const name = leaf.kind === "input" ? leaf.name : leaf.path;
  if (named.has(name)) {
    throw duplicate(`two different tensors named "${name}"`);
  }
  named.set(name, tensor);
  const weight = held.take(name, tensor);
  if (weight) model.heldConstant(name, weight);
  else model.input(name, tensor);
  return name;
}
