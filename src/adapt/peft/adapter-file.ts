import { join } from "node:path";
import type { HostTensor } from "../../core/dtype.ts";
import { ConfigError, FormatError } from "../../core/errors.ts";
import { suggest } from "../../core/nearest.ts";
import type { HostWeights, Weights } from "../../core/weights.ts";
import { readWeight } from "../../engine/stored-tensor.ts";
import {
  ADAPTER_CONFIG,
  type AdapterDirectory,
  openAdapterDirectory,
  writeAdapterDirectory,
} from "../../hub/adapter-directory.ts";
import { describeJson } from "../../hub/strict-json.ts";
import type { CausalLM, Encoder } from "../../models/contracts.ts";
import { DecoderClassifier } from "../../models/decoder-classifier.ts";
import { countParameters, type Parameter } from "../../nn/scope.ts";
import type { Adapter } from "../adapter.ts";
import { fingerprintOf, isSameBase, parseFingerprint, showFingerprint } from "./base-fingerprint.ts";
import { IA3 } from "./ia3-method.ts";
import { LORA } from "./lora-method.ts";
import { checkSettings, type PeftBase, type PeftMethod } from "./peft-method.ts";
import { PREFIX_TUNING, PROMPT_TUNING } from "./prompt-methods.ts";
import { publishedNames } from "./published-modules.ts";
import { HEAD_KEY, headOf, withSavedHead } from "./saved-head.ts";
import { savedParameters } from "./saved-modules.ts";

/** Kinds of adapters that files may hold. */
const METHODS: readonly PeftMethod[] = [LORA, IA3, PROMPT_TUNING, PREFIX_TUNING];

/** Where the weight file keeps the fingerprint of its base. */
const FINGERPRINT_KEY = "plinth_base";

/** A model without an adapter on it, and its weights. */
export interface AdapterBase<M extends CausalLM | Encoder = CausalLM | Encoder> {
  readonly model: M;
  readonly weights: Weights;
}

/** What an adapter directory is made of. */
export interface SavedAdapter {
  readonly base: AdapterBase;
  /** Where the base is from, for readers: a directory, or an id on Hugging Face. */
  readonly baseName: string;
  readonly adapter: Adapter;
  /** Of the adapter's parameters, and of those modules of the base that were trained whole. */
  readonly weights: Weights;
  /** Modules of the base that were trained whole, such as `classifier`: names or their last words. */
  readonly modulesToSave?: readonly string[];
  /** The card, Markdown; default: a short one. */
  readonly card?: string;
}

/** An adapter from a directory, for one base. */
export interface LoadedAdapter<M extends CausalLM | Encoder = CausalLM | Encoder> {
  readonly directory: string;
  /** Such as `LORA`. */
  readonly peftType: string;
  /** What it is to be put on: the base, with the head that it was trained with where the file says so. */
  readonly model: M;
  /** The same for adapters that differ in nothing but their weights. */
  readonly structure: string;
  readonly adapter: Adapter;
  /** Of the adapter's parameters, and in place of the base's of those modules that were trained whole. */
  readonly weights: HostWeights;
  /** Where the base is from, as the file has it. */
  readonly baseName: string | undefined;
}

/** How strict a reader is. */
export interface LoadAdapterOptions {
  /** False takes an adapter of another base that has the same shapes. */
  readonly checkBase?: boolean;
}

/**
 * Writes an adapter in PEFT's layout, which Python `peft` loads with the same logits: whole or not at all. The file also says
 * which base it is for.
 *
 * @throws {ConfigError} if there is no such kind of adapter in that layout, or weights are missing.
 * @throws {EnvironmentError} if the directory holds something else or the system refuses.
 */
