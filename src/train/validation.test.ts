import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  engine,
  TINY_END_OF_TEXT,
  TINY_VOCABULARY,
  tinyModel,
  tinyTokens,
  writeDataset,
} from "../../test/tiny-run.ts";
import { DataError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { interpret, toNdArray } from "../engine/interpreter.ts";
import { initializeParameters } from "../nn/scope.ts";
import { input } from "../tensor/tensor.ts";
import { ParameterArena } from "./parameter-arena.ts";
import { type HeldOut, Validation } from "./validation.ts";

// B batch · T context length · V vocabulary

const T = 8;
const B = 3;
const model = tinyModel(T);
const weights = initializeParameters(model.parameters, new Random(4));
const arena = new ParameterArena(model.parameters);

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-validation-"));
  const random = new Random(6);
  for (const [path, target] of arena.weights()) {
    // Far from its first values, so that every prediction depends on what came before it.
    const data = weights.get(path)!.data as Float32Array;
    data.forEach((value, i) => {
      data[i] = value + 0.3 * random.normal();
    });
    (target.data as Float32Array).set(data);
  }
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function validate(
  texts: readonly (readonly number[])[],
  bytes: number,
  rows = B,
): ReturnType<Validation["run"]> {
  const datasets = texts.map((tokens, i) => writeDataset(directory, `${i}.bin`, tokens));
  const heldOut: HeldOut = { datasets, bytes, endOfTextId: TINY_END_OF_TEXT };
  const shape = { batchSize: rows, contextLength: T };
  const validation = new Validation(engine, model, arena.weights(), shape, heldOut);
  try {
    return await validation.run();
  } finally {
    validation.dispose();
    for (const dataset of datasets) dataset.close();
  }
}

/** Nats of one token after a context of at most T tokens: the reference interpreter in doubles, one window by itself. */
function lossOf(context: readonly number[], next: number): number {
  const tokens = { shape: [1, context.length], data: Float64Array.from(context) };
  const logits = model.logits(model.hidden(input("tokens", "int32", [1, context.length]))); // (1, T, V)
  const values = Object.fromEntries([...weights].map(([path, tensor]) => [path, toNdArray(tensor)]));
  const { data } = interpret([logits], { tokens, ...values })[0]!;
  const last = data.subarray(data.length - TINY_VOCABULARY);
  const peak = Math.max(...last);
  return peak + Math.log(last.reduce((sum, logit) => sum + Math.exp(logit - peak), 0)) - last[next]!;
}

/**
 * Nats of every token but the first and the separators. Windows of T advance by T − ⌊T/2⌋ + 1, so a token is predicted
 * in the first window that reaches it, from that window's start on.
 */
function expectedNats(tokens: readonly number[]): { nats: number; count: number } {
  const stride = T - T / 2 + 1;
  let [nats, count] = [0, 0];
  for (let at = 1; at < tokens.length; at++) {
    if (tokens[at] === TINY_END_OF_TEXT) continue;
    const start = stride * Math.max(0, Math.ceil((at - T) / stride));
    expect(at - start).toBeGreaterThanOrEqual(Math.min(at, T / 2));
    nats += lossOf(tokens.slice(start, at), tokens[at]!);
    count++;
  }
  return { nats, count };
}

describe("Validation", () => {
  // Lengths around the edges: one window, one more token, whole strides, batches that do not fill.
  test.each([2, 8, 9, 10, 14, 40, 57])(
    "%i tokens: each scored once, as by itself in doubles",
    async (length) => {
      const tokens = tinyTokens(length, length);
      const { nats, count } = expectedNats(tokens);
      const bytes = 2 * count; // as if each token stood for two bytes
      const result = await validate([tokens], bytes);
      expect(result.numTokens).toBe(count);
      expect(Math.abs(result.lossNats - nats / count)).toBeLessThan(2e-6);
      expect(result.bitsPerByte).toBeCloseTo(nats / Math.log(2) / bytes, 5);
    },
  );

  test("several datasets are one text each; the mean is over all tokens", async () => {
    const texts = [tinyTokens(31, 1), tinyTokens(12, 2)];
    const parts = texts.map(expectedNats);
    const nats = parts[0]!.nats + parts[1]!.nats;
    const count = parts[0]!.count + parts[1]!.count;
    const result = await validate(texts, 100);
    expect(result.numTokens).toBe(count);
    expect(Math.abs(result.lossNats - nats / count)).toBeLessThan(2e-6);
  });

  test("separators are context, but never scored, also where a whole batch is nothing else", async () => {
    const separators = Array.from({ length: 20 }, () => TINY_END_OF_TEXT);
    const tokens = [1, 2, 3, ...separators, 4];
    const { nats, count } = expectedNats(tokens);
    expect(count).toBe(3);
    const result = await validate([tokens], 3, 1);
    expect(result.numTokens).toBe(3);
    expect(Math.abs(result.lossNats - nats / 3)).toBeLessThan(2e-6);
  });

  test("nothing to score is an error, not a number", async () => {
    const onlySeparators = [1, ...Array.from({ length: 12 }, () => TINY_END_OF_TEXT)];
    await expect(validate([onlySeparators], 1)).rejects.toThrow(DataError);
    await expect(validate([onlySeparators], 1)).rejects.toThrow(
      "expected text to score, got only separators",
    );
    await expect(validate([[1]], 1)).rejects.toThrow(DataError);
  });
});
