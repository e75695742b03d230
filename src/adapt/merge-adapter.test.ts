import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { largestDifference, unpack } from "../../test/mistral-golden.ts";
import { FIXTURES, fixtureBase, logitsOf, PEFT_FIXTURES, peftGolden } from "../../test/peft-golden.ts";
import { quantize } from "../core/quantize.ts";
import type { Weight } from "../core/weights.ts";
import { readWeight, readWeights } from "../engine/stored-tensor.ts";
import { mergeAdapter } from "./merge-adapter.ts";
import { mergeModel } from "./merge-model.ts";
import { loadAdapter } from "./peft/adapter-file.ts";

let place = "";
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), "plinth-merge-"));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const NAMES = readdirSync(PEFT_FIXTURES).filter((name) => !/prompt|prefix/.test(name));

describe.each(NAMES)("%s", (name) => {
  const golden = peftGolden(name);
  const base = fixtureBase(golden.base);

  test("merged computes what Python computes with the adapter; the base stays as it is, bit by bit", async () => {
    const before = readWeights(base.weights);
    const weights = mergeAdapter(base.weights, loadAdapter(join(PEFT_FIXTURES, name), base));
    const logits = await logitsOf(base.model, weights, golden.inputs);
    expect(largestDifference(logits, unpack(golden.logits))).toBeLessThan(1e-5);
    expect([...weights.keys()]).toEqual([...base.weights.keys()]);
    expect(readWeights(base.weights)).toEqual(before);
  });

  test("merged into a directory is a model like any other", async () => {
    const target = join(place, name);
    const report = mergeModel(join(FIXTURES, golden.base), join(PEFT_FIXTURES, name), target);
    expect(report.changed).toBeGreaterThan(0);
    expect(report.changed + report.kept).toBe(base.model.parameters.length);
    const merged = fixtureBase(golden.base, target);
    const logits = await logitsOf(merged.model, merged.weights, golden.inputs);
    expect(largestDifference(logits, unpack(golden.logits))).toBeLessThan(1e-5);
    expect(readFileSync(join(target, "README.md"), "utf8")).toContain("was merged into the weights");
  });
});

describe("bad input", () => {
  test("what comes before the text cannot be merged", () => {
    for (const name of ["gpt2-prompt", "gpt2-prefix"]) {
      const base = fixtureBase("gpt2/prefixed");
      const loaded = loadAdapter(join(PEFT_FIXTURES, name), base);
      expect(() => mergeAdapter(base.weights, loaded)).toThrow(/an adapter on layers, such as LoRA, got P/);
      const merge = () =>
        mergeModel(join(FIXTURES, "gpt2/prefixed"), join(PEFT_FIXTURES, name), join(place, "no"));
      expect(merge).toThrow(/an adapter on layers/);
      expect(readdirSync(place)).not.toContain("no");
    }
  });

  test("a quantised matrix is merged into only when asked", () => {
    const base = fixtureBase("gpt2/prefixed");
    const path = "h.0.mlp.c_proj.weight";
    const format = { scheme: "int8", blockSize: 16, zeroPoints: false } as const;
    const matrix = quantize(readWeight(base.weights.get(path)!), 0, format, path);
    const weights = new Map<string, Weight>([...base.weights, [path, matrix]]);
    const loaded = loadAdapter(join(PEFT_FIXTURES, "gpt2-lora"), base);
    expect(() => mergeAdapter(weights, loaded)).toThrow(
      /merge into h\.0\.mlp\.c_proj\.weight: expected a base with float weights, got int8\. Merge into the base/,
    );
    const merged = readWeight(mergeAdapter(weights, loaded, { dequantize: true }).get(path)!);
    const exact = readWeight(mergeAdapter(base.weights, loaded).get(path)!);
    const distance = largestDifference(merged.data as Float32Array, exact.data as Float32Array);
    expect(distance).toBeGreaterThan(0);
    expect(distance).toBeLessThan(0.02);
  });
});
