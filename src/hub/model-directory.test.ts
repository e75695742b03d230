import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError, DataError, EnvironmentError, FormatError, ShapeError } from "../core/errors.ts";
import { type ModelDirectoryContents, openModelDirectory, writeModelDirectory } from "./model-directory.ts";
import { writeSafetensors } from "./safetensors-writer.ts";

let root = "";
let path = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-model-"));
  path = join(root, "model");
});
afterEach(() => rmSync(root, { recursive: true }));

function vector(...values: number[]): HostTensor {
  return { dtype: "float32", shape: [values.length], data: Float32Array.from(values) };
}

const CONTENTS: ModelDirectoryContents = {
  config: { model_type: "gpt2", n_layer: 2, layer_norm_epsilon: 1e-5 },
  generationConfig: { eos_token_id: 0 },
  tensors: [
    ["wte.weight", vector(1, 2, 3)],
    ["ln_f.bias", vector(4)],
  ],
  files: { "tokenizer.json": "{}", "README.md": "# é\n" },
};

function writeShards(index: unknown, shards: Readonly<Record<string, readonly string[]>>): void {
  mkdirSync(path);
  writeFileSync(join(path, "config.json"), "{}");
  writeFileSync(join(path, "model.safetensors.index.json"), JSON.stringify(index));
  for (const [file, names] of Object.entries(shards)) {
    writeSafetensors(
      join(path, file),
      names.map((name, i) => [name, vector(i, names.length)]),
    );
  }
}

describe("writeModelDirectory", () => {
  test("writes the Hugging Face layout, and it reads back", () => {
    writeModelDirectory(path, CONTENTS);
    const files = [
      "README.md",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
    ];
    expect(readdirSync(path).sort()).toEqual(files);
    expect(JSON.parse(readFileSync(join(path, "generation_config.json"), "utf8"))).toEqual({
      eos_token_id: 0,
    });
    expect(readFileSync(join(path, "README.md"), "utf8")).toBe("# é\n");
    expect(readFileSync(join(path, "model.safetensors")).subarray(8, 43).toString()).toBe(
      '{"__metadata__":{"format":"pt"},"ln',
    );
    const model = openModelDirectory(path);
    expect(model.config).toEqual(CONTENTS.config);
    expect(model.weights.names).toEqual(["ln_f.bias", "wte.weight"]);
    expect(model.weights.readFloat32("wte.weight")).toEqual(vector(1, 2, 3));
    expect(model.weights.has("wpe.weight")).toBe(false);
    model.close();
  });

  test("replaces an earlier model whole, and leaves it when the new one fails", () => {
    writeModelDirectory(path, CONTENTS);
    const { generationConfig: _, ...rest } = CONTENTS;
    writeModelDirectory(path, { ...rest, tensors: [["x", vector(7)]], files: {} });
    expect(readdirSync(path).sort()).toEqual(["config.json", "model.safetensors"]);
    const before = readFileSync(join(path, "model.safetensors"));
    const bad: HostTensor = { ...vector(1), shape: [2] };
    expect(() => writeModelDirectory(path, { ...CONTENTS, tensors: [["x", bad]] })).toThrow(ShapeError);
    expect(() => writeModelDirectory(path, { ...CONTENTS, config: { n: Number.NaN } })).toThrow(DataError);
    expect(readFileSync(join(path, "model.safetensors"))).toEqual(before);
    expect(readdirSync(root)).toEqual(["model"]);
  });

  test("does not replace a directory that holds anything but a model", () => {
    mkdirSync(path);
    writeFileSync(join(path, "thesis.tex"), "years of work");
    expect(() => writeModelDirectory(path, CONTENTS)).toThrow(EnvironmentError);
    expect(() => writeModelDirectory(path, CONTENTS)).toThrow(
      'got one with "thesis.tex". Choose another directory',
    );
    expect(readdirSync(path)).toEqual(["thesis.tex"]);
    rmSync(join(path, "thesis.tex"));
    mkdirSync(join(path, "README.md"));
    expect(() => writeModelDirectory(path, CONTENTS)).toThrow('got one with "README.md"');
  });

  test.each(["../x", "a/b", "..", ".", "", "config.json", "model.safetensors", "a\\b"])(
    "refuses the file name %j",
    (name) => {
      expect(() => writeModelDirectory(path, { ...CONTENTS, files: { [name]: "" } })).toThrow(ConfigError);
      expect(existsSync(path)).toBe(false);
    },
  );
});

