import { AdapterShelf } from "../adapt/adapter-shelf.ts";
import type { LoadAdapterOptions, LoadedAdapter } from "../adapt/peft/adapter-file.ts";
import { type ChatTemplate, loadChatTemplate } from "../codecs/chat-template.ts";
import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import { Engine } from "../engine/engine.ts";
import { Scorer } from "../eval/score.ts";
import { Decoder } from "../generate/decoder.ts";
import { type GenerationDefaults, readGenerationConfig } from "../generate/generation-config.ts";
import type { CausalLM } from "../models/contracts.ts";
import { DecoderClassifier } from "../models/decoder-classifier.ts";
import { type LoadedModel, loadModel } from "../models/load-model.ts";
import { requireTokenizer } from "../models/require-tokenizer.ts";

/** Sequences side by side, by default: enough to keep the cores busy, few enough to keep caches small. */
const DEFAULT_ROWS = 8;

export interface LanguageModelOptions {
  /** Default: a new one with all cores. */
  readonly engine?: Engine | undefined;
  /** Texts that are continued side by side; default 8. Costs memory only where used. */
  readonly rows?: number | undefined;
  /** Longest text in tokens; default: the model's context. */
  readonly capacity?: number | undefined;
  /** How conversations are written for it, such as an adapter's template; default: as its directory says. */
  readonly template?: ChatTemplate | undefined;
}

/**
 * A causal model ready for tasks: its weights, tokenizer and the settings it was published with. What reads and what scores
 * texts is compiled when first needed.
 *
 * @example
 * const model = LanguageModel.load("runs/first/model");
 * const { text } = await generate({ decoder: model.decoder, tokenizer: model.tokenizer, prompt: "The" });
 * model.dispose();
 */
export class LanguageModel {
  /** Its adapters; {@link addAdapter} and {@link useAdapter} are for those. */
  readonly #shelf: AdapterShelf<CausalLM>;
  readonly defaults: GenerationDefaults;
  /** How conversations are written for it; undefined for a model that was not trained on any. */
  readonly template: ChatTemplate | undefined;
  readonly #options: LanguageModelOptions;
  /** What reads and what scores, by the structure of adapters that they are compiled for. */
  readonly #decoders = new Map<string, Decoder>();
  readonly #scorers = new Map<string, Scorer>();
  #engine: Engine | undefined;

  constructor(loaded: LoadedModel, options: LanguageModelOptions = {}) {
    this.#shelf = new AdapterShelf(loaded, refuseClassifier);
    this.defaults = readGenerationConfig(loaded.directory);
    this.template = options.template ?? loadChatTemplate(loaded.directory);
    this.#options = options;
    this.#engine = options.engine;
  }

  /**
   * Loads a Hugging Face model directory.
   *
   * @throws as `loadModel`, and {FormatError} if `generation_config.json` is malformed.
   */
  static load(directory: string, options: LanguageModelOptions = {}): LanguageModel {
    return new LanguageModel(loadModel(directory), options);
  }

  /** The model, with the adapter that is in use, and the weights of both. */
  get loaded(): LoadedModel {
    return this.#shelf.current.loaded;
  }

  /**
   * Adds an adapter to the loaded base, or one in place of another of that name. It costs its own weights; the base is shared.
   *
   * @param from its directory in PEFT's layout, or the adapter itself
   * @throws as `loadAdapter`, and {ConfigError} if it brings a head that sorts texts; see `ClassifierModel`.
   */
  addAdapter(name: string, from: string | LoadedAdapter<CausalLM>, options: LoadAdapterOptions = {}): void {
    this.#shelf.add(name, from, options);
  }

  /**
   * Goes on with an adapter; without a name, with the base as it is. Ask for {@link decoder} and {@link scorer} anew afterwards: they
   * forget what they have read. The first use of an adapter of another structure, such as another rank, compiles; every other is
   * a matter of milliseconds.
   *
   * @throws {ConfigError} if there is no adapter of that name.
   */
  useAdapter(name?: string): void {
    this.#shelf.use(name);
  }

  /** @throws {DataError} if the directory has none. */
  get tokenizer(): Tokenizer {
    return requireTokenizer(this.loaded);
  }

  /** Continues texts. */
  get decoder(): Decoder {
    const { loaded, structure, exchangeable } = this.#shelf.current;
    const { rows = DEFAULT_ROWS, capacity } = this.#options;
    const create = () =>
      new Decoder(this.engine, loaded.model, loaded.weights, {
        ...{ rows, exchangeable },
        ...(capacity && { capacity }),
      });
    const decoder = this.#decoders.get(structure) ?? create();
    this.#decoders.set(structure, decoder);
    decoder.exchange(exchangeable);
    return decoder;
  }

  /** Says how probable texts are. */
  get scorer(): Scorer {
    const { loaded, structure, exchangeable } = this.#shelf.current;
    const create = () => new Scorer(this.engine, loaded.model, loaded.weights, exchangeable);
    const scorer = this.#scorers.get(structure) ?? create();
    this.#scorers.set(structure, scorer);
    scorer.exchange(exchangeable);
    return scorer;
  }

  /** Where its programs run. */
  get engine(): Engine {
    this.#engine ??= new Engine();
    return this.#engine;
  }

  /** Gives native memory back. What is asked for afterwards is compiled anew. */
  dispose(): void {
    for (const program of [...this.#decoders.values(), ...this.#scorers.values()]) program.dispose();
    this.#decoders.clear();
    this.#scorers.clear();
  }
}

function refuseClassifier({ directory, model }: LoadedAdapter<CausalLM>): void {
  if (!(model instanceof DecoderClassifier)) return;
  throw new ConfigError({
    where: directory,
    expected: "an adapter of a model that predicts the next token",
    got: "one with a head that sorts texts",
    fix: "Use a ClassifierModel, or plinth classify.",
  });
}
