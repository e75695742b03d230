import { describe, expect, test } from "vitest";
import { Random } from "../src/core/random.ts";
import { mistralConfig } from "../src/models/mistral/config.ts";
import { Mistral } from "../src/models/mistral/model.ts";
import { initializeParameters } from "../src/nn/scope.ts";
import { input } from "../src/tensor/tensor.ts";
import { AdamW } from "../src/train/adamw.ts";
import { GradientProgram } from "../src/train/gradient-program.ts";
import { NextToken, nextTokenExamples } from "../src/train/next-token.ts";
import { ParameterArena } from "../src/train/parameter-arena.ts";
import { engine } from "./tiny-run.ts";

// Information flows through windows: trained to recall what stood beyond one window, a model does so as far as layers hand it on,
// and at one token further it guesses. B sequences · T tokens · V vocabulary · W window · L layers

interface Task {
  /** Pairs of a key and a value that a sequence holds; the last token asks for the value of one key. */
  readonly numKeys: number;
  readonly window: number;
  readonly numLayers: number;
  readonly contextLength: number;
  readonly width: number;
  readonly batchSize: number;
  readonly steps: number;
}

const NUM_VALUES = 8;
const NUM_FILLERS = 4;
const CHANCE = 1 / NUM_VALUES;

interface Questions {
  readonly tokens: Int32Array;
  readonly targets: Int32Array;
}

/** Ids: keys, then values, then fillers. The value asked for stands `distance` tokens before the end, or anywhere. */
function ask(
  { numKeys, contextLength: T, batchSize: B }: Task,
  random: Random,
  distance?: number,
): Questions {
  const fillers = numKeys + NUM_VALUES;
  const tokens = Int32Array.from({ length: B * T }, () => fillers + random.integer(NUM_FILLERS));
  const targets = new Int32Array(B * T).fill(-1);
  for (let start = 0; start < B * T; start += T) {
    const asked = random.integer(numKeys);
    const place = T - 2 - (distance ?? 1 + random.integer(T - 2)); // of the key; its value follows
    for (let key = 0; key < numKeys; key++) {
      let at = place;
      while (key !== asked && Math.abs(at - place) < 2) at = random.integer(T - 2);
      tokens.set([key, numKeys + random.integer(NUM_VALUES)], start + at);
    }
    tokens[start + T - 1] = asked;
    targets[start + T - 1] = tokens[start + place + 1]!;
  }
  return { tokens, targets };
}

/** Share of questions answered right after training, by distance; distances are drawn evenly in training. */
async function learn(task: Task): Promise<readonly number[]> {
  const { numKeys, window, numLayers, contextLength: T, width, batchSize: B, steps } = task;
  const sizes = { contextLength: T, width, numLayers, vocabularySize: numKeys + NUM_VALUES + NUM_FILLERS };
  const heads = { numHeads: 4, numKeyValueHeads: 2, slidingWindow: window, tiedHead: true };
  const model = new Mistral(mistralConfig({ ...sizes, ...heads }));
  const arena = new ParameterArena(model.parameters);
  for (const [path, { data }] of initializeParameters(model.parameters, new Random(2))) {
    const parameter = model.parameters.find((candidate) => candidate.path === path)!;
    (arena.view("weights", parameter).data as Float32Array).set(data as Float32Array);
  }
  const shape = { batchSize: B, contextLength: T };
  const gradients = new GradientProgram(engine, new NextToken(model), arena, { labelSmoothing: 0 });
  const adam = new AdamW(engine, arena, { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.01 });
  const random = new Random(1);
  for (let step = 1; step <= steps; step++) {
    await gradients.run([nextTokenExamples(ask(task, random), shape)]);
    const rate = 5e-3 * Math.min(1, step / 50) * (1 - (0.9 * step) / steps);
    await adam.update(step, rate, Math.min(1, 1 / (await adam.gradientNorm())));
  }
  gradients.dispose();
  adam.dispose();
  return examine(model, arena, task);
}

async function examine(model: Mistral, arena: ParameterArena, task: Task): Promise<readonly number[]> {
  const { contextLength: T, batchSize: B } = task;
  const V = model.shape.vocabularySize;
  const hidden = model.hidden(input("tokens", "int32", [B, T])).slice(1, T - 1, T);
  const program = engine.compile("exam", { logits: model.logits(hidden) }); // (B, 1, V)
  const weights = model.parameters.map((parameter) => [parameter.path, arena.view("weights", parameter)]);
  const random = new Random(3);
  const shares: number[] = [];
  for (let distance = 1; distance <= T - 2; distance++) {
    let right = 0;
    const rounds = Math.ceil(512 / B);
    for (let round = 0; round < rounds; round++) {
      const { tokens, targets } = ask(task, random, distance);
      const feeds = { tokens: { dtype: "int32", shape: [B, T], data: tokens } } as const;
      const { logits } = await program.run({ ...feeds, ...Object.fromEntries(weights) });
      for (let row = 0; row < B; row++) {
        const scores = (logits!.data as Float32Array).subarray(row * V, (row + 1) * V);
        right += Number(scores.indexOf(Math.max(...scores)) === targets[(row + 1) * T - 1]);
      }
    }
    shares.push(right / (rounds * B));
  }
  program.dispose();
  return shares;
}

/** Four standard errors of 512 guesses. */
const LUCK = 4 * Math.sqrt((CHANCE * (1 - CHANCE)) / 512);

test("the value of a key is recalled at L·(W − 1) tokens, almost always, and guessed at one more", async () => {
  const task = {
    numKeys: 1,
    window: 4,
    numLayers: 3,
    contextLength: 14,
    width: 32,
    batchSize: 32,
    steps: 150,
  };
  const shares = await learn(task);
  const reach = 3 * (4 - 1);
  expect(Math.min(...shares.slice(0, reach))).toBeGreaterThan(0.9);
  for (const share of shares.slice(reach)) expect(Math.abs(share - CHANCE)).toBeLessThan(LUCK);
});

const isLong = process.env.PLINTH_LONG !== undefined;
describe.skipIf(!isLong)("the figures of the README (PLINTH_LONG=1, six minutes)", () => {
  test("two keys, over nearly four windows", async () => {
    const task = {
      numKeys: 2,
      window: 8,
      numLayers: 4,
      contextLength: 40,
      width: 64,
      batchSize: 64,
      steps: 600,
    };
    const shares = await learn(task);
    console.info(shares.map((share, i) => `${i + 1}: ${share.toFixed(2)}`).join(" "));
    const reach = 4 * (8 - 1);
    expect(Math.min(...shares.slice(0, reach))).toBeGreaterThan(2 * CHANCE);
    for (const share of shares.slice(reach)) expect(Math.abs(share - CHANCE)).toBeLessThan(LUCK);
  }, 1_200_000);
});
