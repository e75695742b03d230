import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { engine, tinyRun } from "../../test/tiny-run.ts";
import { DataError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { Decoder } from "../generate/decoder.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { initializeParameters } from "../nn/scope.ts";
import { GradientProgram } from "../train/gradient-program.ts";
import { NextToken } from "../train/next-token.ts";
import type { Examples } from "../train/objective.ts";
import { ParameterArena } from "../train/parameter-arena.ts";
import { train } from "../train/trainer.ts";
import { encodeRows } from "./encode-rows.ts";
import { joinRows } from "./pack-rows.ts";
import { PackedNextToken } from "./packed-next-token.ts";
import { RowMeasure } from "./row-measure.ts";
import { eachRow, padRows, rowStream } from "./row-stream.ts";
import { numLearnt, type TrainingRow } from "./training-row.ts";

// The task: some letters and a separator are answered by the opposite of the last letter, and an end.

const VOCABULARY = 24;
const SEPARATOR = 20;
const END = 21;

function taskRows(count: number, seed: number): TrainingRow[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const letters = Array.from({ length: 1 + random.integer(5) }, () => random.integer(20));
    const answer = [19 - letters.at(-1)!, END];
    const tokens = Int32Array.from([...letters, SEPARATOR, ...answer]);
    return { tokens, learnt: Uint8Array.from(tokens, (_, i) => Number(i > letters.length)) };
  });
}

const model = new Gpt2(
  gpt2Config({ width: 32, numLayers: 2, numHeads: 2, vocabularySize: VOCABULARY, contextLength: 32 }),
);
const batching = { batchSize: 8, contextLength: 32, maxBuckets: 2 };

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-rows-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Rows of a batch as they were before they were padded; packed ones in pieces. */
function unpadded({ inputs, contextLength }: Examples): string[] {
  const { tokens, targets, documents } = inputs;
  const rows = new Map<string, number[]>();
  for (let i = 0; i < tokens!.data.length; i++) {
    const document = documents ? documents.data[i] : 0;
    if (document === -1) continue;
    const key = `${Math.floor(i / contextLength)} ${document}`;
    const isPadding = !documents && tokens!.data[i] === 0 && targets!.data[i] === -1;
    if (!isPadding) rows.set(key, [...(rows.get(key) ?? []), tokens!.data[i] as number]);
  }
  return [...rows.values()].map((row) => row.join());
}

const keysOf = (rows: readonly TrainingRow[]) =>
  rows
    .map(({ tokens }) =>
      Array.from(tokens)
        .filter((id, i) => i > 0 || id !== 0)
        .join(),
    )
    .sort();

