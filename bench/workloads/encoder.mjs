/** Workload: our side of `embed`, by the commands of the peers (peers/README.md). `--model` is a directory. */
import { Engine } from "../../dist/engine/engine.js";
import { embed } from "../../dist/pipelines/embed.js";
import { EncoderModel } from "../../dist/pipelines/encoder-model.js";
import { EMBED_BATCH, encoderCommands, readInferenceOptions, serveInference } from "../peers/inference.mjs";

const { model: directory, threads } = readInferenceOptions();
const model = EncoderModel.load(directory, { engine: new Engine({ threads }) });
const [B, T] = EMBED_BATCH;

async function embedTokens(tokens) {
  const texts = Array.from({ length: B }, (_, b) => ({ ids: tokens.slice(b * T, (b + 1) * T) }));
  const vectors = await embed(model, texts);
  return Float32Array.from(vectors.flatMap((vector) => Array.from(vector)));
}

const { vocabularySize } = model.loaded.model.shape;
await serveInference("plinth", encoderCommands(vocabularySize, embedTokens));
