import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadAdapter } from "../src/adapt/peft/adapter-file.ts";
import { loadClassifier, loadEncoder, loadModel } from "../src/models/load-model.ts";
import { type AdaptOptions, adapt } from "../src/recipes/adapt/adapt.ts";
import { readTargets } from "../src/recipes/adapt/methods.ts";
import { parseGrid, runSweep } from "../src/recipes/adapt/sweep.ts";
import { plinth, plinthFailure } from "./command-line.ts";
import { LETTERS, saveTinyBase, tinyWords, writeRows } from "./tiny-base.ts";
import { checkpointDigests, EventRecord, engine } from "./tiny-run.ts";

const ENCODER = join(import.meta.dirname, "fixtures/encoder-tasks/fill");
let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-adapt-"));
  saveTinyBase(join(root, "base"));
  const words = tinyWords(120);
  write(
    "copy.jsonl",
    words.map((word) => ({ prompt: word, completion: word[0] })),
  );
  write(
    "chat.jsonl",
    words.map((word) => ({
      messages: [
        { role: "user", content: word },
        { role: "assistant", content: word[0] },
      ],
    })),
  );
  write(
    "text.jsonl",
    words.map((word) => ({ text: `the ${word} is ${word}.` })),
  );
  write(
    "kinds.jsonl",
    words.map((word) => ({
      text: word,
      label: word.includes("d") ? "with" : "without",
      value: word.length / 3,
    })),
  );
  write(
    "several.jsonl",
    words.map((word) => ({ text: word, labels: [...new Set(word)].filter((letter) => letter !== "a") })),
  );
  write(
    "tags.jsonl",
    words.map((word) => ({ tokens: [word, "of", word], tags: ["B-X", "O", "O"] })),
  );
  write(
    "answers.jsonl",
    words.map((word) => ({
      question: "which one",
      context: `it is ${word} now`,
      answers: [{ text: word, answer_start: 6 }],
    })),
  );
  write(
    "pairs.jsonl",
    words.map((word) => ({ prompt: word, chosen: "a.", rejected: "b." })),
  );
  write("equal.jsonl", [{ prompt: "a", chosen: "b", rejected: "b" }]);
  write(
    "one-class.jsonl",
    [...LETTERS].map((letter) => ({ text: `${letter} a`, label: "same" })),
  );
  write("unseen.jsonl", [{ text: "b", label: "other" }]);
  write("long.jsonl", [
    { prompt: "a".repeat(100), completion: "b" },
    { prompt: "a", completion: "b" },
    { prompt: "b", completion: "b" },
  ]);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, rows: readonly object[]): void {
  writeRows(join(root, name), rows);
}

/** A run on one of the files. */
function options(name: string, changes: Partial<AdaptOptions> & { file?: string } = {}): AdaptOptions {
  const { file = "copy.jsonl", settings, ...rest } = changes;
  return {
    engine,
    base: join(root, "base"),
    ...{ task: "instruct", method: "lora", directory: join(root, name) },
    data: { training: { paths: [join(root, file)] } },
    ...rest,
    settings: {
      ...settings,
      train: {
        ...{ steps: 8, batchSize: 8, contextLength: 32, learningRate: 1e-2, validateEvery: 4, saveEvery: 4 },
        ...settings?.train,
      },
    },
  };
}

