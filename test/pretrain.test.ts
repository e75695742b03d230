import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ConfigError, DataError } from "../src/core/errors.ts";
import { readWeight } from "../src/engine/stored-tensor.ts";
import { loadModel } from "../src/models/load-model.ts";
import { pretrain } from "../src/recipes/pretrain.ts";
import { readRecipe } from "../src/recipes/recipe.ts";
import { readMetrics } from "../src/train/metrics-log.ts";
import { bitsPerByteOf, checkpointDigests, EventRecord, engine, tinyText } from "./tiny-run.ts";

const MAIN = join(import.meta.dirname, "../dist/cli/main.js");

const TINY = [
  ...["model.width=16", "model.numLayers=1", "model.numHeads=2"],
  ...["train.contextLength=16", "train.batchSize=2", "train.steps=10"],
];

let root = "";
beforeAll(() => {
  if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing. Run "npm run build" first.`);
  root = mkdtempSync(join(tmpdir(), "plinth-pretrain-"));
  writeFileSync(join(root, "text.txt"), tinyText(6000, 1));
  writeFileSync(join(root, "empty.txt"), "");
  writeFileSync(join(root, "binary.bin"), Buffer.from([80, 75, 0, 1, 2, 3, 0, 0]));
  writeFileSync(join(root, "latin1.txt"), Buffer.from("caf\xe9 ".repeat(50), "latin1"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `plinth pretrain` with these words, in the directory of the texts. */
function runCli(...words: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [MAIN, "pretrain", ...words],
      { cwd: root },
      (_, stdout, stderr) => {
        resolve({ code: child.exitCode ?? -1, stdout, stderr });
      },
    );
  });
}

/** Everything below a directory, or nothing if there is none. */
function filesIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory, { recursive: true, encoding: "utf8" }).sort() : [];
}

describe("plinth pretrain refuses bad input with one line, and leaves nothing behind", () => {
  beforeEach(() => rmSync(join(root, "out"), { recursive: true, force: true }));

  const char = ["shakespeare-char", "--out", "out", "--data"];
  const bpe = ["gpt2-tiny", "--out", "out", "--data"];
  test.each<[string, string[], string]>([
    [
      "unknown recipe",
      ["gpt2-tny", "--out", "out", "--data", "text.txt"],
      'recipe: expected the name of a recipe, got "gpt2-tny". Did you mean "gpt2-tiny"?',
    ],
    ["unknown flag", [...char, "text.txt", "--step", "5"], "--step: expected a flag"],
    ["no data", ["shakespeare-char", "--out", "out"], "expected --data"],
    [
      "unknown key",
      [...char, "text.txt", "--set", "train.learningrate=1"],
      'learningrate: expected a known configuration key, got "learningrate". Did you mean "learningRate"?',
    ],
    [
      "unknown section",
      [...char, "text.txt", "--set", "trian.steps=1"],
      'trian: expected a section of a recipe, got "trian". Did you mean "train"?',
    ],
    ["key without section", [...char, "text.txt", "--set", "steps=1"], 'Did you mean "train.steps"?'],
    [
      "width not divisible by heads",
      ["gpt2-char", "--out", "out", "--data", "text.txt", "--set", "model.width=100", "model.numHeads=3"],
      "numHeads: expected a divisor of width 100, got 3. Use 2, or change the width.",
    ],
    [
      "learning rate out of range",
      [...char, "text.txt", "--set", "train.learningRate=-1"],
      "train.learningRate: expected a number in [0, 10], got -1.",
    ],
    [
      "learning rate not a number",
      [...char, "text.txt", "--set", "train.learningRate=fast"],
      'train.learningRate: expected a number in [0, 10], got "fast".',
    ],
    [
      "accumulation 0",
      [...char, "text.txt", "--set", "train.accumulation=0"],
      "train.accumulation: expected an integer in [1, 65536], got 0.",
    ],
    [
      "a size set in the wrong section",
      [...char, "text.txt", "--set", "model.contextLength=8"],
      "Set train.contextLength.",
    ],
    [
      "weight 0",
      [...char, "text.txt@0", "--set", ...TINY],
      "data text.txt: expected a weight above 0, got 0.",
    ],
    [
      "missing path",
      [...char, "none.txt", "--set", ...TINY],
      "none.txt: expected a file, folder or glob, got no such file or folder.",
    ],
    [
      "empty file",
      [...char, "empty.txt", "--set", ...TINY],
      "empty.txt: expected some text, got none. Check the paths.",
    ],
    [
      "binary file",
      [...char, "binary.bin", "--set", ...TINY],
      "binary.bin: expected UTF-8 text, got a binary file (NUL at byte 2). Convert it to UTF-8, or leave it out.",
    ],
    ["text that is not UTF-8", [...bpe, "latin1.txt", "--set", ...TINY], "latin1.txt"],
    [
      "vocabulary larger than the text supports",
      [...bpe, "text.txt", "--set", ...TINY],
      "all that this text supports, got 2048. Use more text, or vocabularySize",
    ],
    [
      "nothing left to validate on",
      [...bpe, "text.txt", "--set", ...TINY, "tokenizer.vocabularySize=270"],
      "validation split: expected a share of 0.05 of the documents, got none of 1 documents. Split by tail",
    ],
    [
      "nothing to resume",
      [...char, "text.txt", "--resume", "--set", ...TINY],
      "out: expected a checkpoint to resume from, got none. Start without --resume.",
    ],
    [
      "a prompt for an encoder",
      ["bert-char", "--out", "out", "--data", "text.txt", "--prompt", "the "],
      'prompt: expected a decoder, which continues text, got the encoder family "bert". Leave the prompt out',
    ],
    [
      "masking for a decoder",
      [...char, "text.txt", "--set", "masking.fraction=0.2"],
      'masking: expected an encoder, which fills in hidden tokens, got the decoder family "mistral".',
    ],
    [
      "everything masked",
      ["bert-char", "--out", "out", "--data", "text.txt", "--set", "masking.fraction=1"],
      "masking.fraction: expected a number in [0.01, 0.9], got 1.",
    ],
    [
      "byte-level BPE for an encoder",
      ["bert-char", "--out", "out", "--data", "text.txt", "--set", "tokenizer.kind=bpe"],
      'tokenizer.kind: expected one of wordpiece, char, got "bpe".',
    ],
    [
      "a key of another family, under the default recipe",
      ["--out", "out", "--data", "text.txt", "--set", "model.layerNormEpsilon=0.1"],
      'layerNormEpsilon: expected a known configuration key, got "layerNormEpsilon". Did you mean "rmsNormEpsilon"?',
    ],
    [
      "nothing to resume, and no recipe to say what",
      ["--out", "out", "--data", "text.txt", "--resume"],
      "out: expected a run to resume, got no recipe.json. Start without --resume, or name the recipe.",
    ],
    ["threads 0", [...char, "text.txt", "--threads", "0"], '--threads: expected an integer ≥ 1, got "0".'],
  ])("%s", async (_, words, message) => {
    const { code, stdout, stderr } = await runCli(...words);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^plinth: [^\n]+\n$/);
    expect([code, stdout]).toEqual([1, ""]);
    expect(filesIn(join(root, "out"))).toEqual([]);
    expect(existsSync(join(root, "out"))).toBe(false);
  });

  test.each<[string, string[], string]>([
    ["context longer than the data", ["train.contextLength=6000"], "contextLength: expected at most"],
    ["prompt with an unknown character", ["train.contextLength=16"], 'got "日" (U+65E5) at position 0'],
  ])("%s: the tokenised text stays, whole, for the next attempt", async (_, [context], message) => {
    const settings = [...TINY.filter((setting) => !setting.includes("contextLength")), context!];
    const prompt = message.includes("日") ? "日本" : "a";
    const { code, stderr } = await runCli(...char, "text.txt", "--prompt", prompt, "--set", ...settings);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^plinth: [^\n]+\n$/);
    expect(code).toBe(1);
    expect(filesIn(join(root, "out"))).toEqual([
      ...["corpus", "corpus/corpus.json", "corpus/source-0-train-00000.bin"],
      ...["corpus/source-0-validation-00000.bin", "recipe.json", "tokenizer.json"],
    ]);
    const mended = await runCli(...char, "text.txt", "--json", "--set", ...TINY);
    expect([mended.code, JSON.parse(mended.stdout).reason]).toEqual([0, "finished"]);
  });

  test("out is a file", async () => {
    writeFileSync(join(root, "file"), "mine");
    const { code, stderr } = await runCli(
      "shakespeare-char",
      "--data",
      "text.txt",
      "--out",
      "file",
      "--set",
      ...TINY,
    );
    expect(stderr).toMatch(/^plinth: file[^\n]+\n$/);
    expect(code).toBe(1);
    expect(readFileSync(join(root, "file"), "utf8")).toBe("mine");
  });
});

test("a run whose validation no longer improves ends early, with 8-bit optimizer state, and has a model", async () => {
  const words = ["shakespeare-char", "--data", "text.txt", "--out", "early", "--json", "--set", ...TINY];
  const flat = ["train.learningRate=0", "train.minLearningRate=0", "train.validateEvery=2"];
  const { code, stdout } = await runCli(...words, ...flat, "train.patience=2", "train.optimizerState=int8");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ reason: "early-stopped", step: 6, model: "early/model" });
  expect(filesIn(join(root, "early/model"))).toContain("model.safetensors");
  expect(readFileSync(join(root, "early/report.html"), "utf8")).toContain("stopped early");
});

describe("plinth pretrain and a directory with a run in it", () => {
  const words = ["shakespeare-char", "--data", "text.txt", "--out", "done"];

  test("run, resumed, begun again, resumed with other settings, other data, another tokenizer", async () => {
    const first = await runCli(...words, "--json", "--set", ...TINY);
    expect(first.code).toBe(0);
    const summary = JSON.parse(first.stdout);
    expect(summary).toMatchObject({
      reason: "finished",
      step: 10,
      model: "done/model",
      report: "done/report.html",
    });
    const before = checkpointDigests(join(root, "done"));

    const again = await runCli(...words, "--resume", "--json", "--set", ...TINY);
    expect(JSON.parse(again.stdout).best).toEqual(summary.best);

    for (const [changed, message] of [
      [
        ["--set", ...TINY],
        "done: expected a directory without a run in it, got checkpoints up to step 10. Continue it with --resume, or choose another directory.",
      ],
      [
        ["--resume", "--set", ...TINY, "train.seed=5"],
        "train.seed: expected 1, as when the run began, got 5. Resume with the same settings",
      ],
      [
        ["--resume", "--set", ...TINY.slice(1), "model.width=32"],
        "model.width: expected 16, as when the run began, got 32.",
      ],
    ] as const) {
      const { code, stderr } = await runCli(...words, ...changed);
      expect(stderr).toContain(message);
      expect(stderr).toMatch(/^plinth: [^\n]+\n$/);
      expect(code).toBe(1);
    }

    // The same number of tokens, other ones: only a hash of the data tells.
    const text = readFileSync(join(root, "text.txt"), "utf8");
    writeFileSync(join(root, "text.txt"), [...text].reverse().join(""));
    const otherData = await runCli(...words, "--resume", "--set", ...TINY);
    writeFileSync(join(root, "text.txt"), text);
    expect(otherData.stderr).toMatch(
      /^plinth: [^\n]+: expected the data that the run began with, got a different one\.[^\n]+\n$/,
    );

    const tokenizer = readFileSync(join(root, "done/tokenizer.json"), "utf8");
    const other = JSON.parse(tokenizer);
    const [a, b] = Object.keys(other.model.vocab) as [string, string];
    [other.model.vocab[a], other.model.vocab[b]] = [other.model.vocab[b], other.model.vocab[a]];
    writeFileSync(join(root, "done/tokenizer.json"), JSON.stringify(other));
    const otherTokenizer = await runCli(...words, "--resume", "--set", ...TINY);
    writeFileSync(join(root, "done/tokenizer.json"), tokenizer);
    expect(otherTokenizer.stderr).toMatch(
      /^plinth: [^\n]+: expected the tokenizer that the run began with[^\n]+\n$/,
    );

    const after = await runCli(...words, "--resume", "--set", ...TINY);
    expect(after.code).toBe(0);
    expect(checkpointDigests(join(root, "done"))).toEqual(before);
  });

  test("an encoder: run, resumed under no name, its model fills gaps, and what it says is in its own unit", async () => {
    const bert = ["--data", "text.txt", "--out", "bert"];
    const settings = ["--set", ...TINY.filter((setting) => !setting.includes("steps")), "train.steps=12"];
    const first = await runCli("bert-char", ...bert, "--json", ...settings);
    expect(first.code).toBe(0);
    const summary = JSON.parse(first.stdout);
    expect(Object.keys(summary.best)).toEqual(["step", "lossNats", "maskedAccuracy", "standardError"]);
    expect(summary.baselines.map(({ label }: { label: string }) => label)).toEqual([
      "counts of 3 + 3 neighbours",
      "most common token",
    ]);
    expect(summary.controls[0].label).toBe("this model, on text in random order");
    const card = readFileSync(join(root, "bert/model/README.md"), "utf8");
    expect(card).toContain("pipeline_tag: fill-mask");
    expect(card).toContain("% of masked tokens right |");
    expect(readFileSync(join(root, "bert/report.html"), "utf8")).toContain("Masked tokens filled in right");
    expect(first.stderr).toMatch(
      /validation at step 12 {2}\d\.\d{4} nats {2}\d+\.\d\d % of masked tokens right/,
    );
    const before = checkpointDigests(join(root, "bert"));
    const again = await runCli(...bert, "--resume", "--json");
    expect(JSON.parse(again.stdout).best).toEqual(summary.best);
    expect(checkpointDigests(join(root, "bert"))).toEqual(before);
    const other = await runCli("shakespeare-char", ...bert, "--resume");
    expect(other.stderr).toContain("model.family: expected bert, as when the run began, got mistral.");
  });

  test("a run of version 0.1, which says no family, goes on as the GPT-2 it is", async () => {
    const old = ["--data", "text.txt", "--out", "old"];
    expect((await runCli("gpt2-char", ...old, "--set", ...TINY)).code).toBe(0);
    const path = join(root, "old/recipe.json");
    const { model, ...sections } = JSON.parse(readFileSync(path, "utf8"));
    const { family, ...sizes } = model;
    expect(family).toBe("gpt2");
    writeFileSync(path, JSON.stringify({ ...sections, model: sizes }));
    const before = checkpointDigests(join(root, "old"));
    for (const words of [[], ["gpt2-char"]]) {
      const settings = words.length > 0 ? ["--set", ...TINY] : [];
      const { code } = await runCli(...words, ...old, "--resume", ...settings);
      expect(code).toBe(0);
      expect(checkpointDigests(join(root, "old"))).toEqual(before);
    }
    const { stderr } = await runCli("shakespeare-char", ...old, "--resume", "--set", ...TINY);
    expect(stderr).toContain("model.family: expected gpt2, as when the run began, got mistral.");
  });

  test("two runs into one directory: the second is refused, the first goes on", async () => {
    const long = ["shakespeare-char", "--data", "text.txt", "--out", "busy", "--set", ...TINY.slice(0, -1)];
    const steps = ["train.steps=1000000", "train.saveEvery=1000000", "train.validateEvery=1000000"];
    const child = spawn(process.execPath, [MAIN, "pretrain", ...long, ...steps], {
      cwd: root,
      stdio: "ignore",
    });
    try {
      while (!existsSync(join(root, "busy/metrics.jsonl"))) await sleep(20);
      const { code, stderr } = await runCli(...long, ...steps);
      expect(stderr).toMatch(/^plinth: busy\/run.lock: expected a directory no other run is using [^\n]+\n$/);
      expect(stderr).toContain(`got process ${child.pid} on`);
      expect(code).toBe(1);
      const size = readFileSync(join(root, "busy/metrics.jsonl")).length;
      await sleep(300);
      expect(readFileSync(join(root, "busy/metrics.jsonl")).length).toBeGreaterThan(size);
    } finally {
      child.kill("SIGINT");
      await once(child, "close");
    }
    // Ctrl-C stops cleanly: a checkpoint, and no lock.
    expect(child.exitCode).toBe(130);
    expect(Object.keys(checkpointDigests(join(root, "busy"))).length).toBeGreaterThan(0);
    expect(existsSync(join(root, "busy/run.lock"))).toBe(false);
    expect(existsSync(join(root, "busy/model"))).toBe(false);
  });
});

describe("pretrain, called from TypeScript", () => {
  const recipe = readRecipe({
    tokenizer: { kind: "bpe", vocabularySize: 280 },
    corpus: { splitBy: "document", validationFraction: 0.2 },
    model: { width: 16, numLayers: 1, numHeads: 2 },
    train: { steps: 20, contextLength: 16, batchSize: 2, validateEvery: 10, saveEvery: 10, sampleEvery: 10 },
  });

  function options(name: string, record: EventRecord) {
    const docs = join(root, `${name}-docs`);
    mkdirSync(docs, { recursive: true });
    for (let i = 0; i < 20; i++) writeFileSync(join(docs, `${i}.txt`), tinyText(400, i));
    writeFileSync(join(docs, "copy.txt"), tinyText(400, 3));
    return {
      ...{ engine, recipe, directory: join(root, name), resume: false, machine: "a test" },
      sources: [{ paths: [docs], weight: 1, textField: "text" }],
      samplePrompt: "the ",
      onEvent: record.record,
    };
  }

  test("everything a run makes", async () => {
    const record = new EventRecord();
    const result = await pretrain(options("whole", record));
    const { directory } = options("whole", record);
    expect(readdirSync(directory).sort()).toEqual([
      ...["best", "checkpoints", "corpus", "metrics.jsonl", "model", "recipe.json", "report.html"],
      "tokenizer.json",
    ]);
    expect(result.corpus.sources[0]!.duplicates).toBe(1);

    // The model is the best one, with the tokenizer it was trained with.
    const loaded = loadModel(result.modelDirectory);
    for (const [path, { data }] of result.bestWeights)
      expect(readWeight(loaded.weights.get(path)!).data).toEqual(data);
    expect(loaded.tokenizer!.hash()).toBe(result.tokenizer.hash());
    expect(readFileSync(join(result.modelDirectory, "README.md"), "utf8")).toContain(
      `| this model, step ${result.best.step} | ${bitsPerByteOf(result.best).toFixed(3)} bits/byte |`,
    );

    // Every byte of held-out text counts, but for those of the first token.
    const validation = record.of("validation").at(-1)!;
    const { bytes, tokens, documents } = result.corpus.sources[0]!.validation;
    const first = result.tokenizer.decode([firstToken(join(directory, "corpus"))]);
    expect(validation.numTokens).toBe(tokens - 1 - (documents - 1));
    const scoredBytes = bytes - Buffer.byteLength(first);
    expect(bitsPerByteOf(validation)).toBeCloseTo(
      (validation.lossNats * validation.numTokens) / Math.log(2) / scoredBytes,
      9,
    );
    expect(bitsPerByteOf(validation)).toBeGreaterThan(bitsPerByteOf(result.baselines[0]));

    expect(record.of("sample").map(({ step, prompt }) => [step, prompt])).toEqual([
      [10, "the "],
      [20, "the "],
    ]);
    const logged = readMetrics(join(directory, "metrics.jsonl")).map(({ time, ...event }) => event);
    const [memory, start, ...rest] = record.events;
    expect(memory).toMatchObject({ type: "notice", message: expect.stringMatching(/^memory: about/) });
    expect(logged).toEqual([start, memory, ...rest]); // a log begins with the start
    const report = readFileSync(result.reportPath, "utf8");
    expect(report).toContain(result.baselines[0].label);
    expect(report).not.toMatch(/https?:\/\/(?!www\.w3\.org)/);
  });

  test("aborted and resumed: the metrics read as of one run, the model is the same to the byte", async () => {
    const straight = await pretrain(options("straight", new EventRecord()));
    const controller = new AbortController();
    const record = new EventRecord();
    const stopped = await pretrain({
      ...options("stopped", record),
      signal: controller.signal,
      onEvent: ({ type, step }) => {
        if (type === "step" && step === 13) controller.abort();
      },
    });
    expect(stopped).toMatchObject({ reason: "stopped", step: 13 });
    expect(existsSync(stopped.modelDirectory)).toBe(false);
    const resumed = await pretrain({ ...options("stopped", record), resume: true });
    expect(resumed.reason).toBe("finished");
    const steps = readMetrics(join(root, "stopped/metrics.jsonl")).filter(({ type }) => type === "step");
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    const weights = [straight, resumed].map(({ modelDirectory }) =>
      readFileSync(join(modelDirectory, "model.safetensors")),
    );
    expect(weights[0]!.equals(weights[1]!)).toBe(true);
  });

  test("a run that died before its first checkpoint begins again where it was", async () => {
    const record = new EventRecord();
    const dying = pretrain({
      ...options("young", record),
      onEvent: ({ type, step }) => {
        if (type === "step" && step === 4) throw new Error("died");
      },
    });
    await expect(dying).rejects.toThrow("died");
    await expect(pretrain({ ...options("young", record), resume: true })).rejects.toThrow(ConfigError);
    expect((await pretrain(options("young", record))).step).toBe(20);
  });

  test("a prompt that fills the context is refused before training", async () => {
    const record = new EventRecord();
    const long = { ...options("prompt", record), samplePrompt: "0123456789 ".repeat(9) };
    await expect(pretrain(long)).rejects.toThrow(
      "prompt: expected fewer tokens than the context of 16, got ",
    );
    expect(record.events).toEqual([]);
  });

  test("a source without text is refused", async () => {
    const record = new EventRecord();
    const sources = [{ paths: [join(root, "empty.txt")], weight: 1, textField: "text" }];
    await expect(pretrain({ ...options("none", record), sources })).rejects.toThrow(DataError);
    expect(existsSync(join(root, "none"))).toBe(false);
  });
});

function firstToken(corpus: string): number {
  return new Uint16Array(
    new Uint8Array(readFileSync(join(corpus, "source-0-validation-00000.bin"))).buffer,
  )[0]!;
}
