import { existsSync } from "node:fs";
import { join } from "node:path";
import { AdapterShelf } from "../adapt/adapter-shelf.ts";
import type { LoadAdapterOptions, LoadedAdapter } from "../adapt/peft/adapter-file.ts";
import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError, DataError } from "../core/errors.ts";
import type { HostWeights } from "../core/weights.ts";
import { Engine } from "../engine/engine.ts";
import { CachedProgram, checkTokens } from "../generate/cached-program.ts";
import { readJsonObject } from "../hub/read-json-file.ts";
import type { CausalLM } from "../models/contracts.ts";
import { DecoderClassifier } from "../models/decoder-classifier.ts";
import { type LoadedClassifier, type LoadedModel, loadClassifier, loadModel } from "../models/load-model.ts";
import { isClassifierConfig } from "../models/registry.ts";
import { requireTokenizer } from "../models/require-tokenizer.ts";
import type { EncoderText } from "./encoder-model.ts";

export interface ClassifierModelOptions {
  /** Default: a new one with all cores. */
  readonly engine?: Engine | undefined;
}

/**
 * A decoder that sorts texts, ready for use, with any number of adapters; what they need is compiled when first used.
 *
 * @example
 * const model = ClassifierModel.load("runs/intents/model");
 * const [[best]] = await classifySequence(model, ["Where is my card?"]);
 * model.dispose();
 */
export class ClassifierModel {
  readonly #shelf: AdapterShelf<CausalLM>;
  /** By the structure of adapters. */
  readonly #programs = new Map<string, CachedProgram>();
  #engine: Engine | undefined;

  /** @param loaded one with a head that sorts texts, or a base whose adapters bring such heads */
  constructor(loaded: LoadedModel, options: ClassifierModelOptions = {}) {
    this.#shelf = new AdapterShelf(loaded);
    this.#engine = options.engine;
  }

  /**
   * Loads a Hugging Face directory.
   *
   * @throws as `loadClassifier`, or `loadModel` where it has no head of its own
   */
  static load(directory: string, options: ClassifierModelOptions = {}): ClassifierModel {
    const load = ClassifierModel.isIn(directory) ? loadClassifier : loadModel;
    return new ClassifierModel(load(directory), options);
  }

  /**
   * The model, with the adapter that is in use, and the weights of both.
   *
   * @throws {ConfigError} if neither has a head that sorts texts.
   */
  get loaded(): LoadedClassifier {
    const { loaded } = this.#shelf.current;
    if (ClassifierModel.fits(loaded)) return loaded;
    throw new ConfigError({
      where: loaded.directory,
      expected: "a model with a head that sorts texts",
      got: "one without",
      fix: "Add and use an adapter that brings one.",
    });
  }

  /**
   * Adds an adapter to the loaded base, or one in place of another of that name. It costs its own weights; the base is shared. It may
   * bring a head of its own.
   *
   * @param from its directory in PEFT's layout, or the adapter itself
   * @throws as `loadAdapter`
   */
  addAdapter(name: string, from: string | LoadedAdapter<CausalLM>, options: LoadAdapterOptions = {}): void {
    this.#shelf.add(name, from, options);
  }

  /**
   * Goes on with an adapter; without a name, with the base as it is. The first use of one of another structure compiles.
   *
   * @throws {ConfigError} if there is no adapter of that name.
   */
  useAdapter(name?: string): void {
    this.#shelf.use(name);
  }

  /** Whether a loaded decoder sorts texts, by a head of its own or that of an adapter. */
  static fits(loaded: LoadedModel): loaded is LoadedClassifier {
    return loaded.model instanceof DecoderClassifier;
  }

  /** Whether the directory is one of a decoder that sorts texts. What cannot be read is not: loading it says why. */
  static isIn(directory: string): boolean {
    const path = join(directory, "config.json");
    return existsSync(path) && isClassifierConfig(readJsonObject(path));
  }

  /** @throws {DataError} if the directory has none. */
  get tokenizer(): Tokenizer {
    return requireTokenizer(
      this.#shelf.current.loaded,
      "Put its tokenizer.json beside the weights, or give token ids.",
    );
  }

  /**
   * The scores of each text's labels.
   *
   * @throws {DataError} if a text is empty, or longer than the model reads and may not be cut.
   */
  async scores(
    texts: readonly EncoderText[],
    {
      truncate,
      signal,
    }: { readonly truncate?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<Float32Array[]> {
    const items = texts.map((text, i) => this.#encode(text, truncate ?? false, `text ${i + 1}`));
    const found: Float32Array[] = [];
    for (const ids of items) found.push(await this.#score(ids, signal));
    return found;
  }

  /** Gives native memory back. What is asked for afterwards is compiled anew. */
  dispose(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
  }

  /** Ids up to the last one that is no padding: nothing behind it is seen by it. */
  #encode(text: EncoderText, truncate: boolean, where: string): Uint32Array {
    const { model } = this.loaded;
    const { contextLength, vocabularySize } = model.shape;
    const ids = this.#idsOf(text, truncate ? contextLength : undefined);
    checkTokens(where, ids, vocabularySize);
    if (ids.length > contextLength) {
      const fix = 'Shorten it, or set "truncate".';
      throw new DataError({ where, expected: `at most ${contextLength} tokens`, got: `${ids.length}`, fix });
    }
    return ids.subarray(0, model.lastPlace(ids) + 1);
  }

  #idsOf(text: EncoderText, maxLength: number | undefined): Uint32Array {
    if (typeof text === "object" && "ids" in text) {
      return Uint32Array.from(Array.from(text.ids).slice(0, maxLength));
    }
    const [first, second] = typeof text === "string" ? [text, undefined] : text;
    const cut = maxLength === undefined ? {} : ({ maxLength, truncate: "longest-first" } as const);
    return this.tokenizer.encodeInput(first, second, cut).ids;
  }

  async #score(ids: Uint32Array, signal: AbortSignal | undefined): Promise<Float32Array> {
    const program = this.#program();
    program.truncate(0, 0);
    for (let at = 0; ; at += program.pieceTokens) {
      signal?.throwIfAborted();
      const piece = ids.subarray(at, at + program.pieceTokens);
      const { scores } = await program.append(0, piece, [piece.length - 1]);
      if (at + piece.length === ids.length) return scores!.data as Float32Array;
    }
  }

  #program(): CachedProgram {
    const { structure, exchangeable } = this.#shelf.current;
    const program = this.#programs.get(structure) ?? this.#compile(exchangeable);
    this.#programs.set(structure, program);
    program.exchange(exchangeable);
    return program;
  }

  #compile(exchangeable: HostWeights): CachedProgram {
    const { model, weights } = this.loaded;
    this.#engine ??= new Engine();
    return new CachedProgram(this.#engine, model, weights, {
      name: "classify texts",
      capacity: model.shape.contextLength,
      outputs: (hidden) => ({ scores: model.logits(hidden) }), // (1, L)
      exchangeable,
    });
  }
}
