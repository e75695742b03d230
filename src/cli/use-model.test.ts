import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { plinthFailure as failure, plinthJson as json, plinth } from "../../test/command-line.ts";
import { loadTokenizer } from "../codecs/tokenizer.ts";
import { hostTensor } from "../core/dtype.ts";
import { Random } from "../core/random.ts";
import { Engine } from "../engine/engine.ts";
import { scoredBitsPerByte, scoreTokens } from "../eval/score.ts";
import { describeModel } from "../models/describe-model.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { loadModel } from "../models/load-model.ts";
import { saveModel } from "../models/save-model.ts";
import { initializeParameters } from "../nn/scope.ts";
import { forecastMemory } from "../plan/memory-forecast.ts";
import { CheckpointStore } from "../train/checkpoint.ts";

const FIXTURES = new URL("../../test/fixtures/", import.meta.url).pathname;
const BARE = `${FIXTURES}gpt2/bare`; // context 24, vocabulary 50, no tokenizer
const CONTEXT = 16;

let root: string;
/** A run directory whose `model` has a byte-level BPE tokenizer. */
let run: string;
/** The same with a character tokenizer of few letters. */
let letters: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-use-"));
  run = makeModel("run", "byte-bpe");
  letters = makeModel("letters", "char");
});
afterAll(() => rmSync(root, { recursive: true }));

function makeModel(name: string, tokenizerName: string): string {
  const tokenizer = loadTokenizer(`${FIXTURES}tokenizer/${tokenizerName}`);
  const { vocabularySize } = tokenizer;
  const config = { vocabularySize, contextLength: CONTEXT, width: 16, numLayers: 1, numHeads: 2 };
  const model = new Gpt2(gpt2Config(config));
  const weights = initializeParameters(model.parameters, new Random(1));
  mkdirSync(join(root, name));
  saveModel(join(root, name, "model"), { model, weights, tokenizer, card: "# A test\n" });
  return join(root, name);
}