export function saveAdapter(directory: string, saved: SavedAdapter): void {
  const { base, adapter, weights, baseName, modulesToSave = [] } = saved;
  const at: PeftBase = { model: base.model, names: publishedNames(base.model, directory) };
  const { method, settings } = describeAdapter(adapter, at, directory);
  const config = {
    ...{ peft_type: method.peftType, task_type: taskOf(base.model), base_model_name_or_path: baseName },
    ...{ inference_mode: true, modules_to_save: modulesToSave.length > 0 ? modulesToSave : null },
    ...settings,
  };
  const whole = savedParameters({ modules_to_save: modulesToSave }, at, directory);
  const head = headOf(base.model);
  const tensors = [...adapter.parameters, ...whole].map(({ path }) => {
    const weight = weights.get(path);
    if (weight) return [nameInFile(path, method, at), readWeight(weight)] as const;
    throw new ConfigError({ where: `saveAdapter, ${path}`, expected: "its weights", got: "none" });
  });
  writeAdapterDirectory(directory, {
    config: Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1))),
    tensors,
    metadata: {
      [FINGERPRINT_KEY]: showFingerprint(fingerprintOf(base.model, base.weights)),
      ...(head && whole.length > 0 && { [HEAD_KEY]: JSON.stringify(head) }),
    },
    card: saved.card ?? cardOf(method, baseName, [...adapter.parameters, ...whole]),
  });
}

/**
 * Loads an adapter in PEFT's layout, ours or Python's, for a base.
 *
 * @throws {ConfigError} if it asks for what is not known here, for layers that the base lacks, or if it is for another base.
 * @throws {FormatError} if tensors are missing, foreign or of another shape than configuration and base say.
 * @throws {EnvironmentError} if the directory cannot be read.
 */
export function loadAdapter<M extends CausalLM | Encoder>(
  directory: string,
  base: AdapterBase<M>,
  { checkBase = true }: LoadAdapterOptions = {},
): LoadedAdapter<M> {
  const opened = openAdapterDirectory(directory);
  try {
    const { config } = opened;
    const where = join(directory, ADAPTER_CONFIG);
    const method = methodOf(config.peft_type ?? null, where);
    checkSettings(config, method, where);
    const model = withSavedHead(base.model, opened.weights.metadata[HEAD_KEY], opened.weights.path);
    const at: PeftBase = { model, names: publishedNames(model, directory) };
    const adapter = method.read(config, at, where);
    const expected = [...adapter.parameters, ...savedParameters(config, at, where)];
    const nameOf = matchNames(opened, expected, method, at);
    checkShapes(opened, expected, nameOf);
    if (checkBase) checkFingerprint(opened, base);
    const weights = new Map(
      expected.map(({ path }): [string, HostTensor] => [path, opened.weights.readFloat32(nameOf.get(path)!)]),
    );
    checkWhole(model, base.weights, weights, directory);
    const { base_model_name_or_path: name } = config;
    const { peftType } = method;
    const shapes = expected.map(({ path, shape }) => `${path} ${shape}`);
    const structure = JSON.stringify([peftType, method.write(adapter, at), headOf(model), shapes]);
    return {
      ...{ directory, peftType, model, structure, adapter, weights },
      baseName: typeof name === "string" ? name : undefined,
    };
  } finally {
    opened.close();
  }
}

function methodOf(peftType: unknown, where: string): PeftMethod {
  const method = METHODS.find((candidate) => candidate.peftType === peftType);
  if (method) return method;
  const known = METHODS.map((candidate) => candidate.peftType);
  throw new ConfigError({
    where: `${where} peft_type`,
    expected: "a kind of adapter that is known here",
    got: JSON.stringify(peftType),
    fix: typeof peftType === "string" ? suggest(peftType, known) : `Known: ${known.join(", ")}.`,
  });
}

function describeAdapter(adapter: Adapter, base: PeftBase, where: string) {
  for (const method of METHODS) {
    const settings = method.write(adapter, base);
    if (settings) return { method, settings };
  }
  const expected = `an adapter that PEFT has: ${METHODS.map(({ peftType }) => peftType).join(", ")}`;
  throw new ConfigError({ where, expected, got: adapter.constructor.name });
}

function nameInFile(path: string, method: PeftMethod, { names }: PeftBase): string {
  if (method.plainNames.includes(path)) return path;
  return names.inFile(
    path,
    method.suffixes.find((suffix) => path.endsWith(`.${suffix}`)),
  );
}

