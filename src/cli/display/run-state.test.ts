import { describe, expect, it } from "vitest";
import type { StartEvent, StepEvent } from "../../train/events.ts";
import { advance, beginRun, type RunState, secondsLeft } from "./run-state.ts";

const start: StartEvent = {
  type: "start",
  title: "t",
  totalSteps: 100,
  step: 0,
  numParameters: 1,
  tokensPerStep: 1,
  flopsPerStep: 1,
};

function step(number: number, lossNats = 2): StepEvent {
  return {
    type: "step",
    step: number,
    lossNats,
    learningRate: 1e-3,
    gradientNorm: 1,
    stepMs: 50,
    tokensPerSecond: 1,
    gflopPerSecond: 1,
  };
}

describe("advance", () => {
  it("keeps the curve bounded and its mean what it was", () => {
    let state: RunState = advance(beginRun(0), start, 0);
    const total = 5000;
    for (let i = 1; i <= total; i++) state = advance(state, step(i, i), i);
    expect(state.curve.length).toBeLessThan(1024);
    expect(state.stride).toBe(8);
    const covered = state.curve.length * state.stride;
    const mean = state.curve.reduce((sum, { lossNats }) => sum + lossNats, 0) / state.curve.length;
    expect(mean).toBeCloseTo((covered + 1) / 2, 9);
    expect(state.curve.at(-1)!.step).toBe(covered);
  });

  it("smooths over about thirty steps", () => {
    let state = advance(beginRun(0), step(1, 1), 0);
    state = advance(state, step(2, 2), 0);
    expect(state.smoothedNats).toBeCloseTo(0.967 * 1 + 0.033 * 2, 12);
  });

  it("does not let a loss that is not finite into any mean", () => {
    let state = advance(beginRun(0), step(1, 1), 0);
    state = advance(state, step(2, Number.NaN), 0);
    expect(state.smoothedNats).toBe(1);
    expect(state.curve).toHaveLength(1);
    expect(state.last!.lossNats).toBeNaN();
  });

  it("remembers the best validation", () => {
    const check = (number: number, best: boolean) =>
      ({ type: "validation", step: number, lossNats: 1, bitsPerByte: 1, numTokens: 1, best }) as const;
    const state = [check(1, true), check(2, false)].reduce(
      (now, event) => advance(now, event, 0),
      beginRun(0),
    );
    expect(state.best?.step).toBe(1);
    expect(state.validations).toHaveLength(2);
  });

  it("begins anew with a start event", () => {
    const state = advance(advance(beginRun(0), step(1), 0), start, 500);
    expect(state).toEqual({ ...beginRun(500), start });
  });
});

describe("secondsLeft", () => {
  it("follows from the pace since the first step, pauses included", () => {
    let state = advance(beginRun(0), start, 0);
    expect(secondsLeft(state)).toBeNaN();
    state = advance(state, step(1), 7000); // compiling took long, but only once
    expect(secondsLeft(state)).toBeCloseTo(99 * 0.05, 9);
    state = advance(state, step(11), 9000);
    expect(secondsLeft(state)).toBeCloseTo(89 * 0.2, 9);
  });
});