describe("openModelDirectory", () => {
  test("spans shards as the index says", () => {
    const weight_map = { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" };
    writeShards(
      { metadata: { total_size: 16 }, weight_map },
      { [weight_map.a]: ["a"], [weight_map.b]: ["b", "c"] },
    );
    const { weights, close } = openModelDirectory(path);
    expect(weights.names).toEqual(["a", "b"]);
    expect(weights.read("b")).toEqual(vector(0, 2));
    expect(weights.entry("b").path).toBe(join(path, weight_map.b));
    const target = new Uint8Array(8);
    weights.readInto("a", target);
    expect(new Float32Array(target.buffer)).toEqual(Float32Array.of(0, 1));
    expect(() => weights.read("c")).toThrow('a tensor named "c", got 2 others');
    close();
  });

  test.each([
    "../model.safetensors",
    "/etc/passwd",
    "..",
    "sub/model.safetensors",
    "..\\model.safetensors",
    "model.bin",
    ".safetensors",
    "a\0.safetensors",
    7,
  ])("refuses an index that names %j", (shard) => {
    writeShards({ weight_map: { a: shard } }, {});
    expect(() => openModelDirectory(path)).toThrow(FormatError);
    expect(() => openModelDirectory(path)).toThrow(
      'weight_map, "a": expected the plain name of a .safetensors file',
    );
  });

  test("says which shard or tensor is missing", () => {
    writeShards({ weight_map: { a: "x.safetensors", b: "y.safetensors" } }, { "x.safetensors": ["a"] });
    expect(() => openModelDirectory(path)).toThrow(
      "expected the weight file y.safetensors beside it, got no such file",
    );
    writeSafetensors(join(path, "y.safetensors"), []);
    expect(() => openModelDirectory(path)).toThrow(
      'y.safetensors: expected tensor "b", which model.safetensors.index',
    );
  });

  test("says what else is missing or malformed", () => {
    expect(() => openModelDirectory(path)).toThrow(EnvironmentError);
    expect(() => openModelDirectory(path)).toThrow("a model directory, got nothing there. Check the path.");
    mkdirSync(path);
    expect(() => openModelDirectory(path)).toThrow("a model directory with config.json, got none");
    writeFileSync(join(path, "config.json"), '{"n_layer": 1, "n_layer": 2}');
    expect(() => openModelDirectory(path)).toThrow('got "n_layer" again');
    writeFileSync(join(path, "config.json"), "[]");
    expect(() => openModelDirectory(path)).toThrow("config.json: expected a JSON object, got []");
    writeFileSync(join(path, "config.json"), "{}");
    expect(() => openModelDirectory(path)).toThrow(
      "model.safetensors or model.safetensors.index.json, got neither",
    );
    writeFileSync(join(path, "model.safetensors.index.json"), "{}");
    expect(() => openModelDirectory(path)).toThrow("weight_map: expected an object, got nothing");
    writeFileSync(join(path, "model.safetensors"), "");
    expect(() => openModelDirectory(path)).toThrow(
      "model.safetensors: expected a safetensors file of at least 10",
    );
    expect(() => openModelDirectory(join(path, "config.json"))).toThrow("a model directory, got a file");
  });

  test("a replacement that was cut off is explained", () => {
    writeModelDirectory(path, CONTENTS);
    renameSync(path, `${path}.old`);
    expect(() => openModelDirectory(path)).toThrow(`rename ${path}.old back to ${path}`);
    writeModelDirectory(path, CONTENTS);
    expect(readdirSync(root)).toEqual(["model"]);
  });

  test("follows links, as the Hugging Face cache is made of them", () => {
    writeModelDirectory(path, CONTENTS);
    symlinkSync(path, join(root, "snapshot"));
    const model = openModelDirectory(join(root, "snapshot"));
    expect(model.weights.read("ln_f.bias")).toEqual(vector(4));
    model.close();
  });
});