describe("generate", () => {
  const golden = JSON.parse(readFileSync(`${BARE}/golden.json`, "utf8")).greedy;

  test("--json: the greedy continuation of Python transformers, in the documented shape", async () => {
    const tokens = golden.prompt.join(",");
    const words = ["--tokens", tokens, "--max-tokens", "20", "--temperature", "0"];
    const result = await json("generate", BARE, ...words);
    expect(Object.keys(result)).toEqual(["text", "tokens", "finishReason", "usage", "timings"]);
    expect(result).toMatchObject({
      text: "",
      tokens: golden.continuation,
      finishReason: "length",
      usage: { promptTokens: 5, completionTokens: 20 },
    });
    expect(Object.keys(result.timings)).toEqual(["prefillMs", "decodeMs", "tokensPerSecond"]);
  });

  test("a prompt in words, from the directory of a run; a seed repeats its text", async () => {
    const words = ["generate", run, "--prompt", "Hello", "--max-tokens", "6", "--seed", "5"];
    const result = await json(...words);
    const tokenizer = loadTokenizer(join(run, "model"));
    expect(result.text).toBe(tokenizer.decode(result.tokens));
    expect(result.usage.promptTokens).toBe(tokenizer.encode("Hello").length);
    expect((await json(...words)).tokens).toEqual(result.tokens);
    const plain = await plinth(...words);
    expect(plain).toMatchObject({ code: 0, stdout: `${result.text}\n` });
    expect(plain.stderr).toMatch(/^6 tokens, cut at its length, \d+ tokens\/s\n$/);
  });

  test("without a tokenizer the ids are printed", async () => {
    const words = ["--tokens", golden.prompt.join(","), "--max-tokens", "3", "--temperature", "0"];
    const { stdout } = await plinth("generate", BARE, ...words);
    expect(stdout).toBe(`${golden.continuation.slice(0, 3).join(",")}\n`);
  });

  test("ends at the end-of-text token that generation_config.json names", async () => {
    const copy = join(root, "copy");
    cpSync(BARE, copy, { recursive: true });
    const [first, ...rest] = [...new Set<number>(golden.continuation)];
    const config = join(copy, "generation_config.json");
    const words = ["generate", copy, "--tokens", golden.prompt.join(","), "--temperature", "0"];
    writeFileSync(config, JSON.stringify({ eos_token_id: rest[0] }));
    const until = golden.continuation.indexOf(rest[0]);
    expect(await json(...words)).toMatchObject({
      tokens: golden.continuation.slice(0, until),
      finishReason: "stop",
    });
    writeFileSync(config, JSON.stringify({ eos_token_id: [49, first] }));
    expect(await json(...words)).toMatchObject({ tokens: [], finishReason: "stop" });
    writeFileSync(config, JSON.stringify({ eos_token_id: "no" }));
    expect(await failure(...words)).toContain("eos_token_id: expected a token id or a list of them");
  });

  test.each<[string, string[], string]>([
    [
      "missing directory",
      ["/nowhere/at-all", "--prompt", "x"],
      "/nowhere/at-all: expected a model directory, got nothing there.",
    ],
    ["not a model", [FIXTURES, "--prompt", "x"], "expected a model directory with config.json, got none."],
    ["unknown flag", [BARE, "--temprature", "1"], 'Did you mean "--temperature"?'],
    [
      "temperature",
      [BARE, "--tokens", "1", "--temperature", "-1"],
      '--temperature: expected a number ≥ 0, got "-1".',
    ],
    [
      "top-p above 1",
      [BARE, "--tokens", "1", "--top-p", "1.5"],
      '--top-p: expected a number in [0, 1], got "1.5".',
    ],
    [
      "top-p 0",
      [BARE, "--tokens", "1", "--top-p", "0"],
      "topP: expected a number above 0 and at most 1, got 0.",
    ],
    [
      "penalty 0",
      [BARE, "--tokens", "1", "--repetition-penalty", "0"],
      "repetitionPenalty: expected a number above 0",
    ],
    [
      "token out of range",
      [BARE, "--tokens", "1,50"],
      "token 1: expected an id in [0, 50), the model's vocabulary, got 50.",
    ],
    ["negative token", [BARE, "--tokens", "-1"], '--tokens: expected an integer ≥ 0, got "-1".'],
    ["not a token", [BARE, "--tokens", "1,x"], "--tokens: expected an integer ≥ 0"],
    ["no prompt", [BARE], "prompt: expected either a text or token ids, got neither."],
    [
      "two prompts",
      [BARE, "--tokens", "1", "--prompt", "a"],
      "prompt: expected either a text or token ids, got both.",
    ],
    [
      "no tokenizer",
      [BARE, "--prompt", "hello"],
      "prompt: expected a model with a tokenizer, got one without.",
    ],
    [
      "prompt too long",
      [BARE, "--tokens", Array(25).fill(1).join(",")],
      "prompt: expected at most 24 tokens, the size of the context, got 25.",
    ],
    [
      "too many tokens",
      [BARE, "--tokens", "1,2", "--max-tokens", "24"],
      "maxTokens: expected at most 23 after a prompt of 2 tokens in a context of 24, got 24.",
    ],
  ])("%s", async (_, words, message) => {
    expect(await failure("generate", ...words)).toContain(message);
  });

  test("a letter that the tokenizer does not have", async () => {
    expect(await failure("generate", letters, "--prompt", "\u{1f9ff}")).toContain("U+1F9FF");
  });
});

