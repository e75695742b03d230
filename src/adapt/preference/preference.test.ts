import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkpointDigests, engine, tinyRun } from "../../../test/tiny-run.ts";
import { trainCharTokenizer } from "../../codecs/char-tokenizer.ts";
import type { HostTensor } from "../../core/dtype.ts";
import { ConfigError, DataError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import { interpret, toNdArray } from "../../engine/interpreter.ts";
import { gpt2Config } from "../../models/gpt2/config.ts";
import { Gpt2 } from "../../models/gpt2/model.ts";
import { initializeParameters, type Parameter } from "../../nn/scope.ts";
import { input } from "../../tensor/tensor.ts";
import { GradientProgram } from "../../train/gradient-program.ts";
import { ParameterArena } from "../../train/parameter-arena.ts";
import { isTaskQuality } from "../../train/quality.ts";
import { trainOnly } from "../../train/train-only.ts";
import type { TrainResult } from "../../train/train-run.ts";
import { train } from "../../train/trainer.ts";
import { AdaptedDecoder } from "../adapter.ts";
import { Lora } from "../lora.ts";
import type { TrainingRow } from "../training-row.ts";
import { Dpo, type DpoOptions } from "./dpo.ts";
import { Grpo } from "./grpo.ts";
import { GrpoStream, type GrpoStreamOptions, type RoundReport } from "./grpo-stream.ts";
import { dpoMeasure, judgePairs, rewardMeasure } from "./pair-measure.ts";
import { preferenceStream, sidesOf } from "./preference-examples.ts";
import { preferenceRows } from "./preference-rows.ts";
import { BIAS_PATH, centringBias, RewardModel, RewardModelling } from "./reward-model.ts";
import { exactAnswer, matchesPattern, rewardOf, sumRewards, validJson } from "./reward-rules.ts";
import { completionScores, logProbProgram, sumLines } from "./score-rows.ts";
import { measureDivergence, taskMeasure } from "./task-measure.ts";
import { writeCompletions } from "./write-completions.ts";

const tokenizer = trainCharTokenizer(["abcdefgh .?"]);
const base = new Gpt2(
  gpt2Config({
    ...{ width: 16, numLayers: 1, numHeads: 2, contextLength: 32 },
    vocabularySize: tokenizer.vocabularySize,
  }),
);

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-preference-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Random values large enough to matter. */
function strayWeights(parameters: readonly Parameter[], seed: number): Map<string, HostTensor> {
  const weights = initializeParameters(parameters, new Random(seed));
  const random = new Random(seed).fork("stray");
  for (const { data } of weights.values()) {
    (data as Float32Array).forEach((value, i) => {
      data[i] = value + 0.2 * random.normal();
    });
  }
  return weights;
}

const baseWeights = strayWeights(base.parameters, 5);

/** Pairs of which the one with a full stop is the better. */
function pairsOf(count: number, seed: number) {
  const random = new Random(seed);
  const word = () =>
    Array.from({ length: 2 + random.integer(6) }, () => "abcdefgh"[random.integer(8)]).join("");
  const preferences = Array.from({ length: count }, () => ({
    prompt: `${word()}?`,
    chosen: `${word()}.`,
    rejected: word(),
  }));
  return preferenceRows(preferences, { tokenizer, contextLength: 32 });
}

/** By the reference interpreter in doubles: ln of the probability of a row's completion. */
function scoreInDoubles(weights: ReadonlyMap<string, HostTensor>, { tokens, learnt }: TrainingRow): number {
  const T = tokens.length;
  const V = base.shape.vocabularySize;
  const logits = base.logits(base.hidden(input("tokens", "int32", [1, T])));
  const values = Object.fromEntries([...weights].map(([path, tensor]) => [path, toNdArray(tensor)]));
  const feeds = { ...values, tokens: { shape: [1, T], data: Float64Array.from(tokens) } };
  const { data } = interpret([logits.logSoftmax()], feeds)[0]!;
  return tokens.reduce((sum, id, t) => sum + (learnt[t] === 1 ? data[(t - 1) * V + id]! : 0), 0);
}

describe("pairs as tokens", () => {
  const options = { tokenizer, contextLength: 16 };
  const pair = { prompt: "ab?", chosen: "cd.", rejected: "cd" };

  test("of each side, the completion and the end of text are scored", () => {
    const [{ chosen, rejected }] = preferenceRows([pair], options) as [
      ReturnType<typeof preferenceRows>[number],
    ];
    expect(Array.from(chosen.tokens)).toEqual([...tokenizer.encode("ab?cd."), tokenizer.endOfTextId]);
    expect(Array.from(chosen.learnt)).toEqual([0, 0, 0, 1, 1, 1, 1]);
    expect(Array.from(rejected.learnt)).toEqual([0, 0, 0, 1, 1, 1]);
  });

  test.each([
    [
      "equal sides",
      { ...pair, rejected: "cd." },
      /preference pair 2: expected .* that differ, got the same twice/,
    ],
    [
      "an empty side",
      { ...pair, rejected: "" },
      /preference pair 2, rejected: expected a text, got an empty one/,
    ],
    [
      "a side too long",
      { ...pair, chosen: "a".repeat(13) },
      /pair 2, chosen: expected at most 16 tokens .* got 17/,
    ],
    [
      "messages without a template",
      { ...pair, prompt: [], chosen: [{ role: "user" }], rejected: [] },
      /template/,
    ],
    ["texts beside messages", { ...pair, chosen: [{ role: "user" }] }, /all texts, or all messages/],
    ["a margin that is none", { ...pair, margin: Number.NaN }, /margin: expected a number/],
  ])("%s", (_, wrong, message) => {
    const read = () => preferenceRows([pair, wrong], options);
    expect(read).toThrow(DataError);
    expect(read).toThrow(message);
  });

  test("batches that cannot be", () => {
    const objective = new Dpo(base);
    const stream = {
      objective,
      pairs: pairsOf(4, 1),
      reference: new Float32Array(8),
      contextLength: 32,
      seed: 1,
    };
    expect(() => preferenceStream({ ...stream, batchSize: 3 })).toThrow(
      /train.batchSize: expected an even number/,
    );
    const { reference, ...without } = stream;
    expect(() => preferenceStream({ ...without, batchSize: 2 })).toThrow(/reference/);
    expect(() => preferenceStream({ ...stream, batchSize: 2, pairs: [] })).toThrow(ConfigError);
    expect(reference.length).toBe(8);
  });
});

describe("DPO", () => {
  test("completions score as in doubles, whatever they are padded to", async () => {
    const sides = sidesOf(pairsOf(6, 2));
    const scores = await completionScores(engine, { model: base, weights: baseWeights }, sides);
    sides.forEach((row, i) => {
      expect(scores[i]).toBeCloseTo(scoreInDoubles(baseWeights, row), 4);
    });
  });

  test.each<Partial<DpoOptions>>([{ beta: 0.5 }, { kind: "ipo", beta: 0.5 }, { referenceFree: true }])(
    "the loss of a batch in slices of whole pairs, and held out: the definition in doubles; %o",
    async (options) => {
      const objective = new Dpo(base, options);
      const { beta, kind, referenceFree } = objective.options;
      const pairs = pairsOf(6, 3);
      const sides = sidesOf(pairs);
      const policyWeights = strayWeights(base.parameters, 9);
      const reference = await completionScores(engine, { model: base, weights: baseWeights }, sides);
      const losses = pairs.map((_, pair) => {
        const [won, lost] = [0, 1].map((side) => {
          const row = sides[2 * pair + side]!;
          const ratio =
            scoreInDoubles(policyWeights, row) - (referenceFree ? 0 : scoreInDoubles(baseWeights, row));
          return kind === "ipo" ? ratio / row.learnt.reduce((sum, flag) => sum + flag, 0) : ratio;
        }) as [number, number];
        const lead = won - lost;
        return kind === "ipo" ? (lead - 1 / (2 * beta)) ** 2 : Math.log1p(Math.exp(-beta * lead));
      });
      const expected = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
      const arena = new ParameterArena(base.parameters);
      for (const [path, { data }] of arena.weights()) data.set(policyWeights.get(path)!.data as never);
      const gradients = new GradientProgram(engine, objective, arena, { labelSmoothing: 0 });
      const stream = {
        objective,
        pairs,
        ...(referenceFree ? {} : { reference }),
        contextLength: 32,
        seed: 1,
      };
      const batch = await preferenceStream({ ...stream, batchSize: 12 }).next();
      expect(batch.group).toBe(2);
      const one = { ...batch, contextLength: batch.contextLength };
      expect(await gradients.run([one])).toBeCloseTo(expected, 4);
      gradients.dispose();
      const measure = dpoMeasure({ engine, objective, weights: arena.weights(), pairs, reference });
      const { lossNats, numTokens } = await measure.run();
      measure.dispose();
      expect(lossNats).toBeCloseTo(expected, 4);
      expect(numTokens).toBe(6);
    },
  );

  test("what is said of pairs: trl's metrics", () => {
    const golden = JSON.parse(
      readFileSync(new URL("../../../test/fixtures/preference/golden.json", import.meta.url), "utf8"),
    );
    const [B, T, V] = golden.shape;
    for (const { beta, swapped, reference, metrics } of golden.dpo) {
      if (swapped) continue;
      const rewards = Array.from({ length: B }, (_, row) => {
        const total = golden.targets[row].reduce((sum: number, id: number, t: number) => {
          if (id < 0) return sum;
          const line: number[] = golden.logits.slice((row * T + t) * V, (row * T + t + 1) * V);
          return sum + line[id]! - Math.log(line.reduce((whole, x) => whole + Math.exp(x), 0));
        }, 0);
        return beta * (total - reference[row]);
      });
      const judged = judgePairs(rewards);
      expect(judged.chosenReward).toBeCloseTo(metrics.chosen, 9);
      expect(judged.rejectedReward).toBeCloseTo(metrics.rejected, 9);
      expect(judged.margin).toBeCloseTo(metrics.margins, 9);
      expect(judged.accuracy).toBeCloseTo(metrics.accuracies, 6);
    }
  });

  test("a LoRA learns what is preferred, and a resumed run ends with the same bits", async () => {
    const model = new AdaptedDecoder(base, new Lora(base, { rank: 4, alpha: 8, targets: "all-linear" }));
    const objective = new Dpo(model, { beta: 0.5 });
    const [pairs, heldOut] = [pairsOf(48, 6), pairsOf(24, 7)];
    const scored = { model: base, weights: baseWeights };
    const reference = await completionScores(engine, scored, sidesOf(pairs));
    const heldOutReference = await completionScores(engine, scored, sidesOf(heldOut));
    const run = (name: string, changes: { steps: number; resume: boolean }): Promise<TrainResult> => {
      const { steps, resume } = changes;
      const given = tinyRun(join(root, name), {
        objective: trainOnly(objective, model.adapter.parameters),
        frozen: baseWeights,
        initialWeights: initializeParameters(model.adapter.parameters, new Random(1)),
        examples: preferenceStream({
          objective,
          pairs,
          reference,
          batchSize: 12,
          contextLength: 32,
          seed: 3,
        }),
        measure: (arena) =>
          dpoMeasure({
            ...{ engine, objective, pairs: heldOut, reference: heldOutReference },
            weights: new Map([...baseWeights, ...arena.weights()]),
          }),
        options: {
          steps,
          batchSize: 12,
          contextLength: 32,
          learningRate: 2e-2,
          schedule: "constant",
          warmupSteps: 2,
        },
        resume,
      });
      return train(given);
    };
    const whole = await run("dpo", { steps: 30, resume: false });
    expect(isTaskQuality(whole.best) && whole.best.metric).toBe("pair accuracy");
    expect(isTaskQuality(whole.best) && whole.best.value).toBeGreaterThan(0.9);
    expect(whole.best.lossNats).toBeLessThan(0.4);
    expect([...whole.bestWeights.keys()].every((path) => path.includes("lora_"))).toBe(true);
    await run("dpo-cut", { steps: 13, resume: false });
    await run("dpo-cut", { steps: 30, resume: true });
    expect(checkpointDigests(join(root, "dpo-cut"))).toEqual(checkpointDigests(join(root, "dpo")));
  });
});

describe("a reward model", () => {
  const model = new RewardModel(base);

  test("scores the last token of each text, whatever follows it", async () => {
    const weights = new Map([...baseWeights, ...strayWeights([model.head], 4)]);
    const rows = sidesOf(pairsOf(4, 8));
    const program = model.program(engine, weights);
    const rewards = sumLines(await program.run(rows));
    program.dispose();
    const head = weights.get(model.head.path)!.data as Float32Array;
    const values = Object.fromEntries([...weights].map(([path, tensor]) => [path, toNdArray(tensor)]));
    rows.forEach(({ tokens }, i) => {
      const hidden = base.hidden(input("tokens", "int32", [1, tokens.length]));
      const feeds = { ...values, tokens: { shape: [1, tokens.length], data: Float64Array.from(tokens) } };
      const last = interpret([hidden], feeds)[0]!.data.subarray(-16);
      expect(rewards[i]).toBeCloseTo(
        last.reduce((sum, value, c) => sum + value * head[c]!, 0),
        4,
      );
    });
  });

  test("learns from pairs with margins, and is centred", async () => {
    const objective = new RewardModelling(model, { centring: 0.01, margins: true });
    const pairs = pairsOf(48, 10).map((pair) => ({ ...pair, margin: 0.5 }));
    const heldOut = pairsOf(24, 11);
    const result = await train(
      tinyRun(join(root, "reward"), {
        objective,
        initialWeights: new Map([...baseWeights, ...initializeParameters([model.head], new Random(1))]),
        examples: preferenceStream({ objective, pairs, batchSize: 12, contextLength: 32, seed: 3 }),
        measure: (arena) => rewardMeasure(engine, model, arena.weights(), heldOut),
        options: { steps: 40, batchSize: 12, contextLength: 32, learningRate: 1e-2 },
      }),
    );
    expect(isTaskQuality(result.best) && result.best.value).toBeGreaterThan(0.9);
    const bias = await centringBias(engine, model, result.bestWeights, pairs);
    const centred = model.program(engine, new Map([...result.bestWeights, [BIAS_PATH, bias]]));
    const rewards = sumLines(await centred.run(pairs.map(({ chosen }) => chosen)));
    centred.dispose();
    expect(Math.abs(rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length)).toBeLessThan(1e-4);
    expect(judgePairs(await scoreSides(result, heldOut)).accuracy).toBe(
      isTaskQuality(result.best) && result.best.value,
    );
  });

  async function scoreSides({ bestWeights }: TrainResult, pairs: ReturnType<typeof pairsOf>) {
    const program = model.program(engine, bestWeights);
    const rewards = sumLines(await program.run(sidesOf(pairs)));
    program.dispose();
    return rewards;
  }

  test("the head of the decoder is not among its parameters where nothing reads it", () => {
    const paths = model.parameters.map(({ path }) => path);
    expect(paths).toContain("score.weight");
    expect(paths).not.toContain("lm_head.weight");
    expect(paths.length).toBeLessThanOrEqual(base.parameters.length + 1);
  });
});

describe("GRPO", () => {
  const tasks = ["ab?", "cd?", "ef?", "gh?", "ac?"].map((prompt) => ({ prompt }));
  const options = { maxTokens: 6, beta: 0.05 };
  const frozen = baseWeights;
  /** How much of a text is the letter a. */
  const reward = (text: string) =>
    text.length === 0 ? 0 : [...text].filter((c) => c === "a").length / text.length;

  function grpoRun(name: string, changes: { steps: number; resume?: boolean; rounds?: RoundReport[] }) {
    const model = new AdaptedDecoder(base, new Lora(base, { rank: 4, alpha: 8, targets: "all-linear" }));
    const objective = new Grpo(model, options);
    const stream: Omit<GrpoStreamOptions, "weights"> = {
      ...{ engine, objective, tokenizer, tasks, reward, seed: 4 },
      reference: { model: base, weights: frozen },
      ...{ tasksPerRound: 2, groupSize: 8, innerEpochs: 2, batchSize: 8 },
      onRound: (round) => changes.rounds?.push(round),
    };
    return train({
      ...tinyRun(join(root, name), {
        objective: trainOnly(objective, model.adapter.parameters),
        frozen,
        initialWeights: initializeParameters(model.adapter.parameters, new Random(1)),
        measure: (arena) => {
          const weights = new Map([...frozen, ...arena.weights()]);
          return taskMeasure({ engine, objective, weights, tokenizer, tasks, reward, seed: 9 });
        },
        options: {
          ...{ steps: changes.steps, batchSize: 8, contextLength: 32, saveEvery: 1000, validateEvery: 40 },
          ...{ learningRate: 2e-2, schedule: "constant", warmupSteps: 0, weightDecay: 0, best: "quality" },
        },
        resume: changes.resume ?? false,
      }),
      examples: (arena) => new GrpoStream({ ...stream, weights: new Map([...frozen, ...arena.weights()]) }),
    });
  }

  test("what is rewarded becomes frequent; a run cut within a round and resumed ends with the same bits", async () => {
    const rounds: RoundReport[] = [];
    const result = await grpoRun("grpo", { steps: 42, rounds });
    const [first, last] = [rounds.slice(0, 2), rounds.slice(-2)].map(
      (some) => some.reduce((sum, { meanReward }) => sum + meanReward, 0) / 2,
    );
    expect(first).toBeLessThan(0.3);
    expect(last).toBeGreaterThan(0.6);
    expect(rounds.length).toBe(11); // four batches each
    expect(isTaskQuality(result.best) && result.best.metric).toBe("mean reward");
    await grpoRun("grpo-cut", { steps: 5 });
    await grpoRun("grpo-cut", { steps: 42, resume: true });
    expect(checkpointDigests(join(root, "grpo-cut"))).toEqual(checkpointDigests(join(root, "grpo")));
  });

  test("the examples: every task in turn, old scores by the weights that wrote, advantages that add up to 0", async () => {
    const objective = new Grpo(base, { maxTokens: 6, scale: "none" });
    const seen: string[] = [];
    const stream = new GrpoStream({
      ...{ engine, objective, weights: baseWeights, tokenizer, tasks, tasksPerRound: 5, groupSize: 2 },
      reward: (text, { prompt }) => {
        if (typeof prompt === "string") seen.push(prompt);
        return [...text].filter((c) => "abcd".includes(c)).length;
      },
    });
    const { inputs, numTargets, contextLength } = await stream.next();
    expect([...new Set(seen)].sort()).toEqual(tasks.map(({ prompt }) => prompt).sort());
    expect(contextLength).toBe(32);
    const advantages = Array.from(inputs.advantages!.data as Float32Array);
    expect(advantages.reduce((sum, advantage) => sum + advantage, 0)).toBeCloseTo(0, 5);
    expect(advantages.some((advantage) => advantage !== 0)).toBe(true);
    const arena = new ParameterArena(base.parameters);
    for (const [path, { data }] of arena.weights()) data.set(baseWeights.get(path)!.data as never);
    const gradients = new GradientProgram(engine, objective, arena, { labelSmoothing: 0 });
    // Every ratio is 1 before the first step, so that the loss is the mean of −A over tokens.
    const weighed = advantages.reduce(
      (sum, advantage, i) => sum - advantage * (numTargets.policy![i] as number),
      0,
    );
    const numTokens = Array.from(numTargets.policy!).reduce((sum, count) => sum + count, 0);
    expect(await gradients.run([{ inputs, numTargets, contextLength }])).toBeCloseTo(weighed / numTokens, 4);
    gradients.dispose();
  });

  test("what cannot be", async () => {
    const given = { engine, objective: new Grpo(base), weights: baseWeights, tokenizer, tasks, reward };
    expect(() => new GrpoStream({ ...given, groupSize: 1 })).toThrow(
      /grpo.groupSize: expected an integer in \[2/,
    );
    expect(() => new GrpoStream({ ...given, batchSize: 5 })).toThrow(
      /a divisor of the 32 texts of a round, got 5/,
    );
    expect(() => new GrpoStream({ ...given, tasks: [] })).toThrow(/grpo.tasks: expected at least one/);
    const near = new Grpo(base, { beta: 0.1 });
    expect(() => new GrpoStream({ ...given, objective: near })).toThrow(/grpo.reference/);
    expect(() => near.losses({ batchSize: 2, contextLength: 8 }, 0.1)).toThrow(/GRPO, labelSmoothing/);
    expect(() => new Grpo(base, { clip: 1 })).toThrow(ConfigError);
    await expect(new GrpoStream(given).next()).rejects.toThrow(
      /maxTokens: expected at most 28 after the longest prompt/,
    );
    const short = { ...given, objective: new Grpo(base, { maxTokens: 4 }) };
    const odd = new GrpoStream({ ...short, reward: () => Number.NaN });
    await expect(odd.next()).rejects.toThrow(/reward of ".*": expected a finite number, got NaN/);
    const cursor = { ...new GrpoStream(short).state(), numTasks: 3 };
    expect(() => new GrpoStream(short).restore(cursor)).toThrow(/data cursor numTasks/);
  });
});

test("the divergence from oneself is 0, from another above it, and in expectation that of single tokens", async () => {
  const policy = { model: base, weights: baseWeights };
  const other = { model: base, weights: strayWeights(base.parameters, 12) };
  const written = await writeCompletions(engine, policy, ["ab?"], {
    ...{ tokenizer, maxTokens: 1, temperature: 1, numSamples: 400, seed: 2 },
  });
  const rows = written[0]!.map(({ row }) => ({
    tokens: row.tokens.slice(0, 4),
    learnt: row.learnt.slice(0, 4),
  }));
  expect((await measureDivergence(engine, policy, policy, rows)).natsPerText).toBe(0);
  const measured = await measureDivergence(engine, policy, other, rows);
  const [p, q] = [baseWeights, other.weights].map((weights) =>
    Array.from({ length: base.shape.vocabularySize }, (_, id) => {
      const tokens = Int32Array.from([...tokenizer.encode("ab?"), id]);
      return scoreInDoubles(weights, { tokens, learnt: Uint8Array.of(0, 0, 0, 1) });
    }),
  ) as [number[], number[]];
  const exact = p.reduce((sum, logP, id) => sum + Math.exp(logP) * (logP - q[id]!), 0);
  expect(Math.abs(measured.natsPerText - exact)).toBeLessThan(4 * measured.standardError);
  expect(measured.standardError).toBeLessThan(exact);
});

test("prompts are completed independently, and alike from the same seed", async () => {
  const policy = { model: base, weights: baseWeights };
  const options = { tokenizer, maxTokens: 6, temperature: 1, numSamples: 2 };
  const write = (seed: number) =>
    writeCompletions(engine, policy, ["ab?", "ab?", "ab?"], { ...options, seed });
  const texts = (await write(3)).flat().map(({ text }) => text);
  expect(new Set(texts).size).toBe(6);
  expect((await write(3)).flat().map(({ text }) => text)).toEqual(texts);
  expect((await write(4)).flat().map(({ text }) => text)).not.toEqual(texts);
});

describe("rewards by rules", () => {
  test("patterns, answers, JSON, and sums of them", async () => {
    const task = { prompt: "6 · 7?", answer: " 42" };
    expect(["a.", "a", "."].map(matchesPattern(/\.$/g))).toEqual([1, 0, 1]);
    const answer = exactAnswer({ after: "####" });
    expect(["so\n#### 42\nnot 43", "#### 42 #### 41", "42"].map((text) => answer(text, task))).toEqual([
      1, 0, 0,
    ]);
    expect(exactAnswer()(" 42 ", task)).toBe(1);
    expect(() => exactAnswer()("42", { prompt: "?" })).toThrow(/task: expected an answer/);
    expect(['{"a": 1}', '{"a": 1', '{"a": 1, "a": 2}'].map(validJson())).toEqual([1, 0, 0]);
    const typed = validJson({ type: "object", required: ["a"] });
    expect(['{"a": 1}', "[]"].map(typed)).toEqual([1, 0]);
    const sum = sumRewards([
      [1, exactAnswer()],
      [0.5, matchesPattern(/4/)],
    ]);
    expect(await rewardOf(sum, "42", task)).toBe(1.5);
    expect(() => sumRewards([])).toThrow(ConfigError);
  });
});

test("a program of rows keeps to weights that move", async () => {
  const weights = new Map(
    [...baseWeights].map(([path, { data, ...rest }]) => [path, { ...rest, data: data.slice() }]),
  );
  const program = logProbProgram(engine, { model: base, weights });
  const rows = sidesOf(pairsOf(1, 1));
  const before = sumLines(await program.run(rows))[0]!;
  for (const { data } of weights.values()) data.fill(0 as never);
  const after = sumLines(await program.run(rows))[0]!;
  program.dispose();
  expect(before).toBeCloseTo(scoreInDoubles(baseWeights, rows[0]!), 4);
  const numScored = rows[0]!.learnt.reduce((sum, flag) => sum + flag, 0);
  expect(after).toBeCloseTo(-numScored * Math.log(base.shape.vocabularySize), 4);
});
