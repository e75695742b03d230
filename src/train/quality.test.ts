import { describe, expect, test } from "vitest";
import { figureOf, isBetter, showQuality, type TaskQuality } from "./quality.ts";

const accuracy: TaskQuality = { metric: "accuracy", value: 0.8712, higherIsBetter: true };

describe("a task's quality", () => {
  test("is shown with its metric, its error and what else was measured", () => {
    expect(figureOf(accuracy, 3)).toEqual({ value: "0.871", unit: "accuracy" });
    expect(showQuality(accuracy, 3)).toBe("0.871 accuracy");
    expect(figureOf({ ...accuracy, metric: "perplexity", value: 512.3456 }, 4).value).toBe("512.35");
    expect(figureOf({ ...accuracy, value: -12.3456 }, 3).value).toBe("−12.35");
    expect(showQuality({ ...accuracy, standardError: 0.0123, others: { "macro F1": 0.86 } }, 3)).toBe(
      "0.871 ± 0.012 accuracy, 0.860 macro F1",
    );
  });

  test("is better by its own direction, and only than the same metric", () => {
    expect(isBetter({ ...accuracy, value: 0.9 }, accuracy)).toBe(true);
    expect(isBetter(accuracy, { ...accuracy, value: 0.9 })).toBe(false);
    expect(isBetter(accuracy, accuracy)).toBe(false);
    const error: TaskQuality = { metric: "mean squared error", value: 2, higherIsBetter: false };
    expect(isBetter({ ...error, value: 1 }, error)).toBe(true);
    expect(isBetter(error, { ...error, value: 1 })).toBe(false);
    expect(isBetter(error, accuracy)).toBe(false);
    expect(isBetter(accuracy, { maskedAccuracy: 0.1, standardError: 0.1 })).toBe(false);
    expect(isBetter({ maskedAccuracy: 0.1, standardError: 0.1 }, accuracy)).toBe(false);
    expect(isBetter({ bitsPerByte: 1 }, accuracy)).toBe(false);
    expect(isBetter({ bitsPerByte: 1 }, { bitsPerByte: 2 })).toBe(true);
  });
});
