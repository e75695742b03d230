import { ConfigError } from "../../core/errors.ts";
import { nearest } from "../../core/nearest.ts";
import { describeJson, type JsonObject, type JsonValue } from "../../hub/strict-json.ts";
import { type LinearModule, linearModules } from "../linear-modules.ts";
import { readNameTest } from "./name-matching.ts";
import type { PeftBase } from "./peft-method.ts";
import { readSavedModules } from "./saved-modules.ts";

/** What PEFT leaves out where every linear layer is meant: heads, by their published names. */
const OUTPUT = /^(?:lm_head|classifier|score|qa_outputs|cls\.predictions\.decoder|cls\.seq_relationship)$/;

/**
 * The linear layers that a configuration's `target_modules` names, less those of `exclude_modules`, in layers of
 * `layers_to_transform` where it says so, and less what is trained whole.
 *
 * @throws {ConfigError} if a name stands for none of them; it lists what exists.
 * @throws {FormatError} if a setting is malformed.
 */
export function readTargetModules(
  config: JsonObject,
  base: PeftBase,
  where: string,
): readonly LinearModule[] {
  const { target_modules: targets, exclude_modules: excluded } = config;
  const all = linearModules(base.model);
  const nameOf = ({ name }: LinearModule) => base.names.ofModule(name);
  const isTarget = readTargets(targets, all.map(nameOf), `${where} target_modules`);
  const isExcluded =
    excluded === undefined || excluded === null
      ? () => false
      : readNameTest(excluded, `${where} exclude_modules`);
  const isSaved = readSavedModules(config, where);
  const isInLayer = readLayers(config.layers_to_transform, `${where} layers_to_transform`);
  const chosen = all.filter((module) => {
    const name = nameOf(module);
    return isTarget(name) && isInLayer(name) && !isExcluded(name) && !isSaved(name);
  });
  if (chosen.length > 0) return chosen;
  throw unknown(targets, all.map(nameOf), `${where} target_modules`);
}

function readTargets(targets: JsonValue | undefined, names: readonly string[], where: string) {
  if (targets === "all-linear") return (name: string) => !OUTPUT.test(name);
  const matches = readNameTest(targets ?? null, where);
  const given = Array.isArray(targets) ? (targets as readonly string[]) : [];
  const missing = given.find(
    (target) => !names.some((name) => name === target || name.endsWith(`.${target}`)),
  );
  if (missing !== undefined) throw unknown(missing, names, where);
  return matches;
}

function readLayers(value: JsonValue | undefined, where: string): (name: string) => boolean {
  const layers = typeof value === "number" ? [value] : (value ?? []);
  if (!Array.isArray(layers) || !layers.every((layer) => Number.isSafeInteger(layer))) {
    throw new ConfigError({ where, expected: "numbers of layers", got: describeJson(value) });
  }
  const chosen = new Set(layers);
  return (name) => chosen.size === 0 || chosen.has(Number(/\.[^.]*\.(\d+)\./.exec(name)?.[1] ?? Number.NaN));
}

function unknown(got: JsonValue | undefined, names: readonly string[], where: string): ConfigError {
  const known = [...new Set(names.map(withinLayer))];
  const words = known.map((name) => name.replace(/^.*\./, ""));
  const near = typeof got === "string" ? nearest(got, [...words, ...known]) : undefined;
  return new ConfigError({
    where,
    expected: `linear layers of the base: ${known.join(", ")}`,
    got: describeJson(got),
    ...(near !== undefined && { fix: `Did you mean "${near}"?` }),
  });
}

/**
 * Names for `target_modules` that stand for exactly these layers of the base: the last words of their names where each is
 * one layer of a block, such as `q_proj`; else their names within a block; else all of their names.
 */
export function writeTargetModules(modules: readonly LinearModule[], { model, names }: PeftBase): string[] {
  const all = linearModules(model).map(({ name }) => names.ofModule(name));
  const wanted = new Set(modules.map(({ name }) => names.ofModule(name)));
  const stands = (ends: readonly string[]) =>
    all.every((name) => wanted.has(name) === ends.some((end) => name === end || name.endsWith(`.${end}`)));
  const within = [...new Set([...wanted].map(withinLayer))];
  const last = within.map((name) => name.replace(/^.*\./, ""));
  const isPlain = last.every((word) =>
    all.every((name) => !name.endsWith(`.${word}`) || within.includes(withinLayer(name))),
  );
  if (isPlain && new Set(last).size === last.length && stands(last)) return last.sort();
  return stands(within) ? within.sort() : [...wanted].sort();
}

function withinLayer(name: string): string {
  return name.replace(/^.*\.\d+\./, "");
}
