import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { dequantize } from "../core/dequantize.ts";
import { type HostTensor, hostTensor } from "../core/dtype.ts";
import { ConfigError, FormatError } from "../core/errors.ts";
import { quantize } from "../core/quantize.ts";
import { Random } from "../core/random.ts";
import { isInFile, isQuantized, type QuantizedTensor, storedParts, type Weights } from "../core/weights.ts";
import { Engine } from "../engine/engine.ts";
import { readWeight, readWeights } from "../engine/stored-tensor.ts";
import { scoreTokens } from "../eval/score.ts";
import { openModelWeights } from "../hub/model-weights.ts";
import { SafetensorsFile } from "../hub/safetensors.ts";
import { writeSafetensors } from "../hub/safetensors-writer.ts";
import { type Initializer, initializeParameters, type Parameter } from "../nn/scope.ts";
import { bertConfig } from "./bert/config.ts";
import { Bert } from "./bert/model.ts";
import { gpt2Config } from "./gpt2/config.ts";
import { Gpt2 } from "./gpt2/model.ts";
import { loadEncoder, loadModel } from "./load-model.ts";
import { mistralConfig } from "./mistral/config.ts";
import { Mistral } from "./mistral/model.ts";
import { quantizeModel } from "./quantize-model.ts";
import { saveEncoder, saveModel } from "./save-model.ts";

const engine = new Engine();

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-quantize-"));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Larger than the first weights of training, so that scores tell models apart. */
const initialize: Initializer = (values, random) => {
  for (let i = 0; i < values.length; i++) values[i] = 0.1 * random.normal();
};

function draw(parameters: readonly Parameter[]): Map<string, HostTensor> {
  return initializeParameters(
    parameters.map((parameter) => (parameter.shape.length === 2 ? { ...parameter, initialize } : parameter)),
    new Random(5),
  );
}

const GPT2 = new Gpt2(
  gpt2Config({ vocabularySize: 96, contextLength: 128, width: 128, numLayers: 1, numHeads: 4 }),
);

function saveGpt2(): { source: string; target: string; weights: Map<string, HostTensor> } {
  const [source, target] = [join(root, "source"), join(root, "target")];
  const weights = draw(GPT2.parameters);
  saveModel(source, { model: GPT2, weights, tokenizer: undefined, card: "# Mine\n" });
  return { source, target, weights };
}

function readConfig(directory: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(directory, "config.json"), "utf8"));
}

function changeConfig(directory: string, change: (quantization: Record<string, unknown>) => void): void {
  const config = readConfig(directory);
  change(config.quantization_config as Record<string, unknown>);
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
}

const TOKENS = Array.from({ length: 100 }, (_, i) => (7 * i * i) % 96);

/** Scores with the weights as they are, and with what they stand for as float32. */
async function bothScores(weights: Weights, model = GPT2) {
  const dense = readWeights(weights);
  const [actual, expected] = [
    await scoreTokens(engine, model, weights, TOKENS),
    await scoreTokens(engine, model, dense, TOKENS),
  ];
  return { actual: actual.nats / 99, expected: expected.nats / 99 };
}

