import { ConfigError } from "../core/errors.ts";
import { suggest } from "../core/nearest.ts";
import type { HostWeights } from "../core/weights.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import type { Loaded } from "../models/load-model.ts";
import { putOn } from "./load-adapted.ts";
import { type LoadAdapterOptions, type LoadedAdapter, loadAdapter } from "./peft/adapter-file.ts";

/** A base as it is, or with one of its adapters. */
export interface Variant<M> {
  readonly loaded: Loaded<M>;
  /** Variants of one structure can be computed by the same program, once their own weights are in its inputs. */
  readonly structure: string;
  /** Those weights: the adapter's, and what stands in place of the base's. The others are the base's, shared by all. */
  readonly exchangeable: HostWeights;
}

/**
 * One base with any number of adapters, of which one at a time is in use. The base is in memory once; an adapter costs its own weights.
 */
export class AdapterShelf<M extends CausalLM | Encoder> {
  readonly #base: Variant<M>;
  readonly #check: (adapter: LoadedAdapter<M>) => void;
  readonly #variants = new Map<string, Variant<M>>();
  #current: Variant<M>;

  /** @param check throws at adapters that are not to be used here */
  constructor(base: Loaded<M>, check: (adapter: LoadedAdapter<M>) => void = () => {}) {
    this.#check = check;
    this.#base = { loaded: base, structure: "", exchangeable: new Map() };
    this.#current = this.#base;
  }

  /** What is in use. */
  get current(): Variant<M> {
    return this.#current;
  }

  /** Names of the adapters. */
  get names(): readonly string[] {
    return [...this.#variants.keys()];
  }

  /**
   * Adds an adapter, or one in place of another; which one is in use stays.
   *
   * @param from its directory, or itself
   * @throws as `loadAdapter`, and as the check
   */
  add(name: string, from: string | LoadedAdapter<M>, options: LoadAdapterOptions = {}): void {
    const { loaded: base } = this.#base;
    const adapter = typeof from === "string" ? loadAdapter(from, base, options) : from;
    this.#check(adapter);
    const { structure, weights: exchangeable } = adapter;
    const like = [...this.#variants.values()].find((variant) => variant.structure === structure);
    const loaded = putOn(base, adapter);
    const model = like?.loaded.model ?? loaded.model;
    const variant = { structure, exchangeable, loaded: { ...loaded, model } };
    const before = this.#variants.get(name);
    this.#variants.set(name, variant);
    if (before && this.#current === before) this.#current = variant;
  }

  /**
   * Puts an adapter into use; without a name the base as it is.
   *
   * @throws {ConfigError} if there is none of that name.
   */
  use(name: string | undefined): void {
    const variant = name === undefined ? this.#base : this.#variants.get(name);
    if (!variant) {
      throw new ConfigError({
        where: "adapter",
        expected: "one that was added",
        got: JSON.stringify(name),
        fix: this.#variants.size === 0 ? "Add it first." : suggest(name!, this.#variants.keys()),
      });
    }
    this.#current = variant;
  }
}
