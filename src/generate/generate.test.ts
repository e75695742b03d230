import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ByteDecoding } from "../codecs/byte-decoder.ts";
import type { Tokenizer } from "../codecs/tokenizer.ts";
import { END_OF_TEXT } from "../codecs/tokenizer-json.ts";
import { hostTensor } from "../core/dtype.ts";
import { ConfigError, DataError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { loadModel } from "../models/load-model.ts";
import { input } from "../tensor/tensor.ts";
import { Decoder } from "./decoder.ts";
import { type GenerateOptions, generate, generateBatch, stream } from "./generate.ts";
import { sampleToken } from "./sampling.ts";
import { type SamplingOptions, samplingOptions } from "./sampling-options.ts";
import type { GenerateEvent } from "./sequence.ts";

const FIXTURES = new URL("../../test/fixtures/gpt2/", import.meta.url).pathname;
const engine = new Engine();
const GREEDY = { temperature: 0 };

describe.each(["prefixed", "bare"])("golden checkpoint %s", (name) => {
  const golden = JSON.parse(readFileSync(`${FIXTURES}${name}/golden.json`, "utf8"));
  const { prompt, continuation } = golden.greedy as { prompt: number[]; continuation: number[] };
  const { model, weights } = loadModel(`${FIXTURES}${name}`);
  const T = model.shape.contextLength;
  let decoder: Decoder;
  let uncached: Program;

  beforeAll(() => {
    decoder = new Decoder(engine, model, weights);
    const hidden = model.hidden(input("tokens", "int32", [1, T]));
    uncached = engine.compile("uncached", { logits: model.logits(hidden) }, { constants: weights });
  });
  afterAll(() => {
    decoder.dispose();
    uncached.dispose();
  });

  /** The same by running the whole sequence anew for every token. */
  async function generateUncached(sampling: SamplingOptions, count: number): Promise<number[]> {
    const random = new Random(sampling.seed);
    const V = model.shape.vocabularySize;
    const tokens = [...prompt];
    for (let i = 0; i < count; i++) {
      const padded = Int32Array.from({ length: T }, (_, t) => tokens[t] ?? 0);
      const { logits } = await uncached.run({ tokens: hostTensor("int32", [1, T], padded) });
      const row = (logits!.data as Float32Array).subarray((tokens.length - 1) * V, tokens.length * V);
      tokens.push(sampleToken(row, tokens, sampling, random));
    }
    return tokens.slice(prompt.length);
  }

  test("greedy continuation is that of Python transformers", async () => {
    const result = await generate({ decoder, tokens: prompt, maxTokens: 20, sampling: GREEDY });
    expect(result).toMatchObject({
      text: "",
      tokens: continuation,
      finishReason: "length",
      usage: { promptTokens: prompt.length, completionTokens: 20 },
    });
    expect(result.timings.prefillMs).toBeGreaterThan(0);
    expect(result.timings.tokensPerSecond).toBeCloseTo(19_000 / result.timings.decodeMs, 6);
    expect(JSON.parse(JSON.stringify(result)).timings).toEqual(result.timings);
  });

  test.each([
    { temperature: 1, seed: 1 },
    { temperature: 1.2, topK: 12, seed: 2 },
    { temperature: 0.8, topP: 0.9, minP: 0.02, repetitionPenalty: 1.3, seed: 3 },
    { temperature: 0, repetitionPenalty: 1.7 },
  ])("token for token as without a cache: %j", async (given) => {
    const expected = await generateUncached(samplingOptions(given), T - prompt.length + 1);
    const found = await generate({ decoder, tokens: prompt, sampling: given });
    expect(found.tokens).toEqual(expected);
    expect(found.finishReason).toBe("length");
  });

  test("a seed repeats its text, another one does not", async () => {
    const run = async (seed: number) =>
      (await generate({ decoder, tokens: prompt, sampling: { seed } })).tokens;
    const first = await run(7);
    expect(await run(7)).toEqual(first);
    expect(await run(8)).not.toEqual(first);
  });

  test("log-probabilities are those of the unfiltered scores", async () => {
    const options = { decoder, tokens: prompt, maxTokens: 3, sampling: GREEDY, logprobs: true };
    const { tokens, logprobs } = await generate(options);
    const padded = Int32Array.from({ length: T }, (_, t) => [...prompt, ...tokens][t] ?? 0);
    const { logits } = await uncached.run({ tokens: hostTensor("int32", [1, T], padded) });
    const V = model.shape.vocabularySize;
    tokens.forEach((token, i) => {
      const at = (prompt.length - 1 + i) * V;
      const row = Array.from((logits!.data as Float32Array).subarray(at, at + V));
      const total = row.reduce((sum, score) => sum + Math.exp(score), 0);
      expect(logprobs![i]).toBeCloseTo(Math.log(Math.exp(row[token]!) / total), 4);
    });
  });

  test("a stop token ends the text and is not part of it", async () => {
    const at = continuation.findIndex((token, i) => i > 0 && !continuation.slice(0, i).includes(token));
    const stopTokens = [continuation[at]!];
    const result = await generate({ decoder, tokens: prompt, maxTokens: 20, sampling: GREEDY, stopTokens });
    expect(result).toMatchObject({ tokens: continuation.slice(0, at), finishReason: "stop" });
  });

  test("reusing the cache reads only what is new and continues alike", async () => {
    const options = { decoder, maxTokens: 4, sampling: GREEDY };
    await generate({ ...options, tokens: prompt });
    const longer = [...prompt, ...continuation.slice(0, 3)];
    const reused = await generate({ ...options, tokens: longer, reuseCache: true });
    expect(reused.tokens).toEqual(continuation.slice(3, 7));
    const again = await generate({ ...options, tokens: prompt, reuseCache: true });
    expect(again.tokens).toEqual(continuation.slice(0, 4));
  });
});

// A model that says what it is told to: whatever comes before, the token after place t is script[t]. One-hot position
// vectors outweigh the token's own; without arithmetic in between, the tied head reads them back.

const V = 32;
const T = 40;

async function withScript<R>(script: readonly number[], use: (decoder: Decoder) => Promise<R>): Promise<R> {
  const model = new Gpt2(
    gpt2Config({ vocabularySize: V, contextLength: T, width: V, numLayers: 1, numHeads: 1 }),
  );
  const weights = new Map(
    model.parameters.map(({ path, shape }) => {
      const data = new Float32Array(shape.reduce((n, size) => n * size, 1));
      if (path === "wte.weight") for (let i = 0; i < V; i++) data[i * V + i] = 1;
      if (path === "wpe.weight") for (const [t, id] of script.entries()) data[t * V + id] = 100;
      if (path === "ln_f.weight") data.fill(10);
      return [path, hostTensor("float32", shape, data)] as const;
    }),
  );
  const decoder = new Decoder(engine, model, weights);
  try {
    return await use(decoder);
  } finally {
    decoder.dispose();
  }
}

/** A tokenizer of the given texts, bytes (as numbers) or, for an empty text, a special token. */
function tokenizerOf(pieces: readonly (string | readonly number[])[], endOfTextId?: number): Tokenizer {
  const bytes = pieces.map((piece) =>
    typeof piece === "string" ? new TextEncoder().encode(piece) : Uint8Array.from(piece),
  );
  const notNeeded = (): never => {
    throw new Error("not needed");
  };
  return {
    kind: "BPE",
    vocabularySize: pieces.length,
    specials: {},
    specialIds: new Set(),
    encodeMarked: notNeeded,
    encodeInput: (text) => {
      const ids = Uint32Array.from(text, (letter) => pieces.indexOf(letter));
      const none = new Uint8Array(ids.length);
      return { ids, segmentIds: none, offsets: [], specialMask: none, sources: new Int8Array(ids.length) };
    },
    encodeWindows: notNeeded,
    tokenText: notNeeded,
    idOf: notNeeded,
    startDecoding: () => new ByteDecoding((id) => bytes[id]!),
    get endOfTextId() {
      if (endOfTextId !== undefined) return endOfTextId;
      throw new DataError({ where: "tokenizer", expected: END_OF_TEXT, got: "none" });
    },
    encode: (text) => Uint32Array.from(text, (letter) => pieces.indexOf(letter)),
    decode: (ids) => new TextDecoder().decode(Buffer.concat(Array.from(ids, (id) => bytes[id]!))),
    tokenBytes: (id) => bytes[id]!,
    toJSON: notNeeded,
    hash: () => "",
  };
}

const letters = tokenizerOf(["", ..."abcdefghijklmnop"], 0);
const idsOf = (text: string) => [...letters.encode(text)];

async function say(script: readonly number[], options: Omit<GenerateOptions, "decoder">) {
  return withScript(script, async (decoder) => {
    const texts: string[] = [];
    const tokens: number[] = [];
    const result = await generate({
      decoder,
      sampling: GREEDY,
      maxTokens: script.length,
      ...options,
      onText: (text) => texts.push(text),
      onToken: (token) => tokens.push(token),
    });
    expect(texts.join("")).toBe(result.text);
    expect(texts).not.toContain("");
    expect(tokens).toEqual(result.tokens);
    return { ...result, texts };
  });
}

describe("text", () => {
  const plain = { tokenizer: letters, prompt: "a" };

  test("comes piece by piece, up to end of text", async () => {
    const said = await say([...idsOf("bcd"), 0, ...idsOf("ef")], plain);
    expect(said).toMatchObject({ text: "bcd", texts: ["b", "c", "d"], finishReason: "stop" });
    expect(said.usage).toEqual({ promptTokens: 1, completionTokens: 3 });
  });

  test("an empty prompt starts from end of text", async () => {
    const said = await say(idsOf("bc"), { tokenizer: letters, prompt: "" });
    expect(said).toMatchObject({ text: "bc", finishReason: "length", usage: { promptTokens: 1 } });
  });

  test("stop strings span tokens and do not get out", async () => {
    const said = await say(idsOf("bcdefg"), { ...plain, stop: ["ef", "zz"] });
    expect(said).toMatchObject({ text: "bcd", texts: ["b", "c", "d"], finishReason: "stop" });
    expect(said.tokens).toEqual(idsOf("bcdef"));
  });

  test("the beginning of a stop string is held back, and comes when it is none", async () => {
    const said = await say(idsOf("bcdcde"), { ...plain, stop: ["cdef"] });
    expect(said).toMatchObject({ text: "bcdcde", texts: ["b", "cd", "cde"], finishReason: "length" });
  });

  test("characters are never split", async () => {
    const tokenizer = tokenizerOf(["", "a", [0xc3], [0xa9], [0xf0, 0x9f], [0x98], [0x80], "!", [0xff]], 0);
    const said = await say([2, 3, 4, 5, 6, 7], { tokenizer, prompt: "a" });
    expect(said).toMatchObject({ text: "é😀!", texts: ["é", "😀", "!"] });
    const broken = await say([2, 7, 8, 4], { tokenizer, prompt: "a" });
    expect(broken.texts).toEqual(["\ufffd!", "\ufffd", "\ufffd"]);
    expect(broken.text).toBe(tokenizer.decode([2, 7, 8, 4]));
  });

  test("a stop string may begin inside a token", async () => {
    const tokenizer = tokenizerOf(["", "a", "one.", "\n\nU", "ser:", " x"], 0);
    const said = await say([2, 3, 4, 5], { tokenizer, prompt: "a", stop: ["\nUser:"] });
    expect(said).toMatchObject({ text: "one.\n", texts: ["one.", "\n"], finishReason: "stop" });
  });

  test("ids that the tokenizer does not know are never drawn", async () => {
    const tokenizer = tokenizerOf(["", "a", "b"], 0);
    const said = await say([20, 2, 31], { tokenizer, prompt: "a", sampling: { temperature: 5 } });
    expect(said.tokens.every((id) => id < 3)).toBe(true);
  });

  test("without maxTokens: what the context has room for, at most 256", async () => {
    const script = Array.from({ length: T }, () => 2);
    const said = await say(script, { ...plain, maxTokens: undefined });
    expect(said).toMatchObject({ finishReason: "length", usage: { completionTokens: T } });
  });
});

describe("stopping from outside", () => {
  test("an abort ends the text after the token under way", async () => {
    const abort = new AbortController();
    const script = Array.from({ length: 20 }, () => 2);
    const result = await withScript(script, (decoder) =>
      generate({
        decoder,
        tokenizer: letters,
        prompt: "a",
        sampling: GREEDY,
        signal: abort.signal,
        onToken: () => abort.abort(),
      }),
    );
    expect(result).toMatchObject({ text: "b", tokens: [2], finishReason: "aborted" });
  });

  test("an abort before the start yields nothing", async () => {
    const result = await withScript([2], (decoder) =>
      generate({ decoder, tokens: [1], signal: AbortSignal.abort() }),
    );
    expect(result).toMatchObject({ tokens: [], finishReason: "aborted", timings: { tokensPerSecond: 0 } });
  });

  test("leaving the loop ends the stream, and the decoder can be used again", async () => {
    const events: GenerateEvent[] = [];
    await withScript(idsOf("bcdef"), async (decoder) => {
      const options = { decoder, tokenizer: letters, prompt: "a", maxTokens: 5, sampling: GREEDY };
      for await (const event of stream(options)) {
        events.push(event);
        if (events.length === 4) break;
      }
      expect((await generate(options)).text).toBe("bcdef");
    });
    expect(events).toEqual([
      { type: "token", token: 2 },
      { type: "text", text: "b" },
      { type: "token", token: 3 },
      { type: "text", text: "c" },
    ]);
  });

  test("the event loop stays live between tokens", async () => {
    const { model, weights } = loadModel(`${FIXTURES}prefixed`);
    const decoder = new Decoder(engine, model, weights);
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 1);
    // Without turns between tokens no timer would ever fire, however long it takes.
    for (let i = 0; i < 2000 && turns <= 10; i++) await generate({ decoder, tokens: [1] });
    clearInterval(timer);
    decoder.dispose();
    expect(turns).toBeGreaterThan(10);
  });
});

