import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { plinth, plinthFailure, plinthJson } from "../../test/command-line.ts";
import { unpack } from "../../test/mistral-golden.ts";
import { FIXTURES, PEFT_FIXTURES, peftGolden } from "../../test/peft-golden.ts";
import { Lora } from "../adapt/lora.ts";
import { saveAdapter } from "../adapt/peft/adapter-file.ts";
import { Random } from "../core/random.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { loadModel } from "../models/load-model.ts";
import { quantizeModel } from "../models/quantize-model.ts";
import { saveModel } from "../models/save-model.ts";
import { initializeParameters } from "../nn/scope.ts";

const BASE = join(FIXTURES, "gpt2/prefixed");
const ADAPTER = join(PEFT_FIXTURES, "gpt2-lora");

let place = "";
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), "plinth-adapters-cli-"));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

/** Minus the logarithm of a text's probability, by Python's logits. */
function goldenNats(): { readonly tokens: number[]; readonly nats: number } {
  const { inputs, logits } = peftGolden("gpt2-lora");
  const [, , V] = logits.shape as [number, number, number];
  const tokens = inputs.input_ids[0]!;
  const values = unpack(logits);
  const nats = tokens.slice(1).map((token, t) => {
    const row = values.subarray(t * V, (t + 1) * V);
    return Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[token]!;
  });
  return { tokens, nats: nats.reduce((sum, value) => sum + value, 0) };
}

const { tokens, nats } = goldenNats();
const TOKENS = ["--tokens", ...tokens.map(String)];

const WIDE_TOKENS = ["--tokens", "3", "1", "4", "1", "5", "9"];

/** A model wide enough to be quantised, and an adapter for it. */
function saveWide(base: string, directory: string): void {
  const model = new Gpt2(
    gpt2Config({ vocabularySize: 20, contextLength: 16, width: 64, numLayers: 1, numHeads: 2 }),
  );
  saveModel(base, {
    ...{ model, tokenizer: undefined, card: "" },
    weights: initializeParameters(model.parameters, new Random(1)),
  });
  const adapter = new Lora(model, { rank: 2, alpha: 4, targets: "all-linear" });
  const weights = initializeParameters(adapter.parameters, new Random(2));
  for (const { data } of weights.values()) {
    const random = new Random(3).fork("values");
    (data as Float32Array).forEach((_, i) => {
      data[i] = 0.3 * random.normal();
    });
  }
  saveAdapter(directory, { base: loadModel(base), adapter, weights, baseName: "wide" });
}

describe("plinth with --adapter", () => {
  test("computes what Python computes with it", async () => {
    expect((await plinthJson("score", BASE, ...TOKENS, "--adapter", ADAPTER)).nats).toBeCloseTo(nats, 4);
    expect((await plinthJson("score", BASE, ...TOKENS)).nats).not.toBeCloseTo(nats, 1);
  });

  test("says when it is none, or for another base", async () => {
    const score = (adapter: string) => plinthFailure("score", BASE, ...TOKENS, "--adapter", adapter);
    expect(await score(join(place, "nowhere"))).toMatch(/an adapter directory, got nothing there/);
    expect(await score(BASE)).toMatch(/an adapter directory with adapter_config\.json, got none/);
    expect(await score(join(PEFT_FIXTURES, "mistral-rslora"))).toMatch(
      /target_modules: expected linear layers/,
    );
  });
});

describe("plinth merge", () => {
  test("writes a model that needs no adapter", async () => {
    const out = join(place, "merged");
    const report = await plinthJson("merge", BASE, "--adapter", ADAPTER, "--out", out);
    expect(report).toEqual({ directory: out, peftType: "LORA", changed: 6, kept: 22 });
    expect((await plinthJson("score", out, ...TOKENS)).nats).toBeCloseTo(nats, 4);
  });

  test("leaves nothing behind when it cannot", async () => {
    const out = join(place, "none");
    const other = join(PEFT_FIXTURES, "bert-lora");
    expect(await plinthFailure("merge", BASE, "--adapter", other, "--out", out)).toMatch(/target_modules/);
    const prompt = join(PEFT_FIXTURES, "gpt2-prompt");
    expect(await plinthFailure("merge", BASE, "--adapter", prompt, "--out", out)).toMatch(
      /an adapter on layers/,
    );
    expect(existsSync(out)).toBe(false);
  });

  test("merges into a quantised base only when asked, and writes float32", async () => {
    const [base, adapter, quantized, out] = ["wide", "wide-lora", "int8", "from-int8"].map((name) =>
      join(place, name),
    ) as [string, string, string, string];
    saveWide(base, adapter);
    await quantizeModel(base, quantized, { scheme: "int8" });
    const words = ["merge", quantized, "--adapter", adapter, "--out", out];
    expect(await plinthFailure(...words)).toMatch(
      /expected a base with float weights, got int8\. Merge into/,
    );
    expect(existsSync(out)).toBe(false);
    await plinthJson(...words, "--dequantize");
    const adapted = await plinthJson("score", quantized, ...WIDE_TOKENS, "--adapter", adapter);
    expect((await plinthJson("score", out, ...WIDE_TOKENS)).nats).toBeCloseTo(adapted.nats, 2);
    expect((await plinthJson("score", quantized, ...WIDE_TOKENS)).nats).not.toBeCloseTo(adapted.nats, 1);
    const { dtypes, model } = await plinthJson("inspect", out);
    expect(Object.keys(dtypes)).toEqual(["F32"]);
    expect(model.config.quantization_config).toBeUndefined();
  });
});

test("plinth inspect shows an adapter", async () => {
  const { stdout } = await plinth("inspect", ADAPTER);
  expect(stdout).toMatch(/^adapter +.*gpt2-lora\nmethod +LORA\nbase +"gpt2\/prefixed"\ntensors +12, /);
  expect(stdout).toContain("base_model.model.transformer.h.0.attn.c_attn.lora_A.weight");
  const { kind, adapter } = await plinthJson("inspect", ADAPTER);
  expect([kind, adapter.config.r]).toEqual(["adapter", 3]);
});
