import { join } from "node:path";
import { expect, test } from "vitest";
import {
  draw,
  drawWeights,
  goldenModel,
  largestDifference,
  MISTRAL_FIXTURES,
  mistralGoldens,
  unpack,
} from "../../../test/mistral-golden.ts";
import { Engine } from "../../engine/engine.ts";
import { readWeights } from "../../engine/stored-tensor.ts";
import { Decoder } from "../../generate/decoder.ts";
import { gradients } from "../../tensor/gradient.ts";
import { input } from "../../tensor/tensor.ts";
import { batchFeeds, languageModelLoss } from "../../train/language-model-loss.ts";
import { loadModel } from "../load-model.ts";

const engine = new Engine();
const CASES = mistralGoldens().map((golden) => [golden.name, golden] as const);

test.each(CASES)("%s: hidden states and logits to 1e-4, loss and gradients to 1e-5", async (_, golden) => {
  const { model, weights } = goldenModel(golden);
  const shape = { batchSize: 2, contextLength: golden.tokens[0]!.length };
  const hidden = model.hidden(input("tokens", "int32", [2, shape.contextLength]));
  const loss = languageModelLoss(model, shape);
  const wrt = gradients(
    loss,
    model.parameters.map(({ tensor }) => tensor),
  );
  const forward = engine.compile("forward", { hidden, logits: model.logits(hidden) });
  const backward = engine.compile("backward", {
    loss,
    ...Object.fromEntries(model.parameters.map(({ path }, i) => [`by ${path}`, wrt[i]!])),
  });
  const { tokens, targets } = batchFeeds(
    { tokens: Int32Array.from(golden.tokens.flat()), targets: Int32Array.from(golden.targets.flat()) },
    shape,
  );
  const values = Object.fromEntries(weights);
  const out = await forward.run({ tokens, ...values });
  for (const name of ["hidden", "logits"] as const) {
    const data = out[name]!.data as Float32Array;
    const second = data.subarray(data.length / 2);
    expect(largestDifference(second, unpack(golden[name])), name).toBeLessThan(1e-4);
  }
  const back = await backward.run({ tokens, targets, ...values });
  expect(Math.abs((back.loss!.data[0] as number) - golden.loss)).toBeLessThan(1e-5);
  expect(model.parameters.map(({ path }) => path).sort()).toEqual(Object.keys(golden.gradients).sort());
  for (const { path, shape } of model.parameters) {
    const gradient = back[`by ${path}`]!.data as Float32Array;
    const { norm, dot } = golden.gradients[path]!;
    const direction = draw(`direction of ${path}`, shape);
    const along = gradient.reduce((sum, value, i) => sum + value * direction[i]!, 0);
    expect(Math.abs(Math.hypot(...gradient) - norm), path).toBeLessThan(1e-5 * (1 + norm));
    expect(Math.abs(along - dot), path).toBeLessThan(3e-5 * (1 + norm));
  }
  forward.dispose();
  backward.dispose();
});

test.each(CASES)("%s: 64 greedy tokens through the cache are those of transformers", async (_, golden) => {
  const { model, weights } = goldenModel(golden);
  const decoder = new Decoder(engine, model, weights);
  const { prompt, continuation } = golden.greedy;
  let scores = await decoder.prefill(prompt);
  const found: number[] = [];
  for (let i = 0; i < continuation.length; i++) {
    if (i > 0) scores = await decoder.step([found.at(-1)!]);
    found.push(scores.indexOf(Math.max(...scores)));
  }
  decoder.dispose();
  expect(found).toEqual(continuation);
});

// As `save_pretrained` writes them; the Llama one without a prefix, with its tied head and with buffers.
test.each([
  ["mistral", "window, ratio 4"],
  ["llama", "ratio 1, tied, short theta"],
  ["qwen2", "biases of queries, keys and values; windows in two of three layers"],
])("the checkpoint %s is the case %j", (name, caseName) => {
  const { model, weights } = loadModel(join(MISTRAL_FIXTURES, name));
  const golden = mistralGoldens().find((candidate) => candidate.name === caseName)!;
  expect(model.family).toBe(name);
  expect("config" in model && model.config).toEqual(goldenModel(golden).model.config);
  const expected = drawWeights(model.parameters);
  const read = readWeights(weights);
  expect([...read.keys()]).toEqual([...expected.keys()]);
  for (const [path, { data }] of expected) expect(read.get(path)!.data, path).toEqual(data);
});
