import type { JsonObject } from "../../hub/strict-json.ts";
import type { Parameter } from "../../nn/scope.ts";
import { type NameTest, readNameTest } from "./name-matching.ts";
import type { PeftBase } from "./peft-method.ts";

/** Whether a module, or one that it is part of, is trained whole as `modules_to_save` says. */
export function readSavedModules(config: JsonObject, where: string): NameTest {
  const saved = config.modules_to_save ?? [];
  const isNamed = readNameTest(saved, `${where} modules_to_save`);
  return (name) => beginningsOf(name).some(isNamed);
}

/** The parameters of the base that `modules_to_save` names. Names that the base has nothing of are PEFT's guesses at a head's. */
export function savedParameters(
  config: JsonObject,
  { model, names }: PeftBase,
  where: string,
): readonly Parameter[] {
  const isSaved = readSavedModules(config, where);
  return model.parameters.filter(({ path }) => isSaved(names.ofParameter(path).replace(/\.[^.]+$/, "")));
}

/** The name, and what it is part of. */
function beginningsOf(name: string): readonly string[] {
  const parts = name.split(".");
  return parts.map((_, i) => parts.slice(0, i + 1).join("."));
}
