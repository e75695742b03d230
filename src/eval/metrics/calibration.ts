import { DataError } from "../../core/errors.ts";

/** Probabilities of all classes, and the class that was right. */
export interface ProbabilityRecord {
  /** Of each class, adding up to 1. */
  readonly probabilities: ArrayLike<number>;
  /** Index of the right class. */
  readonly expected: number;
}

/** How far probabilities may be from adding up to 1; float32 softmax over many classes stays well below. */
const SUM_TOLERANCE = 1e-3;

/** Bins of {@link calibrationError}, as in its paper's tables. */
const NUM_BINS = 15;

/**
 * Mean negative log-probability of the right class, in nats. Probabilities below 2⁻⁵² count as that, as in scikit-learn, so that one certain error
 * does not make everything infinite.
 *
 * @throws {DataError} if there are no records, or one is no distribution.
 */
export function logLoss(records: readonly ProbabilityRecord[]): number {
  return mean("logLoss", records, ({ probabilities, expected }) => {
    const probability = probabilities[expected]!;
    return -Math.log(Math.min(1 - Number.EPSILON, Math.max(Number.EPSILON, probability)));
  });
}

/**
 * Mean squared distance between probabilities and what happened, summed over classes; halved for two classes, so that it is the usual binary score.
 *
 * @throws {DataError} if there are no records, or one is no distribution.
 * @see Brier 1950, "Verification of forecasts expressed in terms of probability".
 */
export function brierScore(records: readonly ProbabilityRecord[]): number {
  return mean("brierScore", records, ({ probabilities, expected }) => {
    let sum = 0;
    for (let i = 0; i < probabilities.length; i++) sum += (probabilities[i]! - Number(i === expected)) ** 2;
    return probabilities.length === 2 ? sum / 2 : sum;
  });
}

/**
 * Expected calibration error: how far confidence and accuracy are apart, in bins of equal width over the highest probability, weighted by how many
 * records a bin holds. Bins are open below and closed above.
 *
 * @throws {DataError} if there are no records, or one is no distribution.
 * @see Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3.
 */
export function calibrationError(records: readonly ProbabilityRecord[], numBins: number = NUM_BINS): number {
  checkRecords("calibrationError", records);
  // Of each bin: confidence minus accuracy, not divided by its size, which cancels.
  const gaps = new Float64Array(numBins);
  for (const { probabilities, expected } of records) {
    let best = 0;
    for (let i = 1; i < probabilities.length; i++) if (probabilities[i]! > probabilities[best]!) best = i;
    const confidence = probabilities[best]!;
    const bin = Math.min(numBins - 1, Math.max(0, Math.ceil(confidence * numBins) - 1));
    gaps[bin]! += confidence - Number(best === expected);
  }
  return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / records.length;
}

function mean(
  where: string,
  records: readonly ProbabilityRecord[],
  scoreOf: (record: ProbabilityRecord) => number,
): number {
  checkRecords(where, records);
  return records.reduce((sum, record) => sum + scoreOf(record), 0) / records.length;
}

function checkRecords(where: string, records: readonly ProbabilityRecord[]): void {
  if (records.length === 0) throw new DataError({ where, expected: "at least one record", got: "none" });
  for (const [i, { probabilities, expected }] of records.entries()) {
    const values = Array.from(probabilities);
    const sum = values.reduce((total, value) => total + value, 0);
    if (!(values.every((value) => value >= 0) && Math.abs(sum - 1) <= SUM_TOLERANCE)) {
      const got = `numbers that add up to ${sum}`;
      throw new DataError({
        where: `${where}, record ${i}`,
        expected: "probabilities that add up to 1",
        got,
      });
    }
    if (!Number.isInteger(expected) || expected < 0 || expected >= values.length) {
      const range = `a class in [0, ${values.length})`;
      throw new DataError({ where: `${where}, record ${i}`, expected: range, got: `${expected}` });
    }
  }
}
