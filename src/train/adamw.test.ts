import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Random } from "../core/random.ts";
import { Engine } from "../engine/engine.ts";
import { readWeight } from "../engine/stored-tensor.ts";
import { loadModel } from "../models/load-model.ts";
import { filled, type Parameter, Scope } from "../nn/scope.ts";
import { AdamW, type AdamWOptions } from "./adamw.ts";
import { GradientProgram } from "./gradient-program.ts";
import { NextToken, nextTokenExamples } from "./next-token.ts";
import { BLOCK_SIZE, ParameterArena } from "./parameter-arena.ts";

const engine = new Engine();

// Golden values of tools/golden/gpt2.py: torch.optim.AdamW over ten batches, in float64 and in float32.

interface GoldenTraining {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly batches: readonly { readonly tokens: number[][]; readonly targets: number[][] }[];
  readonly runs: readonly {
    readonly clipNorm: number | null;
    readonly float64: GoldenRun;
    readonly float32: GoldenRun;
  }[];
}

interface GoldenRun {
  readonly losses: number[];
  readonly gradientNorms: number[];
  readonly weights: Readonly<Record<string, { readonly sum: number; readonly norm: number }>>;
}

const FIXTURES = new URL("../../test/fixtures/gpt2/", import.meta.url).pathname;

/** Trains a golden checkpoint on the golden batches, as the trainer does. */
async function trainGolden(name: string, golden: GoldenTraining, clipNorm: number | null) {
  const { model, weights } = loadModel(`${FIXTURES}${name}`);
  const arena = new ParameterArena(model.parameters);
  for (const [path, { data }] of arena.weights()) data.set(readWeight(weights.get(path)!).data as never);
  const [rows, T] = [golden.batches[0]!.tokens.length, golden.batches[0]!.tokens[0]!.length];
  const shape = { batchSize: rows, contextLength: T, labelSmoothing: 0, accumulation: 1 };
  const program = new GradientProgram(engine, new NextToken(model), arena, shape);
  const optimizer = new AdamW(engine, arena, golden);
  const [losses, norms]: [number[], number[]] = [[], []];
  for (const [i, { tokens, targets }] of golden.batches.entries()) {
    const [inputs, labels] = [tokens, targets].map((table) => Int32Array.from(table.flat()));
    losses.push(await program.run([nextTokenExamples({ tokens: inputs!, targets: labels! }, shape)]));
    const norm = await optimizer.gradientNorm();
    norms.push(norm);
    await optimizer.update(i + 1, golden.learningRate, Math.min(1, (clipNorm ?? Infinity) / norm));
  }
  program.dispose();
  optimizer.dispose();
  return { losses, norms, arena };
}

/** Sum and length of a weight, a `c_attn.bias` without its key third: that gradient is nothing but rounding noise. */
function checksum(path: string, data: Float32Array): { sum: number; norm: number } {
  const third = data.length / 3;
  const kept = path.endsWith("c_attn.bias") ? data.filter((_, i) => i < third || i >= 2 * third) : data;
  return { sum: kept.reduce((total, value) => total + value, 0), norm: Math.hypot(...kept) };
}

describe.each(["prefixed", "bare"])("ten steps of torch.optim.AdamW from checkpoint %s", (name) => {
  const file = readFileSync(`${FIXTURES}${name}/golden.json`, "utf8");
  const golden = (JSON.parse(file) as { adamw: GoldenTraining }).adamw;

  test.each(golden.runs.map((run) => [run.clipNorm, run] as const))(
    "clip norm %s: losses, gradient norms and final weights",
    async (clipNorm, { float64, float32 }) => {
      const { losses, norms, arena } = await trainGolden(name, golden, clipNorm);
      expect(losses.length).toBe(10);
      for (const expected of [float64, float32]) {
        losses.forEach((loss, i) => {
          expect(Math.abs(loss - expected.losses[i]!), `loss ${i}`).toBeLessThan(1e-5);
        });
        norms.forEach((norm, i) => {
          expect(Math.abs(norm - expected.gradientNorms[i]!), `norm ${i}`).toBeLessThan(5e-5);
        });
      }
      for (const [path, { data }] of arena.weights()) {
        const { sum, norm } = checksum(path, data as Float32Array);
        const expected = float64.weights[`transformer.${path}`]!;
        expect(Math.abs(sum - expected.sum), `sum of ${path}`).toBeLessThan(2e-5);
        expect(Math.abs(norm / expected.norm - 1), `length of ${path}`).toBeLessThan(2e-6);
      }
    },
  );
});

const OPTIONS: AdamWOptions = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 };

/** Parameters on both sides of the decay rule: tiny ones, one longer than a block, one that ends a block exactly. */
const SHAPES: Readonly<Record<string, number[]>> = {
  "tiny.weight": [1, 3],
  "tiny.bias": [3],
  "large.weight": [257, 300], // 77,100 elements: over the edge of the first block
  "large.bias": [BLOCK_SIZE + 5],
  scalar: [1],
  "last.weight": [2, 2, 2],
};

function declare(shapes: Readonly<Record<string, number[]>>): readonly Parameter[] {
  const scope = new Scope();
  for (const [path, shape] of Object.entries(shapes)) scope.parameter(path, shape, filled(0));
  return scope.parameters;
}

/** Loshchilov & Hutter 2019, algorithm 2, line by line in doubles. */
class PlainAdamW {
  readonly weights: Float64Array;
  readonly first: Float64Array;
  readonly second: Float64Array;
  #step = 0;

