import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { metricOf as metric, runTask, type TaskRun } from "../../../test/task-run.ts";
import { engine } from "../../../test/tiny-run.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { trainWordPiece } from "../../codecs/train-word-piece.ts";
import type { HostTensor } from "../../core/dtype.ts";
import { ConfigError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import type { Weights } from "../../core/weights.ts";
import type { Classification } from "../../data/rows/examples.ts";
import { CLASSIFICATION } from "../../data/rows/labelled-kinds.ts";
import { classWeights, collectLabels } from "../../data/rows/labels.ts";
import { loadExamples, type Row } from "../../data/rows/load-examples.ts";
import { type Split, splitRows } from "../../data/rows/split-rows.ts";
import { bertConfig } from "../../models/bert/config.ts";
import { localFirstWeights } from "../../models/bert/first-weights.ts";
import { Bert } from "../../models/bert/model.ts";
import { gpt2Config } from "../../models/gpt2/config.ts";
import { Gpt2 } from "../../models/gpt2/model.ts";
import { initializeParameters } from "../../nn/scope.ts";
import { flopsOf } from "../../train/flops.ts";
import { trainOnly } from "../../train/train-only.ts";
import { AdaptedDecoder, AdaptedEncoder, firstAdapterWeights } from "../adapter.ts";
import { Lora } from "../lora.ts";
import { LabelMeasure } from "./label-measure.ts";
import { decoderWithHead, encoderWithHead, type Weighted } from "./new-head.ts";
import { decoderScores, encoderScores } from "./scoring-model.ts";
import { Supervised } from "./supervised.ts";
import { textRows } from "./task-rows.ts";
import { multiLabel, regression, singleLabel } from "./text-kinds.ts";

const BANKING = new URL("../../../../shared/data/banking77/train.csv", import.meta.url).pathname;
const isThere = existsSync(BANKING);
const INTENTS = [
  "age_limit",
  "card_arrival",
  "change_pin",
  "exchange_rate",
  "lost_or_stolen_card",
  "top_up_failed",
];
const CONTEXT = 40;

let root: string;
let data: Split<Classification>;
let tokenizer: Tokenizer;
/** What the first test leaves to the others. */
let learnt: Weighted<Bert>;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "plinth-tasks-"));
  if (!isThere) return;
  const all = await loadExamples(CLASSIFICATION, { paths: [BANKING], mapping: { label: "category" } });
  const rows = all.filter(({ example }) => INTENTS.includes(example.label));
  data = splitRows(rows, { validationShare: 0.25, seed: 1, stratum: ({ label }) => label });
  tokenizer = trainWordPiece(
    data.training.map(({ example }) => example.text),
    { vocabularySize: 500 },
  );
});
afterAll(() => rmSync(root, { recursive: true }));

/** An encoder and a decoder without training. */
function bases() {
  const sizes = { width: 64, numLayers: 1, numHeads: 2, contextLength: CONTEXT };
  const bert = new Bert(bertConfig({ ...sizes, vocabularySize: tokenizer.vocabularySize }), {
    maskedLanguage: "tied",
  });
  const gpt2 = new Gpt2(gpt2Config({ ...sizes, vocabularySize: tokenizer.vocabularySize }));
  const random = new Random(5);
  return {
    encoder: { model: bert, weights: localFirstWeights(bert, random) },
    decoder: { model: gpt2, weights: initializeParameters(gpt2.parameters, random) },
  };
}

function classes(rows: readonly Row<Classification>[]) {
  const options = { tokenizer, contextLength: CONTEXT, longRows: "truncate" } as const;
  return textRows(rows, ({ label }) => INTENTS.indexOf(label), options).rows;
}

const run = <T, R>(training: Omit<TaskRun<T, R>, "contextLength" | "root">) =>
  runTask({ ...training, contextLength: CONTEXT, root });

