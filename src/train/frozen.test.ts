import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EventRecord, engine, TINY_VOCABULARY, type TinyChanges, tinyRun } from "../../test/tiny-run.ts";
import { AdaptedDecoder } from "../adapt/adapter.ts";
import { Lora } from "../adapt/lora.ts";
import { dequantize } from "../core/dequantize.ts";
import type { HostTensor } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { quantize } from "../core/quantize.ts";
import { Random } from "../core/random.ts";
import type { Weight, Weights } from "../core/weights.ts";
import { SafetensorsFile } from "../hub/safetensors.ts";
import { writeSafetensors } from "../hub/safetensors-writer.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { initializeParameters } from "../nn/scope.ts";
import { CheckpointStore } from "./checkpoint.ts";
import { flopsOf } from "./flops.ts";
import { GradientProgram } from "./gradient-program.ts";
import { NextToken, nextTokenExamples } from "./next-token.ts";
import type { Examples } from "./objective.ts";
import { ParameterArena } from "./parameter-arena.ts";
import { trainOnly } from "./train-only.ts";
import { train } from "./trainer.ts";

// A GPT-2 that stays as it is, with LoRA that is trained: the base in each form that weights have.

const sizes = { width: 32, numLayers: 2, numHeads: 2, vocabularySize: TINY_VOCABULARY, contextLength: 16 };
const base = new Gpt2(gpt2Config(sizes));
const lora = new Lora(base, { rank: 4, alpha: 8, targets: "all-linear" });
const adapted = new AdaptedDecoder(base, lora);
const whole = new NextToken(adapted);
const objective = trainOnly(whole, lora.parameters);

/** Random values for everything, none of them zero, so that every factor has a gradient. */
const values = initializeParameters(adapted.parameters, new Random(3));
const random = new Random(4);
for (const { data } of values.values()) {
  (data as Float32Array).forEach((value, i) => {
    data[i] = value + 0.1 * random.normal();
  });
}
const inMemory = new Map(base.parameters.map(({ path }) => [path, values.get(path)!]));

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-frozen-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function mapped(): Weights {
  const path = join(root, "base.safetensors");
  writeSafetensors(path, inMemory);
  const file = SafetensorsFile.open(path);
  return new Map(base.parameters.map(({ path }) => [path, file.stored(path)]));
}

/** Matrices of linear layers as NF4, the rest as it is; and the same with these dequantised again. */
function quantised(): { blocks: Weights; dense: Weights } {
  const [blocks, dense] = [new Map<string, Weight>(inMemory), new Map<string, Weight>(inMemory)];
  for (const { name, isOutIn } of lora.modules) {
    const path = `${name}.weight`;
    const format = { scheme: "nf4", blockSize: 16 } as const;
    const matrix = quantize(inMemory.get(path)!, isOutIn ? 1 : 0, format, path);
    blocks.set(path, matrix);
    dense.set(path, dequantize(matrix));
  }
  return { blocks, dense };
}

function examples(batchSize: number, contextLength: number, seed: number): Examples {
  const draws = new Random(seed);
  const draw = () =>
    Int32Array.from({ length: batchSize * contextLength }, () => draws.integer(TINY_VOCABULARY));
  return nextTokenExamples({ tokens: draw(), targets: draw() }, { batchSize, contextLength });
}

/** Loss and gradients of the trained parameters. */
async function gradientsOver(frozen: Weights, batches: readonly Examples[], trained = objective) {
  const arena = new ParameterArena(trained.model.parameters);
  for (const [path, { data }] of arena.weights()) data.set(values.get(path)!.data as never);
  const program = new GradientProgram(engine, trained, arena, { labelSmoothing: 0, frozen });
  const lossNats = await program.run(batches);
  program.dispose();
  const gradients = lora.parameters.map((parameter) =>
    Float32Array.from(arena.view("gradients", parameter).data as Float32Array),
  );
  return { lossNats, gradients };
}

type Result = Awaited<ReturnType<typeof gradientsOver>>;

/** Largest difference of gradients, as a share of each one's largest number. */
function distance(a: Result, b: Result): number {
  const shares = a.gradients.map((gradient, i) => {
    const peak = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(peak).toBeGreaterThan(1e-6);
    return Math.max(...gradient.map((value, j) => Math.abs(value - b.gradients[i]![j]!))) / peak;
  });
  return Math.max(Math.abs(a.lossNats - b.lossNats), ...shares);
}

