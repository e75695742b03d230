import { describe, expect, test } from "vitest";
import { engine } from "../../test/tiny-run.ts";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError, ShapeError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import type { CausalLM } from "../models/contracts.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { mistralConfig } from "../models/mistral/config.ts";
import { Mistral } from "../models/mistral/model.ts";
import { initializeParameters } from "../nn/scope.ts";
import { gradients } from "../tensor/gradient.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import { AdaptedDecoder } from "./adapter.ts";
import { Lora } from "./lora.ts";
import { joinRows, type PackedRow, packBins } from "./pack-rows.ts";
import { packedHidden } from "./packed-decoder.ts";
import { PackedNextToken } from "./packed-next-token.ts";
import { PrefixTuning } from "./prefix-tuning.ts";
import { rowTargets, type TrainingRow } from "./training-row.ts";

const VOCABULARY = 20;
const SIZES = { width: 16, numLayers: 2, numHeads: 2, vocabularySize: VOCABULARY };
/** More than one block of attention, with an example on each side of a border, one over it and padding behind. */
const LENGTHS = [70, 9, 60, 17];
const T = 165;

const gpt2 = (contextLength: number) => new Gpt2(gpt2Config({ ...SIZES, contextLength }));
const mistral = (slidingWindow?: number) =>
  new Mistral(
    mistralConfig({
      ...SIZES,
      contextLength: 256,
      numKeyValueHeads: 1,
      ...(slidingWindow !== undefined && { slidingWindow }),
    }),
  );
const lora = (base: CausalLM) =>
  new AdaptedDecoder(base, new Lora(base, { rank: 2, alpha: 4, targets: "all-linear" }));

const models: readonly [string, () => CausalLM][] = [
  ["GPT-2, its whole table of positions", () => gpt2(T)],
  ["GPT-2, part of the table", () => gpt2(200)],
  ["Mistral", () => mistral()],
  ["Mistral with a window shorter than an example", () => mistral(11)],
  ["Mistral with LoRA", () => lora(mistral(40))],
];

function randomWeights(model: CausalLM): Map<string, HostTensor> {
  const weights = initializeParameters(model.parameters, new Random(1));
  const random = new Random(2);
  for (const { data } of weights.values()) {
    (data as Float32Array).forEach((value, i) => {
      data[i] = value + 0.2 * random.normal();
    });
  }
  return weights;
}

const random = new Random(5);
const rows: readonly TrainingRow[] = LENGTHS.map((length) => ({
  tokens: Int32Array.from({ length }, () => random.integer(VOCABULARY)),
  learnt: Uint8Array.from({ length }, (_, i) => Number(i > length / 3)),
}));

const int32 = (data: Int32Array, length = data.length): HostTensor => {
  const padded = new Int32Array(length);
  padded.set(data);
  return { dtype: "int32", shape: [1, length], data: padded };
};

/** Logits, and the gradients of the sum over learnt tokens by every parameter. */
function outputsOf(model: CausalLM, hidden: Tensor, targets: Tensor): Record<string, Tensor> {
  const length = hidden.shape[1] as number;
  const logits = model.logits(hidden).reshape([length, VOCABULARY]);
  const labels = targets.reshape([length]);
  const count = labels.greaterEqual(0).cast("float32").sum();
  const loss = logits.crossEntropy(labels).mul(count);
  const tensors = model.parameters.map(({ tensor }) => tensor);
  const byParameter = gradients(loss, tensors).map((g, i) => [model.parameters[i]!.path, g] as const);
  return { logits, ...Object.fromEntries(byParameter) };
}

type Results = Readonly<Record<string, Float32Array>>;

async function run(
  outputs: Record<string, Tensor>,
  weights: ReadonlyMap<string, HostTensor>,
  feeds: Record<string, HostTensor>,
) {
  const renamed = Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [`of ${name}`, tensor]));
  const program = engine.compile("packing", renamed, { constants: weights });
  const results = await program.run(feeds);
  program.dispose();
  return Object.fromEntries(
    Object.entries(results).map(([name, { data }]) => [name.slice(3), data as Float32Array]),
  ) as Results;
}

function runAlone(
  model: CausalLM,
  weights: ReadonlyMap<string, HostTensor>,
  row: TrainingRow,
): Promise<Results> {
  const [tokens, targets] = ["tokens", "targets"].map((name) => input(name, "int32", [1, row.tokens.length]));
  const feeds = { tokens: int32(row.tokens), targets: int32(rowTargets(row)) };
  return run(outputsOf(model, model.hidden(tokens!), targets!), weights, feeds);
}

