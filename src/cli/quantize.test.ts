import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { plinth } from "../../test/command-line.ts";
import { trainCharTokenizer } from "../codecs/char-tokenizer.ts";
import { Random } from "../core/random.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { loadModel } from "../models/load-model.ts";
import { saveModel } from "../models/save-model.ts";
import { initializeParameters } from "../nn/scope.ts";

const TEXT = "to be, or not to be, that is the question";
let root = "";
let model = "";
let text = "";

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-quantize-cli-"));
  [model, text] = [join(root, "model"), join(root, "text.txt")];
  writeFileSync(text, TEXT);
  const tokenizer = trainCharTokenizer([TEXT]);
  const { vocabularySize } = tokenizer;
  const gpt2 = new Gpt2(
    gpt2Config({ vocabularySize, contextLength: 32, width: 64, numLayers: 1, numHeads: 2 }),
  );
  const weights = initializeParameters(gpt2.parameters, new Random(1));
  saveModel(model, { model: gpt2, weights, tokenizer, card: "# A test\n" });
});
afterAll(() => rmSync(root, { recursive: true }));

test("writes a model that loads without further ado, and says what that did to perplexity", async () => {
  const out = join(root, "int8");
  const { code, stdout } = await plinth(
    "quantize",
    model,
    "--bits",
    "8",
    "--out",
    out,
    "--data",
    text,
    "--json",
  );
  expect(code).toBe(0);
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ directory: out, kept: 12 });
  expect(result.tensors.map(({ scheme }: { scheme: string }) => scheme)).toEqual([
    "int8",
    "int8",
    "int8",
    "int8",
  ]);
  expect(result.bytesAfter).toBeLessThan(0.35 * result.bytesBefore);
  const { before, after } = result.perplexity;
  expect(Math.abs(after / before - 1)).toBeLessThan(0.003);
  expect(loadModel(out).weights.get("h.0.attn.c_attn.weight")).toMatchObject({
    scheme: "int8",
    blockSize: 32,
  });
});

test("the words of the result", async () => {
  const out = join(root, "int4");
  const { stdout, stderr } = await plinth(
    "quantize",
    model,
    "--out",
    out,
    "--data",
    text,
    "--block-size",
    "64",
  );
  expect(stdout).toMatch(
    /^\S+int4: 4 matrices quantised, 12 tensors as they were\n0\.2 MB → 0\.0 MB\nlargest error: \d+\.\d\d % of transformer\.h\.0\.\S+\nperplexity: \d+\.\d{4} → \d+\.\d{4} \([+-]\d+\.\d\d %\)\n$/,
  );
  expect(stderr).toContain("1/16  transformer.wte.weight\n");
});

test("inspect says what the weights take as they are", async () => {
  const out = join(root, "inspected");
  await plinth("quantize", model, "--bits", "4", "--out", out);
  const { stdout } = await plinth("inspect", out, "--json");
  const { sizeBytes, model: report } = JSON.parse(stdout);
  expect(report.memory.weightsBytes).toBe(sizeBytes);
  expect(report.memory.trainingBytes).toBe(16 * report.numParameters);
});

test.each([
  [
    ["--bits", "8", "--scheme", "int4"],
    "plinth: --bits: expected 4 with --scheme int4, got 8. Leave one of the two out.",
  ],
  [["--block-size", "48"], "--block-size"],
  [["--scheme", "int2"], "--scheme"],
  [["--data", "/nowhere/text"], "/nowhere/text"],
])("bad input: %j", async (words, message) => {
  const { code, stdout, stderr } = await plinth("quantize", model, "--out", join(root, "bad"), ...words);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^plinth: [^\n]+\n$/);
  expect(stderr).toContain(message);
  expect(readdirSync(root)).not.toContain("bad");
});
