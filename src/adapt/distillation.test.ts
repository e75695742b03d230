import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { engine, TINY_VOCABULARY, tinyRun, tinyTokens } from "../../test/tiny-run.ts";
import { trainCharTokenizer } from "../codecs/char-tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import type { Weights } from "../core/weights.ts";
import { interpret } from "../engine/interpreter.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { initializeParameters } from "../nn/scope.ts";
import { gradients } from "../tensor/gradient.ts";
import { input, parameter } from "../tensor/tensor.ts";
import { NextToken } from "../train/next-token.ts";
import type { ExampleStream, Objective } from "../train/objective.ts";
import { train } from "../train/trainer.ts";
import { checkSameVocabulary, Distillation, TEACHER_IDS, TEACHER_LOGITS } from "./distillation.ts";
import { distillationLoss } from "./distillation-loss.ts";
import { RowMeasure } from "./row-measure.ts";
import { rowStream } from "./row-stream.ts";
import { Teacher, teachingStream } from "./teacher.ts";
import type { TrainingRow } from "./training-row.ts";

interface Golden {
  readonly vocabulary: number;
  readonly student: readonly number[];
  readonly teacher: readonly number[];
  readonly targets: readonly number[];
  readonly cases: readonly {
    readonly labelShare: number;
    readonly temperature: number;
    readonly topK?: number;
    readonly loss: number;
    readonly gradient: readonly number[];
  }[];
}

const golden = JSON.parse(readFileSync("test/fixtures/distillation/golden.json", "utf8")) as Golden;

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-distil-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const array = (shape: readonly number[], data: ArrayLike<number>) => ({
  shape,
  data: Float64Array.from(data),
});

// Constants such as α are of float32 in a graph, and that is all the difference there is.
describe("the loss and its gradient, against torch in float64", () => {
  const { vocabulary: V, targets: labels } = golden;
  const N = labels.length;
  test.each(golden.cases)("α $labelShare, τ $temperature, top $topK", (expected) => {
    const { labelShare, temperature, topK: K } = expected;
    const logits = parameter("student", [N, V]);
    const targets = input("targets", "int32", [N]);
    const scores = input("teacher", "float32", [N, V]);
    const kept = K === undefined ? undefined : scores.topK(K);
    const teacher = kept ? { logits: kept.values, ids: kept.indices.cast("int32") } : { logits: scores };
    const loss = logits
      .crossEntropy(targets, { ignoredLabel: -1 })
      .mul(labelShare)
      .add(distillationLoss(logits, targets, teacher, temperature).mul(1 - labelShare));
    const [gradient] = gradients(loss, [logits]);
    const [found, slopes] = interpret([loss, gradient!], {
      student: array([N, V], golden.student),
      teacher: array([N, V], golden.teacher),
      targets: array([N], labels),
    });
    expect(Math.abs(found!.data[0]! - expected.loss)).toBeLessThan(1e-6);
    expected.gradient.forEach((value, i) => {
      expect(Math.abs(slopes!.data[i]! - value)).toBeLessThan(1e-6);
    });
  });
});

const model = (width: number, numLayers: number) =>
  new Gpt2(gpt2Config({ width, numLayers, numHeads: 2, vocabularySize: TINY_VOCABULARY, contextLength: 16 }));

function rowsOf(tokens: readonly number[]): TrainingRow[] {
  return Array.from({ length: Math.floor(tokens.length / 16) }, (_, i) => ({
    tokens: Int32Array.from(tokens.slice(16 * i, 16 * i + 16)),
    learnt: new Uint8Array(16).fill(1),
  }));
}

const batching = { batchSize: 8, contextLength: 16 };

