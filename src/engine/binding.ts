import type { HostTensor } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { suggest } from "../core/nearest.ts";
import type { TensorSpec } from "../tensor/op.ts";
import type { OrtLibrary, Pointer } from "./ort-library.ts";

type Wrap = (name: string, tensor: HostTensor, spec: TensorSpec) => Pointer;

interface Signature {
  readonly name: string;
  readonly inputs: ReadonlyMap<string, TensorSpec>;
  readonly outputs: ReadonlyMap<string, TensorSpec>;
}

/** Tensors tied to the inputs and outputs of a program: their memory is read and written in place. */
export class Binding {
  readonly inputs: Slots;
  readonly outputs: Slots;
  readonly #program: Signature;
  readonly #wrap: Wrap;

  constructor(library: OrtLibrary, program: Signature, wrap: Wrap) {
    this.#program = program;
    this.#wrap = wrap;
    this.inputs = new Slots(library, [...program.inputs.keys()]);
    this.outputs = new Slots(library, [...program.outputs.keys()]);
  }

  /**
   * Fixes the memory of an input or output.
   *
   * @throws {ShapeError} if the name is unknown or shape or dtype do not fit.
   */
  bind(name: string, tensor: HostTensor): void {
    const { inputs, outputs } = this.#program;
    const spec = inputs.get(name) ?? outputs.get(name);
    if (!spec) throw this.#unknown(name);
    const slots = inputs.has(name) ? this.inputs : this.outputs;
    slots.bind(name, this.#wrap(name, tensor, spec), tensor);
  }

  /** A value for the next run only. */
  feed(name: string, tensor: HostTensor): void {
    const spec = this.#program.inputs.get(name);
    if (!spec) throw this.#unknown(name);
    this.inputs.feed(name, this.#wrap(name, tensor, spec), tensor);
  }

  bound(): Pointer[] {
    return [...this.inputs.bound(), ...this.outputs.bound()];
  }

  #unknown(name: string): ShapeError {
    const known = [...this.#program.inputs.keys(), ...this.#program.outputs.keys()];
    return new ShapeError({
      where: `program ${this.#program.name}`,
      expected: "the name of an input or output",
      got: `"${name}"`,
      fix: suggest(name, known),
    });
  }
}

/** The parallel arrays of names and values that a run takes, in native form. */
export class Slots {
  readonly #names: readonly string[];
  readonly #pointers: BigUint64Array;
  readonly #library: OrtLibrary;
  readonly #bound = new Map<number, { readonly value: Pointer; readonly tensor: HostTensor }>();
  /** What the coming run reads besides: held, since the caller may let go of it while other threads still read. */
  readonly #fed: HostTensor[] = [];
  /** Referenced so that the native side's addresses stay valid. */
  readonly #strings: readonly Uint8Array[];
  readonly #namePointers: BigUint64Array;

  constructor(library: OrtLibrary, names: readonly string[]) {
    this.#library = library;
    this.#names = names;
    this.#strings = names.map((name) => new TextEncoder().encode(`${name}\0`));
    this.#namePointers = BigUint64Array.from([...this.#strings.map((text) => library.addressOf(text)), 0n]);
    this.#pointers = new BigUint64Array(names.length + 1);
  }

  /** Addresses of the names' characters. */
  get names(): BigUint64Array {
    return this.#namePointers;
  }

  /** Addresses of the native tensors; 0 where the runtime is to allocate one. */
  get values(): BigUint64Array {
    return this.#pointers;
  }

  get count(): number {
    return this.#names.length;
  }

  bind(name: string, value: Pointer, tensor: HostTensor): void {
    const slot = this.#names.indexOf(name);
    const before = this.#bound.get(slot);
    if (before) this.#library.call("releaseValue", before.value);
    this.#bound.set(slot, { value, tensor });
    this.#pointers[slot] = value;
  }

  feed(name: string, value: Pointer, tensor: HostTensor): void {
    this.#fed.push(tensor);
    const slot = this.#names.indexOf(name);
    if (this.#pointers[slot] !== 0n && this.#pointers[slot] !== this.#bound.get(slot)?.value) {
      this.#library.call("releaseValue", this.#pointers[slot]!);
    }
    this.#pointers[slot] = value;
  }

  missing(): string[] {
    return this.#names.filter((_, slot) => this.#pointers[slot] === 0n);
  }

  /** Values that the runtime allocated in this run. */
  fresh(): [string, Pointer][] {
    return this.#names.flatMap((name, slot) => {
      return this.#bound.has(slot) ? [] : [[name, this.#pointers[slot]!] as [string, Pointer]];
    });
  }

  /** Releases everything that is not bound and puts the bound values back in place. */
  clear(): void {
    this.#names.forEach((_, slot) => {
      const kept = this.#bound.get(slot)?.value ?? 0n;
      const current = this.#pointers[slot]!;
      if (current !== kept && current !== 0n) this.#library.call("releaseValue", current);
      this.#pointers[slot] = kept;
    });
    this.#fed.length = 0;
  }

  bound(): Pointer[] {
    return [...this.#bound.values()].map(({ value }) => value);
  }
}
