import { expect } from "vitest";
import type { NdArray } from "../src/tensor/nd-array.ts";

/**
 * Fails unless shapes agree and each element does within `absolute + relative · max(|expected|, peak/10)`: elements far
 * below the peak carry rounding from the sums that made the peak.
 */
export function expectClose(actual: NdArray, expected: NdArray, absolute: number, relative: number): void {
  expect(actual.shape).toEqual(expected.shape);
  const peak = expected.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  actual.data.forEach((value, i) => {
    const bound = absolute + relative * Math.max(Math.abs(expected.data[i]!), 0.1 * peak);
    const error = Math.abs(value - expected.data[i]!);
    expect(error, `element ${i}: ${value} vs ${expected.data[i]}`).toBeLessThanOrEqual(bound);
  });
}
