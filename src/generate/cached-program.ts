import { allocate, type DType, type HostTensor, numElements } from "../core/dtype.ts";
import { ConfigError, DataError, EnvironmentError } from "../core/errors.ts";
import { type HostWeights, sizeInBytes, type Weights } from "../core/weights.ts";
import type { Binding } from "../engine/binding.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import type { CausalLM } from "../models/contracts.ts";
import { cachedHeadSize, type LayerCaches } from "../nn/causal-attention.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import { KeyValueCache, PIECE_TOKENS } from "./key-value-cache.ts";

// B rows in one run · T new tokens of each · G key/value heads · M slots · D head width · C width

/** Rows of hidden states that a run yields something for; known only when the program runs. */
export const ROWS = "rows";

/**
 * Models up to this size take a step of well under a millisecond. Running it on this thread then costs less than handing it
 * to another; larger ones run elsewhere, so that the event loop stays live meanwhile.
 */
const SAME_THREAD_BYTES = 32 * 2 ** 20;

export interface CachedProgramOptions {
  readonly name: string;
  /** Sequences that it can hold side by side; default 1. */
  readonly numRows?: number;
  /** Tokens each sequence has room for, in [1, the model's context length]. */
  readonly capacity: number;
  /** What the program computes from the hidden states that are asked for, `(rows, C)`. */
  readonly outputs: (hidden: Tensor) => Readonly<Record<string, Tensor>>;
  /** Those of the weights that may be exchanged later: they are inputs of the program, the others its constants. */
  readonly exchangeable?: HostWeights | undefined;
  /** Memory for outputs of runs that ask for that many hidden states; default: new memory each time. */
  readonly bound?: (count: number) => Readonly<Record<string, HostTensor>>;
}

/** What a run takes besides tokens. */
export type Feeds = Readonly<Record<string, HostTensor>>;

/**
 * A model compiled to read sequences piece by piece: each piece attends to all before it through a cache of keys and
 * values that is extended in place. One program takes pieces of any length of one row, and one token for each of
 * several rows, whose lengths may differ.
 *
 * The weights are constants of the program, used where they lie. The runtime keeps a second, packed copy of most matrices:
 * for GPT-2 with 124 M parameters 0.2 GB on top of 0.5, for which a token takes less than half the time.
 */
export class CachedProgram {
  readonly cache: KeyValueCache;
  readonly #name: string;
  readonly #vocabularySize: number;
  readonly #numLayers: number;
  /** Places before the text of each row that are the model's own. */
  readonly #virtualTokens: number;
  readonly #program: Program;
  readonly #bound: (count: number) => Readonly<Record<string, HostTensor>>;
  /** Memory tied to pieces of each row, and to steps of so many rows. */
  readonly #bindings = new Map<string, { readonly binding: Binding; numSlots: number; held?: HostWeights }>();
  #exchangeable: HostWeights;
  /** Of steps: one for each row. */
  readonly #tokens: Int32Array;
  readonly #positions: Int32Array;
  readonly #lengths: Int32Array;
  readonly #totalLength: HostTensor = integers([1]);
  readonly #sameThread: boolean;
  #isBusy = false;

