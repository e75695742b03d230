import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { Engine } from "../engine/engine.ts";
import { loadModel } from "../models/load-model.ts";
import { type BeamSearchOptions, beamSearch } from "./beam-search.ts";
import { Decoder } from "./decoder.ts";

// Golden values of tools/golden/beams.py: Python transformers' own search in float64.

const FIXTURES = new URL("../../test/fixtures/", import.meta.url).pathname;
const engine = new Engine();
const { model, weights } = loadModel(`${FIXTURES}gpt2/prefixed`);
const decoders = new Map<number, Decoder>();
afterAll(() => {
  for (const decoder of decoders.values()) decoder.dispose();
});

function decoderOf(rows: number): Decoder {
  const decoder = decoders.get(rows) ?? new Decoder(engine, model, weights, { rows });
  decoders.set(rows, decoder);
  return decoder;
}

interface GoldenCase extends Omit<BeamSearchOptions, "decoder" | "tokens"> {
  readonly prompt: number[] & string;
  readonly beams: number;
  readonly found: readonly { readonly tokens: number[]; readonly score: number }[];
}

const golden = JSON.parse(readFileSync(`${FIXTURES}beams/golden.json`, "utf8")) as { cases: GoldenCase[] };

describe("as Python transformers", () => {
  test.each(golden.cases.map((one) => [JSON.stringify({ ...one, found: undefined }), one] as const))(
    "%s",
    async (_, { prompt, beams, found, ...options }) => {
      const results = await beamSearch({ ...options, decoder: decoderOf(beams), tokens: prompt });
      expect(results.map(({ tokens }) => tokens)).toEqual(found.map(({ tokens }) => tokens));
      results.forEach(({ score }, i) => {
        expect(score).toBeCloseTo(found[i]!.score, 4);
      });
    },
  );

  test("cases end in each way there is", () => {
    const lengths = golden.cases.flatMap(({ found, maxTokens }) =>
      found.map(({ tokens }) => tokens.length - maxTokens!),
    );
    expect(Math.max(...lengths)).toBe(0);
    expect(lengths.filter((length) => length < 0).length).toBeGreaterThan(10);
  });
});

test("one beam is greedy decoding", async () => {
  const gpt2 = JSON.parse(readFileSync(`${FIXTURES}gpt2/prefixed/golden.json`, "utf8"));
  const { prompt, continuation } = gpt2.greedy as { prompt: number[]; continuation: number[] };
  const [found] = await beamSearch({ decoder: decoderOf(1), tokens: prompt, maxTokens: 20 });
  expect(found!.tokens).toEqual(continuation);
  expect(found!.finishReason).toBe("length");
});

test("an abort gives back what there is", async () => {
  const signal = AbortSignal.timeout(0);
  await new Promise((resolve) => setTimeout(resolve, 5));
  const failure = beamSearch({ decoder: decoderOf(3), tokens: [1, 2], maxTokens: 9, signal });
  await expect(failure).rejects.toThrow("timeout");
});

describe("bad input", () => {
  test.each<[Partial<BeamSearchOptions>, string]>([
    [{ numTexts: 4 }, "numTexts: expected an integer in [1, 3], the decoder's rows, got 4."],
    [{ numTexts: 0 }, "numTexts: expected"],
    [{ lengthPenalty: Number.NaN }, "beams.lengthPenalty: expected a number"],
    [{ stopping: "soon" as "never" }, "beams.stopping: expected one of full, likely, never"],
    [{ maxTokens: 31 }, "maxTokens: expected at most"],
  ])("%j", async (options, message) => {
    const failure = beamSearch({ decoder: decoderOf(3), tokens: [1, 2, 3], maxTokens: 3, ...options });
    await expect(failure).rejects.toThrow(message);
  });
});
