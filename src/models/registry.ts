import { ConfigError } from "../core/errors.ts";
import { suggest } from "../core/nearest.ts";
import type { CausalLM } from "./contracts.ts";
import { Gpt2 } from "./gpt2/model.ts";
import * as gpt2 from "./gpt2/weights.ts";

/** What loading, saving and listing need to know about a family. */
export interface Family {
  /** `model_type` in a published `config.json`. */
  readonly modelType: string;
  /** Builds the model that a published configuration describes. */
  readonly fromPublished: (config: Readonly<Record<string, unknown>>) => CausalLM;
  /** `config.json` for a model of this family. */
  readonly toPublished: (model: CausalLM, endOfTextId: number | undefined) => object;
  readonly pathOfPublished: (name: string) => string | undefined;
  readonly publishedName: (path: string) => string;
}

const FAMILIES: readonly Family[] = [
  {
    modelType: "gpt2",
    fromPublished: (config) => new Gpt2(gpt2.fromPublishedConfig(config)),
    toPublished: (model, endOfTextId) => gpt2.toPublishedConfig((model as Gpt2).config, endOfTextId),
    pathOfPublished: gpt2.pathOfPublished,
    publishedName: gpt2.publishedName,
  },
];

/** @throws {ConfigError} naming the known families if there is none of that type. */
export function familyOf(modelType: unknown, where: string): Family {
  const family = FAMILIES.find((candidate) => candidate.modelType === modelType);
  if (family) return family;
  const known = FAMILIES.map((candidate) => candidate.modelType);
  throw new ConfigError({
    where: `${where} model_type`,
    expected: "a known architecture",
    got: JSON.stringify(modelType ?? null),
    fix: typeof modelType === "string" ? suggest(modelType, known) : `Known: ${known.join(", ")}.`,
  });
}
