/**
 * Peer: transformers.js on ONNX Runtime's CPU provider. `--model` is a directory in the hub's layout with `onnx/model.onnx`,
 * or another `--file` there; commands of decoders or, for a BERT, of encoders (README.md).
 */
import { basename, dirname } from "node:path";
import {
  decoderCommands,
  EMBED_BATCH,
  encoderCommands,
  packFloats,
  promptTokens,
  readInferenceOptions,
  serveInference,
} from "./inference.mjs";
import { importOrReportMissing, pinnedVersion } from "./protocol.mjs";

const library = await importOrReportMissing("@huggingface/transformers");
const { AutoConfig, AutoModel, AutoModelForCausalLM, BaseStreamer, env, mean_pooling, Tensor } = library;
const { model: directory, file = "model", threads } = readInferenceOptions();
env.allowRemoteModels = false;
env.localModelPath = dirname(directory);

const name = basename(directory);
const config = await AutoConfig.from_pretrained(name);
const isEncoder = config.model_type === "bert";
const kind = isEncoder ? AutoModel : AutoModelForCausalLM;
const session = { intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: "all" };
const model = await kind.from_pretrained(name, {
  dtype: "fp32",
  device: "cpu",
  model_file_name: file,
  session_options: session,
});

const integers = (dims, values) => new Tensor("int64", BigInt64Array.from(values, BigInt), dims);
const filled = (dims, value) => integers(dims, Array(dims[0] * dims[1]).fill(value));

/** Passes tokens on as they come. Its first call brings the prompt. */
class Tap extends BaseStreamer {
  #onToken;
  #hasPrompt = false;

  constructor(onToken) {
    super();
    this.#onToken = onToken;
  }

  put([tokens]) {
    if (this.#hasPrompt) this.#onToken(Number(tokens.at(-1)));
    this.#hasPrompt = true;
  }

  end() {}
}

async function continueGreedily(prompt, count, onToken) {
  const dims = [1, prompt.length];
  await model.generate({
    input_ids: integers(dims, prompt),
    attention_mask: filled(dims, 1),
    max_new_tokens: count,
    do_sample: false,
    eos_token_id: null,
    streamer: new Tap(onToken),
  });
}

/** Scores of the token after a prompt. */
async function scores(count) {
  const dims = [1, count];
  const input_ids = integers(dims, promptTokens(count, config.vocab_size));
  const { logits } = await model({ input_ids, attention_mask: filled(dims, 1) });
  return { outputs: packFloats(logits.data.slice(-config.vocab_size)) };
}

async function embed(tokens) {
  const attention_mask = filled(EMBED_BATCH, 1);
  const input_ids = integers(EMBED_BATCH, tokens);
  const { last_hidden_state } = await model({
    input_ids,
    attention_mask,
    token_type_ids: filled(EMBED_BATCH, 0),
  });
  return mean_pooling(last_hidden_state, attention_mask).normalize(2, -1).data;
}

const commands = isEncoder
  ? encoderCommands(config.vocab_size, embed)
  : { ...decoderCommands(config.vocab_size, continueGreedily), outputs: scores };
await serveInference(`transformers.js ${pinnedVersion("@huggingface/transformers")}`, commands, { threads });