describe("score", () => {
  async function expected(text: string) {
    const { model, weights, tokenizer } = loadModel(join(run, "model"));
    const tokens = Array.from(tokenizer!.encode(text));
    const scores = await scoreTokens(new Engine(), model, weights, tokens);
    const bitsPerByte = scoredBitsPerByte(tokenizer!, tokens, scores);
    return { tokens, logprobs: scores.logprobs, nats: scores.nats, bitsPerByte };
  }

  test("--text, --file and --tokens say the same, in the documented shape", async () => {
    const text = "Héllo, world!\n";
    const file = join(root, "text.txt");
    writeFileSync(file, text);
    const want = await expected(text);
    expect(want.tokens.length).toBeLessThanOrEqual(CONTEXT);
    const result = await json("score", run, "--text", text);
    expect(Object.keys(result)).toEqual(["tokens", "logprobs", "nats", "bitsPerByte"]);
    expect(result).toEqual(want);
    expect(await json("score", run, "--file", file)).toEqual(want);
    expect(await json("score", run, "--tokens", want.tokens.join(","))).toEqual(want);
    expect(result.logprobs[0]).toBeNull();
    expect(result.bitsPerByte).toBeGreaterThan(0);
  });

  test("a text longer than the context says that it was windowed", async () => {
    const tokens = Array(3 * CONTEXT).fill(7);
    const { code, stdout, stderr } = await plinth("score", run, "--tokens", tokens.join(","), "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ tokens, windowed: true });
    expect(stderr).toBe(
      "Longer than the context of 16 tokens: scored in windows, each token seeing at least half of that.\n",
    );
  });

  test("as a table", async () => {
    const { stdout, code } = await plinth("score", run, "--text", "Hi\n");
    const want = await expected("Hi\n");
    expect(code).toBe(0);
    expect(stdout.split("\n")[1]).toMatch(/^ +\d+ +– {2}"/);
    expect(stdout).toContain(`${want.nats.toFixed(3)} nats`);
    expect(stdout).toContain(`${want.bitsPerByte!.toFixed(4)} bits per byte`);
    const long = await plinth("score", BARE, "--tokens", Array(50).fill(3).join(","));
    expect(long.stdout).toContain("… and 10 more; --json has them all");
    expect(long.stdout).not.toContain("per byte");
  });

  test("a model without a tokenizer scores ids, and knows no bytes", async () => {
    const result = await json("score", BARE, "--tokens", "1,2,3");
    expect(result).toMatchObject({ tokens: [1, 2, 3], bitsPerByte: null });
    expect(await json("score", BARE, "--tokens", "4")).toEqual({
      tokens: [4],
      logprobs: [null],
      nats: 0,
      bitsPerByte: null,
    });
  });

  test.each<[string, string[], string]>([
    [
      "missing directory",
      ["/nowhere", "--text", "x"],
      "/nowhere: expected a model directory, got nothing there.",
    ],
    ["nothing to score", [BARE], "plinth score: expected one of --text, --file and --tokens, got none."],
    ["two texts", [BARE, "--text", "a", "--tokens", "1"], "got --text and --tokens."],
    ["no tokenizer", [BARE, "--text", "a"], "--text: expected a model with a tokenizer, got one without."],
    ["token out of range", [BARE, "--tokens", "50"], "score, token 0: expected an id in [0, 50)"],
    ["unknown flag", [BARE, "--txt", "a"], 'Did you mean "--text"?'],
  ])("%s", async (_, words, message) => {
    expect(await failure("score", ...words)).toContain(message);
  });

  test("empty text, missing file, empty file, binary file", async () => {
    const file = join(root, "odd");
    expect(await failure("score", run, "--text", "")).toContain(
      "--text: expected a text with at least one character, got an empty one.",
    );
    expect(await failure("score", run, "--file", file)).toContain("no such file or folder");
    writeFileSync(file, "");
    expect(await failure("score", run, "--file", file)).toContain(`got the empty file ${file}.`);
    writeFileSync(file, Uint8Array.of(0x61, 0xff, 0xfe));
    expect(await failure("score", run, "--file", file)).toContain("got invalid UTF-8.");
  });
});

describe("inspect", () => {
  test("a model", async () => {
    const result = await json("inspect", BARE, "--stats");
    const config = JSON.parse(readFileSync(`${BARE}/config.json`, "utf8"));
    expect(result).toMatchObject({ kind: "model", path: BARE, numElements: 18428, dtypes: { F32: 18428 } });
    expect(result.sizeBytes).toBe(4 * 18428);
    expect(result.model).toEqual({
      family: "gpt2",
      shape: {
        vocabularySize: 50,
        contextLength: 24,
        width: 20,
        numLayers: 3,
        numHeads: 2,
        numKeyValueHeads: 2,
        headSize: 10,
      },
      numParameters: 16700, // by hand: 50·20 + 24·20 + 3·(12·20² + 13·20) + 2·20
      memory: {
        weightsBytes: 66800,
        cacheBytes: 2 * 3 * 2 * 24 * 16 * 4,
        runBytes: forecastMemory(describeModel(BARE)).totalBytes,
        availableBytes: expect.any(Number),
        trainingBytes: 267200,
      },
      tokenizer: null,
      config,
    });
    expect(result.tensors).toHaveLength(43);
    const mask = result.tensors.find(({ name }: { name: string }) => name === "h.0.attn.bias");
    // The lower triangle of 24 × 24: 300 of 576 ones.
    const mean = 300 / 576;
    expect(mask.stats.mean).toBeCloseTo(mean, 12);
    expect(mask.stats.std).toBeCloseTo(Math.sqrt(mean * (1 - mean)), 12);
    expect(mask).toMatchObject({
      shape: [1, 1, 24, 24],
      dtype: "F32",
      stats: { min: 0, max: 1, numNonFinite: 0 },
    });
  });

  test("the directory of a run means its model", async () => {
    const { model, path } = await json("inspect", run);
    expect(path).toBe(join(run, "model"));
    const { vocabularySize } = loadTokenizer(join(run, "model"));
    expect(model.tokenizer).toEqual({ kind: "byte-level BPE", vocabularySize });
    expect((await json("inspect", letters)).model.tokenizer.kind).toBe("characters");
    const { stdout } = await plinth("inspect", run);
    expect(stdout).toMatch(/^parameters {2}[\d,]+$/m);
    expect(stdout).toMatch(/^transformer\.wte\.weight +F32 +\d+ × 16$/m);
  });

  test("checkpoints: one of them, or the newest of a run that has no model yet", async () => {
    const directory = join(root, "unfinished");
    const store = new CheckpointStore(join(directory, "checkpoints"));
    const tensors = [["weights.a", hostTensor("float32", [2], Float32Array.of(1, Number.NaN))]] as const;
    const saved = [9, 100].map((step) => store.save({ step, tensors, state: { step, cursor: 7 } }).path);
    const newest = await json("inspect", directory, "--stats");
    expect(newest).toMatchObject({
      kind: "checkpoint",
      path: saved[1],
      checkpoint: { step: 100, state: { step: 100, cursor: 7 } },
      tensors: [{ name: "weights.a", stats: { mean: 1, std: 0, min: 1, max: 1, numNonFinite: 1 } }],
    });
    expect((await json("inspect", join(directory, "checkpoints"))).path).toBe(saved[1]);
    expect((await json("inspect", saved[0]!)).checkpoint.step).toBe(9);
    expect((await plinth("inspect", saved[0]!, "--stats")).stdout).toContain("1 not finite");
    writeFileSync(join(saved[0]!, "state.json"), "{}");
    expect(await failure("inspect", saved[0]!)).toContain("state.json: expected");
    const renamed = join(root, "renamed");
    cpSync(saved[1]!, renamed, { recursive: true });
    expect(await failure("inspect", renamed)).toContain("expected a checkpoint under its own name");
  });

  test("a single file of tensors", async () => {
    const result = await json("inspect", `${BARE}/model.safetensors`);
    expect(result).toMatchObject({ kind: "safetensors", metadata: { format: "pt" }, numElements: 18428 });
    expect(result.model).toBeUndefined();
  });

  test("an architecture that Plinth does not know still shows its tensors", async () => {
    const copy = join(root, "unknown");
    cpSync(BARE, copy, { recursive: true });
    writeFileSync(join(copy, "config.json"), JSON.stringify({ model_type: "gpt9" }));
    const { model, tensors } = await json("inspect", copy);
    expect(model).toMatchObject({ family: null, shape: null, numParameters: null, memory: null });
    expect(tensors).toHaveLength(43);
    expect((await plinth("inspect", copy)).stdout).toContain('unknown to Plinth (model_type "gpt9")');
    writeFileSync(join(copy, "tokenizer.json"), JSON.stringify({ model: { type: "Unigram" } }));
    expect((await json("inspect", copy)).model.tokenizer).toMatchObject({ kind: "unreadable" });
  });

  test("bad input", async () => {
    expect(await failure("inspect", "/nowhere")).toContain(
      "/nowhere: expected a file or directory, got nothing there.",
    );
    expect(await failure("inspect", FIXTURES)).toContain("got a directory with none of these.");
    expect(await failure("inspect", `${BARE}/config.json`)).toContain("a header");
    const cut = join(root, "cut.safetensors");
    writeFileSync(cut, readFileSync(`${BARE}/model.safetensors`).subarray(0, 50_000));
    expect(await failure("inspect", cut)).toContain("truncated");
  });
});
