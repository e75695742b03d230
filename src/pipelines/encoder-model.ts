import { AdapterShelf } from "../adapt/adapter-shelf.ts";
import type { LoadAdapterOptions, LoadedAdapter } from "../adapt/peft/adapter-file.ts";
import type { EncodedInput } from "../codecs/encoded-input.ts";
import type { Tokenizer } from "../codecs/tokenizer.ts";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError, DataError } from "../core/errors.ts";
import type { HostWeights } from "../core/weights.ts";
import { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import { bindWeights } from "../generate/cached-program.ts";
import type { Encoder, EncoderHeads, EncoderInput } from "../models/contracts.ts";
import { type LoadedEncoder, loadEncoder } from "../models/load-model.ts";
import { requireTokenizer } from "../models/require-tokenizer.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import { type EncoderBatch, type EncoderItem, packBatches } from "./encoder-batch.ts";
import { readSentenceConfig, type SentenceConfig } from "./sentence-config.ts";

/** Tokens of a batch, padding included: what one layer makes of them stays in the caches, and the cores are busy. */
const DEFAULT_BATCH_TOKENS = 512;

/** Ids of a text that the caller encoded: with the special tokens, as the model wants them. */
export interface TokenIds {
  readonly ids: ArrayLike<number>;
  /** Default: 0 everywhere. */
  readonly segmentIds?: ArrayLike<number>;
}

/** A text, a pair of texts, or ids. */
export type EncoderText = string | readonly [text: string, pair: string] | TokenIds;

export interface EncoderModelOptions {
  /** Default: a new one with all cores. */
  readonly engine?: Engine | undefined;
  /** Most tokens that go through together, padding included; default 512. A longer text goes alone. */
  readonly batchTokens?: number | undefined;
}

/** How texts are turned into ids. */
export interface EncodeOptions {
  /** Most tokens of a text, special ones included; default: the model's context. */
  readonly maxLength?: number | undefined;
  /** Cut texts that are longer; they are refused otherwise. */
  readonly truncate?: boolean | undefined;
  /** Written special tokens, such as `[MASK]`, are those tokens. */
  readonly marked?: boolean | undefined;
}

/** What a task computes on the hidden states of a batch. */
export interface EncoderTask {
  /** Names the task's program, which is compiled once. */
  readonly name: string;
  readonly build: (hidden: Tensor, input: EncoderInput) => Readonly<Record<string, Tensor>>;
}

/**
 * An encoder ready for tasks: its weights, its tokenizer, and how sentence embeddings are made of it if it says so. What a
 * task computes is compiled when first needed.
 *
 * @example
 * const model = EncoderModel.load("models/all-MiniLM-L6-v2");
 * const [vector] = await embed(model, ["A sentence."]);
 * model.dispose();
 */
export class EncoderModel {
  /** As sentence-transformers publishes it; `undefined` for other models. */
  readonly sentences: SentenceConfig | undefined;
  readonly #options: EncoderModelOptions;
  readonly #shelf: AdapterShelf<Encoder>;
  /** By the structure of adapters and the task that they are compiled for. */
  readonly #programs = new Map<string, { readonly program: Program; held: HostWeights }>();
  #engine: Engine | undefined;

  constructor(loaded: LoadedEncoder, options: EncoderModelOptions = {}) {
    const { batchTokens = DEFAULT_BATCH_TOKENS } = options;
    if (!Number.isSafeInteger(batchTokens) || batchTokens < 1) {
      throw new ConfigError({ where: "batchTokens", expected: "an integer ≥ 1", got: `${batchTokens}` });
    }
    this.#shelf = new AdapterShelf(loaded);
    this.sentences = readSentenceConfig(loaded.directory);
    this.#options = options;
    this.#engine = options.engine;
  }

  /**
   * Loads a Hugging Face directory.
   *
   * @throws as `loadEncoder`, and {FormatError} if the files of sentence-transformers in it are malformed.
   */
  static load(directory: string, options: EncoderModelOptions = {}): EncoderModel {
    return new EncoderModel(loadEncoder(directory), options);
  }

  /** The model, with the adapter that is in use, and the weights of both. */
  get loaded(): LoadedEncoder {
    return this.#shelf.current.loaded;
  }

  /**
   * Adds an adapter to the loaded base, or one in place of another of that name. It costs its own weights; the base is shared. It may
   * bring a head that the base has not.
   *
   * @param from its directory in PEFT's layout, or the adapter itself
   * @throws as `loadAdapter`
   */
  addAdapter(name: string, from: string | LoadedAdapter<Encoder>, options: LoadAdapterOptions = {}): void {
    this.#shelf.add(name, from, options);
  }

  /**
   * Goes on with an adapter; without a name, with the base as it is. The first use of an adapter of another structure, such as
   * another rank, compiles; every other is a matter of milliseconds.
   *
   * @throws {ConfigError} if there is no adapter of that name.
   */
  useAdapter(name?: string): void {
    this.#shelf.use(name);
  }

  /** @throws {DataError} if the directory has none. */
  get tokenizer(): Tokenizer {
    return requireTokenizer(
      this.loaded,
      "model",
      "Put its tokenizer.json beside the weights, or give token ids.",
    );
  }

  /** Where its programs run. */
  get engine(): Engine {
    this.#engine ??= new Engine();
    return this.#engine;
  }

  /**
   * A head of the model.
   *
   * @throws {ConfigError} if it has none, naming those it has.
   */
  head<K extends keyof EncoderHeads>(name: K, what: string): NonNullable<EncoderHeads[K]> {
    const { model, directory } = this.loaded;
    const head = model.heads[name];
    if (head) return head;
    const others = Object.keys(model.heads).join(", ");
    throw new ConfigError({
      where: directory,
      expected: `a model with a head for ${what}`,
      got: others === "" ? "one without heads" : `one with ${others} only`,
    });
  }

  /**
   * Texts as ids, checked against the model.
   *
   * @throws {DataError} if one is longer than the model can read and may not be cut, or has ids that the model does not know.
   */
  encode(texts: readonly EncoderText[], options: EncodeOptions = {}): EncodedInput[] {
    const { contextLength } = this.loaded.model.shape;
    const { maxLength = contextLength, truncate = false, marked = false } = options;
    if (!Number.isSafeInteger(maxLength) || maxLength < 1 || maxLength > contextLength) {
      const expected = `an integer in [1, ${contextLength}]`;
      throw new ConfigError({ where: "maxLength", expected, got: `${maxLength}` });
    }
    const cut = truncate ? ({ maxLength, truncate: "longest-first" } as const) : {};
    return texts.map((text, i) => {
      const item = isTokenIds(text) ? fromIds(text) : this.#encodeText(text, { marked, ...cut });
      this.check(item, `text ${i + 1}`, maxLength);
      return item;
    });
  }

  /** @throws {DataError} if the model cannot read the ids. */
  check({ ids, segmentIds }: EncoderItem, where: string, maxLength: number): void {
    const { vocabularySize, numSegments } = this.loaded.model.shape;
    if (ids.length === 0 || ids.length > maxLength) {
      throw new DataError({
        where,
        expected: ids.length === 0 ? "at least one token" : `at most ${maxLength} tokens`,
        got: ids.length === 0 ? "none" : `${ids.length}`,
        ...(ids.length > 0 && { fix: 'Shorten it, or set "truncate".' }),
      });
    }
    checkBelow(ids, vocabularySize, `${where}, token`);
    checkBelow(segmentIds, numSegments, `${where}, segment`);
    if (segmentIds.length === ids.length) return;
    const expected = `${ids.length} segments, one a token`;
    throw new DataError({ where, expected, got: `${segmentIds.length}` });
  }

  /**
   * Runs a task over texts, batch by batch.
   *
   * @param use is given the outputs of each batch as they come
   * @param feed further inputs of the task, by batch
   */
  async run(
    { name, build }: EncoderTask,
    items: readonly EncoderItem[],
    use: (outputs: Readonly<Record<string, HostTensor>>, batch: EncoderBatch) => void,
    { signal, feed }: RunOptions = {},
  ): Promise<void> {
    const program = this.#programOf(name, build);
    const { batchTokens = DEFAULT_BATCH_TOKENS } = this.#options;
    for (const batch of packBatches(items, batchTokens)) {
      signal?.throwIfAborted();
      use(await program.run({ ...batch.feeds, ...feed?.(batch) }), batch);
    }
  }

  /** Runs a task whose outputs `(B, …)` have a row for each text: these rows, in order of the texts. */
  async rows(task: EncoderTask, items: readonly EncoderItem[], signal?: AbortSignal): Promise<OutputRow[]> {
    const rows: OutputRow[] = [];
    const use = (outputs: Readonly<Record<string, HostTensor>>, { places }: EncoderBatch) => {
      places.forEach((place, row) => {
        const parts = Object.entries(outputs).map(([name, { data }]) => {
          const size = data.length / places.length;
          return [name, (data as Float32Array).subarray(row * size, (row + 1) * size)] as const;
        });
        rows[place] = Object.fromEntries(parts);
      });
    };
    await this.run(task, items, use, { signal });
    return rows;
  }

  /** Gives native memory back. What is asked for afterwards is compiled anew. */
  dispose(): void {
    for (const { program } of this.#programs.values()) program.dispose();
    this.#programs.clear();
  }

  #encodeText(text: string | readonly [string, string], options: object): EncodedInput {
    const [first, second] = typeof text === "string" ? [text, undefined] : text;
    return this.tokenizer.encodeInput(first, second, options);
  }

  #programOf(name: string, build: EncoderTask["build"]): Program {
    const { structure, exchangeable } = this.#shelf.current;
    const key = JSON.stringify([structure, name]);
    const known = this.#programs.get(key);
    if (known?.held === exchangeable) return known.program;
    const program = known?.program ?? this.#compile(name, build);
    bindWeights(program, program, exchangeable);
    this.#programs.set(key, { program, held: exchangeable });
    return program;
  }

  #compile(name: string, build: EncoderTask["build"]): Program {
    const { loaded, exchangeable } = this.#shelf.current;
    const of = (input_: string) => input(input_, "int32", ["B", "T"]);
    const positions = input("positions", "int32", ["T"]);
    const batch = { tokens: of("tokens"), segments: of("segments"), mask: of("mask"), positions };
    const outputs = build(loaded.model.hidden(batch), batch);
    const constants = new Map([...loaded.weights].filter(([path]) => !exchangeable.has(path)));
    return this.engine.compile(name, outputs, { constants });
  }
}

