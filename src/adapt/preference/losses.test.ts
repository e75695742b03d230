// B sequences · T tokens · V vocabulary · P pairs

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { engine } from "../../../test/tiny-run.ts";
import { ConfigError } from "../../core/errors.ts";
import { interpret } from "../../engine/interpreter.ts";
import { gradients } from "../../tensor/gradient.ts";
import { input, type Tensor } from "../../tensor/tensor.ts";
import { type AdvantageScale, groupAdvantages } from "./advantages.ts";
import { completionLogProbs } from "./completion-log-probs.ts";
import { chosenLoss, dpoLoss } from "./dpo-loss.ts";
import { type Aggregation, divergenceLoss, policyLoss } from "./grpo-loss.ts";
import { rewardLosses } from "./reward-loss.ts";

interface Golden {
  readonly shape: readonly [number, number, number];
  readonly logits: readonly number[];
  readonly targets: readonly (readonly number[])[];
  readonly dpo: readonly {
    readonly kind: "sigmoid" | "ipo";
    readonly beta: number;
    readonly swapped: boolean;
    readonly referenceFree: boolean;
    readonly supervised: number;
    readonly loss: number;
    readonly reference: readonly number[];
    readonly gradient: readonly number[];
  }[];
  readonly reward: readonly {
    readonly centering: number;
    readonly loss: number;
    readonly scores: readonly number[];
    readonly margin?: readonly number[];
    readonly gradient: readonly number[];
  }[];
  readonly grpo: {
    readonly clip: number;
    readonly maxTokens: number;
    readonly advantages: readonly number[];
    readonly cases: readonly {
      readonly kind: Aggregation;
      readonly beta: number;
      readonly temperature: number;
      readonly loss: number;
      readonly clipped: number;
      readonly old: readonly number[];
      readonly reference: readonly number[];
      readonly gradient: readonly number[];
    }[];
  };
  readonly advantages: { readonly groupSize: number; readonly rewards: readonly number[] } & Readonly<
    Record<AdvantageScale, readonly number[]>
  >;
}

const golden = JSON.parse(
  readFileSync(new URL("../../../test/fixtures/preference/golden.json", import.meta.url), "utf8"),
) as Golden;
const [B, T, V] = golden.shape;
const P = B / 2;

/** Numbers by input name, each of a shape. */
type Feeds = Readonly<
  Record<string, { readonly shape: readonly number[]; readonly data: readonly number[] }>
>;

const LOGITS: Feeds = {
  logits: { shape: [B, T, V], data: golden.logits },
  targets: { shape: [B, T], data: golden.targets.flat() },
};
const logits = input("logits", "float32", [B, T, V]);
const targets = input("targets", "int32", [B, T]);

interface Computed {
  readonly loss: number;
  readonly gradient: ArrayLike<number>;
}

/** A loss and its gradient by one of its inputs: in doubles by the reference interpreter, and in float32 by the engine. */
async function compute(
  loss: Tensor,
  by: Tensor,
  feeds: Feeds,
): Promise<{ exact: Computed; single: Computed }> {
  const [gradient] = gradients(loss, [by]);
  const wide = Object.entries(feeds).map(([name, { shape, data }]) => [
    name,
    { shape, data: Float64Array.from(data) },
  ]);
  const [value, slope] = interpret([loss, gradient!], Object.fromEntries(wide));
  const program = engine.compile("loss", { loss, gradient: gradient! });
  const narrow = Object.entries(feeds).flatMap(([name, { shape, data }]) => {
    if (!program.inputs.has(name)) return [];
    const isIds = name === "targets";
    const values = isIds ? Int32Array.from(data) : Float32Array.from(data);
    return [[name, { dtype: isIds ? "int32" : "float32", shape, data: values }]];
  });
  const result = await program.run(Object.fromEntries(narrow));
  program.dispose();
  return {
    exact: { loss: value!.data[0]!, gradient: slope!.data },
    single: { loss: result.loss!.data[0] as number, gradient: result.gradient!.data as Float32Array },
  };
}