/** The name in the file of each parameter, by path; all tensors of the file have to be one. */
function matchNames(
  { weights }: AdapterDirectory,
  expected: readonly Parameter[],
  method: PeftMethod,
  { names }: PeftBase,
): ReadonlyMap<string, string> {
  const paths = new Set(expected.map(({ path }) => path));
  const nameOf = new Map<string, string>();
  const foreign: string[] = [];
  for (const name of weights.tensors.keys()) {
    const path = method.plainNames.includes(name) ? name : names.pathOf(name, method.suffixes);
    if (path === undefined || !paths.has(path) || nameOf.has(path)) foreign.push(name);
    else nameOf.set(path, name);
  }
  const missing = [...paths].filter((path) => !nameOf.has(path));
  if (foreign.length + missing.length === 0) return nameOf;
  throw new FormatError({
    where: weights.path,
    expected: `exactly the ${paths.size} tensors that ${ADAPTER_CONFIG} means on this base`,
    got: [
      foreign.length > 0 ? `${foreign.length} foreign (${list(foreign)})` : "",
      missing.length > 0 ? `${missing.length} missing (${list(missing)})` : "",
    ]
      .filter(Boolean)
      .join(" and "),
    fix: "It may be for another base.",
  });
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => describeJson(name).slice(1, -1));
  return shown.join(", ") + (names.length > 3 ? ", …" : "");
}

function checkShapes(
  { weights }: AdapterDirectory,
  expected: readonly Parameter[],
  nameOf: ReadonlyMap<string, string>,
): void {
  for (const { path, shape } of expected) {
    const name = nameOf.get(path)!;
    const entry = weights.entry(name);
    if (entry.shape.join() === shape.join()) continue;
    throw new FormatError({
      where: `${weights.path}, tensor ${name}`,
      expected: `shape [${shape}] as ${ADAPTER_CONFIG} and the base say`,
      got: `[${entry.shape}]`,
      fix: "It may be for another base.",
    });
  }
}

/** A head may need more than was trained. */
function checkWhole(
  model: CausalLM | Encoder,
  ofBase: Weights,
  ofAdapter: HostWeights,
  directory: string,
): void {
  const missing = model.parameters.find(({ path }) => !ofBase.has(path) && !ofAdapter.has(path));
  if (!missing) return;
  const expected = `${missing.path} in it, or in the base`;
  throw new FormatError({ where: directory, expected, got: "neither" });
}

function checkFingerprint({ path, config, weights }: AdapterDirectory, base: AdapterBase): void {
  const recorded = parseFingerprint(weights.metadata[FINGERPRINT_KEY]);
  if (!recorded) return;
  const actual = fingerprintOf(base.model, base.weights);
  if (isSameBase(recorded, actual)) return;
  const name = describeJson(config.base_model_name_or_path);
  throw new ConfigError({
    where: path,
    expected: `the base that it was made for: ${name}, whose weights have fingerprint ${showFingerprint(recorded)}`,
    got: `a base with ${showFingerprint(actual)}`,
    fix: 'Use that base; "checkBase: false", or --no-check-base of plinth merge, takes it all the same.',
  });
}

/** PEFT's name of what the model is for, which tells it how to wrap the model. */
function taskOf(model: CausalLM | Encoder): string | null {
  if (!("heads" in model)) return model instanceof DecoderClassifier ? "SEQ_CLS" : "CAUSAL_LM";
  const { sequenceClassifier, tokenClassifier, answerLogits } = model.heads;
  if (sequenceClassifier) return "SEQ_CLS";
  if (tokenClassifier) return "TOKEN_CLS";
  return answerLogits ? "QUESTION_ANS" : null;
}

function cardOf({ peftType }: PeftMethod, baseName: string, parameters: readonly Parameter[]): string {
  return [
    ...["---", `base_model: ${JSON.stringify(baseName)}`, "library_name: peft", "---", ""],
    ...[
      "# Adapter",
      "",
      `${peftType} with ${countParameters(parameters)} parameters, trained with Plinth.`,
      "",
    ],
  ].join("\n");
}
