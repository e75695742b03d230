import { join } from "node:path";
import { loadChatTemplate } from "../codecs/chat-template.ts";
import type { HostTensor } from "../core/dtype.ts";
import type { Weight } from "../core/weights.ts";
import { readWeight } from "../engine/stored-tensor.ts";
import { writeModelDirectory } from "../hub/model-directory.ts";
import type { NamedTensor } from "../hub/safetensors-writer.ts";
import { companionFiles } from "../models/companion-files.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import { type Loaded, loadClassifier, loadEncoder, loadModel } from "../models/load-model.ts";
import { openCheckpoint } from "../models/open-checkpoint.ts";
import { familyOfModel, isClassifierConfig, isEncoderType } from "../models/registry.ts";
import { checkDense, type MergeOptions, mergeSteps } from "./merge-adapter.ts";
import { type LoadAdapterOptions, type LoadedAdapter, loadAdapter } from "./peft/adapter-file.ts";

/** What a merger did. */
export interface MergeReport {
  readonly peftType: string;
  /** Tensors of the base that are others now. */
  readonly changed: number;
  readonly kept: number;
}

/**
 * Writes a model directory in which an adapter has become part of the weights, float32, whole or not at all: one tensor is in memory
 * at a time. Base and adapter stay as they are.
 *
 * @throws as `loadAdapter` and `mergeAdapter`, and {EnvironmentError} if `target` holds something else or the system refuses.
 */
export function mergeModel(
  source: string,
  adapterDirectory: string,
  target: string,
  options: MergeOptions & LoadAdapterOptions = {},
): MergeReport {
  const opened = openCheckpoint(source);
  opened.close();
  const { config } = opened;
  const where = join(source, "config.json");
  if (isEncoderType(config.model_type)) {
    return write(loadEncoder(source));
  }
  return isClassifierConfig(config) ? write(loadClassifier(source)) : write(loadModel(source));

  function write<M extends CausalLM | Encoder>({ model: base, weights }: Loaded<M>): MergeReport {
    const loaded = loadAdapter(adapterDirectory, { model: base, weights }, options);
    const { model } = loaded; // with the head that the adapter was trained with
    const family = familyOfModel(model, where);
    const steps = mergeSteps(loaded.adapter, loaded.weights);
    const changed = new Set([...steps.keys(), ...loaded.weights.keys()]);
    const tensors = model.parameters.flatMap(({ path, shape }): NamedTensor[] => {
      const weight = loaded.weights.get(path) ?? weights.get(path)!;
      checkDense(path, weight, options);
      const tensor = mergedLater(weight, shape, steps.get(path));
      return family.publishedNames(path, model).map((name) => [name, tensor]);
    });
    const { quantization_config: _quantization, torch_dtype: _dtype, ...rest } = config;
    const { files, card, ...companions } = companionFiles(opened);
    writeModelDirectory(target, {
      ...companions,
      config: { ...rest, ...headFields(family.toPublished(model, undefined)), dtype: "float32" },
      tensors,
      files: { ...files, ...templateOf(adapterDirectory), "README.md": cardOf(card, loaded) },
    });
    const numChanged = model.parameters.filter(({ path }) => changed.has(path)).length;
    return {
      ...{ peftType: loaded.peftType, changed: numChanged },
      kept: model.parameters.length - numChanged,
    };
  }
}

/** How conversations are written, where the adapter was trained on some. */
function templateOf(adapterDirectory: string): Readonly<Record<string, string>> {
  const source = loadChatTemplate(adapterDirectory)?.defaultSource;
  return source === undefined ? {} : { "chat_template.jinja": source };
}

/** Fields of a configuration that say which head a model has. */
const HEAD_FIELDS = ["architectures", "problem_type", "id2label", "label2id", "pad_token_id"] as const;

function headFields(published: object): object {
  const fields = published as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    HEAD_FIELDS.flatMap((key) => (Object.hasOwn(fields, key) ? [[key, fields[key]]] : [])),
  );
}

/** A tensor whose numbers are worked out when they are written. */
function mergedLater(
  weight: Weight,
  shape: readonly number[],
  step: ((tensor: HostTensor) => HostTensor) | undefined,
): HostTensor {
  return {
    ...{ dtype: "float32", shape },
    get data() {
      const tensor = readWeight(weight);
      return (step?.(tensor) ?? tensor).data;
    },
  };
}

function cardOf(original: string | undefined, { peftType, directory }: LoadedAdapter): string {
  const note = `## Merger\n\nAn adapter (${peftType}, ${JSON.stringify(directory)}) was merged into the weights by Plinth.\n`;
  return `${original?.trimEnd() ?? "# Model"}\n\n${note}`;
}