  constructor(
    engine: Engine,
    model: CausalLM,
    weights: Weights,
    {
      name,
      numRows = 1,
      capacity,
      outputs,
      exchangeable = new Map(),
      bound = () => ({}),
    }: CachedProgramOptions,
  ) {
    const { contextLength, vocabularySize, numLayers } = model.shape;
    checkInteger(`${name}.capacity`, capacity, contextLength, ", the model's context length");
    checkInteger(`${name}.rows`, numRows, 1024);
    this.#name = name;
    this.#vocabularySize = vocabularySize;
    this.#numLayers = numLayers;
    this.#virtualTokens = model.virtualTokens ?? 0;
    this.#bound = bound;
    this.#sameThread = byteLength(weights) <= SAME_THREAD_BYTES;
    this.cache = new KeyValueCache(model.shape, numRows, capacity + this.#virtualTokens);
    [this.#tokens, this.#positions, this.#lengths] = [0, 1, 2].map(() => new Int32Array(numRows)) as [
      Int32Array,
      Int32Array,
      Int32Array,
    ];
    this.#exchangeable = exchangeable;
    const constants = new Map([...weights].filter(([path]) => !exchangeable.has(path)));
    this.#program = engine.compile(name, describeStep(model, outputs), { constants });
  }

  /**
   * Goes on with other weights in place of those that may be exchanged, used where they lie: nothing is compiled or copied. All rows
   * are empty afterwards.
   *
   * @returns false if it has these weights already
   * @throws {EnvironmentError} while a run is under way.
   */
  exchange(weights: HostWeights): boolean {
    if (weights === this.#exchangeable) return false;
    if (this.#isBusy) throw this.#busy();
    this.#exchangeable = weights;
    for (let row = 0; row < this.cache.numRows; row++) this.truncate(row, 0);
    return true;
  }

  /** Most tokens of a row. */
  get capacity(): number {
    return this.cache.capacity - this.#virtualTokens;
  }

  /** Most tokens of a piece. */
  get pieceTokens(): number {
    return PIECE_TOKENS - this.#virtualTokens;
  }

  /** Keeps the first `length` tokens of a row; errors as `KeyValueCache.truncate`. */
  truncate(row: number, length: number): void {
    this.cache.truncate(row, this.#places(length), this.#name);
  }

  /** Whether {@link truncate} to that length would work. */
  canTruncate(row: number, length: number): boolean {
    return this.cache.canTruncate(row, this.#places(length));
  }

  /** Makes row `to` like the first `length` tokens of row `from`. */
  copyRow(from: number, to: number, length: number): void {
    this.cache.copyRow(from, to, this.#places(length));
  }

  /**
   * Reads a piece of one row, at most {@link PIECE_TOKENS} tokens, and yields the outputs that are not bound, for the hidden
   * states of its tokens `ask`. When it fails the cache is as before.
   *
   * @throws {DataError} if there are no tokens, or an id is outside the vocabulary.
   * @throws {ConfigError} if they do not fit into the cache.
   * @throws {EnvironmentError} if the call before has not finished.
   */
  async append(
    row: number,
    tokens: ArrayLike<number>,
    ask: readonly number[],
    feeds: Feeds = {},
  ): Promise<Record<string, HostTensor>> {
    this.check(row, tokens);
    if (tokens.length > this.pieceTokens) {
      throw new ConfigError({
        where: this.#name,
        expected: `pieces of ≤ ${this.pieceTokens} tokens`,
        got: `${tokens.length}`,
      });
    }
    const start = this.cache.lengthOf(row);
    const before = start === 0 ? this.#virtualTokens : 0;
    const T = before + tokens.length;
    const piece = new Int32Array(T);
    piece.set(tokens, before);
    return this.#exclusively([row], T, async () => {
      const binding = this.#bindingOf(row, 1, ask.length);
      const positions = Int32Array.from({ length: T }, (_, t) => start + t);
      return this.#program.run(
        {
          ...feeds,
          tokens: integers([1, T], piece),
          positions: integers([1, T], positions),
          ask: integers(
            [ask.length],
            Int32Array.from(ask, (t) => before + t),
          ),
        },
        binding,
      );
    });
  }

  /** Reads one token for each of the first rows; as {@link append}, asking for all. */
  async step(tokens: ArrayLike<number>): Promise<Record<string, HostTensor>> {
    const count = tokens.length;
    for (let row = 0; row < Math.max(1, count); row++) this.check(row, count === 0 ? [] : [tokens[row]!]);
    const rows = Array.from({ length: count }, (_, row) => row);
    this.#checkBegun(rows);
    return this.#exclusively(rows, 1, async () => {
      for (const row of rows) {
        this.#tokens[row] = tokens[row]!;
        this.#positions[row] = this.cache.lengthOf(row);
      }
      const binding = this.#bindingOf("step", count, count);
      return this.#sameThread ? this.#program.runSync({}, binding) : this.#program.run({}, binding);
    });
  }

  /** Gives native memory back. */
  dispose(): void {
    this.#program.dispose();
  }

  /** The checks of {@link append} alone. */
  check(row: number, tokens: ArrayLike<number>): void {
    checkTokens(this.#name, tokens, this.#vocabularySize);
    if (!Number.isInteger(row) || row < 0 || row >= this.cache.numRows) {
      const expected = `a row in [0, ${this.cache.numRows})`;
      throw new ConfigError({ where: this.#name, expected, got: `${row}` });
    }
    const length = Math.max(0, this.cache.lengthOf(row) - this.#virtualTokens);
    if (length + tokens.length > this.capacity) {
      throw new ConfigError({
        where: this.#name,
        expected: `at most ${this.capacity} tokens in the cache`,
        got: `${length} and ${tokens.length} more`,
        fix: "Use a shorter text, or truncate the cache first.",
      });
    }
    if (this.#isBusy) throw this.#busy();
  }

  #busy(): EnvironmentError {
    return new EnvironmentError({
      where: this.#name,
      expected: "one call at a time",
      got: "a second one",
      fix: "Await the call before, or use a decoder for each sequence.",
    });
  }

  /** A step has one token a row: what stands before all text comes with the first piece. */
  #checkBegun(rows: readonly number[]): void {
    const empty = rows.find((row) => this.cache.lengthOf(row) === 0);
    if (this.#virtualTokens === 0 || empty === undefined) return;
    throw new ConfigError({
      where: `${this.#name}, row ${empty}`,
      expected: "a row that has begun, as the model has a prompt of its own",
      got: "an empty one",
      fix: "Read the first token with prefill.",
    });
  }

  /** Places in the cache that so many tokens of a text take. */
  #places(length: number): number {
    return length === 0 ? 0 : length + this.#virtualTokens;
  }

  /** Makes room for `count` tokens in each of the rows, runs, and counts them once they are there. */
  async #exclusively<T>(rows: readonly number[], count: number, run: () => Promise<T>): Promise<T> {
    this.#isBusy = true;
    try {
      rows.forEach((row, i) => {
        this.#lengths[i] = this.cache.reserve(row, count) + count - 1;
      });
      this.#totalLength.data[0] = Math.max(...this.#lengths.subarray(0, rows.length)) + 1;
      const outputs = await run();
      for (const row of rows) this.cache.commit(row, count);
      return outputs;
    } finally {
      this.#isBusy = false;
    }
  }

  /**
   * The memory of a run: a piece of one row, or a step of the first `count` rows. Nothing is fed to a step: all is bound.
   * Made when first needed, and anew when the cache has moved.
   */
  #bindingOf(row: number | "step", count: number, numAsked: number): Binding {
    const key = row === "step" ? `step ${count}` : `piece ${row}, ${numAsked}`;
    const known = this.#bindings.get(key);
    if (known?.numSlots === this.cache.numSlots && known.held === this.#exchangeable) return known.binding;
    const binding = known?.binding ?? this.#program.newBinding();
    if (known?.held !== this.#exchangeable) bindWeights(binding, this.#program, this.#exchangeable);
    for (let layer = 0; layer < this.#numLayers; layer++) {
      for (const [kind, name] of ["keys", "values"].entries()) {
        const plane = this.cache.plane(2 * layer + kind, row === "step" ? 0 : row, count);
        binding.bind(`${name} ${layer}`, plane);
        binding.bind(`new ${name} ${layer}`, plane);
      }
    }
    if (!known) {
      binding.bind("lengths", integers([count], this.#lengths.subarray(0, count)));
      binding.bind("totalLength", this.#totalLength);
      for (const [name, tensor] of Object.entries(this.#bound(numAsked))) binding.bind(name, tensor);
      if (row === "step") {
        binding.bind("tokens", integers([count, 1], this.#tokens.subarray(0, count)));
        binding.bind("positions", integers([count, 1], this.#positions.subarray(0, count)));
        binding.bind(
          "ask",
          integers(
            [count],
            Int32Array.from({ length: count }, (_, i) => i),
          ),
        );
      }
    }
    this.#bindings.set(key, { binding, numSlots: this.cache.numSlots, held: this.#exchangeable });
    return binding;
  }
}

/** @throws {DataError} if there are no tokens or one is outside the vocabulary: the runtime would count it from the end. */
export function checkTokens(where: string, tokens: ArrayLike<number>, vocabularySize: number): void {
  if (tokens.length === 0) throw new DataError({ where, expected: "at least one token", got: "none" });
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (Number.isInteger(token) && token >= 0 && token < vocabularySize) continue;
    const expected = `an id in [0, ${vocabularySize}), the model's vocabulary`;
    throw new DataError({ where: `${where}, token ${i}`, expected, got: `${token}` });
  }
}

/** Ties weights to those inputs of a program that are theirs. */
export function bindWeights(binding: Binding | Program, { inputs }: Program, weights: HostWeights): void {
  for (const [path, weight] of weights) if (inputs.has(path)) binding.bind(path, weight);
}

/** The graph of one run: tokens `(B, T)` and caches in, extended caches and `outputs` out. */
function describeStep(model: CausalLM, outputs: CachedProgramOptions["outputs"]): Record<string, Tensor> {
  const { numLayers, numKeyValueHeads, headSize, width } = model.shape;
  const [tokens, positions] = ["tokens", "positions"].map((name) =>
    input(name, "int32", ["batch", "tokens"]),
  ) as [Tensor, Tensor];
  const cacheShape = ["batch", numKeyValueHeads, "slots", cachedHeadSize(headSize)]; // (B, G, M, D)
  const ofKind = (kind: "keys" | "values") =>
    Array.from({ length: numLayers }, (_, layer) => input(`${kind} ${layer}`, "float32", cacheShape));
  const caches: LayerCaches = {
    keys: ofKind("keys"),
    values: ofKind("values"),
    lengths: input("lengths", "int32", ["batch"]),
    totalLength: input("totalLength", "int32", [1]),
  };
  const { hidden, keys, values } = model.hiddenCached(tokens, positions, caches);
  const asked = hidden.reshape(["batch·tokens", width]).gatherRows(input("ask", "int32", [ROWS])); // (rows, C)
  return {
    ...outputs(asked),
    ...Object.fromEntries(keys.map((tensor, layer) => [`new keys ${layer}`, tensor])),
    ...Object.fromEntries(values.map((tensor, layer) => [`new values ${layer}`, tensor])),
  };
}

function checkInteger(where: string, value: number, most: number, what = ""): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  throw new ConfigError({ where, expected: `an integer in [1, ${most}]${what}`, got: `${value}` });
}

function integers(shape: readonly number[], data = allocate("int32", numElements(shape))): HostTensor {
  const dtype: DType = "int32";
  return { dtype, shape, data };
}

function byteLength(weights: Weights): number {
  return [...weights.values()].reduce((total, weight) => total + sizeInBytes(weight), 0);
}
