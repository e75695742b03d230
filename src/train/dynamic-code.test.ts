import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Random } from "../core/random.ts";
import { allocateCoded, CODED_BLOCK_SIZE, DynamicCode } from "./dynamic-code.ts";

// Golden values of tools/golden/dynamic_code.py, by bitsandbytes.

interface Golden {
  readonly levels: number[];
  readonly values: number[];
  readonly codes: number[];
  readonly scales: number[];
}

const FIXTURE = new URL("../../test/fixtures/optimizer/dynamic-code.json", import.meta.url);
const golden: Record<"signed" | "unsigned", Golden> = JSON.parse(readFileSync(FIXTURE, "utf8"));

function encode(code: DynamicCode, values: Float32Array) {
  const coded = allocateCoded(values.length, code);
  code.encode(values, coded, 0);
  const decoded = new Float32Array(values.length);
  code.decode(coded, 0, decoded);
  return { ...coded, decoded };
}

describe.each(["signed", "unsigned"] as const)("the %s code", (kind) => {
  const code = new DynamicCode(kind === "signed");
  const { levels, values, codes, scales } = golden[kind];

  test("has the levels of bitsandbytes", () => {
    levels.forEach((level, i) => {
      expect(Math.abs(code.levels[i]! - level)).toBeLessThanOrEqual(2e-7 * Math.abs(level));
    });
    expect(code.levels.length).toBe(256);
  });

  // For numbers far below the scale, bitsandbytes' kernel for processors takes levels that are not the nearest.
  test("gives numbers the codes that bitsandbytes gives them, or a nearer level", () => {
    const coded = encode(code, Float32Array.from(values));
    let numEqual = 0;
    for (const [i, value] of values.entries()) {
      const scale = scales[Math.floor(i / CODED_BLOCK_SIZE)]!;
      if (scale === 0) {
        expect(coded.decoded[i]).toBe(0);
        continue;
      }
      numEqual += Number(coded.codes[i] === codes[i]);
      const error = Math.abs(levels[codes[i]!]! * scale - value);
      const isKeptFromZero = kind === "unsigned" && coded.codes[i] === 1;
      const ours = Math.abs(coded.decoded[i]! - value);
      if (!isKeptFromZero) expect(ours).toBeLessThanOrEqual(error + 1e-6 * Math.abs(value));
    }
    expect(numEqual).toBeGreaterThan(650); // of 768
    scales.forEach((scale, block) => {
      expect(coded.scales[block]).toBe(Math.fround(scale));
    });
  });

  test("gives the nearest level to numbers of every size, borders included", () => {
    const random = new Random(5);
    const borders = [...code.levels].slice(1).map((level, i) => (level + code.levels[i]!) / 2);
    const sign = () => (kind === "signed" && random.uniform() < 0.5 ? -1 : 1);
    const drawn = Array.from({ length: 19 * 256 }, () => sign() * 10 ** (-9 * random.uniform()));
    const numbers = Float32Array.from([...borders, 1, ...drawn]);
    for (let at = 0; at < numbers.length; at += CODED_BLOCK_SIZE) numbers[at] = 1; // the scale
    const { decoded } = encode(code, numbers);
    numbers.forEach((number, i) => {
      const distances = code.levels.map((level) => Math.abs(level - number));
      const least = Math.min(...(kind === "unsigned" && number > 0 ? distances.subarray(1) : distances));
      expect(Math.abs(decoded[i]! - number)).toBeLessThanOrEqual(1.000001 * least + 1e-6 * Math.abs(number));
    });
  });

  test("coding what was decoded changes nothing", () => {
    const once = encode(code, Float32Array.from(values));
    const again = encode(code, once.decoded);
    for (let block = 0; block < scales.length; block++) {
      // The largest number of a block is a level itself, unless it is negative: then the scale shrinks.
      if (again.scales[block] !== once.scales[block]) continue;
      const [from, to] = [block * CODED_BLOCK_SIZE, (block + 1) * CODED_BLOCK_SIZE];
      expect(again.codes.subarray(from, to)).toEqual(once.codes.subarray(from, to));
    }
  });
});

test("by hand: levels of both codes, twice as many a decade", () => {
  const signed = new DynamicCode(true);
  const unsigned = new DynamicCode(false);
  for (const { levels } of [signed, unsigned]) expect(new Set(levels).size).toBe(256);
  const within = ({ levels }: DynamicCode, low: number, high: number) =>
    levels.filter((level) => level > low && level < high).length;
  expect(within(signed, 0.1, 1)).toBe(64);
  expect(within(signed, 0.01, 0.1)).toBe(32);
  expect(within(unsigned, 0.1, 1)).toBe(128);
  expect(signed.levels.at(-2)).toBeCloseTo(1 - 0.9 / 128, 7);
  expect(unsigned.levels.at(-2)).toBeCloseTo(1 - 0.9 / 256, 7);
  expect(signed.levels[signed.zero + 1]).toBeCloseTo(5.5e-7, 12);
});