describe("batches", () => {
  // No letter 0, which cannot be told from padding.
  const rows = taskRows(61, 1).filter(({ tokens }) => !tokens.includes(0));

  test.each([false, true])("every row comes once an epoch (packed: %s)", (pack) => {
    const stream = rowStream(rows, { ...batching, pack, seed: 4 });
    for (let epoch = 0; epoch < 2; epoch++) {
      const seen = Array.from({ length: stream.batchesPerEpoch }, () => stream.next() as Examples);
      expect(seen.flatMap(unpadded).sort()).toEqual(keysOf(rows));
      const numTargets = seen.flatMap((batch) => Array.from(batch.numTargets.nextToken!));
      const learnt = rows.reduce((sum, row) => sum + numLearnt(row), 0);
      expect(numTargets.reduce((a, b) => a + b)).toBe(learnt);
    }
    expect([...eachRow(rows, { ...batching, pack })].flatMap(unpadded).sort()).toEqual(keysOf(rows));
  });

  test.each([false, true])("go on from where a stream stood (packed: %s)", (pack) => {
    const options = { ...batching, pack, seed: 4 };
    const [one, other] = [rowStream(rows, options), rowStream(rows, options)];
    for (let i = 0; i < one.batchesPerEpoch + 2; i++) one.next();
    other.restore(JSON.parse(JSON.stringify(one.state())));
    for (let i = 0; i < 5; i++) expect(other.next()).toEqual(one.next());
    expect(() => rowStream(rows.slice(1), options).restore(one.state())).toThrow(/numRows|fingerprint/);
  });

  test("are padded as trl's collator pads them, targets one to the left", () => {
    const { instructions } = JSON.parse(readFileSync("test/fixtures/sft/golden.json", "utf8"));
    const { tokens, labels } = instructions as { tokens: number[][]; labels: number[][] };
    const pad = 50259;
    const lengths = tokens.map((row) => (row.includes(pad) ? row.indexOf(pad) : row.length));
    const training = tokens.map((row, i) => ({
      tokens: Int32Array.from(row.slice(0, lengths[i])),
      learnt: Uint8Array.from(labels[i]!.slice(0, lengths[i]), (label) => Number(label !== -100)),
    }));
    const T = tokens[0]!.length;
    const { inputs } = padRows(
      training.map((row) => joinRows([row])),
      T,
      false,
    );
    expect([...inputs.tokens!.data]).toEqual(tokens.flatMap((row) => row.map((id) => (id === pad ? 0 : id))));
    const shifted = labels.flatMap((row) => [...row.slice(1), -100].map((id) => (id === -100 ? -1 : id)));
    expect([...inputs.targets!.data]).toEqual(shifted);
  });

  test("packed and padded batches of the same rows have the same loss and gradient", async () => {
    const weights = initializeParameters(model.parameters, new Random(1));
    const gradientOf = async (objective: NextToken | PackedNextToken, pack: boolean) => {
      const arena = new ParameterArena(model.parameters);
      for (const [path, { data }] of arena.weights()) data.set(weights.get(path)!.data as never);
      const program = new GradientProgram(engine, objective, arena, { labelSmoothing: 0 });
      const lossNats = await program.run([...eachRow(rows, { ...batching, pack })]);
      program.dispose();
      const gradients = model.parameters.map((parameter) =>
        Array.from(arena.view("gradients", parameter).data as Float32Array),
      );
      return { lossNats, gradients: gradients.flat() };
    };
    const padded = await gradientOf(new NextToken(model), false);
    const packed = await gradientOf(new PackedNextToken(model), true);
    expect(Math.abs(packed.lossNats - padded.lossNats)).toBeLessThan(1e-5);
    const worst = Math.max(...packed.gradients.map((value, i) => Math.abs(value - padded.gradients[i]!)));
    expect(worst).toBeLessThan(1e-5);
    expect(Math.max(...padded.gradients.map(Math.abs))).toBeGreaterThan(0.01);
  });
});

describe("a decoder", () => {
  test.each([false, true])("learns to answer (packed: %s)", { timeout: 60_000 }, async (pack) => {
    const heldOut = taskRows(60, 99);
    const result = await train(
      tinyRun(join(root, `learn ${pack}`), {
        objective: pack ? new PackedNextToken(model) : new NextToken(model),
        examples: rowStream(taskRows(600, 2), { ...batching, batchSize: pack ? 4 : 16, pack, seed: 3 }),
        measure: (arena) =>
          new RowMeasure(engine, model, arena.weights(), heldOut, { ...batching, metric: "exact match" }),
        options: {
          steps: 300,
          validateEvery: 300,
          saveEvery: 1000,
          contextLength: 32,
          learningRate: 3e-3,
          schedule: "constant",
          best: "quality",
        },
      }),
    );
    expect(result.best).toMatchObject({ metric: "exact match", higherIsBetter: true });
    expect((result.best as unknown as { value: number }).value).toBeGreaterThan(0.9);
    // Exact match counts what generation gets right: here of rows of which every other one has a wrong answer.
    const rows = taskRows(30, 7).map(({ tokens, learnt }, i) => {
      const changed = tokens.map((id, at) => (i % 2 === 1 && at === tokens.length - 2 ? (id + 1) % 20 : id));
      return { tokens: changed, learnt };
    });
    const measure = new RowMeasure(engine, model, result.bestWeights, rows, batching);
    const { others } = await measure.run();
    measure.dispose();
    const decoder = new Decoder(engine, model, result.bestWeights);
    let numExact = 0;
    for (const { tokens } of rows) {
      const written = await writeGreedily(decoder, [...tokens.slice(0, -2)], 2);
      numExact += Number(written.join() === tokens.slice(-2).join());
    }
    decoder.dispose();
    expect(others!["exact match"]).toBe(numExact / rows.length);
    expect(numExact).toBeGreaterThan(10);
    expect(numExact).toBeLessThan(20);
  });
});

