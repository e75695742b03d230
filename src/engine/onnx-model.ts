import { createHash } from "node:crypto";
import path from "node:path";
import type { HostTensor } from "../core/dtype.ts";
import {
  isInFile,
  isQuantized,
  type QuantizedTensor,
  type StoredTensor,
  type Weight,
} from "../core/weights.ts";
import type { AttributeValue, Emitter, NodeOptions, QuantizedConstant, TensorSpec } from "../tensor/op.ts";
import { ONNX_TYPE } from "../tensor/ops/compare.ts";
import { emitDequantized } from "../tensor/ops/quantized.ts";
import type { Dialect } from "./dialect.ts";
import { ProtobufWriter } from "./protobuf.ts";
import { byteLength } from "./stored-tensor.ts";

// Field numbers below are those of onnx/onnx.proto (IR version 10).

const IR_VERSION = 10n;
const OPSET = 21n;
const MICROSOFT_OPSET = 1n;

/** ONNX's codes for the kinds of attribute values (`AttributeProto.AttributeType`). */
const FLOAT = 1n;
const INT = 2n;
const STRING = 3n;
const FLOATS = 6n;
const INTS = 7n;

/** Collects nodes and constants and writes them as an ONNX file. */
export class OnnxModel implements Emitter {
  readonly dialect: Dialect;
  readonly #nodes: OnnxNode[] = [];
  readonly #constants = new Map<string, { readonly name: string; readonly tensor: HostTensor }>();
  readonly #held = new Map<string, StoredTensor>();
  readonly #quantized = new Map<string, QuantizedTensor>();
  /** Names of quantised constants → the nodes' result that is the matrix, where one was needed. */
  readonly #dequantized = new Map<string, string>();
  /** Shapes of results that the runtime is told. */
  readonly #told = new Map<string, TensorSpec>();
  readonly #inputs: Uint8Array[] = [];
  readonly #outputs: Uint8Array[] = [];
  /** Internal names of results → the names they leave under. */
  readonly #renamed = new Map<string, string>();
  #nextName = 0;
  #usesMicrosoft = false;

  constructor(dialect: Dialect) {
    this.dialect = dialect;
  }

  supports(type: string): boolean {
    return this.dialect.extras.has(type);
  }

  node(type: string, inputs: readonly string[], options: NodeOptions = {}): readonly string[] {
    const { numOutputs = 1, domain = "", attributes = {}, outputSpecs = [] } = options;
    const outputs = Array.from({ length: numOutputs }, () => `_t${this.#nextName++}`);
    if (domain) this.#usesMicrosoft = true;
    const dense = inputs.map((name) => this.#denseName(name));
    this.#nodes.push({ type, inputs: dense, outputs, domain, attributes });
    outputSpecs.forEach((spec, i) => {
      this.#told.set(outputs[i]!, spec);
    });
    return outputs;
  }

  quantized(name: string): QuantizedConstant | undefined {
    const weight = this.#quantized.get(name);
    if (!weight) return undefined;
    const { scheme, blockSize, shape, axis, zeroPoints } = weight;
    return {
      scheme,
      blockSize,
      axis,
      rows: shape[1 - axis]!,
      rowSize: shape[axis]!,
      hasZeroPoints: zeroPoints !== undefined,
      part: (part, partShape) => {
        const partName = `${name} ${part} [${partShape}]`;
        this.#held.set(partName, { ...weight[part]!, shape: partShape });
        return partName;
      },
    };
  }

  /** A quantised constant is not a value of the graph: what needs one gets the matrix, made when first asked for. */
  #denseName(name: string): string {
    const constant = this.quantized(name);
    if (!constant) return name;
    const known = this.#dequantized.get(name) ?? emitDequantized(this, constant);
    this.#dequantized.set(name, known);
    return known;
  }

  constant(tensor: HostTensor): string {
    const bytes = bytesOf(tensor);
    const digest = createHash("sha256").update(bytes).digest("base64");
    const key = `${tensor.dtype}[${tensor.shape}]${digest}`;
    const known = this.#constants.get(key);
    if (known) return known.name;
    const name = `_c${this.#constants.size}`;
    this.#constants.set(key, { name, tensor });
    return name;
  }

  input(name: string, spec: TensorSpec): void {
    this.#inputs.push(valueInfo(name, spec));
  }

  /** A constant whose values are not in the graph: they are given with the session, or lie in a file. */
  heldConstant(name: string, weight: Weight): void {
    if (isQuantized(weight)) this.#quantized.set(name, weight);
    else this.#held.set(name, weight);
  }

  /** The constants of {@link heldConstant} that are part of the graph, in the shapes it takes them in. */
  get held(): ReadonlyMap<string, StoredTensor> {
    return this.#held;
  }

