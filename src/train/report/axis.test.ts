import { describe, expect, it } from "vitest";
import { chooseTicks, fitScale, formatTick, makeScale } from "./axis.ts";

function labels(kind: "linear" | "log", min: number, max: number, count: number): string[] {
  const ticks = chooseTicks(makeScale(kind, min, max), count);
  return ticks.map((tick) => formatTick(tick, ticks));
}

describe("ticks", () => {
  it.each([
    ["linear", 0, 10, 5, "0 2 4 6 8 10"],
    ["linear", 0.05, 0.37, 4, "0.1 0.2 0.3"],
    ["linear", -3, 3, 3, "-2 0 2"],
    ["linear", 1, 3000, 5, "500 1,000 1,500 2,000 2,500 3,000"],
    ["linear", 0, 3.2e-4, 3, "0 1e−4 2e−4 3e−4"],
    ["linear", 0, 1_200_000, 3, "0 0.5M 1M"],
    ["log", 1.3, 4.9, 6, "1.5 2.0 2.5 3.0 3.5 4.0 4.5"],
    ["log", 0.9, 120, 7, "1 2 5 10 20 50 100"],
    ["log", 1e-5, 1e4, 3, "1e−5 0.01 10 10000"],
  ] as const)("%s from %d to %d: %s wanted", (kind, min, max, count, expected) => {
    expect(labels(kind, min, max, count).join(" ")).toBe(expected);
  });

  it("are exact decimals, not sums of rounding errors", () => {
    expect(chooseTicks(makeScale("linear", 0, 0.5), 5)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5]);
  });
});

describe("fitScale", () => {
  it("leaves a twentieth of room around a linear range", () => {
    const { min, max } = fitScale("linear", [10, 20]);
    expect([min, max]).toEqual([9.5, 20.5]);
  });

  it("begins at zero when asked", () => {
    expect(fitScale("from-zero", [10, 20]).min).toBe(0);
  });

  it("places by ratio on a log scale", () => {
    expect(makeScale("log", 1, 100).place(10)).toBeCloseTo(0.5, 12);
  });

  it.each(["linear", "log", "from-zero"] as const)("gives a single value a %s range around it", (kind) => {
    const scale = fitScale(kind, [3]);
    expect(scale.min).toBeLessThan(3);
    expect(scale.max).toBeGreaterThan(3);
  });

  it("gives zeros a range", () => {
    expect(fitScale("from-zero", [0, 0])).toMatchObject({ min: 0, max: 1 });
  });
});