/** What a decoder writes after a prompt, up to the end and no longer than so many tokens. */
async function writeGreedily(decoder: Decoder, prompt: readonly number[], most: number): Promise<number[]> {
  decoder.reset();
  const written: number[] = [];
  let scores = await decoder.prefill(prompt);
  while (written.length < most) {
    written.push(scores.indexOf(Math.max(...scores)));
    if (written.at(-1) === END) break;
    scores = await decoder.step([written.at(-1)!]);
  }
  return written;
}

describe("measuring", () => {
  const weights = initializeParameters(model.parameters, new Random(6));

  test("is the mean over learnt tokens, and counts rows that are right to the end", async () => {
    const rows = taskRows(9, 5);
    const measure = new RowMeasure(engine, model, weights, rows, batching);
    const all = await measure.run();
    measure.dispose();
    let [nats, count] = [0, 0];
    for (const row of rows) {
      const one = new RowMeasure(engine, model, weights, [row], batching);
      const { lossNats, numTokens } = await one.run();
      one.dispose();
      nats += lossNats * numTokens;
      count += numTokens;
    }
    expect(all.numTokens).toBe(count);
    expect(all.lossNats).toBeCloseTo(nats / count, 5);
    expect(all.value).toBeCloseTo(Math.exp(nats / count), 3);
    expect(all).toMatchObject({ metric: "perplexity", higherIsBetter: false, others: { "exact match": 0 } });
  });

  test("nothing to predict is refused", () => {
    const rows = [{ tokens: Int32Array.of(1, 2), learnt: Uint8Array.of(1, 0) }];
    expect(() => new RowMeasure(engine, model, weights, rows, batching)).toThrow(DataError);
  });
});

describe("rows longer than the context", () => {
  const examples = [3, 9, 12].map((length, i) => ({ example: length, where: `f:${i + 1}` }));
  const encode = (length: number): TrainingRow => ({
    tokens: new Int32Array(length).fill(length),
    learnt: Uint8Array.from({ length }, (_, i) => Number(i > (length === 12 ? 8 : 1))),
  });

  test("are refused, and counted, unless something else is asked for", () => {
    expect(() => encodeRows(examples, encode, { maxLength: 8 })).toThrow(
      /^f:3: expected at most 8 tokens, the context of the model, got 12 tokens, and 2 of 3 rows are longer/,
    );
  });

  test("are cut at the end, and left out where nothing learnt remains", () => {
    const { rows, numLong, numEmpty } = encodeRows(examples, encode, { maxLength: 8, long: "truncate" });
    expect(rows.map(({ tokens }) => tokens.length)).toEqual([3, 8]);
    expect({ numLong, numEmpty }).toEqual({ numLong: 2, numEmpty: 1 });
    const dropped = encodeRows(examples, encode, { maxLength: 8, long: "drop" });
    expect(dropped.rows.length).toBe(1);
    expect(() => encodeRows(examples, encode, { maxLength: 2, long: "truncate" })).toThrow(
      /at least one with something to learn within 2 tokens/,
    );
  });

  test("a row that cannot be encoded is named", () => {
    const fail = () => {
      throw new DataError({ where: "prompt", expected: "a text", got: "an empty one" });
    };
    expect(() => encodeRows(examples, fail, { maxLength: 8 })).toThrow("f:1, prompt: expected a text");
  });
});