describe("gradients over frozen weights", () => {
  const batches = [examples(2, 16, 1)];

  test("in memory: those of training everything, for what is trained", async () => {
    const all = await gradientsOver(new Map(), batches, whole);
    expect(distance(await gradientsOver(inMemory, batches), all)).toBeLessThan(1e-5);
  });

  test("mapped: the same as in memory", async () => {
    expect(
      distance(await gradientsOver(mapped(), batches), await gradientsOver(inMemory, batches)),
    ).toBeLessThan(1e-6);
  });

  test("quantised to NF4: those over the dequantised base", async () => {
    const { blocks, dense } = quantised();
    const over = await gradientsOver(blocks, batches);
    expect(distance(over, await gradientsOver(dense, batches))).toBeLessThan(1e-4);
    expect(distance(over, await gradientsOver(inMemory, batches))).toBeGreaterThan(1e-3);
  });

  test("trained values win over frozen ones of the same name, and what no loss needs may be there", async () => {
    const more = new Map(inMemory);
    for (const { path, shape } of lora.parameters) {
      more.set(path, { dtype: "float32", shape, data: new Float32Array(values.get(path)!.data.length) });
    }
    more.set("lm_head.weight", { dtype: "float32", shape: [1], data: new Float32Array(1) });
    expect(distance(await gradientsOver(more, batches), await gradientsOver(inMemory, batches))).toBe(0);
  });

  test("one that is missing is named, and how to mend it", async () => {
    const less = new Map(inMemory);
    less.delete("h.1.ln_2.weight");
    const run = gradientsOver(less, batches);
    await expect(run).rejects.toThrow(ShapeError);
    await expect(run).rejects.toThrow(
      "training step, weight h.1.ln_2.weight: expected values of shape [32]: it is not among the trained parameters, got none. Give it among the frozen weights.",
    );
  });
});

describe("accumulation over frozen weights", () => {
  test("4 batches of one give loss and gradients of one batch of 4", async () => {
    const one = examples(4, 16, 5);
    const rows = [0, 1, 2, 3].map((row): Examples => {
      const cut = ({ data }: HostTensor): HostTensor => {
        const part = (data as Int32Array).slice(row * 16, (row + 1) * 16);
        return { dtype: "int32", shape: [1, 16], data: part };
      };
      const { tokens, targets } = one.inputs;
      const inputs = { tokens: cut(tokens!), targets: cut(targets!) };
      return { inputs, numTargets: { nextToken: [16] }, contextLength: 16 };
    });
    const { blocks } = quantised();
    for (const frozen of [inMemory, blocks]) {
      const apart = await gradientsOver(frozen, rows);
      expect(distance(apart, await gradientsOver(frozen, [one]))).toBeLessThan(1e-5);
    }
  });

  test("batches of different lengths count by their targets", async () => {
    const [long, short] = [examples(2, 16, 6), examples(3, 5, 7)];
    const [a, b] = [await gradientsOver(inMemory, [long]), await gradientsOver(inMemory, [short])];
    const both = await gradientsOver(inMemory, [long, short]);
    const mean = (x: number, y: number) => (32 * x + 15 * y) / 47;
    const expected = {
      lossNats: mean(a.lossNats, b.lossNats),
      gradients: a.gradients.map((one, i) => one.map((value, j) => mean(value, b.gradients[i]![j]!))),
    };
    expect(distance(both, expected)).toBeLessThan(1e-5);
  });
});

describe("a run over frozen weights", () => {
  const run = async (name: string, changes: TinyChanges): Promise<EventRecord> => {
    const record = new EventRecord();
    const initialWeights = new Map(lora.parameters.map(({ path }) => [path, values.get(path)!]));
    const given = { objective: whole, frozen: inMemory, initialWeights, ...changes };
    await train({ ...tinyRun(join(root, name), { ...given, onEvent: record.record }), objective });
    return record;
  };

  test("learns, keeps the base as it is, and saves what it trains", async () => {
    const before = [...inMemory].map(([path, { data }]) => [path, data.slice()] as const);
    const record = await run("learns", { options: { steps: 40, batchSize: 4 } });
    const [first, last] = [record.of("validation")[0]!, record.of("validation").at(-1)!];
    expect(last.lossNats).toBeLessThan(first.lossNats - 0.05);
    for (const [path, data] of before) expect(inMemory.get(path)!.data).toEqual(data);
    const saved = new CheckpointStore(join(root, "learns/checkpoints")).latest()!;
    expect(saved.names.length).toBe(3 * lora.parameters.length);
    saved.close();
  });

  test("4 × 2 rows accumulated give the losses of 8 rows at once", async () => {
    const options = { steps: 8, warmupSteps: 0, clipNorm: 0.05 };
    const atOnce = await run("at once", { options: { ...options, batchSize: 8 } });
    const parts = await run("parts", { options: { ...options, batchSize: 2, accumulation: 4 } });
    for (const [i, [, lossNats]] of parts.losses().entries()) {
      expect(lossNats).toBeCloseTo(atOnce.losses()[i]![1], 4);
    }
    const [a, b] = [atOnce, parts].map((record) => record.of("end")[0]!.totalFlops);
    expect(b).toBe(a);
  });
});

test("what training an adapter costs: nothing for the gradients of matrices that stay", () => {
  const [C, r, V, T] = [32, 4, TINY_VOCABULARY, 16];
  const products = lora.modules.reduce((sum, { inSize, outSize }) => sum + inSize * outSize, 0);
  const factors = lora.modules.reduce((sum, { inSize, outSize }) => sum + r * (inSize + outSize), 0);
  // Of the first layer's input nothing is trained, so the gradient ends at its first module.
  const { inSize, outSize } = lora.modules[0]!;
  const attention = 2 * 2 * T * C;
  // A norm's gradient sums over its rows by two products; the gradient reaches all five norms but the first.
  const norms = 4 * 2 * C;
  const matrices = 2 * (products + V * C) - inSize * (outSize + r);
  const expected = 2 * T * (matrices + 3 * (factors + attention) + norms);
  expect(flopsOf(objective, { batchSize: 1, contextLength: T })).toBe(expected);
});
