import { formatCount, formatSmall } from "./quantities.ts";

/** How an axis is divided. */
export type ScaleKind = "linear" | "log";

/** Maps values in [min, max] to [0, 1]. */
export interface Scale {
  readonly kind: ScaleKind;
  readonly min: number;
  readonly max: number;
  place(value: number): number;
}

/** Room above and below the data, as a part of the axis. */
const MARGIN = 0.05;

/**
 * A scale that holds the values with a little room: `linear` and `log` around them, `from-zero` a linear one that
 * shows how large they are. Values are > 0 for `log`, ≥ 0 for `from-zero`.
 */
export function fitScale(kind: ScaleKind | "from-zero", values: readonly number[]): Scale {
  const low = values.reduce((min, value) => Math.min(min, value), Number.POSITIVE_INFINITY);
  const high = values.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
  if (kind === "log") {
    const margin = low === high ? 1.5 : (high / low) ** MARGIN;
    return makeScale("log", low / margin, high * margin);
  }
  const margin = low === high ? Math.abs(low) / 2 || 1 : (high - low) * MARGIN;
  return makeScale("linear", kind === "from-zero" ? 0 : low - margin, high + margin);
}

/** A scale between the given ends, exactly. */
export function makeScale(kind: ScaleKind, min: number, max: number): Scale {
  const place =
    kind === "log"
      ? (value: number): number => Math.log(value / min) / Math.log(max / min)
      : (value: number): number => (max === min ? 0.5 : (value - min) / (max - min));
  return { kind, min, max, place };
}

/**
 * Round numbers within the scale: steps of 1, 2 or 5 times a power of ten, or on a log scale over more than a
 * factor of ten, such numbers themselves.
 *
 * @example
 * chooseTicks(makeScale("linear", 0, 10), 5); // => [0, 2, 4, 6, 8, 10]
 */
export function chooseTicks(scale: Scale, count: number): number[] {
  const { kind, min, max } = scale;
  if (kind === "log" && max / min > 10) return logTicks(min, max, count);
  const step = niceStep((max - min) / count);
  const first = Math.ceil(min / step - 1e-9);
  const last = Math.floor(max / step + 1e-9);
  // Multiplying by an integer keeps 0.3 from becoming 0.30000000000000004 by adding up.
  return Array.from({ length: last - first + 1 }, (_, i) => roundTo((first + i) * step, step));
}

/** A tick's label: as many digits as the distance between ticks needs. */
export function formatTick(value: number, ticks: readonly number[]): string {
  const largest = ticks.reduce((max, tick) => Math.max(max, Math.abs(tick)), 0);
  if (value === 0) return "0";
  if (largest >= 100_000) return formatLarge(value, largest);
  if (largest < 0.01) return toScientific(value);
  if (ticks.every(Number.isInteger)) return formatCount(value);
  const distance = Math.min(...ticks.slice(1).map((tick, i) => tick - ticks[i]!));
  if (!Number.isFinite(distance)) return formatSmall(value);
  const isEven = ticks.every(
    (tick, i) => i === 0 || Math.abs(tick - ticks[i - 1]! - distance) < distance / 100,
  );
  if (!isEven) return Math.abs(value) < 0.001 ? toScientific(value) : String(value);
  return value.toFixed(Math.max(0, -Math.floor(Math.log10(distance) + 1e-9)));
}

/** All digits there are: ticks are round, and two of them must not read alike. */
function formatLarge(value: number, largest: number): string {
  const [unit, letter] = largest >= 1e9 ? [1e9, "G"] : largest >= 1e6 ? [1e6, "M"] : [1e3, "k"];
  return `${Number((value / unit).toPrecision(12))}${letter}`;
}

function toScientific(value: number): string {
  return value.toExponential().replace("e-", "e−");
}

function logTicks(min: number, max: number, count: number): number[] {
  const first = Math.floor(Math.log10(min));
  const last = Math.ceil(Math.log10(max));
  for (const mantissas of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let power = first; power <= last; power++) {
      for (const mantissa of mantissas) ticks.push(Number(`${mantissa}e${power}`));
    }
    const inside = ticks.filter((tick) => tick >= min && tick <= max);
    if (inside.length <= count + 1) return inside;
  }
  const stride = Math.ceil((last - first) / count);
  return Array.from({ length: Math.floor((last - first) / stride) + 1 }, (_, i) =>
    Number(`1e${first + i * stride}`),
  ).filter((tick) => tick >= min && tick <= max);
}

function niceStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  const mantissa = raw / power;
  // The nearest of 1, 2, 5 and 10 by ratio: the bounds are geometric means.
  return (
    (mantissa < Math.SQRT2 ? 1 : mantissa < Math.sqrt(10) ? 2 : mantissa < Math.sqrt(50) ? 5 : 10) * power
  );
}

function roundTo(value: number, step: number): number {
  return Number(value.toFixed(Math.min(100, Math.max(0, 2 - Math.floor(Math.log10(step))))));
}
