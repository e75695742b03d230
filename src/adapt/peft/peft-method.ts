import { ConfigError } from "../../core/errors.ts";
import { describeJson, type JsonObject, type JsonValue } from "../../hub/strict-json.ts";
import type { CausalLM, Encoder } from "../../models/contracts.ts";
import type { Adapter } from "../adapter.ts";
import type { PublishedNames } from "./published-modules.ts";

/** What an adapter is put on, and how it is named in files. */
export interface PeftBase {
  readonly model: CausalLM | Encoder;
  readonly names: PublishedNames;
}

/** A kind of adapter as PEFT's files have it. */
export interface PeftMethod {
  /** `peft_type` in the configuration. */
  readonly peftType: string;
  /** Ends of the names of its tensors, below a module of the base. */
  readonly suffixes: readonly string[];
  /** Names of its tensors that belong to no module. */
  readonly plainNames: readonly string[];
  /** Settings that it takes besides those of every adapter, and what each may be. */
  readonly settings: Readonly<Record<string, Setting>>;
  /**
   * The adapter that a configuration describes.
   *
   * @throws {PlinthError} naming the setting that does not fit the base.
   */
  read(config: JsonObject, base: PeftBase, where: string): Adapter;
  /** Settings that describe the adapter; `undefined` if it is of another kind. */
  write(adapter: Adapter, base: PeftBase): object | undefined;
}

/** What a setting may be. */
export interface Setting {
  readonly expected: string;
  readonly accepts: (value: JsonValue) => boolean;
}

/** A setting that says nothing about the arithmetic. */
export const ANY: Setting = { expected: "anything", accepts: () => true };

/** A setting that must be on or off. */
export const FLAG: Setting = { expected: "true or false", accepts: (value) => typeof value === "boolean" };

/** A setting that is read where it is used. */
export const READ: Setting = ANY;

/** A setting with few values that are understood. */
export function oneOfValues(...values: readonly JsonValue[]): Setting {
  return { expected: values.map(describeJson).join(" or "), accepts: (value) => values.includes(value) };
}

/** Settings of every adapter. */
const COMMON: Readonly<Record<string, Setting>> = {
  peft_type: READ,
  base_model_name_or_path: { expected: "a name", accepts: (value) => typeof value === "string" },
  task_type: { expected: "a name", accepts: (value) => typeof value === "string" },
  modules_to_save: READ,
  auto_mapping: ANY,
  inference_mode: FLAG,
  revision: ANY,
  peft_version: ANY,
  runtime_config: ANY,
};

/**
 * Checks that a configuration asks for nothing that is not understood. A setting that is off, such as `null`, `false` or an
 * empty list, asks for nothing.
 *
 * @throws {ConfigError} naming the setting.
 */
export function checkSettings(config: JsonObject, method: PeftMethod, where: string): void {
  const settings = { ...COMMON, ...method.settings };
  for (const [key, value] of Object.entries(config)) {
    const setting = Object.hasOwn(settings, key) ? settings[key] : undefined;
    if (setting ? value === null || setting.accepts(value) : isOff(value)) continue;
    throw new ConfigError({
      where: `${where} ${key}`,
      expected: setting ? setting.expected : "it left out, or off: it is not known here",
      got: describeJson(value),
    });
  }
}

function isOff(value: JsonValue): boolean {
  if (typeof value !== "object" || value === null) return value === null || value === false;
  return Object.keys(value).length === 0;
}

/** @throws {ConfigError} unless the setting is a number that fits. */
export function readNumber(config: JsonObject, key: string, where: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value === "number") return value;
  throw new ConfigError({ where: `${where} ${key}`, expected: "a number", got: describeJson(value) });
}