  constructor(weights: ArrayLike<number>) {
    this.weights = Float64Array.from(weights);
    this.first = new Float64Array(weights.length);
    this.second = new Float64Array(weights.length);
  }

  update(gradients: ArrayLike<number>, learningRate: number, gradientScale: number, decay: number): void {
    const { beta1, beta2, epsilon } = OPTIONS;
    this.#step++;
    for (let i = 0; i < this.weights.length; i++) {
      const gradient = gradients[i]! * gradientScale;
      this.first[i] = beta1 * this.first[i]! + (1 - beta1) * gradient;
      this.second[i] = beta2 * this.second[i]! + (1 - beta2) * gradient * gradient;
      const unbiasedFirst = this.first[i]! / (1 - beta1 ** this.#step);
      const unbiasedSecond = this.second[i]! / (1 - beta2 ** this.#step);
      this.weights[i]! -= learningRate * decay * this.weights[i]!;
      this.weights[i]! -= (learningRate * unbiasedFirst) / (Math.sqrt(unbiasedSecond) + epsilon);
    }
  }
}

function fillEvenly(data: Float32Array, random: Random, scale: number): void {
  for (let i = 0; i < data.length; i++) data[i] = scale * (random.uint32() / 2 ** 31 - 1);
}

describe("AdamW against the published algorithm in doubles", () => {
  test("50 steps: decayed and undecayed parameters, gradient scales, rates, block boundaries", async () => {
    const parameters = declare(SHAPES);
    const arena = new ParameterArena(parameters);
    const optimizer = new AdamW(engine, arena, OPTIONS);
    const random = new Random(5);
    const floats = (name: "weights" | "gradients" | "firstMoments" | "secondMoments", p: Parameter) =>
      arena.view(name, p).data as Float32Array;
    for (const parameter of parameters) fillEvenly(floats("weights", parameter), random, 1);
    const plain = parameters.map((parameter) => new PlainAdamW(floats("weights", parameter)));
    for (let step = 1; step <= 50; step++) {
      const [learningRate, scale] = [0.01 / Math.sqrt(step), step % 3 === 0 ? 0.25 : 1];
      let squares = 0;
      for (const [i, parameter] of parameters.entries()) {
        const gradients = floats("gradients", parameter);
        fillEvenly(gradients, random, 0.1 * (i + 1));
        for (const value of gradients) squares += value * value;
        plain[i]!.update(gradients, learningRate, scale, parameter.shape.length > 1 ? 0.1 : 0);
      }
      expect((await optimizer.gradientNorm()) / Math.sqrt(squares)).toBeCloseTo(1, 5);
      await optimizer.update(step, learningRate, scale);
    }
    for (const [i, parameter] of parameters.entries()) {
      const expected = plain[i]!;
      for (const [name, values] of [
        ["weights", expected.weights],
        ["firstMoments", expected.first],
        ["secondMoments", expected.second],
      ] as const) {
        const worst = floats(name, parameter).reduce(
          (most, value, j) => Math.max(most, Math.abs(value - values[j]!)),
          0,
        );
        expect(worst, `${name} of ${parameter.path}`).toBeLessThan(2e-6);
      }
    }
    optimizer.dispose();
  });

  test("what lies between parameters and the end of their block stays zero", async () => {
    const parameters = declare({ "a.weight": [2, 2], "a.bias": [2] });
    const arena = new ParameterArena(parameters);
    const optimizer = new AdamW(engine, arena, OPTIONS);
    for (const parameter of parameters) {
      arena.view("weights", parameter).data.fill(1 as never);
      arena.view("gradients", parameter).data.fill(1 as never);
    }
    await optimizer.update(1, 0.1, 1);
    for (const [block, used] of [
      [arena.blocks[0]!, 4],
      [arena.blocks[1]!, 2],
    ] as const) {
      for (const name of ["weights", "firstMoments", "secondMoments"] as const) {
        const data = arena.block(name, block).data as Float32Array;
        expect(data.indexOf(0)).toBe(used);
        expect(data.subarray(used).every((value) => value === 0)).toBe(true);
      }
    }
    optimizer.dispose();
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "one gradient of %s anywhere makes the norm not finite",
    async (poison) => {
      const parameters = declare(SHAPES);
      const arena = new ParameterArena(parameters);
      const optimizer = new AdamW(engine, arena, OPTIONS);
      for (const parameter of parameters) {
        const { data } = arena.view("gradients", parameter);
        data[data.length - 1] = poison;
        expect(await optimizer.gradientNorm(), parameter.path).not.toSatisfy(Number.isFinite);
        data[data.length - 1] = 0;
        expect(await optimizer.gradientNorm()).toBe(0);
      }
      optimizer.dispose();
    },
  );
});

describe("ParameterArena", () => {
  test("every parameter has its own place, decayed ones in blocks of their own", () => {
    const parameters = declare(SHAPES);
    const arena = new ParameterArena(parameters);
    for (const [i, parameter] of parameters.entries()) {
      arena.view("weights", parameter).data.fill((i + 1) as never);
    }
    for (const [i, parameter] of parameters.entries()) {
      expect(arena.view("weights", parameter).data.every((value) => value === i + 1)).toBe(true);
    }
    for (const block of arena.blocks) {
      const { data } = arena.block("weights", block);
      for (const [i, { shape }] of parameters.entries()) {
        if (data.includes((i + 1) as never)) expect(block.decays).toBe(shape.length > 1);
      }
    }
    expect(new Set(Array.from(arena.lasting(), ([name]) => name)).size).toBe(3 * parameters.length);
  });
});