function expectClose(actual: Computed, expected: Computed, tolerance: number): void {
  expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(
    tolerance * Math.max(1, Math.abs(expected.loss)),
  );
  expect(actual.gradient.length).toBe(expected.gradient.length);
  const largest = Math.max(1, ...Array.from(expected.gradient, Math.abs));
  const misses = Array.from(expected.gradient, (value, i) => Math.abs(actual.gradient[i]! - value));
  expect(Math.max(...misses)).toBeLessThan(tolerance * largest);
}

/** Both against both: 1e-9 in doubles, 1e-5 in float32. */
function expectAgreement(computed: { exact: Computed; single: Computed }, expected: Computed): void {
  expectClose(computed.exact, expected, 1e-9);
  expectClose(computed.single, expected, 1e-5);
}

// The definitions once more, in plain numbers.

interface Row {
  /** By token: its logarithm of a probability, and how that changes with each score. */
  readonly logProbs: readonly number[];
  readonly probabilities: readonly (readonly number[])[];
}

function readRow(row: number, temperature: number): Row {
  const probabilities = Array.from({ length: T }, (_, t) => {
    const line = golden.logits.slice((row * T + t) * V, (row * T + t + 1) * V).map((x) => x / temperature);
    const total = line.reduce((sum, x) => sum + Math.exp(x), 0);
    return line.map((x) => Math.exp(x) / total);
  });
  const logProbs = golden.targets[row]!.map((id, t) => (id < 0 ? 0 : Math.log(probabilities[t]![id]!)));
  return { logProbs, probabilities };
}

