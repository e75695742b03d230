import { describe, expect, test } from "vitest";
import { Random, type RandomState } from "./random.ts";

/** xoshiro128** transcribed from its authors' C (https://prng.di.unimi.it/xoshiro128starstar.c) in exact integers. */
function* xoshiroInExactIntegers(seed: RandomState): Generator<number> {
  const mask = 0xffffffffn;
  const rotate = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
  const s = seed.map((word) => BigInt.asUintN(32, BigInt(word))) as [bigint, bigint, bigint, bigint];
  for (;;) {
    yield Number((rotate((s[1] * 5n) & mask, 7n) * 9n) & mask);
    const t = (s[1] << 9n) & mask;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11n);
  }
}

function draw<T>(count: number, next: () => T): T[] {
  return Array.from({ length: count }, next);
}

describe("xoshiro128**", () => {
  // The vector that the implementations of the Rust project `rand` are tested with.
  test("gives the published numbers for the state 1, 2, 3, 4", () => {
    const random = Random.fromState([1, 2, 3, 4]);
    expect(draw(10, () => random.uint32())).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ]);
  });

  test.each([0, 1, 7, -1, 2 ** 31, 0xdeadbeef])("equals exact integer arithmetic from seed %i", (seed) => {
    const random = new Random(seed);
    const exact = xoshiroInExactIntegers(random.state());
    for (let i = 0; i < 1000; i++) expect(random.uint32()).toBe(exact.next().value);
  });

  test("no seed gives the state of zeros, in which it would stay", () => {
    for (let seed = 0; seed < 2000; seed++)
      expect(new Random(seed).state().some((word) => word !== 0)).toBe(true);
  });
});

describe("what is drawn", () => {
  test("uniform numbers have 53 bits from two words, high bits first", () => {
    const state = new Random(11).state();
    const words = xoshiroInExactIntegers(state);
    const random = Random.fromState(state);
    for (let i = 0; i < 100; i++) {
      const [high, low] = [BigInt(words.next().value!) >> 5n, BigInt(words.next().value!) >> 6n];
      expect(random.uniform()).toBe(Number((high << 26n) | low) / 2 ** 53);
    }
  });

  test("uniform numbers fill [0, 1) evenly", () => {
    const random = new Random(3);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) counts[Math.floor(random.uniform() * 10)]! += 1;
    const chiSquare = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    expect(chiSquare).toBeLessThan(27.9); // 99.9 % of nine degrees of freedom
  });

  test("normal numbers have mean 0, variance 1 and the tails of the normal distribution", () => {
    const random = new Random(5);
    const values = draw(100_000, () => random.normal());
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.011); // 3.5 standard errors
    expect(Math.abs(variance - 1)).toBeLessThan(0.016);
    expect(values.filter((value) => Math.abs(value) > 1.959964).length / values.length).toBeCloseTo(0.05, 2);
    expect(values.every(Number.isFinite)).toBe(true);
  });

  test("integers stay below the bound, for bounds beyond 32 bits too, and reach each value", () => {
    const random = new Random(9);
    expect(new Set(draw(200, () => random.integer(5)))).toEqual(new Set([0, 1, 2, 3, 4]));
    const large = draw(1000, () => random.integer(2 ** 50));
    expect(large.every((value) => Number.isSafeInteger(value) && value >= 0 && value < 2 ** 50)).toBe(true);
    expect(Math.max(...large)).toBeGreaterThan(2 ** 49);
  });

  test("all orders of three things are equally likely", () => {
    const random = new Random(13);
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const order = random.permutation(3).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(120); // 4 deviations
  });

  test("a permutation holds everything once, also of nothing", () => {
    expect([...new Random(1).permutation(100)].sort((a, b) => a - b)).toEqual(
      draw(100, () => 0).map((_, i) => i),
    );
    expect([...new Random(1).permutation(0)]).toEqual([]);
  });
});

describe("state", () => {
  test("goes through JSON and continues where it stopped", () => {
    const random = new Random(21);
    draw(17, () => random.normal());
    const copy = Random.fromState(JSON.parse(JSON.stringify(random.state())) as RandomState);
    expect(draw(20, () => copy.uint32())).toEqual(draw(20, () => random.uint32()));
  });

  test("a fork does not advance its origin, differs by purpose, and repeats", () => {
    const random = new Random(2);
    const before = random.state();
    const first = random.fork("weights").uint32();
    expect(random.fork("order").uint32()).not.toBe(first);
    expect(random.fork("weights").uint32()).toBe(first);
    expect(random.state()).toEqual(before);
    random.uint32();
    expect(random.fork("weights").uint32()).not.toBe(first);
  });
});
