import { afterAll, describe, expect, test } from "vitest";
import { type HostTensor, hostTensor, numElements } from "../core/dtype.ts";
import { Random } from "../core/random.ts";
import type { NdArray } from "../tensor/nd-array.ts";
import type { CachedAttentionAttributes } from "../tensor/ops/cached-attention.ts";
import { input } from "../tensor/tensor.ts";
import { Engine } from "./engine.ts";
import { interpret, toNdArray } from "./interpreter.ts";
import type { Program } from "./program.ts";

// B batch · H query heads · G key/value heads · T new tokens · S tokens so far · M capacity · D head width

const [H, G, D, M] = [4, 2, 8, 16];
const SCALE = 0.35;
const TOLERANCE = 1e-5;

const engine = new Engine({ threads: 1 });
const programs: Program[] = [];
afterAll(() => {
  for (const program of programs) program.dispose();
});

const random = new Random(3);
const normals = (...shape: number[]) =>
  hostTensor(
    "float32",
    shape,
    Float32Array.from({ length: numElements(shape) }, () => random.normal()),
  );
const int32 = (...values: number[]) => hostTensor("int32", [values.length], Int32Array.from(values));

interface Tokens {
  readonly q: HostTensor;
  readonly k: HostTensor;
  readonly v: HostTensor;
}

const drawTokens = (B: number, T: number): Tokens => ({
  q: normals(B, T, H * D),
  k: normals(B, T, G * D),
  v: normals(B, T, G * D),
});

/** The first T tokens of one row. */
function rowOf(tokens: Tokens, row: number, T: number): Tokens {
  const cut = ({ shape: [, all, width], data }: HostTensor) => {
    const start = row * all! * width!;
    return hostTensor("float32", [1, T, width!], data.slice(start, start + T * width!));
  };
  return { q: cut(tokens.q), k: cut(tokens.k), v: cut(tokens.v) };
}

/** A decoder's attention with its cache extended in place, and beside it everything it has been given. */
class Decoder {
  readonly #program: Program;
  readonly #attributes: CachedAttentionAttributes;
  readonly #given: Tokens[] = [];
  readonly #batch: number;

  constructor(batch: number, window?: number) {
    this.#batch = batch;
    this.#attributes = {
      numHeads: H,
      numKeyValueHeads: G,
      scale: SCALE,
      ...(window !== undefined && { window }),
    };
    const token = (name: string, width: number) => input(name, "float32", [batch, "tokens", width]);
    const cache = (name: string) => input(name, "float32", [batch, G, M, D]);
    const results = token("q", H * D).cachedAttention(
      {
        key: token("k", G * D),
        value: token("v", G * D),
        pastKey: cache("pastKey"),
        pastValue: cache("pastValue"),
        lengths: input("lengths", "int32", [batch]),
        totalLength: input("total", "int32", [1]),
      },
      this.#attributes,
    );
    this.#program = engine.compile("decoder", {
      y: results.result,
      presentKey: results.presentKey,
      presentValue: results.presentValue,
    });
    programs.push(this.#program);
    for (const part of ["Key", "Value"]) {
      // What lies in the cache before must not matter.
      const memory = hostTensor("float32", [batch, G, M, D], new Float32Array(batch * G * M * D).fill(7));
      this.#program.bind(`past${part}`, memory);
      this.#program.bind(`present${part}`, memory);
    }
  }

  /** Result for more tokens, drawn unless given. */
  async step(T: number, lengths: readonly number[], tokens = drawTokens(this.#batch, T)): Promise<NdArray> {
    this.#given.push(tokens);
    return this.run(tokens, lengths, Math.max(...lengths) + 1);
  }

  async run(tokens: Tokens, lengths: readonly number[], total: number): Promise<NdArray> {
    const { y } = await this.#program.run({ ...tokens, lengths: int32(...lengths), total: int32(total) });
    return toNdArray(y!);
  }

  /** What attention without a cache gives for the last T tokens, in float64. Rows must be equally long. */
  uncached(T: number): NdArray {
    const B = this.#batch;
    const whole = (name: "q" | "k" | "v", width: number) => {
      const parts = this.#given.map((given) => toNdArray(given[name]));
      const tensors = parts.map(({ shape }, i) => input(`${i}`, "float64", shape));
      const joined = tensors[0]!.concat(tensors.slice(1), 1);
      const heads = joined.reshape([B, joined.shape[1]!, width / D, D]).transpose([0, 2, 1, 3]);
      return interpret([heads], Object.fromEntries(parts.map((part, i) => [`${i}`, part])))[0]!;
    };
    const feeds = { q: whole("q", H * D), k: whole("k", G * D), v: whole("v", G * D) };
    const S = feeds.q.shape[2]!;
    const [q, k, v] = [
      input("q", "float64", [B, H, S, D]),
      input("k", "float64", [B, G, S, D]),
      input("v", "float64", [B, G, S, D]),
    ];
    const { window } = this.#attributes;
    const attributes = { scale: SCALE, causal: true, ...(window !== undefined && { window }) };
    const last = q
      .attention(k, v, attributes)
      .slice(2, S - T, S)
      .transpose([0, 2, 1, 3])
      .reshape([B, T, H * D]);
    return interpret([last], feeds)[0]!;
  }
}