/** From a loss's slope by each token's log-probability to that by the scores: (1 − p) where the target is, −p elsewhere. */
function byScores(slopes: readonly (readonly number[])[], temperature = 1): number[] {
  return slopes.flatMap((line, row) => {
    const { probabilities } = readRow(row, temperature);
    return line.flatMap((slope, t) => {
      const id = golden.targets[row]![t]!;
      return probabilities[t]!.map((p, v) => (id < 0 ? 0 : (slope * (Number(v === id) - p)) / temperature));
    });
  });
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const lengthOf = (row: number) => golden.targets[row]!.filter((id) => id >= 0).length;

function dpoByDefinition(
  kind: "sigmoid" | "ipo",
  beta: number,
  reference: readonly number[],
  smoothing: number,
): Computed {
  const rewards = reference.map((ref, row) => readRow(row, 1).logProbs.reduce((sum, x) => sum + x, -ref));
  let loss = 0;
  const slopes = rewards.map(() => 0);
  for (let pair = 0; pair < P; pair++) {
    const [won, lost] = [2 * pair, 2 * pair + 1];
    if (kind === "sigmoid") {
      const x = beta * (rewards[won]! - rewards[lost]!);
      loss -= ((1 - smoothing) * Math.log(sigmoid(x)) + smoothing * Math.log(sigmoid(-x))) / P;
      const slope = (beta * (smoothing * sigmoid(x) - (1 - smoothing) * sigmoid(-x))) / P;
      [slopes[won], slopes[lost]] = [slope, -slope];
    } else {
      const miss = rewards[won]! / lengthOf(won) - rewards[lost]! / lengthOf(lost) - 1 / (2 * beta);
      loss += miss ** 2 / P;
      [slopes[won], slopes[lost]] = [(2 * miss) / lengthOf(won) / P, (-2 * miss) / lengthOf(lost) / P];
    }
  }
  return { loss, gradient: byScores(slopes.map((slope) => new Array<number>(T).fill(slope))) };
}

function grpoByDefinition(of: Golden["grpo"]["cases"][number]): Computed {
  const { clip, maxTokens, advantages } = golden.grpo;
  const numTokens = golden.targets.flat().filter((id) => id >= 0).length;
  let loss = 0;
  const slopes = golden.targets.map((ids, row) => {
    const weight = { dapo: 1 / numTokens, grpo: 1 / lengthOf(row) / B, dr_grpo: 1 / maxTokens / B }[of.kind];
    const { logProbs } = readRow(row, of.temperature);
    return ids.map((id, t) => {
      if (id < 0) return 0;
      const at = row * T + t;
      const ratio = Math.exp(logProbs[t]! - of.old[at]!);
      const bounded = Math.min(Math.max(ratio, 1 - clip), 1 + clip);
      const isClipped = bounded * advantages[row]! < ratio * advantages[row]!;
      const gain = (isClipped ? bounded : ratio) * advantages[row]!;
      const away = of.reference[at]! - logProbs[t]!;
      loss += weight * (of.beta * (Math.exp(away) - away - 1) - gain);
      return weight * ((isClipped ? 0 : -gain) + of.beta * (1 - Math.exp(away)));
    });
  });
  return { loss, gradient: byScores(slopes, of.temperature) };
}

function graphOfDpo(kind: "sigmoid" | "ipo", beta: number, smoothing = 0): Tensor {
  const reference = input("reference", "float32", [B]);
  return dpoLoss(completionLogProbs(logits, targets), reference, { kind, beta }, smoothing);
}

describe("DPO", () => {
  test.each(golden.dpo.filter(({ swapped, supervised }) => !swapped && supervised === 0))(
    "$kind at β $beta, reference-free $referenceFree: trl, and the definition",
    async ({ kind, beta, reference, referenceFree, loss, gradient }) => {
      const feeds = { ...LOGITS, reference: { shape: [B], data: reference } };
      const graph = referenceFree
        ? dpoLoss(completionLogProbs(logits, targets), undefined, { kind, beta })
        : graphOfDpo(kind, beta);
      const computed = await compute(graph, logits, feeds);
      expectAgreement(computed, { loss, gradient });
      expectAgreement(computed, dpoByDefinition(kind, beta, reference, 0));
    },
  );

  test("beside supervised learning of the chosen sides: trl, and the definition", async () => {
    const { beta, supervised, reference, loss, gradient } = golden.dpo.find((of) => of.supervised > 0)!;
    const feeds = { ...LOGITS, reference: { shape: [B], data: reference } };
    const learning = chosenLoss(completionLogProbs(logits, targets)).mul(supervised);
    const computed = await compute(graphOfDpo("sigmoid", beta).add(learning), logits, feeds);
    expectAgreement(computed, { loss, gradient });
    const plain = dpoByDefinition("sigmoid", beta, reference, 0);
    const chosen = golden.targets.map((ids, row) => (row % 2 === 0 ? ids : ids.map(() => -1)));
    const numTokens = chosen.flat().filter((id) => id >= 0).length;
    const slopes = chosen.map((ids) => ids.map((id) => (id < 0 ? 0 : -supervised / numTokens)));
    const nats = chosen.map((ids, row) => {
      const { logProbs } = readRow(row, 1);
      return ids.reduce((sum, id, t) => (id < 0 ? sum : sum - logProbs[t]!), 0);
    });
    const more = byScores(slopes);
    expectAgreement(computed, {
      loss: plain.loss + (supervised * nats.reduce((sum, x) => sum + x, 0)) / numTokens,
      gradient: Array.from(plain.gradient, (slope, i) => slope + more[i]!),
    });
  });

  test("smoothed labels: trl's losses of pairs and of turned pairs, weighted; and the definition", async () => {
    const [plain, turned] = [false, true].map((swapped) =>
      golden.dpo.find((of) => of.kind === "sigmoid" && of.beta === 0.5 && of.swapped === swapped),
    );
    const mix = (a: number, b: number) => 0.75 * a + 0.25 * b;
    const feeds = { ...LOGITS, reference: { shape: [B], data: plain!.reference } };
    const computed = await compute(graphOfDpo("sigmoid", 0.5, 0.25), logits, feeds);
    expectAgreement(computed, {
      loss: mix(plain!.loss, turned!.loss),
      gradient: plain!.gradient.map((value, i) => mix(value, turned!.gradient[i]!)),
    });
    expectAgreement(computed, dpoByDefinition("sigmoid", 0.5, plain!.reference, 0.25));
  });

  test("a tie, where every run begins, has ln 2 and a slope", async () => {
    const reference = golden.targets.map((_, row) => readRow(row, 1).logProbs.reduce((a, b) => a + b, 0));
    const feeds = { ...LOGITS, reference: { shape: [B], data: reference } };
    const computed = await compute(graphOfDpo("sigmoid", 0.5), logits, feeds);
    expect(computed.single.loss).toBeCloseTo(Math.LN2, 6);
    expectAgreement(computed, dpoByDefinition("sigmoid", 0.5, reference, 0));
  });

  test("pairs far apart overflow nothing", async () => {
    const reference = golden.targets.map((_, row) => (row % 2 === 0 ? 4000 : -4000));
    const feeds = { ...LOGITS, reference: { shape: [B], data: reference } };
    const { single } = await compute(graphOfDpo("sigmoid", 0.5), logits, feeds);
    expect(single.loss).toBeGreaterThan(3990);
    expect(Array.from(single.gradient).every(Number.isFinite)).toBe(true);
  });

  test("labels that cannot be smoothed", () => {
    expect(() => graphOfDpo("sigmoid", 1, 0.5)).toThrow(/DPO, labelSmoothing: expected a share .* got 0\.5/);
    expect(() => graphOfDpo("ipo", 1, 0.1)).toThrow(ConfigError);
  });
});

describe("the reward model's loss", () => {
  test.each(golden.reward)("centring $centering: trl, and the definition", async (of) => {
    const scores = input("scores", "float32", [B]);
    const margin = of.margin && input("margin", "float32", [P]);
    const { preference, centring } = rewardLosses(scores, {
      labelSmoothing: 0,
      centring: of.centering,
      margin,
    });
    const loss = centring ? preference.add(centring) : preference;
    const feeds = {
      scores: { shape: [B], data: of.scores },
      ...(of.margin && { margin: { shape: [P], data: of.margin } }),
    };
    const computed = await compute(loss, scores, feeds);
    expectAgreement(computed, of);
    let plain = 0;
    for (let pair = 0; pair < P; pair++) {
      const [won, lost] = [of.scores[2 * pair]!, of.scores[2 * pair + 1]!];
      plain -= Math.log(sigmoid(won - lost - (of.margin?.[pair] ?? 0))) / P;
      plain += (of.centering * (won + lost) ** 2) / P;
    }
    expect(Math.abs(computed.exact.loss - plain)).toBeLessThan(1e-9);
  });
});

describe("GRPO", () => {
  test.each(golden.grpo.cases)(
    "$kind, KL $beta, temperature $temperature: trl, and the definition",
    async (of) => {
      const policy = completionLogProbs(logits, targets, of.temperature);
      const [old, reference] = ["old", "reference"].map((name) => input(name, "float32", [B, T]));
      const { clip, maxTokens } = golden.grpo;
      const options = { aggregation: of.kind, clip, maxTokens };
      const drawn = { advantages: input("advantages", "float32", [B]), oldLogProbs: old! };
      const improvement = policyLoss(policy, drawn, options);
      const loss =
        of.beta === 0
          ? improvement
          : improvement.add(divergenceLoss(policy, reference!, options).mul(of.beta));
      const feeds = {
        ...LOGITS,
        old: { shape: [B, T], data: of.old },
        reference: { shape: [B, T], data: of.reference },
        advantages: { shape: [B], data: golden.grpo.advantages },
      };
      expect(of.clipped).toBeGreaterThan(0.1);
      const computed = await compute(loss, logits, feeds);
      expectAgreement(computed, of);
      expectAgreement(computed, grpoByDefinition(of));
    },
  );

  test.each(["group", "batch", "none"] as const)("advantages by %s: trl", (scale) => {
    const { groupSize, rewards } = golden.advantages;
    const advantages = groupAdvantages(rewards, groupSize, scale);
    golden.advantages[scale].forEach((expected, i) => {
      expect(advantages[i]).toBeCloseTo(expected, 7); // trl's n / (n − 1) is float32
    });
  });

  test("advantages by hand: rewards 1, 0, 0, 1 have a mean of ½ and a deviation of √⅓", () => {
    const expected = 0.5 / (Math.sqrt(1 / 3) + 1e-4);
    expect(Array.from(groupAdvantages([1, 0, 0, 1], 4))).toEqual([expected, -expected, -expected, expected]);
  });
});