describe("quantised, saved and loaded", () => {
  test.each([
    { scheme: "int4", blockSize: 32 },
    { scheme: "int4", blockSize: 128, zeroPoints: true },
    { scheme: "int8", blockSize: 32 },
    { scheme: "int8", blockSize: 128 },
    { scheme: "nf4" },
    { scheme: "nf4", blockSize: 128 },
  ] as const)("GPT-2, %j: the numbers that quantising them gives, mapped, and run", async (options) => {
    const { source, target, weights } = saveGpt2();
    const report = await quantizeModel(source, target, options);
    const loaded = loadModel(target);
    const blockSize = options.blockSize ?? 64;
    const matrices = GPT2.parameters.filter(({ shape }) => shape.length === 2);
    const isTable = (path: string) => path.startsWith("w");
    const isNf4 = options.scheme === "nf4";
    expect(report.tensors.map(({ name }) => name)).toEqual(
      matrices.filter(({ path }) => !(isNf4 && isTable(path))).map(({ path }) => `transformer.${path}`),
    );
    for (const { path, sumAxis } of GPT2.parameters) {
      const weight = loaded.weights.get(path)!;
      expect(storedParts(weight).every(isInFile), path).toBe(true);
      const original = weights.get(path)!;
      if (sumAxis === undefined || (isNf4 && isTable(path))) {
        expect(readWeight(weight), path).toEqual(original);
        continue;
      }
      // Positions are only looked up: they take 8 bits.
      const scheme = path === "wpe.weight" ? "int8" : options.scheme;
      const zeroPoints = path !== "wpe.weight" && "zeroPoints" in options;
      const expected = quantize(original, sumAxis, { scheme, blockSize, zeroPoints }, path);
      expect((weight as QuantizedTensor).scheme).toBe(scheme);
      expect(readWeight(weight), path).toEqual(dequantize(expected));
    }
    const { actual, expected } = await bothScores(loaded.weights);
    // Activations are rounded to 8 bits in int4 and int8 products.
    expect(Math.abs(actual / expected - 1)).toBeLessThan(isNf4 ? 1e-5 : 3e-3);
    const before = (await scoreTokens(engine, GPT2, weights, TOKENS)).nats / 99;
    expect(Math.abs(actual / before - 1)).toBeLessThan(options.scheme === "int8" ? 0.01 : 0.1);
  });

  test.each([true, false])(
    "Mistral, tied head %s: the head too, and tables that are only looked up in 8 bits",
    async (tiedHead) => {
      const model = new Mistral(
        mistralConfig({
          ...{
            vocabularySize: 96,
            contextLength: 128,
            width: 128,
            numLayers: 1,
            numHeads: 4,
            numKeyValueHeads: 2,
          },
          ...{ headSize: 32, feedForwardSize: 256, tiedHead },
        }),
      );
      const weights = draw(model.parameters);
      const [source, target] = [join(root, "source"), join(root, "target")];
      saveModel(source, { model, weights, tokenizer: undefined, card: "" });
      await quantizeModel(source, target, { scheme: "int4" });
      const loaded = loadModel(target);
      const schemeOf = (path: string) => (loaded.weights.get(path) as QuantizedTensor).scheme;
      expect(schemeOf("model.embed_tokens.weight")).toBe(tiedHead ? "int4" : "int8");
      if (!tiedHead) expect(schemeOf("lm_head.weight")).toBe("int4");
      const { actual, expected } = await bothScores(loaded.weights, model as never);
      expect(Math.abs(actual / expected - 1)).toBeLessThan(3e-3);
      await quantizeModel(source, target, { scheme: "int4", keepHead: true });
      const head = tiedHead ? "model.embed_tokens.weight" : "lm_head.weight";
      expect(isQuantized(loadModel(target).weights.get(head)!)).toBe(false);
    },
  );

  test("BERT in int8: hidden states stay within a percent", async () => {
    const model = new Bert(
      bertConfig({
        vocabularySize: 96,
        contextLength: 64,
        width: 128,
        numLayers: 1,
        numHeads: 4,
        feedForwardSize: 256,
      }),
      { pooler: true, maskedLanguage: "tied" },
    );
    const [source, target] = [join(root, "source"), join(root, "target")];
    saveEncoder(source, { model, weights: draw(model.parameters), tokenizer: undefined, card: "" });
    const report = await quantizeModel(source, target, { scheme: "int8" });
    expect(report.tensors.length).toBeGreaterThan(6);
    const [before, after] = [loadEncoder(source), loadEncoder(target)].map(({ weights }) => weights);
    const ints = (data: number[]) => hostTensor("int32", [1, 6], Int32Array.from(data));
    const { input } = await import("../tensor/tensor.ts");
    const names = ["tokens", "segments", "mask"] as const;
    const [tokens, segments, mask] = names.map((name) => input(name, "int32", [1, 6]));
    const hidden = model.hidden({ tokens: tokens!, segments: segments!, mask: mask! });
    const outputs = { hidden, logits: model.heads.maskedLogits!(hidden) };
    const feeds = {
      tokens: ints([1, 5, 9, 3, 80, 2]),
      segments: ints([0, 0, 0, 0, 0, 0]),
      mask: ints([1, 1, 1, 1, 1, 1]),
    };
    const [a, b] = [before!, after!].map((constants) =>
      engine.compile("bert", outputs, { constants }).runSync(feeds),
    );
    for (const name of ["hidden", "logits"]) {
      const [x, y] = [a![name]!.data as Float32Array, b![name]!.data as Float32Array];
      const error = Math.hypot(...x.map((value, i) => value - y[i]!)) / Math.hypot(...x);
      expect(error, name).toBeLessThan(0.03);
      expect(error, name).toBeGreaterThan(0);
    }
  });

  test("what else is in the directory comes along; twice gives the same bytes", async () => {
    const { source, target } = saveGpt2();
    writeFileSync(join(source, "merges.txt"), "a b\n");
    writeFileSync(join(source, "pytorch_model.bin"), "not this");
    mkdirSync(join(source, "1_Pooling"));
    writeFileSync(join(source, "1_Pooling", "config.json"), "{}");
    await quantizeModel(source, target, { scheme: "int4" });
    const first = readFileSync(join(target, "model.safetensors"));
    await quantizeModel(source, target, { scheme: "int4" });
    expect(readFileSync(join(target, "model.safetensors")).equals(first)).toBe(true);
    expect(readdirSync(target).sort()).toEqual([
      "1_Pooling",
      "README.md",
      "config.json",
      "generation_config.json",
      "merges.txt",
      "model.safetensors",
    ]);
    expect(readFileSync(join(target, "README.md"), "utf8")).toBe(
      "# Mine\n\n## Quantisation\n\nQuantised by Plinth: 5 matrices in int4, 1 matrices in int8, in blocks of 32; 0 matrices as they were.\n",
    );
    const { quantization_config: written, ...rest } = readConfig(target);
    expect(rest).toEqual(readConfig(source));
    expect(written).toMatchObject({ quant_method: "plinth", version: 1, block_size: 32 });
    expect((written as { tensors: { int8: string[] } }).tensors.int8).toEqual(["transformer.wpe.weight"]);
  });
});

