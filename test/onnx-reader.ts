// Reads ONNX files back, by the wire format of protocol buffers and the field numbers of onnx.proto: written apart from
// `src/engine/protobuf.ts`, so that the two can only agree on what the format is.

/** A message: the values of each field in order, as integers, raw 32-bit words or bytes. */
type Message = ReadonlyMap<number, readonly (bigint | Uint8Array)[]>;

export interface OnnxNode {
  readonly type: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, { readonly type: number; readonly fields: readonly number[] }>;
}

export interface OnnxValue {
  readonly name: string;
  readonly elementType: number;
  readonly shape: readonly (number | string)[];
}

export interface OnnxTensor {
  readonly name: string;
  readonly elementType: number;
  readonly shape: readonly number[];
  readonly numBytes: number;
}

export interface OnnxFile {
  readonly irVersion: number;
  readonly opsets: ReadonlyMap<string, number>;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

export function readOnnx(bytes: Uint8Array): OnnxFile {
  const model = readMessage(bytes);
  const graph = child(model, 7);
  const opsets = children(model, 8).map((opset) => [text(opset, 1), integer(opset, 2)] as const);
  return {
    irVersion: integer(model, 1),
    opsets: new Map(opsets),
    nodes: children(graph, 1).map(toNode),
    initializers: children(graph, 5).map((tensor) => ({
      name: text(tensor, 8),
      elementType: integer(tensor, 2),
      shape: (tensor.get(1) ?? []).map(Number),
      numBytes: (tensor.get(9)![0] as Uint8Array).length,
    })),
    inputs: children(graph, 11).map(toValue),
    outputs: children(graph, 12).map(toValue),
  };
}

function toNode(node: Message): OnnxNode {
  const attributes = children(node, 5).map((attribute) => {
    const fields = [...attribute.keys()].filter((field) => field !== 1 && field !== 20);
    return [text(attribute, 1), { type: integer(attribute, 20), fields }] as const;
  });
  return {
    type: text(node, 4),
    domain: node.has(7) ? text(node, 7) : "",
    inputs: (node.get(1) ?? []).map(decode),
    outputs: (node.get(2) ?? []).map(decode),
    attributes: new Map(attributes),
  };
}

function toValue(value: Message): OnnxValue {
  const tensor = child(child(value, 2), 1);
  const dims = children(child(tensor, 2), 1);
  return {
    name: text(value, 1),
    elementType: integer(tensor, 1),
    shape: dims.map((dim) => (dim.has(1) ? integer(dim, 1) : text(dim, 2))),
  };
}

function readMessage(bytes: Uint8Array): Message {
  const fields = new Map<number, (bigint | Uint8Array)[]>();
  let at = 0;
  const readVarint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new RangeError("the message ends within a number");
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (count: number): Uint8Array => {
    if (at + count > bytes.length) throw new RangeError("the message ends within a field");
    at += count;
    return bytes.subarray(at - count, at);
  };
  while (at < bytes.length) {
    const tag = Number(readVarint());
    const [field, wireType] = [tag >> 3, tag & 7];
    if (wireType !== 0 && wireType !== 2 && wireType !== 5) throw new RangeError(`wire type ${wireType}`);
    const value = wireType === 0 ? readVarint() : take(wireType === 5 ? 4 : Number(readVarint()));
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}

function children(message: Message, field: number): Message[] {
  return (message.get(field) ?? []).map((bytes) => readMessage(bytes as Uint8Array));
}

function child(message: Message, field: number): Message {
  return readMessage((message.get(field)?.[0] ?? new Uint8Array(0)) as Uint8Array);
}

function integer(message: Message, field: number): number {
  return Number(message.get(field)?.[0] ?? 0n);
}

function text(message: Message, field: number): string {
  return decode(message.get(field)?.[0] ?? new Uint8Array(0));
}

function decode(bytes: bigint | Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes as Uint8Array);
}