/** The part of each output that belongs to one text. */
export type OutputRow = Readonly<Record<string, Float32Array>>;

export interface RunOptions {
  /** Looked at between batches. */
  readonly signal?: AbortSignal | undefined;
  readonly feed?: (batch: EncoderBatch) => Readonly<Record<string, HostTensor>>;
}

function isTokenIds(text: EncoderText): text is TokenIds {
  return typeof text === "object" && "ids" in text;
}

function fromIds({ ids, segmentIds }: TokenIds): EncodedInput {
  const numbers = Array.from(ids);
  const wrong = numbers.findIndex((id) => !Number.isSafeInteger(id) || id < 0 || id > 0xffffffff);
  if (wrong >= 0) {
    throw new DataError({ where: `token ${wrong + 1}`, expected: "an id ≥ 0", got: `${numbers[wrong]}` });
  }
  return {
    ids: Uint32Array.from(numbers),
    segmentIds: Uint8Array.from(segmentIds ?? { length: ids.length }, (segment) => segment ?? 0),
    offsets: numbers.map(() => [0, 0] as const),
    specialMask: new Uint8Array(ids.length),
    sources: new Int8Array(ids.length),
  };
}

function checkBelow(values: ArrayLike<number>, bound: number, where: string): void {
  const wrong = Array.prototype.findIndex.call(values, (value: number) => value >= bound);
  if (wrong < 0) return;
  const got = `${values[wrong]}`;
  throw new DataError({ where: `${where} ${wrong + 1}`, expected: `an id in [0, ${bound})`, got });
}
