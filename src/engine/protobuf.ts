/** Writes protocol-buffer messages: the handful of wire types ONNX uses. */
export class ProtobufWriter {
  #chunks: Uint8Array[] = [];
  #current: number[] = [];

  varint(field: number, value: bigint): this {
    this.#tag(field, 0);
    this.#varint(BigInt.asUintN(64, value));
    return this;
  }

  float(field: number, value: number): this {
    this.#tag(field, 5);
    this.#current.push(...new Uint8Array(Float32Array.of(value).buffer));
    return this;
  }

  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    this.#tag(field, 2);
    this.#varint(BigInt(value.length));
    this.#flush();
    this.#chunks.push(value);
    return this;
  }

  message(field: number, write: (writer: ProtobufWriter) => void): this {
    const inner = new ProtobufWriter();
    write(inner);
    return this.bytes(field, inner.finish());
  }

  finish(): Uint8Array {
    this.#flush();
    const total = this.#chunks.reduce((n, chunk) => n + chunk.length, 0);
    const result = new Uint8Array(total);
    let offset = 0;
    for (const chunk of this.#chunks) {
      result.set(chunk, offset);
      offset += chunk.length;
    }
    return result;
  }

  #tag(field: number, wireType: number): void {
    this.#varint(BigInt((field << 3) | wireType));
  }

  #varint(value: bigint): void {
    let rest = value;
    while (rest > 127n) {
      this.#current.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    this.#current.push(Number(rest));
  }

  #flush(): void {
    if (this.#current.length === 0) return;
    this.#chunks.push(Uint8Array.from(this.#current));
    this.#current = [];
  }
}
