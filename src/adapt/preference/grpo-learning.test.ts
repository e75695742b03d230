// GRPO proved: what can be checked is learnt from rewards alone, and holds for prompts that were never seen.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { engine, tinyRun } from "../../../test/tiny-run.ts";
import { trainCharTokenizer } from "../../codecs/char-tokenizer.ts";
import { Random } from "../../core/random.ts";
import type { HostWeights } from "../../core/weights.ts";
import { gpt2Config } from "../../models/gpt2/config.ts";
import { Gpt2 } from "../../models/gpt2/model.ts";
import { initializeParameters } from "../../nn/scope.ts";
import { isTaskQuality } from "../../train/quality.ts";
import { train } from "../../train/trainer.ts";
import { Grpo } from "./grpo.ts";
import { GrpoStream } from "./grpo-stream.ts";
import { exactAnswer, type RewardFunction, type Task } from "./reward-rules.ts";
import { taskMeasure } from "./task-measure.ts";

const LETTERS = "abcdefgh";
const NUM_HELD_OUT = 64;

const tokenizer = trainCharTokenizer([LETTERS]);
const model = new Gpt2(
  gpt2Config({
    ...{ width: 32, numLayers: 1, numHeads: 2, contextLength: 8 },
    vocabularySize: tokenizer.vocabularySize,
  }),
);
const first = initializeParameters(model.parameters, new Random(1));
const objective = new Grpo(model, { maxTokens: 1 });

/** All words of three letters in a seeded order; the answer to each is its last letter. */
const words = [...LETTERS].flatMap((a) => [...LETTERS].flatMap((b) => [...LETTERS].map((c) => a + b + c)));
const tasks: readonly Task[] = Array.from(new Random(2).permutation(words.length), (place) => {
  const word = words[place]!;
  return { prompt: word, answer: word[2]! };
});
const heldOut = tasks.slice(0, NUM_HELD_OUT);
const training = tasks.slice(NUM_HELD_OUT);

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-grpo-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Share of the held-out tasks that are answered right, and its standard error. */
async function heldOutReward(weights: HostWeights): Promise<{ value: number; standardError: number }> {
  const reward = exactAnswer();
  const measure = taskMeasure({ engine, objective, weights, tokenizer, tasks: heldOut, reward, seed: 9 });
  const result = await measure.run();
  if (!isTaskQuality(result)) throw new Error("expected a reward");
  return { value: result.value, standardError: result.standardError ?? Number.NaN };
}

/** The weights after as many steps of 64 completions, wherever they led. */
async function trained(
  name: string,
  given: readonly Task[],
  reward: RewardFunction,
  steps = 25,
): Promise<HostWeights> {
  const run = tinyRun(join(root, name), {
    objective,
    initialWeights: first,
    measure: (arena) =>
      taskMeasure({
        ...{ engine, objective, weights: arena.weights(), tokenizer },
        ...{ tasks: given.slice(0, 1), reward, seed: 1 },
      }),
    options: {
      ...{ steps, batchSize: 64, contextLength: 8, saveEvery: steps, validateEvery: steps },
      ...{ learningRate: 1e-2, schedule: "constant", warmupSteps: 0, weightDecay: 0 },
    },
  });
  const { bestWeights } = await train({
    ...run,
    examples: (arena) =>
      new GrpoStream({
        ...{ engine, objective, weights: arena.weights(), tokenizer, tasks: given, reward, seed: 4 },
        ...{ tasksPerRound: 8, groupSize: 8, batchSize: 64 },
      }),
  });
  return bestWeights;
}

let before: Awaited<ReturnType<typeof heldOutReward>>;
beforeAll(async () => {
  before = await heldOutReward(first);
});

test("a reward that can be checked rises far on prompts never seen", async () => {
  expect(before.value).toBeLessThan(0.2); // one of nine tokens is right
  const after = await heldOutReward(await trained("exact", training, exactAnswer()));
  expect(after.value).toBeGreaterThan(0.75);
  expect(after.value - before.value).toBeGreaterThan(5 * (after.standardError + before.standardError));
});

test("by answers that were shuffled it does not", async () => {
  const order = new Random(3).permutation(training.length);
  const shuffled = training.map((task, i) => ({ ...task, answer: training[order[i]!]!.answer! }));
  const misled = await heldOutReward(await trained("shuffled", shuffled, exactAnswer()));
  expect(misled.value).toBeLessThan(0.25);
});

test("a reward that is the same for all moves nothing", async () => {
  const unmoved = await trained("constant", training, () => 1, 2);
  for (const [path, { data }] of unmoved) expect(data, path).toEqual(first.get(path)!.data);
});
