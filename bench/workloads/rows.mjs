/**
 * Workload: gradients of the same examples in rows of their own, padded to a few lengths, and in rows that they share. `padded N` and
 * `packed N` are the milliseconds of one pass over all of them, the mean over N.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { instructionRow } from "../../dist/adapt/instruction-row.js";
import { PackedNextToken } from "../../dist/adapt/packed-next-token.js";
import { eachRow } from "../../dist/adapt/row-stream.js";
import { loadTokenizer } from "../../dist/codecs/tokenizer.js";
import { Random } from "../../dist/core/random.js";
import { Engine } from "../../dist/engine/engine.js";
import { gpt2Config } from "../../dist/models/gpt2/config.js";
import { Gpt2 } from "../../dist/models/gpt2/model.js";
import { initializeParameters } from "../../dist/nn/scope.js";
import { GradientProgram } from "../../dist/train/gradient-program.js";
import { NextToken } from "../../dist/train/next-token.js";
import { ParameterArena } from "../../dist/train/parameter-arena.js";
import { serve } from "./serve.mjs";

const CONTEXT = 512;
const TOKENS_A_BATCH = 2048;

const options = Object.fromEntries(
  process.argv
    .slice(2)
    .flatMap((word, i, words) => (word.startsWith("--") ? [[word.slice(2), words[i + 1]]] : [])),
);
const tokenizer = loadTokenizer(options.tokenizer);
const examples = gunzipSync(readFileSync(options.data))
  .toString()
  .trim()
  .split("\n")
  .slice(0, Number(options.count));
const rows = examples.map((line) => {
  const { question, answer } = JSON.parse(line);
  return instructionRow(tokenizer, { prompt: `${question}\n`, completion: answer });
});

const model = new Gpt2(
  gpt2Config({
    width: 384,
    numLayers: 6,
    numHeads: 6,
    vocabularySize: tokenizer.vocabularySize,
    contextLength: CONTEXT,
  }),
);
const engine = new Engine({ threads: Number(options.threads) });
const arena = new ParameterArena(model.parameters);
for (const [path, { data }] of initializeParameters(model.parameters, new Random(1))) {
  arena.weights().get(path).data.set(data);
}

function side(objective, batching) {
  const program = new GradientProgram(engine, objective, arena, { labelSmoothing: 0 });
  const batches = [...eachRow(rows, { contextLength: CONTEXT, ...batching })];
  const numTokens = batches.reduce((sum, { inputs }) => sum + inputs.tokens.data.length, 0);
  program.prepare(batches);
  return async (count) => {
    let loss = Number.NaN;
    const start = performance.now();
    for (let i = 0; i < count; i++) loss = await program.run(batches);
    return { ms: (performance.now() - start) / count, loss, numTokens };
  };
}

await serve({
  padded: side(new NextToken(model), { batchSize: 64, tokenBudget: TOKENS_A_BATCH }),
  packed: side(new PackedNextToken(model), { batchSize: TOKENS_A_BATCH / CONTEXT, pack: true }),
});