function expectNear(actual: NdArray, expected: NdArray): void {
  expect(actual.shape).toEqual(expected.shape);
  actual.data.forEach((value, i) => {
    expect(Math.abs(value - expected.data[i]!), `element ${i}`).toBeLessThan(TOLERANCE);
  });
}

describe("a cache extended in place equals attention over everything so far", () => {
  const prompt = [6, 1, 1, 4, 1];
  test.each([
    ["everything in sight", undefined],
    ["a window of 3, itself included", 3],
    ["a window of 1: only itself", 1],
    ["a window longer than everything", 100],
  ])("one row: a prompt, tokens, a longer piece, a token; %s", async (_, window) => {
    const decoder = new Decoder(1, window);
    let length = 0;
    for (const T of prompt) {
      length += T;
      expectNear(await decoder.step(T, [length - 1]), decoder.uncached(T));
    }
  });

  test("two rows: a prompt and tokens", async () => {
    const decoder = new Decoder(2);
    let length = 0;
    for (const T of [5, 1, 1]) {
      length += T;
      expectNear(await decoder.step(T, [length - 1, length - 1]), decoder.uncached(T));
    }
  });

  test("to the last place of the cache", async () => {
    const decoder = new Decoder(1);
    expectNear(await decoder.step(M - 1, [M - 2]), decoder.uncached(M - 1));
    expectNear(await decoder.step(1, [M - 1]), decoder.uncached(1));
  });

  test("rows of different lengths: padding at a prompt's end is overwritten by what follows", async () => {
    const counts = [4, 2, 1]; // real tokens of each row's prompt
    const together = new Decoder(3, 3);
    const rows = counts.map(() => new Decoder(1, 3));
    for (const [step, T] of [4, 1, 1, 1].entries()) {
      const lengths = counts.map((count) => count - 1 + step);
      const tokens = drawTokens(3, T);
      const all = await together.step(T, lengths, tokens);
      for (const [row, decoder] of rows.entries()) {
        const real = Math.min(T, counts[row]!);
        await decoder.step(real, [lengths[row]!], rowOf(tokens, row, real));
        const start = row * T * H * D;
        const part = all.data.subarray(start, start + real * H * D);
        expectNear({ shape: [1, real, H * D], data: part }, decoder.uncached(real));
      }
    }
  });
});

describe("what the runtime refuses", () => {
  test("a longer piece after something cached, in more than one row", async () => {
    const decoder = new Decoder(2);
    await decoder.step(3, [2, 2]);
    await expect(decoder.step(2, [4, 4])).rejects.toThrow("batch_size must be 1 when sequence_length > 1");
  });

  test("more than the cache holds, and lengths beyond the total", async () => {
    const decoder = new Decoder(1);
    await decoder.step(M, [M - 1]);
    await expect(decoder.step(1, [M])).rejects.toThrow(/has shape \{1,2,16,8\}/);
    await expect(decoder.run(drawTokens(1, 1), [50], M)).rejects.toThrow(
      "seqlens_k[0] = 50 is out of range [0, 16)",
    );
  });
});
