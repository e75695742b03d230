import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { largestDifference, unpack } from "../../../test/mistral-golden.ts";
import { adapt, fixtureBase, logitsOf, PEFT_FIXTURES, peftGolden } from "../../../test/peft-golden.ts";
import type { HostTensor } from "../../core/dtype.ts";
import { ConfigError, EnvironmentError, FormatError, PlinthError } from "../../core/errors.ts";
import { quantize } from "../../core/quantize.ts";
import { Random } from "../../core/random.ts";
import type { Weight, Weights } from "../../core/weights.ts";
import { readWeights } from "../../engine/stored-tensor.ts";
import { SafetensorsFile } from "../../hub/safetensors.ts";
import { writeSafetensors } from "../../hub/safetensors-writer.ts";
import { initializeParameters } from "../../nn/scope.ts";
import { Lora } from "../lora.ts";
import { type AdapterBase, loadAdapter, saveAdapter } from "./adapter-file.ts";

const NAMES = readdirSync(PEFT_FIXTURES);

let place = "";
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), "plinth-peft-"));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

describe.each(NAMES)("%s of Python peft", (name) => {
  const golden = peftGolden(name);
  const base = fixtureBase(golden.base);

  test("computes the logits that Python computes", async () => {
    const { model, weights } = adapt(base, loadAdapter(join(PEFT_FIXTURES, name), base));
    const logits = await logitsOf(model, weights, golden.inputs);
    expect(largestDifference(logits, unpack(golden.logits))).toBeLessThan(1e-5);
  });

  test("saved again holds the same tensors under the same names, and means the same layers", () => {
    const theirs = loadAdapter(join(PEFT_FIXTURES, name), base);
    const directory = join(place, `again-${name}`);
    const modulesToSave = name.startsWith("bert") ? ["classifier"] : [];
    saveAdapter(directory, { ...theirs, base, baseName: golden.base, modulesToSave });
    expect(readdirSync(directory).sort()).toEqual([
      "README.md",
      "adapter_config.json",
      "adapter_model.safetensors",
    ]);
    expect(tensorsOf(directory)).toEqual(tensorsOf(join(PEFT_FIXTURES, name)));
    const ours = loadAdapter(directory, base);
    expect(ours.weights).toEqual(theirs.weights);
    expect(ours.baseName).toBe(golden.base);
    expect(ours.peftType).toBe(theirs.peftType);
  });
});

function tensorsOf(directory: string): ReadonlyMap<string, HostTensor> {
  const file = SafetensorsFile.open(join(directory, "adapter_model.safetensors"));
  const tensors = [...file.tensors.keys()].sort().map((name) => [name, file.read(name)] as const);
  file.close();
  return new Map(tensors);
}

function configOf(directory: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(directory, "adapter_config.json"), "utf8"));
}

/** A new adapter on a fixture, saved. */
function saveNew(base: AdapterBase, targets: readonly string[] | "all-linear"): string {
  const adapter = new Lora(base.model, { rank: 2, alpha: 4, targets });
  const directory = mkdtempSync(join(place, "new-"));
  const weights = initializeParameters(adapter.parameters, new Random(1));
  saveAdapter(directory, { base, adapter, weights, baseName: "somewhere" });
  return directory;
}

describe("what is written", () => {
  test.each([
    ["gpt2/prefixed", ["c_attn"], ["c_attn"]],
    ["gpt2/prefixed", "all-linear", ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]],
    ["mistral/mistral", ["q_proj", "v_proj"], ["q_proj", "v_proj"]],
    ["mistral/mistral", ["layers.1.mlp.up_proj"], ["model.layers.1.mlp.up_proj"]],
    ["bert/single-label", ["query"], ["query"]],
    ["bert/single-label", ["intermediate.dense"], ["intermediate.dense"]],
    ["bert/single-label", ["pooler.dense"], ["bert.pooler.dense"]],
  ] as const)("%s with %j names its layers so that PEFT means the same", (name, targets, written) => {
    const directory = saveNew(fixtureBase(name), targets);
    expect(configOf(directory).target_modules).toEqual(written);
  });

  test("says what PEFT needs to know", () => {
    expect(configOf(saveNew(fixtureBase("gpt2/prefixed"), ["c_attn"]))).toMatchObject({
      ...{
        peft_type: "LORA",
        task_type: "CAUSAL_LM",
        base_model_name_or_path: "somewhere",
        r: 2,
        lora_alpha: 4,
      },
      ...{ fan_in_fan_out: true, bias: "none", inference_mode: true, modules_to_save: null },
    });
  });

  test("never lands on other files", () => {
    const directory = mkdtempSync(join(place, "other-"));
    writeFileSync(join(directory, "thesis.txt"), "years of work");
    const base = fixtureBase("gpt2/prefixed");
    const adapter = new Lora(base.model, { rank: 2, alpha: 4, targets: ["c_attn"] });
    const weights = initializeParameters(adapter.parameters, new Random(1));
    const save = () => saveAdapter(directory, { base, adapter, weights, baseName: "base" });
    expect(save).toThrow(/nothing but an adapter in it, got one with "thesis.txt"/);
    expect(readdirSync(directory)).toEqual(["thesis.txt"]);
    expect(() =>
      saveAdapter(join(place, "none"), { base, adapter, weights: new Map(), baseName: "base" }),
    ).toThrow(/its weights, got none/);
    expect(existsSync(join(place, "none"))).toBe(false);
  });
});

