import { describe, expect, it } from "vitest";
import { type Point, smooth, thin } from "./series.ts";

const wave = Array.from(
  { length: 500 },
  (_, i): Point => ({ x: i, y: Math.sin(i / 7) + (i === 321 ? 50 : 0) }),
);

describe("smooth", () => {
  it("is the weighted mean by its definition", () => {
    const memory = 6;
    for (const at of [0, 1, 250, 499]) {
      let sum = 0;
      let weight = 0;
      for (const { x, y } of wave) {
        sum += Math.exp(-Math.abs(x - at) / memory) * y;
        weight += Math.exp(-Math.abs(x - at) / memory);
      }
      expect(smooth(wave, memory)[at]!.y).toBeCloseTo(sum / weight, 10);
    }
  });

  it("leaves a constant alone and takes nothing for nothing", () => {
    expect(
      smooth(
        [4, 4, 4].map((y, x) => ({ x, y })),
        2,
      ).map(({ y }) => y),
    ).toEqual([4, 4, 4]);
    expect(smooth([], 2)).toEqual([]);
  });
});

describe("thin", () => {
  it("keeps only given points, in order, with both ends and every extreme", () => {
    const kept = thin(wave, 60);
    expect(kept.length).toBeLessThanOrEqual(62);
    expect(kept.every((point) => wave.includes(point))).toBe(true);
    expect(kept.map(({ x }) => x)).toEqual(kept.map(({ x }) => x).sort((a, b) => a - b));
    expect([kept[0], kept.at(-1)]).toEqual([wave[0], wave.at(-1)]);
    expect(kept).toContain(wave[321]);
  });

  it("keeps all when there are few", () => {
    expect(thin(wave, 500)).toEqual(wave);
  });
});
