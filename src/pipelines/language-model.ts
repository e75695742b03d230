import { type ChatTemplate, loadChatTemplate } from "../codecs/chat-template.ts";
import type { Tokenizer } from "../codecs/tokenizer.ts";
import { DataError } from "../core/errors.ts";
import { Engine } from "../engine/engine.ts";
import { Scorer } from "../eval/score.ts";
import { Decoder } from "../generate/decoder.ts";
import { type GenerationDefaults, readGenerationConfig } from "../generate/generation-config.ts";
import { type LoadedModel, loadModel } from "../models/load-model.ts";

/** Sequences side by side, by default: enough to keep the cores busy, few enough to keep caches small. */
const DEFAULT_ROWS = 8;

export interface LanguageModelOptions {
  /** Default: a new one with all cores. */
  readonly engine?: Engine | undefined;
  /** Texts that are continued side by side; default 8. Costs memory only where used. */
  readonly rows?: number | undefined;
  /** Longest text in tokens; default: the model's context. */
  readonly capacity?: number | undefined;
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
  readonly loaded: LoadedModel;
  readonly defaults: GenerationDefaults;
  /** How conversations are written for it; undefined for a model that was not trained on any. */
  readonly template: ChatTemplate | undefined;
  readonly #options: LanguageModelOptions;
  #engine: Engine | undefined;
  #decoder: Decoder | undefined;
  #scorer: Scorer | undefined;

  constructor(loaded: LoadedModel, options: LanguageModelOptions = {}) {
    this.loaded = loaded;
    this.defaults = readGenerationConfig(loaded.directory);
    this.template = loadChatTemplate(loaded.directory);
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

  /** @throws {DataError} if the directory has none. */
  get tokenizer(): Tokenizer {
    const { tokenizer, directory } = this.loaded;
    if (tokenizer) return tokenizer;
    throw new DataError({
      where: directory,
      expected: "a model with a tokenizer",
      got: "one without",
      fix: "Put its tokenizer.json beside the weights.",
    });
  }

  /** Continues texts. */
  get decoder(): Decoder {
    const { model, weights } = this.loaded;
    const { rows = DEFAULT_ROWS, capacity } = this.#options;
    this.#decoder ??= new Decoder(this.engine, model, weights, { rows, ...(capacity && { capacity }) });
    return this.#decoder;
  }

  /** Says how probable texts are. */
  get scorer(): Scorer {
    this.#scorer ??= new Scorer(this.engine, this.loaded.model, this.loaded.weights);
    return this.#scorer;
  }

  /** Where its programs run. */
  get engine(): Engine {
    this.#engine ??= new Engine();
    return this.#engine;
  }

  /** Gives native memory back. What is asked for afterwards is compiled anew. */
  dispose(): void {
    this.#decoder?.dispose();
    this.#scorer?.dispose();
    this.#decoder = undefined;
    this.#scorer = undefined;
  }
}
