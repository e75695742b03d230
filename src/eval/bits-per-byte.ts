/**
 * Bits per byte: language-model loss made comparable across tokenizers, `totalNats / ln 2 / totalBytes`.
 *
 * Takes the sum of token losses in nats, not the mean, and the UTF-8 size of the text those tokens decode to.
 * Special tokens carry no bytes: leave their loss out of the sum, or the score is silently too high. Lower is
 * better; 8 is a uniform guess over bytes. Accumulate in float64: a large float32 sum swallows small losses.
 *
 * @param totalNats  summed cross-entropy, natural logarithm, ≥ 0
 * @param totalBytes UTF-8 bytes scored, > 0
 * @throws {RangeError} if either is NaN or outside its range: no score is better than a wrong one.
 * @example
 * bitsPerByte(200, 400); // => 0.7213 ±1e-4
 */
export function bitsPerByte(totalNats: number, totalBytes: number): number {
  if (!(totalNats >= 0)) throw new RangeError(`totalNats: expected a number ≥ 0, got ${totalNats}.`);
  if (!(totalBytes > 0)) throw new RangeError(`totalBytes: expected a number > 0, got ${totalBytes}.`);
  return totalNats / Math.LN2 / totalBytes;
}