  /** Whether a constant is dequantised in the graph, which must not happen ahead of time. */
  get dequantizes(): boolean {
    return this.#dequantized.size > 0;
  }

  /** Names a result of the graph. A computed tensor is renamed; one that has a name already is copied. */
  output(name: string, from: string, spec: TensorSpec): void {
    const isComputed = this.#nodes.some(({ outputs }) => outputs.includes(from));
    if (isComputed && !this.#renamed.has(from)) this.#renamed.set(from, name);
    else this.#renamed.set(this.node("Identity", [from])[0]!, name);
    this.#outputs.push(valueInfo(name, spec));
  }

  toBytes(graphName: string): Uint8Array {
    const graph = new ProtobufWriter();
    for (const node of this.#nodes) graph.message(1, (writer) => writeNode(writer, node, this.#renamed));
    graph.string(2, graphName);
    for (const { name, tensor } of this.#constants.values()) {
      graph.message(5, (writer) => writeTensor(writer, name, tensor));
    }
    for (const [name, tensor] of this.#held)
      graph.message(5, (writer) => writeHeldTensor(writer, name, tensor));
    for (const value of this.#inputs) graph.bytes(11, value);
    for (const value of this.#outputs) graph.bytes(12, value);
    for (const [name, spec] of this.#told) {
      if (!this.#renamed.has(name)) graph.bytes(13, valueInfo(name, spec));
    }
    const model = new ProtobufWriter().varint(1, IR_VERSION).string(2, "plinth");
    model.bytes(7, graph.finish());
    model.message(8, (writer) => writer.string(1, "").varint(2, OPSET));
    if (this.#usesMicrosoft) {
      model.message(8, (writer) => writer.string(1, "com.microsoft").varint(2, MICROSOFT_OPSET));
    }
    return model.finish();
  }
}

interface OnnxNode {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain: string;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

function writeNode(writer: ProtobufWriter, node: OnnxNode, renamed: ReadonlyMap<string, string>): void {
  for (const name of node.inputs) writer.string(1, renamed.get(name) ?? name);
  for (const name of node.outputs) writer.string(2, renamed.get(name) ?? name);
  writer.string(4, node.type);
  for (const [name, value] of Object.entries(node.attributes)) {
    writer.message(5, (attribute) => writeAttribute(attribute, name, value));
  }
  if (node.domain) writer.string(7, node.domain);
}

function writeAttribute(writer: ProtobufWriter, name: string, value: AttributeValue): void {
  writer.string(1, name);
  if (typeof value === "number") writer.float(2, value).varint(20, FLOAT);
  else if (typeof value === "bigint") writer.varint(3, value).varint(20, INT);
  else if (typeof value === "string") writer.string(4, value).varint(20, STRING);
  else if (value.every((item) => typeof item === "bigint")) {
    for (const item of value) writer.varint(8, item);
    writer.varint(20, INTS);
  } else {
    for (const item of value as readonly number[]) writer.float(7, item);
    writer.varint(20, FLOATS);
  }
}

function writeTensor(writer: ProtobufWriter, name: string, tensor: HostTensor): void {
  for (const size of tensor.shape) writer.varint(1, BigInt(size));
  writer.varint(2, ONNX_TYPE[tensor.dtype]).string(8, name).bytes(9, bytesOf(tensor));
}

/**
 * A tensor of `TensorProto.EXTERNAL` data. The place of one in memory is never looked at; one in a file is mapped, by its
 * plain name in the folder that the session is told.
 */
function writeHeldTensor(writer: ProtobufWriter, name: string, tensor: StoredTensor): void {
  for (const size of tensor.shape) writer.varint(1, BigInt(size));
  writer.varint(2, ONNX_TYPE[tensor.dtype]).string(8, name);
  const place = isInFile(tensor)
    ? {
        location: path.basename(tensor.file.path),
        offset: `${tensor.byteOffset}`,
        length: `${byteLength(tensor)}`,
      }
    : { location: "memory" };
  for (const [key, value] of Object.entries(place)) {
    writer.message(13, (entry) => entry.string(1, key).string(2, value));
  }
  writer.varint(14, 1n);
}

function valueInfo(name: string, { dtype, shape }: TensorSpec): Uint8Array {
  const writer = new ProtobufWriter().string(1, name);
  writer.message(2, (type) =>
    type.message(1, (tensor) => {
      tensor.varint(1, ONNX_TYPE[dtype]);
      tensor.message(2, (dims) => {
        for (const dim of shape) {
          dims.message(1, (size) =>
            typeof dim === "number" ? size.varint(1, BigInt(dim)) : size.string(2, dim),
          );
        }
      });
    }),
  );
  return writer.finish();
}

function bytesOf({ data }: HostTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
