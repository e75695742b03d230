/** A point of a chart. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/**
 * Mean of the points around each one, with weights that fall as `exp(−distance / memory)` to both sides. Looking
 * both ways, it does not lag behind a falling curve as a running mean does; at the last point it is one.
 *
 * @param memory distance in points at which a weight has fallen to 1/e
 * @example
 * smooth([{ x: 1, y: 4 }, { x: 2, y: 2 }], 1).map(({ y }) => y); // => [3.462, 2.538] ±1e-3
 */
export function smooth(points: readonly Point[], memory: number): Point[] {
  const keep = Math.exp(-1 / memory);
  const sums = new Float64Array(points.length);
  const weights = new Float64Array(points.length);
  const sweep = (order: Iterable<number>): void => {
    let sum = 0;
    let weight = 0;
    for (const i of order) {
      // What came before this point, one step further away.
      sum *= keep;
      weight *= keep;
      sums[i]! += sum;
      weights[i]! += weight;
      sum += points[i]!.y;
      weight += 1;
    }
  };
  sweep(points.keys());
  sweep([...points.keys()].reverse());
  return points.map(({ x, y }, i) => ({ x, y: (sums[i]! + y) / (weights[i]! + 1) }));
}

/**
 * At most about `limit` of the points, each of them one that was given: of every stretch the lowest and the highest, so
 * that spikes stay, in order; first and last point always.
 */
export function thin(points: readonly Point[], limit: number): Point[] {
  if (points.length <= limit) return [...points];
  const numStretches = Math.max(1, Math.floor(limit / 2));
  const kept = new Set([0, points.length - 1]);
  for (let stretch = 0; stretch < numStretches; stretch++) {
    const from = Math.floor((stretch * points.length) / numStretches);
    const to = Math.floor(((stretch + 1) * points.length) / numStretches);
    let low = from;
    let high = from;
    for (let i = from; i < to; i++) {
      if (points[i]!.y < points[low]!.y) low = i;
      if (points[i]!.y > points[high]!.y) high = i;
    }
    kept.add(low);
    kept.add(high);
  }
  return [...kept].sort((a, b) => a - b).map((i) => points[i]!);
}
