/**
 * Peer: llama.cpp through node-llama-cpp, on the CPU. `--model` is a GGUF file; commands of decoders (README.md).
 * `--context N` is the room in its cache.
 */
import { decoderCommands, readInferenceOptions, serveInference } from "./inference.mjs";
import { importOrReportMissing, pinnedVersion, reportMissing } from "./protocol.mjs";

/** Tokens read at once: its default. */
const BATCH = 512;

const { getLlama } = await importOrReportMissing("node-llama-cpp");
const { model: modelPath, threads, context: contextSize } = readInferenceOptions(["context"]);

// The package ships a build for every kind of processor and takes the best; nothing is built or downloaded here.
const llama = await startLlama();
const model = await llama.loadModel({ modelPath, useMmap: true });
const context = await model.createContext({ contextSize, batchSize: BATCH, threads, flashAttention: "auto" });
const sequence = context.getSequence();

async function startLlama() {
  try {
    return await getLlama({
      gpu: false,
      build: "never",
      skipDownload: true,
      maxThreads: threads,
      logLevel: "error",
    });
  } catch (error) {
    return reportMissing(`a build of llama.cpp for this machine (${error.message})`);
  }
}

async function continueGreedily(prompt, count, onToken) {
  await sequence.clearHistory();
  let left = count;
  for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    onToken(token);
    left -= 1;
    if (left === 0) return;
  }
}

const vocabulary = model.fileInfo.metadata.llama.vocab_size;
await serveInference(
  `llama.cpp ${llama.llamaCppRelease.release} (node-llama-cpp ${pinnedVersion("node-llama-cpp")})`,
  decoderCommands(vocabulary, continueGreedily),
  { threads: context.currentThreads, gpu: llama.gpu },
);