describe("nf4 as bitsandbytes stores it", () => {
  const golden = JSON.parse(
    readFileSync(new URL("../../test/fixtures/quantization/golden.json", import.meta.url), "utf8"),
  ) as {
    matrix: string;
    nested: {
      values: string;
      scales: string;
      stored: Record<string, { dtype: "uint8" | "float32"; bytes: string }>;
    };
  };
  const bytes = (base64: string) => Uint8Array.from(Buffer.from(base64, "base64"));

  test("double-quantised scales are worked out as bitsandbytes does", async () => {
    const { openBnb4 } = await import("../hub/bnb4-weights.ts");
    const { values, scales, stored } = golden.nested;
    const tensors = Object.entries(stored).map(([name, { dtype, bytes: encoded }]) => {
      const data = dtype === "uint8" ? bytes(encoded) : new Float32Array(bytes(encoded).buffer);
      return [`w.${name}`, hostTensor(dtype, [data.length], data)] as const;
    });
    const packed = bytes(values);
    writeSafetensors(join(root, "model.safetensors"), [
      ...tensors,
      ["w", hostTensor("uint8", [packed.length, 1], packed)],
    ]);
    const weights = openModelWeights(root);
    const opened = openBnb4({ load_in_4bit: true, bnb_4bit_quant_type: "nf4" }, weights, "config.json");
    expect(opened.names).toEqual(["w"]);
    const matrix = opened.open("w", [5, 256], 1)!;
    expect((matrix.scales as HostTensor).data).toEqual(new Float32Array(bytes(scales).buffer));
    expect(readWeight(matrix).shape).toEqual([5, 256]);
    expect(() => opened.open("w", [5, 128], 1)).toThrow("expected nf4 [5, 128] in whole blocks");
    weights.close();
  });

  test("other kinds are refused", async () => {
    const { source, target } = saveGpt2();
    await quantizeModel(source, target, { scheme: "nf4" });
    changeConfig(target, (quantization) => {
      quantization.bnb_4bit_quant_type = "fp4";
    });
    expect(() => loadModel(target)).toThrow(ConfigError);
    expect(() => loadModel(target)).toThrow("expected load_in_4bit with bnb_4bit_quant_type nf4");
  });
});