describe("an adapter for another base", () => {
  test("of other weights is told by its fingerprint", () => {
    const base = fixtureBase("gpt2/prefixed");
    const directory = saveNew(base, ["c_attn"]);
    const weights = readWeights(base.weights);
    expect(loadAdapter(directory, { ...base, weights }).weights.size).toBe(4);
    for (const path of ["h.0.attn.c_attn.weight", "h.1.ln_2.bias"]) {
      const { shape, data } = weights.get(path)!;
      const other = Float32Array.from(data as Float32Array, (value, i) => value + (i === 0 ? 1 : 0));
      const changed = new Map([...weights, [path, { dtype: "float32", shape, data: other }]] as const);
      const load = (options?: object) => loadAdapter(directory, { ...base, weights: changed }, options);
      expect(load).toThrow(ConfigError);
      expect(load).toThrow(
        /made for: "somewhere", whose weights have fingerprint [0-9a-f-]{33}, got a base with [0-9a-f-]{33}\. Use/,
      );
      expect(load({ checkBase: false }).weights.size).toBe(4);
    }
  });

  test("that is the same base quantised is no other", () => {
    const base = fixtureBase("gpt2/prefixed");
    const directory = saveNew(base, ["c_attn"]);
    const path = "h.0.mlp.c_fc.weight";
    const { shape, data } = readWeights(base.weights).get(path)!;
    const format = { scheme: "int4", blockSize: 16, zeroPoints: false } as const;
    const matrix = quantize({ dtype: "float32", shape, data }, 0, format, path);
    const weights: Weights = new Map<string, Weight>([...base.weights, [path, matrix]]);
    expect(loadAdapter(directory, { ...base, weights }).weights.size).toBe(4);
  });

  test("of another width or depth is told by what does not fit", () => {
    const directory = saveNew(fixtureBase("gpt2/prefixed"), ["c_attn"]);
    expect(() => loadAdapter(directory, fixtureBase("gpt2/bare"))).toThrow(
      /exactly the 6 tensors .* 2 missing \(h\.2\.attn\.c_attn\.lora_A\.weight/,
    );
    const mistral = saveNew(fixtureBase("mistral/mistral"), ["layers.0.self_attn.q_proj"]);
    expect(() => loadAdapter(mistral, fixtureBase("mistral/llama"))).toThrow(
      /q_proj\.lora_B\.weight: expected shape \[8,2\] as .* the base say, got \[24,2\]\. It may be for another base/,
    );
    expect(() => loadAdapter(mistral, fixtureBase("gpt2/prefixed"))).toThrow(
      /target_modules: expected linear layers of the base: attn\.c_attn.*got "model\.layers\.0\.self_attn\.q_proj"/,
    );
  });
});

describe("bad files", () => {
  /** Python's adapter with some of it changed. */
  function changed(config: object, tensors?: (all: Map<string, HostTensor>) => void): () => unknown {
    const directory = mkdtempSync(join(place, "bad-"));
    cpSync(join(PEFT_FIXTURES, "mistral-rslora"), directory, { recursive: true });
    writeFileSync(
      join(directory, "adapter_config.json"),
      JSON.stringify({ ...configOf(directory), ...config }),
    );
    if (tensors) {
      const all = new Map(tensorsOf(directory));
      tensors(all);
      writeSafetensors(join(directory, "adapter_model.safetensors"), all);
    }
    return () => loadAdapter(directory, fixtureBase("mistral/mistral"));
  }

  test.each([
    [{ peft_type: "LOHA" }, /peft_type: expected a kind .* got "LOHA"\. Did you mean "LORA"\?/],
    [{ peft_type: null }, /peft_type: expected a kind of adapter/],
    [{ bias: "all" }, /bias: expected "none", got "all"/],
    [{ use_qalora: true }, /use_qalora: expected it left out, or off: it is not known here, got true/],
    [{ layer_replication: [[0, 1]] }, /layer_replication: expected it left out/],
    [{ init_lora_weights: "pissa" }, /init_lora_weights: expected true or false or "gaussian"/],
    [{ use_rslora: "yes" }, /use_rslora: expected true or false, got "yes"/],
    [{ r: "8" }, /r: expected a number, got "8"/],
    [{ r: 64 }, /expected a rank from 1 to/],
    [{ target_modules: ["q_porj"] }, /self_attn\.q_proj.* got "q_porj"\. Did you mean/],
    [{ target_modules: [] }, /target_modules: expected linear layers of the base/],
    [{ target_modules: 7 }, /a list of names, or a regular expression, got 7/],
    [{ target_modules: "(" }, /target_modules/],
    [{ target_modules: "nothing" }, /got "nothing"/],
    [{ rank_pattern: { q_proj: "8" } }, /rank_pattern, "q_proj": expected a number/],
    [{ layers_to_transform: ["0"] }, /layers_to_transform: expected numbers of layers/],
  ])("a configuration with %j", (config, message) => {
    const load = changed(config);
    expect(load).toThrow(message);
    expect(load).toThrow(/^[^\n]*$/);
  });

  test("whatever a setting is, it is understood or refused in one line", () => {
    const keys = ["r", "lora_alpha", "rank_pattern", "alpha_pattern", "target_modules", "exclude_modules"];
    const more = ["layers_to_transform", "modules_to_save", "use_dora", "task_type", "something_new"];
    const values = [null, -1, 0.5, 1e300, "", "[", [], [null], {}, { a: { b: [] } }, { "(": 1 }];
    const base = fixtureBase("mistral/mistral");
    const directory = mkdtempSync(join(place, "any-"));
    cpSync(join(PEFT_FIXTURES, "mistral-rslora"), directory, { recursive: true });
    const config = configOf(directory);
    for (const key of [...keys, ...more]) {
      for (const value of values) {
        const text = JSON.stringify({ ...config, [key]: value });
        writeFileSync(join(directory, "adapter_config.json"), text);
        try {
          loadAdapter(directory, base);
        } catch (error) {
          expect(error, `${key}: ${JSON.stringify(value)}`).toBeInstanceOf(PlinthError);
          expect((error as Error).message).not.toContain("\n");
        }
      }
    }
  });

  test("an expression that explodes stops in bounded time", () => {
    expect(changed({ target_modules: "(([a-z_.0-9])+)+!" })).toThrow();
  });

  test("foreign tensors, and missing ones", () => {
    const any = { dtype: "float32", shape: [1], data: new Float32Array(1) } as const;
    const foreign = [
      "evil",
      "base_model.model.lm_head.weight",
      "base_model.model.model.layers.9.mlp.up_proj.lora_A.weight",
    ];
    for (const name of foreign) {
      expect(changed({}, (all) => all.set(name, any))).toThrow(`1 foreign (${name})`);
    }
    const [first] = tensorsOf(join(PEFT_FIXTURES, "mistral-rslora")).keys();
    expect(changed({}, (all) => all.delete(first!))).toThrow(
      /1 missing \(model\.layers\.0\.mlp\.down_proj\.lora_A\.weight\)/,
    );
    expect(changed({}, (all) => all.set(first!, any))).toThrow(
      /down_proj\.lora_A\.weight: expected shape \[4,28\]/,
    );
  });

  test("what is no adapter directory", () => {
    const base = fixtureBase("mistral/mistral");
    const directory = mkdtempSync(join(place, "empty-"));
    expect(() => loadAdapter(join(directory, "nowhere"), base)).toThrow(EnvironmentError);
    expect(() => loadAdapter(directory, base)).toThrow(
      /an adapter directory with adapter_config\.json, got none/,
    );
    writeFileSync(join(directory, "adapter_config.json"), '{"peft_type": "LORA", "peft_type": "IA3"}');
    writeFileSync(join(directory, "adapter_model.bin"), "pickle");
    expect(() => loadAdapter(directory, base)).toThrow(/a Python pickle, which can run any code/);
    writeFileSync(join(directory, "adapter_model.safetensors"), "no");
    expect(() => loadAdapter(directory, base)).toThrow(FormatError);
  });
});