describe.skipIf(!isThere)(`banking77${isThere ? "" : ` (skipped: ${BANKING} is not there)`}`, () => {
  const head = { kind: "sequence", labels: INTENTS, problem: "single-label" } as const;

  test("an encoder learns six intents from scratch: far better than the most common one", async () => {
    const { model, weights } = encoderWithHead(bases().encoder, head, new Random(1));
    const labelled = data.training.map(({ example, where }) => ({ labels: [example.label], where }));
    const objective = new Supervised(
      encoderScores(model),
      singleLabel(INTENTS, classWeights(collectLabels(labelled))),
    );
    const [rows, heldOut] = [classes(data.training), classes(data.validation)];
    const trained = model.parameters;
    const result = await run({ name: "scratch", objective, weights, trained, rows, heldOut, steps: 240 });
    learnt = { model: model as Bert, weights: result.all };
    const most = Math.max(...INTENTS.map((_, i) => heldOut.filter(({ target }) => target === i).length));
    expect(most / heldOut.length).toBeLessThan(0.35);
    expect(metric(result)).toBeGreaterThan(0.8);

    const measure = new LabelMeasure(engine, objective, {
      ...{ rows: heldOut, weights: result.all, contextLength: CONTEXT },
    });
    const { predictions, quality } = await measure.outcome();
    measure.dispose();
    expect(quality.value).toBeCloseTo(metric(result), 10);
    expect(predictions.length).toBe(heldOut.length);
    const right = predictions.filter(({ expected, predicted }) => expected === predicted);
    expect(right.length / predictions.length).toBeCloseTo(quality.value, 10);
    expect(predictions.every(({ confidence }) => confidence! > 1 / 6 && confidence! <= 1)).toBe(true);
  });

  test("only a new head on a body that knows the intents: the old head is forgotten, the pooler is not", async () => {
    const { model, weights, headParameters } = encoderWithHead(learnt, head, new Random(9));
    const valuesOf = (of: Weights, path: string) => (of.get(path) as HostTensor).data;
    const [pooler, classifier] = ["pooler.dense.weight", "classifier.weight"];
    expect(valuesOf(weights, pooler)).toEqual(valuesOf(learnt.weights, pooler));
    expect(valuesOf(weights, classifier)).not.toEqual(valuesOf(learnt.weights, classifier));
    expect(headParameters.map(({ path }) => path)).toEqual([
      ...[pooler, "pooler.dense.bias", classifier, "classifier.bias"],
    ]);
    const objective = new Supervised(encoderScores(model), singleLabel(INTENTS));
    const [rows, heldOut] = [classes(data.training), classes(data.validation)];
    const settings = { name: "head", steps: 40, learningRate: 1e-2 };
    const result = await run({ ...settings, objective, weights, trained: headParameters, rows, heldOut });
    expect(result.bestWeights.size).toBe(4);
    expect(metric(result)).toBeGreaterThan(0.8);
    const shape = { batchSize: 16, contextLength: CONTEXT };
    const cost = flopsOf(trainOnly(objective, headParameters), shape);
    expect(cost).toBeLessThan(0.4 * flopsOf(objective, shape)); // no gradient passes the body
  });

  test.each(["encoder", "decoder"] as const)(
    "LoRA and a new head on an %s that stays as it is",
    async (kind) => {
      const base = kind === "encoder" ? learnt : bases().decoder;
      const { adapted, objective, weights, headParameters } = adaptWithLora(base);
      const trained = [...adapted.adapter.parameters, ...headParameters];
      const [rows, heldOut] = [classes(data.training), classes(data.validation)];
      const settings = { name: `lora-${kind}`, steps: 60, learningRate: 1e-2 };
      const result = await run({ ...settings, objective, weights, trained, rows, heldOut });
      expect([...result.bestWeights.keys()].sort()).toEqual(trained.map(({ path }) => path).sort());
      expect(metric(result)).toBeGreaterThan(0.6);
    },
  );

  function adaptWithLora(base: Weighted<Bert> | Weighted<Gpt2>) {
    const options = { rank: 4, alpha: 8, targets: "all-linear" } as const;
    const random = new Random(2);
    if (base.model instanceof Bert) {
      const made = encoderWithHead(base as Weighted<Bert>, head, random);
      const adapted = new AdaptedEncoder(made.model, new Lora(made.model, options));
      const first = firstAdapterWeights(adapted.adapter, made.weights, random);
      const objective = new Supervised(encoderScores(adapted), singleLabel(INTENTS));
      return { ...made, adapted, objective, weights: new Map([...made.weights, ...first]) };
    }
    const padId = tokenizer.specials.pad;
    const made = decoderWithHead(base as Weighted<Gpt2>, { ...head, padId }, random);
    const adapted = new AdaptedDecoder(made.model, new Lora(made.model, options));
    const first = firstAdapterWeights(adapted.adapter, made.weights, random);
    const objective = new Supervised(decoderScores(made.model, adapted), singleLabel(INTENTS));
    return { ...made, adapted, objective, weights: new Map([...made.weights, ...first]) };
  }
});

describe.skipIf(!isThere)("texts with several labels, and with numbers", () => {
  test("which of three things a question mentions", async () => {
    const words = ["card", "pin", "rate"];
    const problem = "multi-label";
    const made = encoderWithHead(
      bases().encoder,
      { kind: "sequence", labels: words, problem },
      new Random(1),
    );
    const objective = new Supervised(encoderScores(made.model), multiLabel(words));
    const rowsOf = (rows: readonly Row<Classification>[]) =>
      textRows(rows, ({ text }) => words.map((word) => text.toLowerCase().includes(word)), {
        ...{ tokenizer, contextLength: CONTEXT, longRows: "truncate" },
      }).rows;
    const [rows, heldOut] = [rowsOf(data.training), rowsOf(data.validation)];
    const trained = made.model.parameters;
    const result = await run({ name: "several", objective, ...made, trained, rows, heldOut, steps: 160 });
    expect(metric(result)).toBeGreaterThan(0.8);
  });

  test("how long a question is, in hundreds of characters", async () => {
    const task = { kind: "sequence", labels: ["length"], problem: "regression" } as const;
    const made = encoderWithHead(bases().encoder, task, new Random(1));
    const objective = new Supervised(encoderScores(made.model), regression());
    const rowsOf = (rows: readonly Row<Classification>[]) =>
      textRows(rows, ({ text }) => text.length / 100, {
        ...{ tokenizer, contextLength: CONTEXT, longRows: "drop" },
      }).rows;
    const [rows, heldOut] = [rowsOf(data.training), rowsOf(data.validation)];
    const trained = made.model.parameters;
    const result = await run({ name: "length", objective, ...made, trained, rows, heldOut, steps: 160 });
    const mean = heldOut.reduce((sum, { target }) => sum + target, 0) / heldOut.length;
    const variance = heldOut.reduce((sum, { target }) => sum + (target - mean) ** 2, 0) / heldOut.length;
    expect(metric(result)).toBeLessThan(variance / 2);
    expect(() => objective.losses({ batchSize: 2, contextLength: 8 }, 0.1)).toThrow(ConfigError);
  });
});