describe("bad input", () => {
  test.each([
    [{ scheme: "int4", blockSize: 48 }, "blockSize: expected one of 32, 64, 128, got 48."],
    [{ scheme: "int5" as "int4" }, "scheme: expected int4, int8, nf4, got int5."],
    [{ scheme: "nf4", zeroPoints: true }, "zeroPoints: expected none for nf4"],
  ] as const)("options %j", async (options, message) => {
    const { source, target } = saveGpt2();
    await expect(quantizeModel(source, target, options)).rejects.toThrow(ConfigError);
    await expect(quantizeModel(source, target, options)).rejects.toThrow(message);
    expect(readdirSync(root)).toEqual(["source"]);
  });

  test("a block size that does not divide, with the one that does", async () => {
    const model = new Gpt2(
      gpt2Config({ vocabularySize: 96, contextLength: 32, width: 96, numLayers: 1, numHeads: 4 }),
    );
    saveModel(join(root, "odd"), { model, weights: draw(model.parameters), tokenizer: undefined, card: "" });
    await expect(
      quantizeModel(join(root, "odd"), join(root, "target"), { scheme: "int4", blockSize: 64 }),
    ).rejects.toThrow(
      "blockSize, for tensor transformer.wte.weight: expected a divisor of 96, the numbers that a product sums over, got 64. Use 32.",
    );
    expect(readdirSync(root)).toEqual(["odd"]);
  });

  test("a model that is quantised already, and one with nothing to quantise", async () => {
    const { source, target } = saveGpt2();
    await quantizeModel(source, target, { scheme: "int4" });
    await expect(quantizeModel(target, join(root, "again"), { scheme: "int8" })).rejects.toThrow(
      'quantization_config: expected a model that is not quantised yet, got quant_method "plinth". Quantise the model it was made from.',
    );
    const tiny = new URL("../../test/fixtures/gpt2/bare", import.meta.url).pathname;
    await expect(quantizeModel(tiny, join(root, "again"), { scheme: "int8" })).rejects.toThrow("got none.");
  });

  test("numbers that are not finite are named, and what was there stays", async () => {
    const { source, target, weights } = saveGpt2();
    await quantizeModel(source, target, { scheme: "int8" });
    const before = readFileSync(join(target, "model.safetensors"));
    weights.get("h.0.mlp.c_fc.weight")!.data[3] = Number.NaN;
    saveModel(source, { model: GPT2, weights, tokenizer: undefined, card: "" });
    await expect(quantizeModel(source, target, { scheme: "int4" })).rejects.toThrow(
      "tensor transformer.h.0.mlp.c_fc.weight: expected finite numbers",
    );
    expect(readFileSync(join(target, "model.safetensors")).equals(before)).toBe(true);
    expect(readdirSync(root).sort()).toEqual(["source", "target"]);
  });

  test("an abort leaves nothing behind", async () => {
    const { source, target } = saveGpt2();
    const controller = new AbortController();
    const run = quantizeModel(source, target, {
      scheme: "int4",
      signal: controller.signal,
      onTensor: ({ index }) => index === 3 && controller.abort(new Error("enough")),
    });
    await expect(run).rejects.toThrow("enough");
    expect(readdirSync(root)).toEqual(["source"]);
  });

  test("a directory in other use is left alone", async () => {
    const { source, target } = saveGpt2();
    mkdirSync(target);
    writeFileSync(join(target, "thesis.tex"), "");
    await expect(quantizeModel(source, target, { scheme: "int4" })).rejects.toThrow("thesis.tex");
  });

  describe("a damaged quantization_config", () => {
    const cases: readonly [string, (quantization: Record<string, never>) => void, string][] = [
      [
        "block size that contradicts the shapes",
        (q) => Object.assign(q, { block_size: 64 }),
        "as config.json says, got U8",
      ],
      [
        "unknown block size",
        (q) => Object.assign(q, { block_size: 31 }),
        "block_size: expected one of 32, 64, 128, got 31.",
      ],
      ["unknown version", (q) => Object.assign(q, { version: 2 }), "version: expected 1, got 2."],
      [
        "unknown method",
        (q) => Object.assign(q, { quant_method: "gptq" }),
        'expected "plinth" or "bitsandbytes", got "gptq"',
      ],
      [
        "unknown scheme",
        (q) => Object.assign(q.tensors!, { int3: [] }),
        "tensors: expected lists of names under int4 and int8",
      ],
      [
        "no list",
        (q) => Object.assign(q, { tensors: 3 }),
        "tensors: expected lists of names under int4 and int8, got 3.",
      ],
      [
        "a name that is not there",
        (q) => (q.tensors as never as { int8: string[] }).int8.push("x"),
        'tensors, "x": expected a quantised tensor, got no such tensor.',
      ],
      [
        "a name twice",
        (q) => (q.tensors as never as { int8: string[] }).int8.push("transformer.wpe.weight"),
        "expected each tensor once",
      ],
      [
        "a tensor under the wrong scheme",
        (q) => Object.assign(q, { tensors: swapped(q.tensors!) }),
        "as config.json says",
      ],
      [
        "a tensor that is float",
        (q) => (q.tensors as never as { int8: string[] }).int8.push("transformer.ln_f.bias"),
        "no scales for it",
      ],
      [
        "a tensor not listed",
        (q) => Object.assign(q.tensors!, { int8: [] }),
        "1 left over (wpe.weight.scales)",
      ],
    ];
    test("is refused", async () => {
      const { source, target } = saveGpt2();
      await quantizeModel(source, target, { scheme: "int4" });
      const whole = readFileSync(join(target, "config.json"));
      for (const [what, change, message] of cases) {
        writeFileSync(join(target, "config.json"), whole);
        changeConfig(target, change as never);
        expect(() => loadModel(target), what).toThrow(message);
      }
    });

    const swapped = ({ int4, int8 }: Record<string, unknown>) => ({ int4: int8, int8: int4 });
  });

  test("parts of another type", async () => {
    const { source, target } = saveGpt2();
    await quantizeModel(source, target, { scheme: "int4" });
    const path = join(target, "model.safetensors");
    const file = SafetensorsFile.open(path);
    const tensors = [...file.tensors.keys()].map((name) => [name, file.read(name)] as const);
    file.close();
    const wide = tensors.map(([name, tensor]) => {
      const isScales = name === "transformer.wte.weight.scales";
      return [
        name,
        isScales
          ? hostTensor("float64", tensor.shape, Float64Array.from(tensor.data as Float32Array))
          : tensor,
      ] as const;
    });
    writeSafetensors(path, wide, { format: "pt" });
    expect(() => loadModel(target)).toThrow(FormatError);
    expect(() => loadModel(target)).toThrow(
      "expected F32 [96,4] for int4 [96,128] in blocks of 32, as config.json says, got F64 [96,4].",
    );
  });
});

test("saving quantised weights is refused, and says how to", async () => {
  const { source, target } = saveGpt2();
  await quantizeModel(source, target, { scheme: "int8" });
  const { weights } = loadModel(target);
  const saved = { model: GPT2, weights, tokenizer: undefined, card: "" };
  expect(() => saveModel(join(root, "x"), saved)).toThrow(
    "expected float32 weights, got int8. Save what readWeights makes of them",
  );
  saveModel(join(root, "x"), { ...saved, weights: readWeights(weights) });
  expect(readWeights(loadModel(join(root, "x")).weights)).toEqual(readWeights(weights));
});
