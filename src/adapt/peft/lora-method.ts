import type { JsonObject } from "../../hub/strict-json.ts";
import type { Adapter } from "../adapter.ts";
import { JoinedAdapter } from "../joined-adapter.ts";
import type { LinearModule } from "../linear-modules.ts";
import { Lora, type LoraOptions } from "../lora.ts";
import { readNamePatterns } from "./name-matching.ts";
import { ANY, FLAG, oneOfValues, type PeftBase, type PeftMethod, READ, readNumber } from "./peft-method.ts";
import { readTargetModules, writeTargetModules } from "./target-modules.ts";

/** First values that leave the base as it is; others, such as `pissa`, take the adapter's first product out of its weights. */
const PLAIN_STARTS = oneOfValues(true, false, "gaussian", "eva", "orthogonal");

/** LoRA, with rank-stabilised scale and as DoRA. */
export const LORA: PeftMethod = {
  peftType: "LORA",
  suffixes: ["lora_A.weight", "lora_B.weight", "lora_magnitude_vector"],
  plainNames: [],
  settings: {
    ...{ r: READ, lora_alpha: READ, rank_pattern: READ, alpha_pattern: READ },
    ...{ target_modules: READ, exclude_modules: READ, layers_to_transform: READ },
    ...{ use_rslora: FLAG, use_dora: FLAG, fan_in_fan_out: FLAG, bias: oneOfValues("none") },
    ...{ init_lora_weights: PLAIN_STARTS, lora_dropout: ANY, megatron_core: ANY, qalora_group_size: ANY },
    eva_config: ANY,
  },
  read: readLora,
  write: writeLora,
};

function readLora(config: JsonObject, base: PeftBase, where: string): Adapter {
  const modules = readTargetModules(config, base, where);
  const [rank, alpha] = [readNumber(config, "r", where, 8), readNumber(config, "lora_alpha", where, 8)];
  const rankOf = readNamePatterns(config.rank_pattern, `${where} rank_pattern`);
  const alphaOf = readNamePatterns(config.alpha_pattern, `${where} alpha_pattern`);
  const groups = new Map<
    string,
    { readonly options: Omit<LoraOptions, "targets">; readonly targets: string[] }
  >();
  for (const { name } of modules) {
    const published = base.names.ofModule(name);
    const options = {
      rank: rankOf(published) ?? rank,
      alpha: alphaOf(published) ?? alpha,
      rankStabilized: config.use_rslora === true,
      decomposed: config.use_dora === true,
    };
    const key = `${options.rank} ${options.alpha}`;
    const group = groups.get(key) ?? { options, targets: [] };
    groups.set(key, group);
    group.targets.push(name);
  }
  const parts = [...groups.values()].map(
    ({ options, targets }) => new Lora(base.model, { ...options, targets }),
  );
  return parts.length === 1 ? parts[0]! : new JoinedAdapter(parts);
}

function writeLora(adapter: Adapter, base: PeftBase): object | undefined {
  const parts = adapter instanceof JoinedAdapter ? adapter.parts : [adapter];
  if (!parts.every((part) => part instanceof Lora)) return undefined;
  const modules = parts.flatMap((part) => part.modules);
  const { rank, alpha, rankStabilized = false, decomposed = false } = parts[0]!.options;
  return {
    r: rank,
    lora_alpha: alpha,
    ...patternsOf(parts, base),
    target_modules: writeTargetModules(modules, base),
    use_rslora: rankStabilized,
    use_dora: decomposed,
    fan_in_fan_out: modules.some(({ isOutIn }) => !isOutIn),
    bias: "none",
    init_lora_weights: true,
    lora_dropout: 0,
  };
}

/** Ranks and factors of modules that have others than the first part's. */
function patternsOf(parts: readonly Lora[], { names }: PeftBase): object {
  const of = (modules: readonly LinearModule[], value: number) =>
    modules.map(({ name }) => [names.ofModule(name).replaceAll(".", "\\."), value] as const);
  const pick = (key: "rank" | "alpha") =>
    Object.fromEntries(
      parts
        .filter(({ options }) => options[key] !== parts[0]!.options[key])
        .flatMap(({ modules, options }) => of(modules, options[key])),
    );
  return { rank_pattern: pick("rank"), alpha_pattern: pick("alpha") };
}