describe("bad input", () => {
  const { model, weights } = loadModel(`${FIXTURES}prefixed`); // context 32, vocabulary 97
  let decoder: Decoder;
  beforeAll(() => {
    decoder = new Decoder(engine, model, weights);
  });
  afterAll(() => decoder.dispose());

  const noEnd = tokenizerOf(["a", "b"]);
  const thirty = Array.from({ length: 30 }, () => 1);
  test.each<[string, Omit<GenerateOptions, "decoder">, string]>([
    ["no prompt", {}, "prompt: expected either a text or token ids, got neither."],
    ["two prompts", { prompt: "a", tokens: [1], tokenizer: letters }, "got both."],
    [
      "a text without a tokenizer",
      { prompt: "a" },
      "prompt: expected a model with a tokenizer, got one without. Give the prompt as token ids.",
    ],
    [
      "stop strings without a tokenizer",
      { tokens: [1], stop: ["x"] },
      "stop: expected a model with a tokenizer, got one without.",
    ],
    [
      "an empty stop string",
      { prompt: "a", tokenizer: letters, stop: [""] },
      "stop: expected texts to stop at",
    ],
    ["maxTokens 0", { tokens: [1], maxTokens: 0 }, "generate.maxTokens: expected an integer ≥ 1, got 0."],
    ["temperature below 0", { tokens: [1], sampling: { temperature: -1 } }, "sampling.temperature"],
    ["topP above 1", { tokens: [1], sampling: { topP: 1.5 } }, "sampling.topP"],
    [
      "maxTokens beyond the context",
      { tokens: thirty, maxTokens: 4 },
      "maxTokens: expected at most 3 after a prompt of 30 tokens in a context of 32, got 4.",
    ],
    [
      "a prompt longer than the context",
      { tokens: [...thirty, 1, 1, 1] },
      "prompt: expected at most 32 tokens, the size of the context, got 33.",
    ],
  ])("%s", async (_, options, message) => {
    const failure = generate({ decoder, ...options });
    await expect(failure).rejects.toThrow(ConfigError);
    await expect(failure).rejects.toThrow(message);
  });

  test.each<[string, Omit<GenerateOptions, "decoder">, string]>([
    [
      "an empty prompt and no end of text",
      { prompt: "", tokenizer: noEnd },
      "prompt: expected at least one token",
    ],
    ["no tokens at all", { tokens: [] }, "prompt: expected at least one token"],
    [
      "a token out of range",
      { tokens: [1, 97] },
      "token 1: expected an id in [0, 97), the model's vocabulary, got 97.",
    ],
    [
      "a negative token",
      { tokens: [-1] },
      "token 0: expected an id in [0, 97), the model's vocabulary, got -1.",
    ],
  ])("%s", async (_, options, message) => {
    const failure = generate({ decoder, ...options });
    await expect(failure).rejects.toThrow(DataError);
    await expect(failure).rejects.toThrow(message);
  });
});

