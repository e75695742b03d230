/**
 * Workload: our side of the comparisons of decoders, by the commands of the peers (peers/README.md). `--model` is a directory, or a name
 * in shapes.mjs for random float32 weights in memory; `--window N` gives those a sliding window, `--context N` is the room in
 * the cache.
 */
import { Engine } from "../../dist/engine/engine.js";
import { Decoder } from "../../dist/generate/decoder.js";
import { generate } from "../../dist/generate/generate.js";
import { loadModel } from "../../dist/models/load-model.js";
import {
  decoderCommands,
  packFloats,
  promptTokens,
  readInferenceOptions,
  serveInference,
} from "../peers/inference.mjs";
import { SHAPES } from "../shapes.mjs";
import { randomMistral } from "./random-mistral.mjs";

const options = readInferenceOptions(["window", "context"]);
const shape = SHAPES[options.model];
const { model, weights } = shape
  ? randomMistral({ ...shape, window: options.window })
  : loadModel(options.model);
const engine = new Engine({ threads: options.threads });
const decoder = new Decoder(engine, model, weights, options.context ? { capacity: options.context } : {});
const { vocabularySize } = model.shape;

async function continueGreedily(prompt, count, onToken) {
  const sampling = { temperature: 0 };
  await generate({ decoder, tokens: prompt, maxTokens: count, sampling, onToken });
}

await serveInference("plinth", {
  ...decoderCommands(vocabularySize, continueGreedily),
  /** Scores of the token after a prompt. */
  async outputs(count) {
    decoder.reset();
    return { outputs: packFloats(await decoder.prefill(promptTokens(count, vocabularySize))) };
  },
});