describe("adapt", () => {
  test("instruct by LoRA: learns, and leaves an adapter, a report, predictions and what it cost", async () => {
    const record = new EventRecord();
    const settings = {
      train: { steps: 60, validateEvery: 20 },
      instruct: { maxTokens: 4 },
    };
    const result = await adapt(options("instruct", { settings, onEvent: record.record }));
    expect(result.reason).toBe("finished");
    const [before] = result.baselines;
    expect(before!.label).toBe("before adapting");
    const perplexityOf = (of: unknown) => (of as { value: number }).value;
    expect(perplexityOf(before)).toBeGreaterThan(25); // of 30 characters, which an untrained base finds all alike
    expect(perplexityOf(result.best)).toBeLessThan(15);
    expect(readdirSync(join(root, "instruct")).sort()).toEqual([
      "adapter",
      "best",
      "checkpoints",
      "metrics.jsonl",
      "predictions.jsonl",
      "recipe.json",
      "report.html",
      "tokenizer.json",
    ]);
    const base = loadModel(join(root, "base"));
    const loaded = loadAdapter(result.resultDirectory, base);
    expect(loaded.peftType).toBe("LORA");
    expect(result.costs!.trainedParameters).toBe(
      [...loaded.weights.values()].reduce((sum, { data }) => sum + data.length, 0),
    );
    expect(result.costs!.bytes).toBeLessThan(result.costs!.baseBytes);
    const report = readFileSync(result.reportPath, "utf8");
    for (const part of ["What it cost", "What it got wrong", "before adapting", "lora.<wbr>rank"]) {
      expect(report).toContain(part);
    }
    const predictions = readFileSync(join(root, "instruct/predictions.jsonl"), "utf8").trim().split("\n");
    expect(predictions.length).toBe(12);
    expect(JSON.parse(predictions[0]!)).toHaveProperty("expected");
    expect(readFileSync(join(result.resultDirectory, "README.md"), "utf8")).toContain("Adapted with Plinth");
  });

  test.each(["full", "qlora", "prefix", "prompt", "ia3"])("instruct by %s", async (method) => {
    const result = await adapt(options(`instruct-${method}`, { method }));
    expect(result.best.lossNats).toBeLessThan(3.6); // 30 characters, all alike, cost 3.4 nats
    expect(
      existsSync(join(result.resultDirectory, method === "full" ? "config.json" : "adapter_config.json")),
    ).toBe(true);
    if (method === "full") expect(() => loadModel(result.resultDirectory)).not.toThrow();
    expect(existsSync(join(root, `instruct-${method}`, "base-nf4"))).toBe(method === "qlora");
  });

  test("chat by LoRA with dropout, over a base that has no chat template", async () => {
    const record = new EventRecord();
    const settings = { lora: { dropout: 0.1 }, chat: { maxTokens: 4 }, train: { contextLength: 48 } };
    const result = await adapt(
      options("chat", { task: "chat", file: "chat.jsonl", settings, onEvent: record.record }),
    );
    expect(result.judged).toBeDefined();
    // Beside the adapter too: the base knows of no conversations.
    for (const place of ["chat", "chat/adapter"])
      expect(existsSync(join(root, place, "chat_template.jinja"))).toBe(true);
    expect(
      record
        .of("notice")
        .map(({ message }) => message)
        .join(),
    ).toContain("no chat template");
  });

  test("text goes on: bits per byte fall", async () => {
    const settings = { train: { steps: 30 }, batch: { pack: true } };
    const result = await adapt(
      options("text", { task: "text", method: "full", file: "text.jsonl", settings }),
    );
    const [before] = result.baselines as unknown as readonly { bitsPerByte: number }[];
    expect(before!.bitsPerByte).toBeGreaterThan(4);
    expect((result.best as unknown as { bitsPerByte: number }).bitsPerByte).toBeLessThan(
      before!.bitsPerByte - 0.5,
    );
    expect(result.judged).toBeUndefined();
  });

  test.each([
    ["classify", "kinds.jsonl", "What was taken for what"],
    ["label", "several.jsonl", "What it got wrong"],
    ["regress", "kinds.jsonl", "What it got wrong"],
    ["tag", "tags.jsonl", "What was taken for what"],
    ["answer", "answers.jsonl", "What it got wrong"],
  ])("%s by LoRA on an encoder: an adapter, and a model with the head", async (task, file, part) => {
    const result = await adapt(options(`encoder-${task}`, { task, file, base: ENCODER }));
    expect(readFileSync(result.reportPath, "utf8")).toContain(part);
    expect(result.judged).toBeDefined();
    const { model, weights } = loadEncoder(join(root, `encoder-${task}`, "model"));
    expect(Object.keys(model.heads).length).toBeGreaterThan(0);
    expect(weights.size).toBe(model.parameters.length);
    if (task === "classify") expect(model.heads.sequenceClassifier!.labels).toEqual(["with", "without"]);
  });

  test.each(["lora", "head", "full", "qlora"])("classify by %s on a decoder", async (method) => {
    const settings = { classify: { classWeights: true } };
    const changes = { task: "classify", method, file: "kinds.jsonl", settings };
    const result = await adapt(options(`decoder-${method}`, changes));
    expect(result.baselines.map(({ label }) => label)).toEqual([
      expect.stringMatching(/^always "/),
      "before adapting",
    ]);
    const directory = join(root, `decoder-${method}`, "model");
    expect(existsSync(directory)).toBe(method !== "qlora");
    if (method !== "qlora") expect(loadClassifier(directory).model.labels).toEqual(["with", "without"]);
    expect(result.trainedParameters).toBe(method === "head" ? 2 * 64 : result.trainedParameters);
  });

  test.each([
    ["preference", "lora"],
    ["preference", "full"],
    ["reward", "lora"],
    ["reward", "head"],
  ])("%s by %s: pairs with a rule behind them are told apart", async (task, method) => {
    const settings = { train: { steps: 40, validateEvery: 20 } };
    const result = await adapt(options(`${task}-${method}`, { task, method, file: "pairs.jsonl", settings }));
    expect(result.best).toMatchObject({ metric: "pair accuracy", value: 1 });
    if (task === "reward") {
      expect(loadClassifier(join(root, `${task}-${method}`, "model")).model.labels).toEqual(["reward"]);
    }
  });

  test("grpo: texts are drawn and rewarded by a rule, also after a stop", async () => {
    const grpo = { reward: "pattern", pattern: "^[a-h]", maxTokens: 2, tasksPerRound: 4, numJudged: 12 };
    const train = { steps: 6, batchSize: 32, validateEvery: 3 };
    const changes = { task: "grpo", settings: { grpo, train } };
    const abort = new AbortController();
    const stopped = await adapt(
      options("grpo", {
        ...changes,
        signal: abort.signal,
        onEvent: (event) => event.type === "step" && event.step === 3 && abort.abort(),
      }),
    );
    expect(stopped.reason).toBe("stopped");
    const result = await adapt(options("grpo", { ...changes, resume: true }));
    expect(result).toMatchObject({ reason: "finished", step: 6, best: { metric: "mean reward" } });
    expect(existsSync(join(result.resultDirectory, "adapter_config.json"))).toBe(true);
  });

  test("a run that is stopped and resumed ends with the same bits", async () => {
    const settings = { lora: { dropout: 0.2 } };
    await adapt(options("straight", { settings }));
    const abort = new AbortController();
    const stopped = await adapt(
      options("resumed", {
        settings,
        signal: abort.signal,
        onEvent: (event) => {
          if (event.type === "step" && event.step === 5) abort.abort();
        },
      }),
    );
    expect(stopped.reason).toBe("stopped");
    expect(existsSync(stopped.resultDirectory)).toBe(false);
    const resumed = await adapt(options("resumed", { settings, resume: true }));
    expect(resumed.reason).toBe("finished");
    expect(checkpointDigests(join(root, "resumed"))).toEqual(checkpointDigests(join(root, "straight")));
  });

  test("a sweep runs every combination and marks the best", async () => {
    const grid = parseGrid(["train.learningRate=1e-2,1e-5", "lora.rank=2"]);
    const settings = { train: { steps: 12, minLearningRate: 0 } };
    const entries = await runSweep(options("sweep", { settings }), grid);
    expect(entries.map(({ isBest }) => isBest)).toEqual([true, false]);
    const table = readFileSync(join(root, "sweep/sweep.txt"), "utf8").split("\n");
    expect(table[1]).toMatch(/^\*\s+0\.01\s+2\s/);
    await expect(runSweep(options("sweep-bad"), parseGrid(["lora.rank=2,0"]))).rejects.toThrow("lora.rank");
    expect(existsSync(join(root, "sweep-bad"))).toBe(false);
    expect(() => parseGrid(["rank=2"])).toThrow("section.key=value");
    expect(() => parseGrid(["lora.rank=1,2", "lora.rank=3"])).toThrow("each setting once");
    expect(() => parseGrid(["lora.rank=2,2"])).toThrow("each of its values");
    // A folder in use ends a sweep before its first run.
    const again = runSweep(options("sweep"), parseGrid(["train.learningRate=3e-3,1e-2", "lora.rank=2"]));
    await expect(again).rejects.toThrow("a directory without a run in it");
  });
});

describe("adapt refuses, with one line, and leaves nothing behind", () => {
  const cases: readonly (readonly [string, Parameters<typeof options>[1], string])[] = [
    ["an unknown task", { task: "sing" }, "task: expected one of"],
    ["an unknown method", { method: "lore" }, 'Did you mean "lora"?'],
    [
      "a section of another method",
      { settings: { prefix: { virtualTokens: 3 } } },
      "prefix: expected a section",
    ],
    [
      "an unknown setting",
      { settings: { lora: { rang: 3 } } },
      "lora.rang: expected a known configuration key",
    ],
    ["layers that are not there", { settings: { lora: { targets: "q_proj" } } }, "c_attn"],
    ["a head where there is none", { method: "head" }, "Use lora or full."],
    [
      "examples longer than the context",
      { file: "long.jsonl", settings: { data: { validationShare: 0.4 } } },
      "1 of",
    ],
    ["a column that is not there", { file: "text.jsonl" }, "copy"],
    [
      "a context longer than the base's",
      { settings: { train: { contextLength: 65 } } },
      "at most the base's 64",
    ],
    [
      "a pair of equal sides",
      { task: "preference", file: "equal.jsonl" },
      "equal.jsonl:1 rejected: expected something",
    ],
    ["a method that a task cannot use", { task: "reward", method: "prompt" }, "one that task reward can use"],
    ["a single class", { task: "classify", file: "one-class.jsonl" }, 'got only "same"'],
    ["tags by a decoder", { task: "tag", file: "tags.jsonl" }, "expected an encoder"],
    ["a file that is not there", { file: "none.jsonl" }, "no such file"],
  ];
  test.each(cases)("%s", async (_, changes, message) => {
    const directory = join(root, "refused");
    const run = adapt(options("refused", changes));
    if (message === "copy") await expect(run).rejects.toThrow('expected a column "prompt", got columns text');
    else if (message.startsWith("1 of")) await expect(run).rejects.toThrow(/\d of \d rows are longer/);
    else await expect(run).rejects.toThrow(message);
    expect(existsSync(directory)).toBe(false);
  });

  test("long examples are cut or left out when that is asked for", async () => {
    const settings = { data: { longRows: "drop", validationShare: 0.4 }, train: { steps: 1 } };
    const record = new EventRecord();
    await adapt(options("long", { file: "long.jsonl", settings, onEvent: record.record }));
    expect(
      record
        .of("notice")
        .map(({ message }) => message)
        .join(),
    ).toMatch(/1 longer than 32 tokens were left out/);
  });

  test("labels that training lacks", async () => {
    const data = {
      training: { paths: [join(root, "kinds.jsonl")] },
      validation: { paths: [join(root, "unseen.jsonl")] },
    };
    await expect(adapt(options("refused", { task: "classify", data }))).rejects.toThrow(
      /unseen\.jsonl:1 label: expected one of the 2 labels seen in training, got "other"/,
    );
  });

  test("a full run over a quantised base", async () => {
    const base = join(root, "instruct-qlora/base-nf4");
    await expect(adapt(options("refused", { base, method: "full" }))).rejects.toThrow("Use qlora");
  });

  test("a directory with another run", async () => {
    await expect(adapt(options("straight"))).rejects.toThrow("expected a directory without a run in it");
    await expect(adapt(options("straight", { resume: true }))).rejects.toThrow("as when the run began");
  });
});

describe("plinth adapt", () => {
  const words = (out: string) => [
    ...["adapt", join(root, "base"), "--task", "instruct", "--out", join(root, out), "--threads", "1"],
    ...["--set", "train.steps=4", "train.batchSize=4", "train.contextLength=32", "instruct.maxTokens=2"],
  ];

  test("runs, with fields from other columns and a share held out, and says what came of it", async () => {
    write(
      "other.jsonl",
      [..."abcdefghij"].map((letter) => ({ ask: letter, meta: { answer: letter } })),
    );
    const mapped = ["--field", "prompt=ask", "completion=meta.answer", "--validation", "0.3"];
    const { code, stdout } = await plinth(
      ...words("cli"),
      "--data",
      join(root, "other.jsonl"),
      ...mapped,
      "--json",
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ reason: "finished", step: 4, directory: join(root, "cli/adapter") },
      ...{ baselines: [{ label: "before adapting" }], best: { metric: "perplexity" } },
    });
  });

  test("a sweep prints a table with the best run marked", async () => {
    const data = ["--data", join(root, "copy.jsonl"), "--sweep", "lora.rank=1,2"];
    const { code, stdout } = await plinth(...words("cli-sweep"), ...data);
    expect(code).toBe(0);
    const table = stdout.slice(stdout.lastIndexOf("lora.rank"));
    expect(table.split("\n").filter((line) => line.startsWith("*")).length).toBe(1);
    expect(existsSync(join(root, "cli-sweep/rank=2/adapter"))).toBe(true);
  });

  test("bad input is one line, exit code 1, and nothing written", async () => {
    const data = ["--data", join(root, "copy.jsonl")];
    expect(await plinthFailure(...words("cli-bad"), "--data", join(root, "none.csv"))).toContain(
      "no such file",
    );
    expect(await plinthFailure(...words("cli-bad"), ...data, "--field", "prompt")).toContain("field=column");
    expect(await plinthFailure(...words("cli-bad"), ...data, "--sweep", "rank=1")).toContain(
      "section.key=value",
    );
    expect(await plinthFailure(...words("cli-bad"), ...data, "--validation", "1.5")).toContain(
      "validationShare",
    );
    expect(existsSync(join(root, "cli-bad"))).toBe(false);
  });
});

test("targets as they are written", () => {
  expect(readTargets("all-linear")).toBe("all-linear");
  expect(readTargets("q_proj, v_proj")).toEqual(["q_proj", "v_proj"]);
  expect(readTargets("/h\\.1\\..*/")).toEqual(/h\.1\..*/);
  expect(() => readTargets("/(/")).toThrow("expected a regular expression");
});
