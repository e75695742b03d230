import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { loadTokenizer } from "../codecs/tokenizer.ts";
import { Random } from "../core/random.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { saveModel } from "../models/save-model.ts";
import { initializeParameters } from "../nn/scope.ts";
import { makeFakeStream } from "./fake-stream.ts";
import { runCli } from "./run-cli.ts";
import { VERBS } from "./verbs.ts";

const FIXTURES = new URL("../../test/fixtures/", import.meta.url).pathname;
const BARE = `${FIXTURES}gpt2/bare`; // no tokenizer

let root: string;
let model: string;
let schema: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-sampling-"));
  const tokenizer = loadTokenizer(`${FIXTURES}tokenizer/byte-bpe`);
  const { vocabularySize } = tokenizer;
  const network = new Gpt2(
    gpt2Config({ vocabularySize, contextLength: 48, width: 16, numLayers: 1, numHeads: 2 }),
  );
  model = join(root, "model");
  saveModel(model, {
    model: network,
    weights: initializeParameters(network.parameters, new Random(1)),
    tokenizer,
    card: "# A test\n",
  });
  schema = join(root, "schema.json");
  const properties = { size: { enum: ["S", "L"] }, count: { type: "integer", minimum: 1, maximum: 20 } };
  writeFileSync(schema, JSON.stringify({ type: "object", properties, required: ["size", "count"] }));
});
afterAll(() => rmSync(root, { recursive: true }));

