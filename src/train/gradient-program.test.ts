import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { engine, TINY_VOCABULARY, tinyModel } from "../../test/tiny-run.ts";
import { Random } from "../core/random.ts";
import type { Batch } from "../data/batches.ts";
import { IGNORED_TARGET } from "../data/validation-windows.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { initializeParameters } from "../nn/scope.ts";
import { gradients } from "../tensor/gradient.ts";
import { GradientProgram } from "./gradient-program.ts";
import { batchFeeds, languageModelLoss } from "./language-model-loss.ts";
import { NextToken, nextTokenExamples } from "./next-token.ts";
import { ParameterArena } from "./parameter-arena.ts";
import { sliceSize } from "./slices.ts";

/** Random tokens and targets, the first `ignored` targets of the batch left out. */
function randomBatch(batchSize: number, contextLength: number, seed: number, ignored: number): Batch {
  const random = new Random(seed);
  const draw = () =>
    Int32Array.from({ length: batchSize * contextLength }, () => random.integer(TINY_VOCABULARY));
  return { tokens: draw(), targets: draw().fill(IGNORED_TARGET, 0, ignored) };
}

describe("GradientProgram", () => {
  test("a batch in slices with unequal shares of targets has the loss and gradients of the whole", async () => {
    const sizes = { width: 1024, numLayers: 1, numHeads: 16, feedForwardSize: 64, layerNormEpsilon: 1e-5 };
    const model = new Gpt2(gpt2Config({ ...sizes, vocabularySize: TINY_VOCABULARY, contextLength: 512 }));
    const shape = { batchSize: 2, contextLength: 512 };
    expect(sliceSize(model, shape)).toBe(1);
    const arena = new ParameterArena(model.parameters);
    for (const [path, { data }] of initializeParameters(model.parameters, new Random(1))) {
      arena
        .weights()
        .get(path)!
        .data.set(data as never);
    }
    const program = new GradientProgram(engine, new NextToken(model), arena, { labelSmoothing: 0.1 });
    const batch = randomBatch(2, 512, 3, 400);
    // Twice: the second step must not add to the first.
    await program.run([nextTokenExamples(randomBatch(2, 512, 4, 0), shape)]);
    const lossNats = await program.run([nextTokenExamples(batch, shape)]);
    const digest = () => {
      const hash = createHash("sha256");
      for (const parameter of model.parameters) hash.update(arena.view("gradients", parameter).data);
      return hash.digest("hex");
    };
    const once = digest();
    for (let again = 0; again < 3; again++) {
      expect(await program.run([nextTokenExamples(batch, shape)])).toBe(lossNats);
      expect(digest()).toBe(once);
    }
    program.dispose();

    const loss = languageModelLoss(model, shape, 0.1);
    const wrt = gradients(
      loss,
      model.parameters.map(({ tensor }) => tensor),
    );
    const names = model.parameters.map(({ path }, i) => [`by ${path}`, wrt[i]!] as const);
    const whole = engine.compile("whole batch", { loss, ...Object.fromEntries(names) });
    const expected = await whole.run({ ...batchFeeds(batch, shape), ...Object.fromEntries(arena.weights()) });
    whole.dispose();
    expect(lossNats).toBeCloseTo(expected.loss!.data[0] as number, 5);
    for (const parameter of model.parameters) {
      const actual = arena.view("gradients", parameter).data as Float32Array;
      const values = expected[`by ${parameter.path}`]!.data as Float32Array;
      const peak = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i]!)), 0);
      expect(peak, parameter.path).toBeGreaterThan(0);
      expect(worst, parameter.path).toBeLessThan(2e-5 * peak + 1e-8);
    }
  });

  test("batches with unequal numbers of targets count by targets, not by batch", async () => {
    const model = tinyModel(16);
    const arena = new ParameterArena(model.parameters);
    for (const [path, { data }] of initializeParameters(model.parameters, new Random(2))) {
      arena
        .weights()
        .get(path)!
        .data.set(data as never);
    }
    const parts = [randomBatch(1, 16, 5, 12), randomBatch(1, 16, 6, 0), randomBatch(1, 16, 7, 16)];
    const accumulating = new GradientProgram(engine, new NextToken(model), arena, { labelSmoothing: 0 });
    const lossNats = await accumulating.run(
      parts.map((part) => nextTokenExamples(part, { batchSize: 1, contextLength: 16 })),
    );
    accumulating.dispose();
    const summed = model.parameters.map((parameter) => arena.view("gradients", parameter).data.slice());
    const join = (key: "tokens" | "targets") => Int32Array.from(parts.flatMap((part) => [...part[key]]));
    const atOnce = new GradientProgram(engine, new NextToken(model), arena, { labelSmoothing: 0 });
    const batch = { tokens: join("tokens"), targets: join("targets") };
    const all = nextTokenExamples(batch, { batchSize: 3, contextLength: 16 });
    expect(lossNats).toBeCloseTo(await atOnce.run([all]), 5);
    atOnce.dispose();
    for (const [i, parameter] of model.parameters.entries()) {
      arena.view("gradients", parameter).data.forEach((value, j) => {
        expect(Math.abs(Number(value) - Number(summed[i]![j])), parameter.path).toBeLessThan(1e-6);
      });
    }
  });
});