describe("several texts side by side", () => {
  const { model, weights } = loadModel(`${FIXTURES}prefixed`);
  const random = new Random(5);
  const prompts = [3, 9, 1, 14, 9].map((length) => Array.from({ length }, () => random.integer(97)));
  const options = { maxTokens: 12, logprobs: true, sampling: { temperature: 0.9, topK: 30, seed: 4 } };
  const single = new Decoder(engine, model, weights);
  afterAll(() => single.dispose());

  test.each([1, 2, 3, 5, 8])("in %d rows, each is what its prompt gets alone", async (rows) => {
    const decoder = new Decoder(engine, model, weights, { rows });
    const found = await generateBatch({ ...options, decoder, prompts });
    decoder.dispose();
    for (const [i, [result]] of found.entries()) {
      const alone = await generate({ ...options, decoder: single, tokens: prompts[i]! });
      expect(result!.tokens).toEqual(alone.tokens);
      expect(result!.finishReason).toBe(alone.finishReason);
      result!.logprobs!.forEach((logprob, t) => {
        expect(logprob).toBeCloseTo(alone.logprobs![t]!, 4);
      });
    }
  });

  test("each prompt draws by a seed of its own where there are some", async () => {
    const decoder = new Decoder(engine, model, weights, { rows: 2 });
    const three = prompts.slice(0, 3);
    const drawn = { ...options, sampling: { temperature: 1 } };
    const found = await generateBatch({ ...drawn, decoder, prompts: three, seeds: [5, 6, 7] });
    for (const [i, [result]] of found.entries()) {
      const sampling = { temperature: 1, seed: 5 + i };
      const alone = await generate({ ...drawn, decoder: single, tokens: three[i]!, sampling });
      expect(result!.tokens).toEqual(alone.tokens);
    }
    await expect(generateBatch({ ...drawn, decoder, prompts: three, seeds: [5] })).rejects.toThrow(
      /seeds: expected one for each of 3 prompts, got 1/,
    );
    decoder.dispose();
  });

  test("texts that end at different times make room for others", async () => {
    const decoder = new Decoder(engine, model, weights, { rows: 2 });
    const alone = await Promise.resolve(generate({ ...options, decoder: single, tokens: prompts[0]! }));
    const stopTokens = [alone.tokens[4]!];
    const found = await generateBatch({ ...options, decoder, prompts, stopTokens });
    for (const [i, [result]] of found.entries()) {
      const expected = await generate({ ...options, decoder: single, tokens: prompts[i]!, stopTokens });
      expect(result!.tokens).toEqual(expected.tokens);
    }
    expect(found[0]![0]).toMatchObject({ finishReason: "stop" });
    decoder.dispose();
  });

  test("several samples of a prompt differ, and the first is the single one", async () => {
    for (const rows of [1, 2, 4]) {
      const decoder = new Decoder(engine, model, weights, { rows });
      const told = new Set<string>();
      const onEvent = (event: GenerateEvent, prompt: number, sample: number) =>
        told.add(`${event.type} ${prompt} ${sample}`);
      const found = await generateBatch({
        ...options,
        decoder,
        prompts: prompts.slice(0, 2),
        numSamples: 4,
        onEvent,
      });
      decoder.dispose();
      const alone = await generate({ ...options, decoder: single, tokens: prompts[1]! });
      expect(found[1]![0]!.tokens).toEqual(alone.tokens);
      expect(new Set(found.flat().map(({ tokens }) => tokens.join())).size).toBe(8);
      expect(told.size).toBe(8);
    }
  });

  test("a prompt takes over what another row has read of the same beginning", async () => {
    const decoder = new Decoder(engine, model, weights, { rows: 2 });
    const begin = prompts[3]!;
    await decoder.prefill(begin, { row: 1 });
    const tokens = [...begin.slice(0, 11), 5, 6];
    const result = await generate({ ...options, decoder, tokens, reuseCache: true });
    const alone = await generate({ ...options, decoder: single, tokens });
    expect(result.tokens).toEqual(alone.tokens);
    expect(decoder.tokens(1)).toEqual(begin);
    decoder.dispose();
  });

  test("an abort ends all of them", async () => {
    const decoder = new Decoder(engine, model, weights, { rows: 2 });
    const abort = new AbortController();
    const onEvent = () => abort.abort();
    const found = await generateBatch({ ...options, decoder, prompts, onEvent, signal: abort.signal });
    expect(found.map(([result]) => result!.finishReason)).toEqual(Array(5).fill("aborted"));
    expect(found.map(([result]) => result!.tokens.length)).toEqual([1, 0, 0, 0, 0]);
    decoder.dispose();
  });

  test.each([0, 1.5, -1])("numSamples %d", async (numSamples) => {
    const asking = generateBatch({ ...options, decoder: single, prompts, numSamples });
    await expect(asking).rejects.toThrow(`numSamples: expected an integer ≥ 1, got ${numSamples}.`);
  });

  test("rows below 1", () => {
    expect(() => new Decoder(engine, model, weights, { rows: 0 })).toThrow(
      "decoder.rows: expected an integer in",
    );
  });
});
