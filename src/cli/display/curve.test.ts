import { describe, expect, it } from "vitest";
import { type Curve, drawCurve } from "./curve.ts";

function text(curve: Curve | undefined): string[] {
  return curve!.lines.map((line) => line.map((segment) => segment.text).join(""));
}

describe("drawCurve", () => {
  it("joins points by a line of braille dots, from the highest to the lowest", () => {
    // Two cells across are four dots, one row is four: a falling diagonal.
    const points = [0, 1, 2, 3].map((step) => ({ step, lossNats: Math.exp(-step) }));
    const curve = drawCurve(points, [], 2, 1)!;
    expect(text(curve)).toEqual([String.fromCharCode(0x2800 + 0x01 + 0x10, 0x2800 + 0x04 + 0x80)]);
    expect(curve).toMatchObject({ top: 1, bottom: Math.exp(-3), left: 0, right: 3 });
  });

  it("marks validations over the line, the best with a star", () => {
    const points = [1, 2, 3, 4].map((step) => ({ step, lossNats: 2 }));
    const marks = [
      { step: 1, lossNats: 2, best: false },
      { step: 4, lossNats: 2, best: true },
    ];
    expect(text(drawCurve(points, marks, 4, 1))).toEqual(["●⣀⣀★"]);
  });

  it("fills gaps by straight lines", () => {
    const points = [
      { step: 0, lossNats: 1 },
      { step: 7, lossNats: 1 },
    ];
    expect(text(drawCurve(points, [], 4, 1))).toEqual(["⣀⣀⣀⣀"]);
  });

  it("needs two points, and passes over what is not a positive number", () => {
    expect(drawCurve([{ step: 1, lossNats: 2 }], [], 4, 1)).toBeUndefined();
    const points = [Number.NaN, 0, -1, Number.POSITIVE_INFINITY].map((lossNats, step) => ({
      step,
      lossNats,
    }));
    expect(drawCurve(points, [], 4, 1)).toBeUndefined();
  });

  it("draws marks alone", () => {
    const marks = [1, 2].map((step) => ({ step, lossNats: 3 - step, best: false }));
    expect(text(drawCurve([], marks, 3, 2))).toEqual(["●  ", "  ●"]);
  });
});
