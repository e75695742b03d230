import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { trainCharTokenizer } from "../src/codecs/char-tokenizer.ts";
import { Random } from "../src/core/random.ts";
import { readWeight, readWeights } from "../src/engine/stored-tensor.ts";
import { Decoder } from "../src/generate/decoder.ts";
import { generate } from "../src/generate/generate.ts";
import { gpt2Config } from "../src/models/gpt2/config.ts";
import { Gpt2 } from "../src/models/gpt2/model.ts";
import { loadModel } from "../src/models/load-model.ts";
import { saveModel } from "../src/models/save-model.ts";
import { initializeParameters } from "../src/nn/scope.ts";
import { input } from "../src/tensor/tensor.ts";
import { engine } from "./tiny-run.ts";

// test/fixtures/exported: a model directory as `plinth pretrain` wrote it, and what Python `transformers` made of it.
// How both were made is in the README.md there.

const EXPORTED = new URL("./fixtures/exported/", import.meta.url).pathname;

interface ExportRecord {
  readonly versions: Readonly<Record<string, string>>;
  readonly weightsSha256: Readonly<Record<string, string>>;
  readonly architecture: string;
  readonly missing: string[];
  readonly unexpected: string[];
  readonly mismatched: string[];
  readonly logits: { readonly shape: number[]; readonly float32: string }[];
  readonly greedy: number[][];
  readonly encodings: { readonly ids: number[]; readonly decoded: string }[];
}

function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(join(EXPORTED, name), "utf8")) as T;
}

describe("a model directory that Plinth trained and saved, opened by Python transformers", () => {
  const request = readJson<{ tokens: number[][]; texts: string[]; greedyTokens: number }>("input.json");
  const record = readJson<ExportRecord>("record.json");
  const { model, weights, tokenizer } = loadModel(join(EXPORTED, "model"));

  test("the record is about these weights, and Python missed nothing and found nothing else", () => {
    const bytes = readFileSync(join(EXPORTED, "model", "model.safetensors"));
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    expect(record.weightsSha256).toEqual({ "model.safetensors": sha256 });
    expect(record.architecture).toBe("GPT2LMHeadModel");
    expect([record.missing, record.unexpected, record.mismatched]).toEqual([[], [], []]);
  });

  test.each(request.tokens.map((tokens, i) => [i, tokens] as const))(
    "row %i: the same logits",
    async (i, tokens) => {
      const T = tokens.length;
      const logits = model.logits(model.hidden(input("tokens", "int32", [1, T]))); // (1, T, V)
      const program = engine.compile("forward", { logits });
      const feeds = { dtype: "int32", shape: [1, T], data: Int32Array.from(tokens) } as const;
      const result = await program.run({ tokens: feeds, ...Object.fromEntries(readWeights(weights)) });
      program.dispose();
      const { shape, float32 } = record.logits[i]!;
      const expected = new Float32Array(Uint8Array.from(Buffer.from(float32, "base64")).buffer);
      const actual = result.logits!.data as Float32Array;
      expect(result.logits!.shape).toEqual([1, ...shape]);
      const worst = actual.reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at]!)), 0);
      expect(worst).toBeLessThan(1e-4);
      expect(Math.max(...expected) - Math.min(...expected)).toBeGreaterThan(5);
    },
  );

  test("the same greedy continuations, through our cache", async () => {
    const decoder = new Decoder(engine, model, weights);
    for (const [i, prompt] of request.tokens.entries()) {
      const sampling = { temperature: 0 };
      const { tokens } = await generate({
        decoder,
        tokens: prompt,
        maxTokens: request.greedyTokens,
        sampling,
      });
      expect(tokens).toEqual(record.greedy[i]);
    }
    decoder.dispose();
  });

  test.each(request.texts.map((text, i) => [JSON.stringify(text), text, i] as const))(
    "text %s: the same ids and the same text back",
    (_, text, i) => {
      expect(Array.from(tokenizer!.encode(text))).toEqual(record.encodings[i]!.ids);
      expect(tokenizer!.decode(record.encodings[i]!.ids)).toBe(text);
      expect(record.encodings[i]!.decoded).toBe(text);
    },
  );
});

describe("saveModel and loadModel", () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "plinth-model-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("weights to the bit, configuration, tokenizer and card come back; saving twice gives the same bytes", () => {
    const tokenizer = trainCharTokenizer(["abc äöü 🙂\n"]);
    const config = gpt2Config({
      ...{
        vocabularySize: tokenizer.vocabularySize,
        contextLength: 12,
        width: 18,
        numLayers: 2,
        numHeads: 3,
      },
      ...{ feedForwardSize: 50, layerNormEpsilon: 3e-6 },
    });
    const model = new Gpt2(config);
    const weights = initializeParameters(model.parameters, new Random(1));
    // Values that a detour through text or another precision would change.
    const table = weights.get("wte.weight")!.data as Float32Array;
    table.set([-0, 1e-45, -3.4028234663852886e38, 1 / 3, 2 ** -126]);
    const places = ["first", "second"].map((name) => join(directory, name));
    for (const place of places) saveModel(place, { model, weights, tokenizer, card: "# A card\n" });
    const loaded = loadModel(places[0]!);
    expect((loaded.model as Gpt2).config).toEqual(config);
    expect([...loaded.weights.keys()].sort()).toEqual([...weights.keys()].sort());
    for (const [path, { shape, data }] of weights) {
      const back = readWeight(loaded.weights.get(path)!);
      expect(back.shape).toEqual(shape);
      const bits = (array: Float32Array) => new Uint32Array(array.buffer, array.byteOffset, array.length);
      expect(bits(back.data as Float32Array), path).toEqual(bits(data as Float32Array));
    }
    expect(loaded.tokenizer!.hash()).toBe(tokenizer.hash());
    const names = readdirSync(places[0]!).sort();
    expect(names).toEqual(readdirSync(places[1]!).sort());
    for (const name of names) {
      const [first, second] = places.map((place) => readFileSync(join(place, name)));
      expect(first!.equals(second!), name).toBe(true);
    }
    expect(readFileSync(join(places[0]!, "README.md"), "utf8")).toBe("# A card\n");
  });

  test("without a tokenizer there are no token files, and none comes back", () => {
    const model = new Gpt2(
      gpt2Config({ vocabularySize: 5, contextLength: 4, width: 4, numLayers: 1, numHeads: 1 }),
    );
    const place = join(directory, "bare");
    const weights = initializeParameters(model.parameters, new Random(1));
    saveModel(place, { model, weights, tokenizer: undefined, card: "" });
    expect(readdirSync(place).filter((name) => name.includes("token"))).toEqual([]);
    expect(loadModel(place).tokenizer).toBe(undefined);
  });
});
