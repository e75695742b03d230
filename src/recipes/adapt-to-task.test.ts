import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { engine } from "../../test/tiny-run.ts";
import { AdaptedDecoder } from "../adapt/adapter.ts";
import { encodeRows } from "../adapt/encode-rows.ts";
import { instructionRow } from "../adapt/instruction-row.ts";
import { loadAdapter } from "../adapt/peft/adapter-file.ts";
import { RowMeasure } from "../adapt/row-measure.ts";
import { trainByteBpe } from "../codecs/train-byte-bpe.ts";
import { DataError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { mistralConfig } from "../models/mistral/config.ts";
import { Mistral } from "../models/mistral/model.ts";
import { initializeParameters } from "../nn/scope.ts";
import type { TrainEvent } from "../train/events.ts";
import { escapeHtml } from "../train/report/html.ts";
import { adaptToTask } from "./adapt-to-task.ts";
import { ownerOf } from "./installed-packages.ts";
import { findLocalCorpus } from "./local-corpus.ts";
import { findLocalTask, isKeptForTask, keepFitting, type LocalTask, labelOf, pieceOf } from "./local-task.ts";
import { sayVerdict } from "./rivalry-page.ts";
import type { CurvePoint, Rival, Rivalry } from "./rivals.ts";

const WORDS = "the file reads writes text when value list of names given returns it with every option".split(
  " ",
);

let root = "";
let folder = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-task-"));
  folder = join(root, "node_modules");
  const random = new Random(5);
  const words = () => Array.from({ length: 9 }, () => WORDS[random.integer(WORDS.length)]!);
  const lines = (of: (words: string[]) => string) => Array.from({ length: 30 }, () => of(words())).join("\n");
  for (let i = 0; i < 60; i++) {
    const at = join(folder, i % 3 === 0 ? `@maker${i}/tool` : `tool${i}`);
    mkdirSync(at, { recursive: true });
    writeFileSync(
      join(at, "README.md"),
      lines((some) => `- ${some.join(" ")}.`),
    );
    writeFileSync(
      join(at, "index.js"),
      lines((some) => `const ${some[0]} = ${some[1]}(${some[2]});`),
    );
    writeFileSync(
      join(at, "package.json"),
      lines((some) => `  "${some[0]}": "${some[1]}",`),
    );
  }
  writeFileSync(
    join(folder, "tool1", "index.d.ts"),
    lines(() => "export declare const one: number;"),
  );
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("a task of pieces and kinds, of which no owner of packages is on both sides, and which no text for the base is from", () => {
  const task = findLocalTask([folder]);
  expect(task.kinds).toEqual(["md", "js", "json"]); // declarations are too few
  expect(findLocalTask([folder])).toEqual(task);
  const owners = (rows: LocalTask["training"]) => new Set(rows.map(({ where }) => ownerOf(where)));
  const kept = owners(task.heldOut);
  expect([...owners(task.training)].filter((owner) => kept.has(owner))).toEqual([]);
  expect(task.training.length).toBeGreaterThan(60);
  for (const row of [...task.training, ...task.heldOut]) {
    const piece = pieceOf(row);
    expect(readFileSync(row.where, "utf8")).toContain(piece);
    expect(Buffer.byteLength(piece)).toBeLessThanOrEqual(220);
    expect(row.where.endsWith(`.${labelOf(row)}`)).toBe(true);
  }
  const { sources } = findLocalCorpus(root, isKeptForTask);
  const read = sources.flatMap(({ paths }) => paths);
  expect(read.length).toBeGreaterThan(0);
  expect(read.filter(isKeptForTask)).toEqual([]);
});

test("pieces that a model cannot read whole are left out on both sides", () => {
  const task = findLocalTask([folder]);
  const isShort = ({ prompt }: { readonly prompt: string }) => prompt.length < 225;
  const kept = keepFitting(task, isShort);
  const all = [...task.training, ...task.heldOut];
  const left = [...kept.training, ...kept.heldOut];
  expect(left).toEqual(all.filter(({ example }) => isShort(example)));
  expect(left.length).toBeGreaterThan(0);
  expect(left.length).toBeLessThan(all.length);
});

test("too little for a task is said in one line", () => {
  const bare = mkdtempSync(join(root, "bare-"));
  expect(() => findLocalTask([bare])).toThrow(DataError);
  expect(() => findLocalTask([bare])).toThrow(/two kinds of files under .*got none/);
});

test("both rivals on pieces of real files; the adapter from the run's directory is as good as was reported", async () => {
  const task = findLocalTask([folder]);
  const texts = task.training.map(({ example }) => example.prompt + example.completion);
  const tokenizer = trainByteBpe(texts, { vocabularySize: 320 });
  const base = new Mistral(
    mistralConfig({
      ...{ width: 32, numLayers: 2, numHeads: 2, numKeyValueHeads: 1, contextLength: 256 },
      ...{ vocabularySize: tokenizer.vocabularySize, tiedHead: true },
    }),
  );
  const weights = initializeParameters(base.parameters, new Random(1));
  const directory = mkdtempSync(join(root, "run-"));
  const events: TrainEvent[] = [];
  const made = await adaptToTask({
    ...{ engine, base, weights, tokenizer, task, directory, baseDirectory: "runs/base/model" },
    seconds: 1,
    onEvent: (event) => events.push(event),
  });
  const { rivalry, baselines, adapterDirectory, pagePath } = made!;
  const titles = events.flatMap((event) => (event.type === "start" ? [event.title] : []));
  expect(titles).toEqual(["the base with LoRA", "the same network from scratch"]);
  expect(baselines[1]!.accuracy).toBeGreaterThan(0.2);
  expect(baselines[0]!.accuracy).toBeGreaterThan(0.9); // these files' kinds differ in every line
  for (const { curve, best } of [rivalry.adapted, rivalry.scratch]) {
    expect(best.lossNats).toBeLessThan(curve[0]!.lossNats);
  }

  const loaded = loadAdapter(adapterDirectory, { model: base, weights });
  expect(loaded.baseName).toBe("runs/base/model");
  const norm = loaded.weights.get("model.norm.weight")!;
  expect(Array.from(norm.data as Float32Array)).not.toEqual(Array(32).fill(1)); // trained whole, and kept
  const heldOut = encodeRows(task.heldOut, (row) => instructionRow(tokenizer, row), { maxLength: 256 }).rows;
  const adapted = new AdaptedDecoder(base, loaded.adapter);
  const measure = new RowMeasure(engine, adapted, new Map([...weights, ...loaded.weights]), heldOut, {
    batchSize: 16,
    contextLength: 256,
    metric: "exact match",
  });
  const { lossNats, value } = await measure.run();
  measure.dispose();
  expect(lossNats).toBeCloseTo(rivalry.adapted.best.lossNats, 5);
  expect(value).toBe(rivalry.adapted.best.value);

  const page = readFileSync(pagePath, "utf8");
  expect(page).toContain("from scratch");
  expect(page).toContain(escapeHtml(sayVerdict(rivalry)));
});

test("a run that is stopped has no comparison", async () => {
  const task = findLocalTask([folder]);
  const tokenizer = trainByteBpe(task.training.map(pieceOf), { vocabularySize: 300 });
  const { vocabularySize } = tokenizer;
  const base = new Mistral(
    mistralConfig({ width: 16, numLayers: 1, numHeads: 2, contextLength: 256, vocabularySize }),
  );
  const made = await adaptToTask({
    ...{ engine, base, tokenizer, task, directory: root, baseDirectory: "base", seconds: 1 },
    weights: initializeParameters(base.parameters, new Random(1)),
    signal: AbortSignal.abort(),
    onEvent: () => {},
  });
  expect(made).toBeUndefined();
});

test("the verdict follows the figures, whoever won", () => {
  const point = (lossNats: number, flops: number): CurvePoint => ({
    ...{ step: 1, lossNats, flops },
    ...{ value: 0, seconds: flops },
  });
  const rival = (best: CurvePoint): Rival => ({
    ...{ curve: [best], best, trainedParameters: 1, bytes: 4, bestWeights: new Map() },
  });
  const rivalry = (saving: Partial<Rivalry["saving"]>): Rivalry => ({
    adapted: rival(point(0.5, 10)),
    scratch: rival(point(0.4, 30)),
    saving: { lossNats: 0.4, trainedParameters: 12, bytes: 12, ...saving },
  });
  expect(sayVerdict(rivalry({}))).toBe(
    "From scratch was better here: a held-out loss of 0.400 against LoRA's 0.500. It trained 12 × fewer parameters.",
  );
  const reached = { reached: point(0.4, 10), seconds: 3 };
  expect(sayVerdict(rivalry({ ...reached, flops: 3 }))).toContain("3.0 × less arithmetic");
  expect(sayVerdict(rivalry({ ...reached, flops: 0.5 }))).toContain("2.0 × more arithmetic");
});
