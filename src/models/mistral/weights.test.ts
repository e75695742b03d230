import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { goldenModel, MISTRAL_FIXTURES, mistralGoldens } from "../../../test/mistral-golden.ts";
import { FormatError } from "../../core/errors.ts";
import { loadModel } from "../load-model.ts";
import { pathOfPublished, publishedName } from "./weights.ts";

test.each(mistralGoldens().map((golden) => [golden.name, golden] as const))(
  "%s: every parameter is found under its published name, with the prefix and without",
  (_, golden) => {
    const { model } = goldenModel(golden);
    for (const { path } of model.parameters) {
      expect(pathOfPublished(publishedName(path), model.config)).toBe(path);
      expect(pathOfPublished(publishedName(path).replace(/^model\./, ""), model.config)).toBe(path);
    }
  },
);

test("what is no parameter", () => {
  const tied = { ...goldenModel(mistralGoldens()[0]!).model.config, tiedHead: true };
  expect(pathOfPublished("lm_head.weight", tied)).toBe(undefined);
  expect(pathOfPublished("lm_head.weight", { ...tied, tiedHead: false })).toBe("lm_head.weight");
  for (const prefix of ["model.", ""]) {
    expect(pathOfPublished(`${prefix}layers.3.self_attn.rotary_emb.inv_freq`, tied)).toBe(undefined);
    expect(pathOfPublished(`${prefix}rotary_emb.inv_freq`, tied)).toBe(undefined);
  }
});

describe("a configuration that contradicts its tensors", () => {
  let place = "";
  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), "plinth-mistral-"));
  });
  afterAll(() => rmSync(place, { recursive: true, force: true }));

  function loadChanged(name: string, change: object): () => void {
    const from = join(MISTRAL_FIXTURES, name);
    const config = JSON.parse(readFileSync(join(from, "config.json"), "utf8")) as object;
    writeFileSync(join(place, "config.json"), JSON.stringify({ ...config, ...change }));
    copyFileSync(join(from, "model.safetensors"), join(place, "model.safetensors"));
    return () => loadModel(place);
  }

  test.each([
    ["qwen2", { tie_word_embeddings: false }, "got 1 missing (lm_head.weight)."],
    ["mistral", { tie_word_embeddings: true, num_hidden_layers: 1 }, "got 9 left over (model.layers.1."],
    ["mistral", { num_hidden_layers: 3 }, "got 9 missing (model.layers.2."],
    ["mistral", { model_type: "qwen2" }, "got 6 missing (model.layers.0.self_attn.q_proj.bias"],
    ["qwen2", { model_type: "llama" }, "got 9 left over (model.layers.0.self_attn."],
    [
      "mistral",
      { num_key_value_heads: 2 },
      "k_proj.weight: expected shape [12,20] as config.json says, got [6,20].",
    ],
    ["mistral", { head_dim: 8 }, "q_proj.weight: expected shape [32,20] as config.json says, got [24,20]."],
  ])("%s with %j", (name, change, message) => {
    const load = loadChanged(name, change);
    expect(load).toThrow(FormatError);
    expect(load).toThrow(message);
  });
});