function runPacked(
  model: CausalLM,
  weights: ReadonlyMap<string, HostTensor>,
  row: PackedRow,
): Promise<Results> {
  const [tokens, targets, documents, positions] = ["tokens", "targets", "documents", "positions"].map(
    (name) => input(name, "int32", [1, T]),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const hidden = packedHidden(model, tokens, { documents, positions });
  const [padded, ignored] = [row.tokens.length, new Int32Array(T).fill(-1)];
  ignored.set(row.targets);
  const own = new Int32Array(T).fill(LENGTHS.length);
  own.set(row.documents.subarray(0, padded));
  const feeds = {
    tokens: int32(row.tokens, T),
    targets: int32(ignored),
    documents: int32(own),
    positions: int32(row.positions, T),
  };
  return run(outputsOf(model, hidden, targets), weights, feeds);
}

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

describe.each(models)("packed rows in %s", (_, create) => {
  test("yield the logits and gradients of each example alone", async () => {
    const model = create();
    const weights = randomWeights(model);
    const packed = await runPacked(model, weights, joinRows(rows));
    const sums = new Map<string, Float32Array>();
    let start = 0;
    for (const row of rows) {
      const { logits, ...byParameter } = await runAlone(model, weights, row);
      const part = packed.logits!.subarray(start * VOCABULARY, (start + row.tokens.length) * VOCABULARY);
      expect(distance(part, logits!)).toBeLessThan(1e-4);
      start += row.tokens.length;
      for (const [path, gradient] of Object.entries(byParameter)) {
        const sum = sums.get(path) ?? new Float32Array(gradient.length);
        sums.set(
          path,
          sum.map((value, i) => value + gradient[i]!),
        );
      }
    }
    for (const [path, sum] of sums) {
      const scale = Math.max(1, ...sum.map(Math.abs));
      expect(distance(packed[path]!, sum) / scale, path).toBeLessThan(1e-4);
    }
  });
});

test("examples do see one another where nothing is confined", async () => {
  const model = mistral();
  const weights = randomWeights(model);
  const { tokens, targets } = joinRows(rows);
  const joined = await runAlone(model, weights, { tokens, learnt: new Uint8Array(targets.length) });
  const { logits } = await runAlone(model, weights, rows[1]!);
  const part = joined.logits!.subarray(LENGTHS[0]! * VOCABULARY);
  expect(distance(logits!, part)).toBeGreaterThan(0.01);
});

describe("refused", () => {
  const layout = () => ({ documents: input("d", "int32", [1, 32]), positions: input("p", "int32", [1, 32]) });
  const tokens = () => input("tokens", "int32", [1, 32]);

  test("virtual tokens, which one example alone would see", () => {
    const base = mistral();
    const model = new AdaptedDecoder(base, new PrefixTuning(base, { virtualTokens: 3 }));
    expect(() => packedHidden(model, tokens(), layout())).toThrow(/one with 3 virtual tokens/);
  });

  test("angles that depend on the length of the row", () => {
    const ropeScaling = { kind: "dynamic", factor: 2, originalContextLength: 16 } as const;
    const model = new Mistral(mistralConfig({ ...SIZES, contextLength: 32, ropeScaling }));
    expect(() => packedHidden(model, tokens(), layout())).toThrow(ConfigError);
    const short = input("t", "int32", [1, 16]);
    const [documents, positions] = ["d", "p"].map((name) => input(name, "int32", [1, 16]));
    expect(packedHidden(model, short, { documents: documents!, positions: positions! }).shape).toEqual([
      1, 16, 16,
    ]);
  });

  test("a model without causal attention", () => {
    const base = gpt2(64);
    const model = {
      ...base,
      shape: base.shape,
      hidden: (x: Tensor) => base.parameters[0]!.tensor.gatherRows(x),
    };
    expect(() => packedHidden(model as unknown as CausalLM, tokens(), layout())).toThrow(ShapeError);
  });

  test("a row longer than the bins", () => {
    expect(() => packBins([3, 9], 8)).toThrow(/capacity: expected at least the 9 tokens of row 1, got 8/);
  });
});

test("bins hold every row once and are few", () => {
  const random = new Random(3);
  const lengths = Array.from({ length: 500 }, () => 1 + random.integer(90));
  const bins = packBins(lengths, 100);
  expect(bins.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
  const sizes = bins.map((bin) => bin.reduce((sum, row) => sum + lengths[row]!, 0));
  expect(Math.max(...sizes)).toBeLessThanOrEqual(100);
  const total = lengths.reduce((a, b) => a + b);
  expect(bins.length).toBeLessThanOrEqual(Math.ceil((11 / 9) * (total / 100)) + 1);
  expect(packBins([3, 5, 2, 6], 8)).toEqual([
    [3, 2],
    [1, 0],
  ]);
});

test("the objective's loss is the mean over all learnt tokens of a row", async () => {
  const model = mistral();
  const weights = randomWeights(model);
  const { tokens, targets, documents, positions } = joinRows(rows);
  const length = tokens.length;
  const { nextToken } = new PackedNextToken(model).losses({ batchSize: 1, contextLength: length }, 0.1);
  const feeds = {
    tokens: int32(tokens),
    targets: int32(targets),
    documents: int32(documents),
    positions: int32(positions),
  };
  const { loss } = await run({ loss: nextToken }, weights, feeds);
  let nats = 0;
  for (const row of rows) {
    const { logits } = await runAlone(model, weights, row);
    rowTargets(row).forEach((target, i) => {
      if (target < 0) return;
      const line = Array.from(logits!.subarray(i * VOCABULARY, (i + 1) * VOCABULARY));
      const norm = Math.log(line.reduce((sum, x) => sum + Math.exp(x), 0));
      const mean = line.reduce((sum, x) => sum + x - norm, 0) / VOCABULARY;
      nats -= 0.9 * (line[target]! - norm) + 0.1 * mean;
    });
  }
  const count = targets.filter((target) => target >= 0).length;
  expect(Math.abs(loss![0]! - nats / count)).toBeLessThan(1e-4);
});