describe("a teacher", () => {
  const large = model(32, 2);
  const weights = initializeParameters(large.parameters, new Random(1));
  const rows = rowsOf(tinyTokens(16 * 9, 3)).map(({ tokens, learnt }, i) => ({
    tokens: tokens.slice(0, 5 + i),
    learnt: learnt.slice(0, 5 + i),
  }));

  test.each([
    [false, undefined],
    [true, undefined],
    [true, 4],
  ])("says for each token what its own program says (packed: %s, top %s)", async (pack, topK) => {
    const objective = new Distillation(model(16, 1), { pack, ...(topK !== undefined && { topK }) });
    const teacher = new Teacher(engine, large, weights);
    const stream = teachingStream(rowStream(rows, { ...batching, pack, seed: 1 }), teacher, objective);
    const { inputs, contextLength: T } = await stream.next();
    teacher.dispose();
    const K = topK ?? TINY_VOCABULARY;
    expect(inputs[TEACHER_LOGITS]!.shape).toEqual([inputs.tokens!.shape[0], T, K]);
    // The last example of the first row, alone.
    const documents = inputs.documents ? [...inputs.documents.data].slice(0, T) : [];
    const last = Math.max(0, ...documents.map(Number));
    const start = pack ? documents.indexOf(last) : 0;
    const targets = [...inputs.targets!.data].slice(0, T).map(Number);
    const length = targets.findLastIndex((target) => target >= 0) + 1 - start;
    const tokens = [...inputs.tokens!.data].slice(start, start + length).map(Number);
    const alone = large.logits(large.hidden(input("tokens", "int32", [1, length])));
    const program = engine.compile("alone", { alone }, { constants: weights });
    const result = await program.run({
      tokens: { dtype: "int32", shape: [1, length], data: Int32Array.from(tokens) },
    });
    program.dispose();
    for (let t = 0; t < length; t++) {
      const all = Array.from(
        result.alone!.data.subarray(t * TINY_VOCABULARY, (t + 1) * TINY_VOCABULARY),
        Number,
      );
      const order = all.map((_, id) => id).sort((a, b) => all[b]! - all[a]!);
      for (let k = 0; k < K; k++) {
        const at = (start + t) * K + k;
        const id = topK === undefined ? k : (inputs[TEACHER_IDS]!.data[at] as number);
        if (topK !== undefined) expect(id).toBe(order[k]);
        expect(Math.abs((inputs[TEACHER_LOGITS]!.data[at] as number) - all[id]!)).toBeLessThan(1e-5);
      }
    }
  });

  test("must share the student's vocabulary", () => {
    const other = new Gpt2(
      gpt2Config({ width: 16, numLayers: 1, numHeads: 2, vocabularySize: 30, contextLength: 16 }),
    );
    const stream = rowStream(rows, { ...batching, seed: 1 });
    const teacher = new Teacher(engine, other, new Map());
    expect(() => teachingStream(stream, teacher, new Distillation(large))).toThrow(
      /teacher, vocabulary: expected 24 tokens, as the student has, got 30/,
    );
    const [one, two] = ["abc", "abd"].map((text) => trainCharTokenizer([text]));
    expect(() =>
      checkSameVocabulary({ model: large, tokenizer: one! }, { model: large, tokenizer: two! }),
    ).toThrow(/token \d+ to be "c", as for the student, got "d"/);
    checkSameVocabulary({ model: large, tokenizer: one! }, { model: large, tokenizer: one! });
  });

  test.each([{ labelShare: 1.5 }, { labelShare: Number.NaN }, { temperature: 0 }, { topK: 0 }, { topK: 25 }])(
    "options out of range are refused: %o",
    (options) => {
      expect(() => new Distillation(large, options)).toThrow(ConfigError);
    },
  );
});

test("a student that learns from a teacher is better than one that learns from the same labels alone", {
  timeout: 90_000,
}, async () => {
  const heldOut = rowsOf(tinyTokens(16 * 150, 77));
  const learn = async (name: string, objective: Objective, examples: ExampleStream, steps: number) => {
    const { model: trained } = objective as NextToken;
    let final: Weights = new Map();
    const result = await train(
      tinyRun(join(root, name), {
        objective,
        examples,
        measure: (arena) => {
          final = arena.weights();
          return new RowMeasure(engine, trained, final, heldOut, batching);
        },
        options: { steps, validateEvery: 50, saveEvery: 1000, learningRate: 3e-3, contextLength: 16 },
      }),
    );
    return { best: result.best.lossNats, weights: result.bestWeights };
  };
  const large = model(32, 1);
  const many = rowStream(rowsOf(tinyTokens(16 * 1200, 5)), { ...batching, batchSize: 16, seed: 1 });
  const taught = await learn("teacher", new NextToken(large), many, 160);
  const few = rowsOf(tinyTokens(16 * 12, 6));
  const student = model(16, 1);
  const alone = await learn("alone", new NextToken(student), rowStream(few, { ...batching, seed: 2 }), 160);
  const teacher = new Teacher(engine, large, taught.weights as Weights);
  const objective = new Distillation(student, { labelShare: 0.2, temperature: 2 });
  const lessons = teachingStream(rowStream(few, { ...batching, seed: 2 }), teacher, objective);
  const distilled = await learn("distilled", objective, lessons, 400);
  teacher.dispose();
  expect(distilled.best).toBeLessThan(alone.best - 0.3);
});