async function plinth(...words: string[]) {
  const stdout = makeFakeStream();
  const stderr = makeFakeStream();
  const host = { stdout: stdout.stream, stderr: stderr.stream, env: {}, verbs: VERBS };
  const code = await runCli(["generate", ...words], { ...host, signal: new AbortController().signal });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

async function json(...words: string[]) {
  const { code, stdout, stderr } = await plinth(model, "--prompt", "a", "--json", ...words);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as { text: string; tokens: number[]; finishReason: string };
}

describe("the form of the text", () => {
  test.each([1, 2, 3])("seed %i: JSON under a schema", async (seed) => {
    const { text, finishReason } = await json("--schema", schema, "--seed", `${seed}`, "--temperature", "5");
    expect(text).toMatch(/^\{"size":"[SL]","count":([1-9]|1\d|20)\}$/);
    expect(finishReason).toBe("stop");
  });

  test.each([
    [["--regex", "[0-9]{3}-[a-c]+", "--max-tokens", "12"], /^[0-9]{3}-[a-c]+$/],
    [["--choice", "left", "right", "straight on"], /^(left|right|straight on)$/],
    [["--json-output", "--json-spacing", "free", "--max-tokens", "30"], /^/],
  ])("%j", async (words, expected) => {
    const { text } = await json(...words, "--temperature", "2");
    expect(text).toMatch(expected);
    if (words[0] === "--json-output") expect(() => JSON.parse(text)).not.toThrow();
  });

  test("several texts side by side, and beams, keep to it", async () => {
    const { stdout } = await plinth(model, "--prompt", "a", "--regex", "[xy]{4}", "--samples", "3", "--json");
    const texts = [...stdout.matchAll(/"text":"([^"]*)"/g)].map(([, text]) => text);
    expect(texts).toHaveLength(3);
    for (const text of texts) expect(text).toMatch(/^[xy]{4}$/);
    const beams = await plinth(model, "--prompt", "a", "--choice", "uno", "dos", "--beams", "2", "--json");
    expect(beams.stdout).toMatch(/"text":"(uno|dos)"/);
  });
});

describe("how tokens are drawn", () => {
  test("a bias decides, a ban forbids, a penalty drives on", async () => {
    const biased = await json("--logit-bias", "5=1000", "--max-tokens", "4", "--temperature", "0");
    expect(biased.tokens).toEqual([5, 5, 5, 5]);
    const varied = await json(
      "--logit-bias",
      "5=1000",
      "6=999",
      "--no-repeat-ngram",
      "1",
      "--max-tokens",
      "2",
      "--temperature",
      "0",
    );
    expect(varied.tokens).toEqual([5, 6]);
    const banned = await json(
      "--logit-bias",
      "5=1000",
      "6=999",
      "--suppress-tokens",
      "5",
      "--max-tokens",
      "2",
      "--temperature",
      "0",
    );
    expect(banned.tokens).toEqual([6, 6]);
    const penalized = await json(
      "--logit-bias",
      "5=1000",
      "6=999",
      "--presence-penalty",
      "2",
      "--max-tokens",
      "3",
      "--temperature",
      "0",
    );
    expect(penalized.tokens).toEqual([5, 6, 5]);
  });

  test("words that are banned do not come", async () => {
    const { text } = await json("--bad-words", "left", "--choice", "left", "right", "--max-tokens", "20");
    expect(text).toBe("right");
  });
});

test.each<[string, () => string[], string]>([
  [
    "two forms",
    () => [model, "--regex", "a", "--choice", "b"],
    "--choice: expected one form of text, got also --regex.",
  ],
  [
    "no tokenizer",
    () => [BARE, "--tokens", "1", "--regex", "a"],
    "--regex: expected a model with a tokenizer",
  ],
  [
    "no schema file",
    () => [model, "--schema", "nope.json"],
    "--schema: expected a readable file with a JSON Schema",
  ],
  [
    "stop strings",
    () => [model, "--json-output", "--stop", "x"],
    "stop: expected no text to stop at where a constraint says what the text is",
  ],
  [
    "a pattern that is none",
    () => [model, "--regex", "("],
    'regex, at position 1: expected ")", got the end.',
  ],
  [
    "a bias for a word",
    () => [model, "--logit-bias", "x=1"],
    "sampling.logitBias: expected numbers by token id",
  ],
  [
    "a token that is not there",
    () => [model, "--suppress-tokens", "99999"],
    "sampling.suppressTokens: expected token ids in [0,",
  ],
  [
    "a penalty out of range",
    () => [model, "--frequency-penalty", "3"],
    '--frequency-penalty: expected a number in [-2, 2], got "3".',
  ],
  [
    "a share of nothing",
    () => [model, "--typical-p", "0"],
    "sampling.typicalP: expected a number above 0 and at most 1",
  ],
])("%s", async (_, words, message) => {
  const given = words();
  const prompt = given[0] === model ? ["--prompt", "a"] : [];
  const { code, stdout, stderr } = await plinth(...given, ...prompt);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain(message);
});

describe("a model that says how it is meant to write", () => {
  const write = (text: object) => writeFileSync(join(model, "generation_config.json"), JSON.stringify(text));
  const plain = () => json("--seed", "3", "--max-tokens", "12");
  let published = "";
  beforeAll(() => {
    published = readFileSync(join(model, "generation_config.json"), "utf8");
  });
  afterEach(() => writeFileSync(join(model, "generation_config.json"), published));

  test("is followed where no flag says otherwise", async () => {
    const asDefault = await plain();
    const likeliest = await json("--seed", "3", "--max-tokens", "12", "--top-k", "1");
    expect(likeliest.tokens).not.toEqual(asDefault.tokens);
    write({ do_sample: true, top_k: 1 });
    expect((await plain()).tokens).toEqual(likeliest.tokens);
    write({ do_sample: true, temperature: 5 });
    const hot = await json("--seed", "3", "--max-tokens", "12", "--temperature", "5");
    expect((await plain()).tokens).toEqual(hot.tokens);
    expect(hot.tokens).not.toEqual(asDefault.tokens);
  });

  test("flags win over it", async () => {
    const asDefault = await plain();
    write({ do_sample: true, top_k: 1, temperature: 5, suppress_tokens: [asDefault.tokens[0]] });
    const flags = ["--top-k", "0", "--temperature", "0.8"];
    expect((await json("--seed", "3", "--max-tokens", "1", ...flags)).tokens).not.toEqual([
      asDefault.tokens[0],
    ]);
    write({ do_sample: true, top_k: 1, temperature: 5 });
    expect((await json("--seed", "3", "--max-tokens", "12", ...flags)).tokens).toEqual(asDefault.tokens);
  });

  test("what is out of range in its file is refused in one line", async () => {
    write({ do_sample: true, temperature: -1 });
    const { code, stderr } = await plinth(model, "--prompt", "a");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^plinth: sampling\.temperature: expected .*, got -1\b.*\n$/);
  });
});
