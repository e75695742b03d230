import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AdaptedDecoder, AdaptedEncoder } from "../src/adapt/adapter.ts";
import type { AdapterBase, LoadedAdapter } from "../src/adapt/peft/adapter-file.ts";
import { allocate, type HostTensor, numElements } from "../src/core/dtype.ts";
import type { Weights } from "../src/core/weights.ts";
import type { CausalLM, Encoder } from "../src/models/contracts.ts";
import { loadEncoder, loadModel } from "../src/models/load-model.ts";
import { input } from "../src/tensor/tensor.ts";
import type { Packed } from "./mistral-golden.ts";
import { engine } from "./tiny-run.ts";

// Golden values of tools/golden/peft_adapters.py: Python peft, float64 runs of float32 weights.

/** Where all fixtures are. */
export const FIXTURES: string = new URL("./fixtures/", import.meta.url).pathname;

/** Where the adapters are. */
export const PEFT_FIXTURES: string = join(FIXTURES, "peft");

/** What Python computes with one of them. */
export interface PeftGolden {
  /** A checkpoint among the fixtures. */
  readonly base: string;
  readonly inputs: Readonly<Record<"input_ids" | "attention_mask" | "token_type_ids", number[][]>>;
  readonly logits: Packed;
}

/** The golden values of an adapter. */
export function peftGolden(name: string): PeftGolden {
  return JSON.parse(readFileSync(join(PEFT_FIXTURES, name, "golden.json"), "utf8")) as PeftGolden;
}

/** A checkpoint among the fixtures, or one like it elsewhere. */
export function fixtureBase(name: string, directory: string = join(FIXTURES, name)): AdapterBase {
  return name.startsWith("bert/") ? loadEncoder(directory) : loadModel(directory);
}

/** A base with an adapter on it, and the weights of both. */
export function adapt(
  base: AdapterBase,
  { adapter, model, weights }: Pick<LoadedAdapter, "adapter" | "model" | "weights">,
) {
  const adapted = "heads" in model ? new AdaptedEncoder(model, adapter) : new AdaptedDecoder(model, adapter);
  return { model: adapted, weights: new Map([...base.weights, ...weights]) as Weights };
}

/** Scores of next tokens, or of classes. */
export async function logitsOf(
  model: CausalLM | Encoder,
  weights: Weights,
  { input_ids: ids, attention_mask: mask, token_type_ids: segments }: PeftGolden["inputs"],
): Promise<Float32Array> {
  const shape = [ids.length, ids[0]!.length];
  const of = (name: string) => input(name, "int32", shape);
  const feeds: Record<string, HostTensor> = { tokens: integers(ids) };
  if ("heads" in model) Object.assign(feeds, { segments: integers(segments), mask: integers(mask) });
  const logits =
    "heads" in model
      ? model.heads.sequenceClassifier!.logits(
          model.hidden({ tokens: of("tokens"), segments: of("segments"), mask: of("mask") }),
        )
      : model.logits(model.hidden(of("tokens")));
  const program = engine.compile("logits", { logits }, { constants: weights });
  const result = await program.run(feeds);
  program.dispose();
  return result.logits!.data as Float32Array;
}

function integers(rows: readonly number[][]): HostTensor {
  const shape = [rows.length, rows[0]!.length];
  const data = allocate("int32", numElements(shape)) as Int32Array;
  data.set(rows.flat());
  return { dtype: "int32", shape, data };
}
