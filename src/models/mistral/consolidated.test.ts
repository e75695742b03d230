import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { MISTRAL_FIXTURES } from "../../../test/mistral-golden.ts";
import { ConfigError, FormatError } from "../../core/errors.ts";
import { readWeights } from "../../engine/stored-tensor.ts";
import { openModelWeights } from "../../hub/model-weights.ts";
import { SafetensorsFile } from "../../hub/safetensors.ts";
import { type NamedTensor, streamSafetensors } from "../../hub/safetensors-writer.ts";
import { loadModel } from "../load-model.ts";
import { openConsolidated } from "./consolidated.ts";
import type { Mistral } from "./model.ts";

// The fixture is the checkpoint `mistral` in Mistral's own layout, as tools/golden/mistral.py lays it out.

const ORIGINAL = join(MISTRAL_FIXTURES, "consolidated");
const PARAMS = JSON.parse(readFileSync(join(ORIGINAL, "params.json"), "utf8")) as Record<string, unknown>;

const places: string[] = [];
afterAll(() => {
  for (const place of places) rmSync(place, { recursive: true, force: true });
});

function newDirectory(params: object | null = PARAMS): string {
  const place = mkdtempSync(join(tmpdir(), "plinth-consolidated-"));
  places.push(place);
  if (params) writeFileSync(join(place, "params.json"), JSON.stringify(params));
  return place;
}

function withWeights(params: object): string {
  const place = newDirectory(params);
  copyFileSync(join(ORIGINAL, "consolidated.safetensors"), join(place, "consolidated.safetensors"));
  return place;
}

/** The fixture's tensors, dealt out to files. */
function withShards(names: readonly string[], keep: (tensor: string, shard: number) => boolean): string {
  const place = newDirectory();
  const file = SafetensorsFile.open(join(ORIGINAL, "consolidated.safetensors"));
  const all = [...file.tensors.keys()].map((name): NamedTensor => [name, file.read(name)]);
  file.close();
  for (const [shard, name] of names.entries()) {
    const some = all.filter(([tensor]) => keep(tensor, shard));
    streamSafetensors(join(place, name), some, {}, place);
  }
  return place;
}

const halves = (tensor: string, shard: number) => Number(tensor.startsWith("layers.1.")) === shard;

function expectSame(directory: string): void {
  const [actual, expected] = [directory, join(MISTRAL_FIXTURES, "mistral")].map((place) => loadModel(place));
  expect((actual!.model as Mistral).config).toEqual((expected!.model as Mistral).config);
  expect(readWeights(actual!.weights)).toEqual(readWeights(expected!.weights));
}

test("it is the model of the Hugging Face layout, weights and configuration to the bit", () => {
  expectSame(ORIGINAL);
});

test("numbered files that hold different tensors are one model", () => {
  expectSame(withShards(["consolidated.00.safetensors", "consolidated.01.safetensors"], halves));
});

test("files that an index lists are one model", () => {
  const shards = ["consolidated-00001-of-00002.safetensors", "consolidated-00002-of-00002.safetensors"];
  const place = withShards(shards, halves);
  const file = SafetensorsFile.open(join(ORIGINAL, "consolidated.safetensors"));
  const names = [...file.tensors.keys()];
  file.close();
  const weight_map = Object.fromEntries(names.map((name) => [name, shards[Number(halves(name, 1))]]));
  writeFileSync(join(place, "consolidated.safetensors.index.json"), JSON.stringify({ weight_map }));
  expectSame(place);
});

test("where both layouts are, that of Hugging Face is taken", () => {
  const place = withWeights({ dim: "nonsense" });
  for (const name of ["config.json", "model.safetensors"]) {
    copyFileSync(join(MISTRAL_FIXTURES, "mistral", name), join(place, name));
  }
  expectSame(place);
});

test("every way of reading puts the rows of queries and keys in order", () => {
  const expected = openModelWeights(join(MISTRAL_FIXTURES, "mistral"));
  const { weights, close } = openConsolidated(ORIGINAL);
  for (const name of expected.names) {
    const wanted = expected.readFloat32(name).data as Float32Array;
    expect(weights.has(name)).toBe(true);
    expect(weights.entry(name).shape).toEqual(expected.entry(name).shape);
    expect(weights.read(name).data, name).toEqual(wanted);
    expect(weights.readFloat32(name).data, name).toEqual(wanted);
    const bytes = new Uint8Array(wanted.byteLength);
    weights.readInto(name, bytes);
    expect(new Float32Array(bytes.buffer), name).toEqual(wanted);
    const read = readWeights(new Map([[name, weights.stored(name)]]));
    expect(read.get(name)!.data, name).toEqual(wanted);
  }
  close();
  expected.close();
});

test("a file that says neither theta nor window is a plain model of theta 10,000", () => {
  const { rope_theta: _, sliding_window: __, norm_eps: ___, ...silent } = PARAMS;
  const { config } = loadModel(withWeights({ ...silent, model_type: "transformer", moe: null }))
    .model as Mistral;
  expect(config).toMatchObject({ ropeTheta: 10_000, rmsNormEpsilon: 1e-5 });
  expect(config.slidingWindow).toBe(undefined);
});

test.each<[object, string]>([
  [{ dim: undefined }, "params.json.dim: expected an integer in [1, 2147483647], got nothing."],
  [{ dim: "20" }, 'params.json.dim: expected an integer in [1, 2147483647], got "20".'],
  [{ n_layers: 1e9 }, "params.json.n_layers: expected an integer in [1, 1024], got 1000000000."],
  [{ moe: { num_experts: 8 } }, "params.json, moe: expected the keys of a dense Mistral decoder"],
  [{ vision_encoder: {} }, "Experts, images and other rotations are not of this family."],
  [
    { yarn: { factor: 4 } },
    'params.json, yarn: expected the keys of a dense Mistral decoder, got {"factor":4}.',
  ],
])("params.json with %j", (change, message) => {
  const place = withWeights({ ...PARAMS, ...change });
  expect(() => loadModel(place)).toThrow(ConfigError);
  expect(() => loadModel(place)).toThrow(message);
});

test("sizes that contradict the tensors", () => {
  const place = withWeights({ ...PARAMS, n_heads: 8 });
  expect(() => loadModel(place)).toThrow(FormatError);
  expect(() => loadModel(place)).toThrow("expected shape [48,20] as config.json says, got [24,20]");
});

test("pickles, gaps, pieces of tensors, and nothing at all", () => {
  const pickled = newDirectory();
  writeFileSync(join(pickled, "consolidated.00.pth"), "PK");
  const refusal =
    "got consolidated.00.pth, a Python pickle, which can run any code. Convert it to safetensors where you trust it.";
  expect(() => loadModel(pickled)).toThrow(refusal);
  const gap = withShards(["consolidated.00.safetensors", "consolidated.02.safetensors"], halves);
  expect(() => loadModel(gap)).toThrow(
    "without a gap, got consolidated.00.safetensors, consolidated.02.safetensors.",
  );
  const pieces = withShards(["consolidated.00.safetensors", "consolidated.01.safetensors"], () => true);
  expect(() => loadModel(pieces)).toThrow("expected each tensor whole in one file");
  expect(() => loadModel(newDirectory())).toThrow("got neither. Download the model again: it is incomplete.");
  expect(() => loadModel(newDirectory(null))).toThrow(
    "expected a model directory with config.json, got none.",
  );
});
