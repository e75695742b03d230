import { ConfigError } from "../../core/errors.ts";
import { describeJson, type JsonObject, type JsonValue } from "../../hub/strict-json.ts";
import type { Adapter } from "../adapter.ts";
import { Ia3 } from "../ia3.ts";
import { type NameTest, readNameTest } from "./name-matching.ts";
import { FLAG, type PeftBase, type PeftMethod, READ } from "./peft-method.ts";
import { readTargetModules, writeTargetModules } from "./target-modules.ts";

/** (IA)³. */
export const IA3: PeftMethod = {
  peftType: "IA3",
  suffixes: ["ia3_l"],
  plainNames: [],
  settings: {
    ...{ target_modules: READ, exclude_modules: READ, feedforward_modules: READ },
    ...{ fan_in_fan_out: FLAG, init_ia3_weights: FLAG },
  },
  read: readIa3,
  write: writeIa3,
};

function readIa3(config: JsonObject, base: PeftBase, where: string): Adapter {
  const chosen = readTargetModules(config, base, where).map(({ name }) => name);
  const isInside = readFeedForward(config.feedforward_modules ?? [], `${where} feedforward_modules`);
  const feedForward = chosen.filter((name) => isInside(base.names.ofModule(name)));
  return new Ia3(base.model, { targets: chosen, feedForward });
}

/** Unlike elsewhere, PEFT takes a name for the end of others even within a word. */
function readFeedForward(value: JsonValue, where: string): NameTest {
  if (!Array.isArray(value)) return readNameTest(value, where);
  if (value.every((item) => typeof item === "string") && value.length <= 4096) {
    return (name) => value.some((end) => name.endsWith(end));
  }
  throw new ConfigError({ where, expected: "a list of names", got: describeJson(value) });
}

function writeIa3(adapter: Adapter, base: PeftBase): object | undefined {
  if (!(adapter instanceof Ia3)) return undefined;
  const { modules, feedForward } = adapter;
  const isInside = new Map(modules.map(({ name }) => [base.names.ofModule(name), feedForward.has(name)]));
  const short = writeTargetModules(modules, base);
  const kindsOf = (end: string) =>
    new Set([...isInside].filter(([name]) => name.endsWith(end)).map(([, inside]) => inside));
  const targets = short.every((end) => kindsOf(end).size === 1) ? short : [...isInside.keys()].sort();
  return {
    target_modules: targets,
    feedforward_modules: targets.filter((end) => kindsOf(end).has(true)),
    fan_in_fan_out: modules.some(({ isOutIn }) => !isOutIn),
    init_ia3_weights: true,
  };
}
