import { describe, expect, it } from "vitest";
import type { TrainEvent } from "../../train/events.ts";
import { columnWidth } from "./columns.ts";
import { renderFrame } from "./frame.ts";
import { paintAnsi } from "./paint.ts";
import { advance, beginRun, type RunState } from "./run-state.ts";

function play(numSteps: number, extra: readonly TrainEvent[] = []): RunState {
  const begin = advance(
    beginRun(0),
    {
      type: "start",
      title: "gpt2 · 6 layers × 384 · 漢字",
      totalSteps: 200,
      step: 0,
      numParameters: 10_700_000,
      tokensPerStep: 2048,
      flopsPerStep: 1e11,
    },
    0,
  );
  const steps = Array.from(
    { length: numSteps },
    (_, i): TrainEvent => ({
      type: "step",
      step: i + 1,
      lossNats: 4 * 0.99 ** i,
      learningRate: 3e-4,
      gradientNorm: 0.4217,
      stepMs: 500,
      tokensPerSecond: 12_345,
      gflopPerSecond: 118.23,
    }),
  );
  const seen = steps.reduce((state, event, i) => advance(state, event, (i + 1) * 500), begin);
  return extra.reduce((state, event) => advance(state, event, numSteps * 500), seen);
}

const validation: TrainEvent = {
  type: "validation",
  step: 100,
  lossNats: 1.6,
  bitsPerByte: 2.3083,
  numTokens: 1000,
  best: true,
};
const sample: TrainEvent = {
  type: "sample",
  step: 100,
  prompt: "To be",
  text: `, or not\n\u001b[31m${"漢字".repeat(80)}`,
};

describe("renderFrame", () => {
  const state = play(100, [validation, sample]);

  it.each([50, 80, 100, 200])("at %d columns", (width) => {
    expect(`\n${renderFrame(state, width, 30).join("\n")}\n`).toMatchSnapshot();
  });

  it("says in figures what the events said", () => {
    const frame = renderFrame(state, 100, 30).join("\n");
    expect(frame).toContain("50.0 %   100 / 200 steps");
    expect(frame).toContain("elapsed 0:50  ·  left 0:50");
    expect(frame).toContain("validation 1.6000 nats  2.3083 bits/byte  ★ best");
    expect(frame).toContain("rate 3.00e-4");
    expect(frame).toContain("gradient 0.422");
    expect(frame).toContain("tokens/s 12,345");
    expect(frame).toContain("GFLOP/s 118.2");
    expect(frame).toContain("To be, or not↵␛[31m漢字");
    expect(frame).toContain(" 4.00 ┤");
    expect(frame).toContain(" 1.48 ┤"); // 4 × 0.99^99
  });

  it("never exceeds the terminal, however small", () => {
    for (const width of [1, 2, 10, 40, 79, 80, 81, 120, 300]) {
      for (const height of [1, 2, 5, 8, 10, 12, 14, 15, 20, 60]) {
        const frame = renderFrame(state, width, height);
        expect(frame.length).toBeLessThanOrEqual(height);
        expect(Math.max(...frame.map(columnWidth))).toBeLessThanOrEqual(width);
      }
    }
  });

  it("lets the curve go before the sample and the sample before the figures", () => {
    const shown = (height: number): boolean[] => {
      const frame = renderFrame(state, 80, height).join("\n");
      return ["┤", "sample", "GFLOP"].map((part) => frame.includes(part));
    };
    expect(shown(30)).toEqual([true, true, true]);
    expect(shown(12)).toEqual([false, true, true]);
    expect(shown(7)).toEqual([false, false, true]);
  });

  it("shows masked tokens in their own unit, also when the best was earlier", () => {
    const masked = (step: number, maskedAccuracy: number, best: boolean): TrainEvent => ({
      ...{ type: "validation", step, lossNats: 1.6, numTokens: 900, best },
      ...{ maskedAccuracy, standardError: 0.01 },
    });
    const first = play(100, [masked(100, 0.6125, true)]);
    expect(renderFrame(first, 100, 24).join("\n")).toContain(
      "validation 1.6000 nats  61.25 % of masked tokens right  ★ best",
    );
    const later = play(100, [masked(100, 0.6125, true), masked(150, 0.5, false)]);
    expect(renderFrame(later, 100, 24).join("\n")).toContain("50.00 % of masked tokens right  ★ 61.25 %");
  });

  it("names the best validation when the last one was worse", () => {
    const worse: TrainEvent = { ...validation, step: 150, lossNats: 1.7, bitsPerByte: 2.4526, best: false };
    const frame = renderFrame(play(100, [validation, worse]), 100, 30).join("\n");
    expect(frame).toContain("validation 1.7000 nats  2.4526 bits/byte  ★ 2.3083");
  });

  it("counts skipped steps and shows a loss that is not finite", () => {
    const skip: TrainEvent = { type: "skip", step: 3, reason: "NaN", count: 2 };
    const step: TrainEvent = {
      type: "step",
      step: 101,
      lossNats: Number.NaN,
      learningRate: 0,
      gradientNorm: Number.POSITIVE_INFINITY,
      stepMs: 1,
      tokensPerSecond: 1,
      gflopPerSecond: 1,
    };
    const frame = renderFrame(play(1, [skip, step]), 100, 30).join("\n");
    expect(frame).toContain("2 steps skipped");
    expect(frame).toContain("loss NaN nats");
    expect(frame).toContain("gradient Infinity");
  });

  it("shows a resumed run as far along as it was", () => {
    const start: TrainEvent = { ...play(0).start!, step: 50 };
    expect(renderFrame(advance(beginRun(0), start, 0), 80, 24).join("\n")).toContain(
      "25.0 %   50 / 200 steps",
    );
  });

  it("has something to say before the first step and after the last", () => {
    expect(renderFrame(beginRun(0), 80, 24)[0]).toBe("preparing …");
    expect(renderFrame(play(0), 80, 24).join("\n")).toContain("waiting for the first step …");
    const end: TrainEvent = { type: "end", step: 200, seconds: 75, totalFlops: 1, reason: "stopped" };
    expect(renderFrame(play(200, [end]), 80, 24).join("\n")).toContain("elapsed 1:15  ·  stopped");
  });

  it("paints only when given paint, and paint takes no room", () => {
    const plain = renderFrame(state, 100, 30);
    const painted = renderFrame(state, 100, 30, paintAnsi);
    expect(plain.join("")).not.toContain("\u001b");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape sequences that paint adds
    expect(painted.map((line) => line.replace(/\u001b\[\d*m/g, ""))).toEqual(plain);
  });
});
