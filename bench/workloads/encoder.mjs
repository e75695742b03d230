/** Workload: our side of `embed`, by the commands of the peers (peers/README.md). `--model` is a directory. */
import { hostTensor } from "../../dist/core/dtype.js";
import { Engine } from "../../dist/engine/engine.js";
import { loadEncoder } from "../../dist/models/load-model.js";
import { input } from "../../dist/tensor/tensor.js";
import { EMBED_BATCH, encoderCommands, readInferenceOptions, serveInference } from "../peers/inference.mjs";

const { model: directory, threads } = readInferenceOptions();
const { model, weights } = loadEncoder(directory);
const [B, T] = EMBED_BATCH;
const ids = (name) => input(name, "int32", [B, T]);
const hidden = model.hidden({ tokens: ids("tokens"), segments: ids("segments"), mask: ids("mask") }); // (B, T, C)
const program = new Engine({ threads }).compile("embed", { mean: hidden.mean([1]) }, { constants: weights });
const integers = (values) => hostTensor("int32", [B, T], Int32Array.from(values));
const nothing = integers(Array(B * T).fill(0));
const everything = integers(Array(B * T).fill(1));

async function embed(tokens) {
  const { mean } = await program.run({ tokens: integers(tokens), segments: nothing, mask: everything });
  const { data, shape } = mean;
  const width = shape.at(-1);
  for (let start = 0; start < data.length; start += width) {
    const vector = data.subarray(start, start + width);
    const length = Math.hypot(...vector);
    for (let i = 0; i < width; i++) vector[i] /= length;
  }
  return data;
}

await serveInference("plinth", encoderCommands(model.shape.vocabularySize, embed));
