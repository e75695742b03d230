import { describe, expect, it } from "vitest";
import { formatCount, formatDuration, formatSi, formatSmall } from "./quantities.ts";

describe("quantities", () => {
  it.each([
    [0, "0"],
    [999, "999"],
    [12345.6, "12,346"],
  ])("counts %d as %s", (value, text) => expect(formatCount(value)).toBe(text));

  it.each([
    [10_788_929, "parameters", "10.8 M parameters"],
    [1.5e15, "FLOP", "1.50 PFLOP"],
    [999.4, "B", "999 B"],
    [999.6, "B", "1.00 kB"],
    [99.96, "", "100"],
    [-2500, "", "−2.50 k"],
    [0, "FLOP", "0 FLOP"],
    [3e30, "FLOP", "3000000 YFLOP"],
    [Number.POSITIVE_INFINITY, "FLOP", "Infinity FLOP"],
  ])("writes %d %s as %s", (value, unit, text) => expect(formatSi(value, unit)).toBe(text));

  it.each([
    [0, "0:00"],
    [59.6, "1:00"],
    [754, "12:34"],
    [3661, "1:01:01"],
    [360_000, "100:00:00"],
  ])("writes %d seconds as %s", (seconds, text) => expect(formatDuration(seconds)).toBe(text));

  it.each([
    [3e-4, "3.00e-4"],
    [0.4217, "0.422"],
    [12, "12.0"],
    [123456, "1.23e+5"],
    [0, "0"],
    [Number.NaN, "NaN"],
  ])("writes %d as %s", (value, text) => expect(formatSmall(value)).toBe(text));
});
