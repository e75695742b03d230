import type { HostTensor } from "./dtype.ts";
import { type QuantizationScheme, SCHEME_BITS } from "./weights.ts";

/** Levels of 4-bit NormalFloat: quantiles of a normal distribution, with an exact zero (QLoRA, Dettmers et al. 2023, app. E). */
export const NF4_LEVELS: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

/** A quantised matrix whose parts are in memory; see `QuantizedTensor`. */
export interface BlocksInMemory {
  readonly scheme: QuantizationScheme;
  readonly blockSize: number;
  readonly shape: readonly number[];
  readonly axis: 0 | 1;
  readonly values: HostTensor;
  readonly scales: HostTensor;
  readonly zeroPoints?: HostTensor;
}

/** The matrix that blocks stand for: `(value − zero point) · scale`, or `level · scale`, rounded once to float32. */
export function dequantize(blocks: BlocksInMemory): HostTensor {
  const { scheme, blockSize, shape, axis } = blocks;
  const [rows, rowSize] = [shape[1 - axis]!, shape[axis]!];
  const codeAt = reader(blocks.values, SCHEME_BITS[scheme], scheme === "nf4");
  const scales = blocks.scales.data as Float32Array;
  const zeroAt = zeroPointReader(blocks, rowSize / blockSize);
  const data = new Float32Array(rows * rowSize);
  const [rowStep, step] = axis === 1 ? [rowSize, 1] : [1, rows];
  for (let row = 0, block = 0; row < rows; row++) {
    for (let start = 0; start < rowSize; start += blockSize, block++) {
      const scale = scales[block]!;
      const zero = zeroAt(row, start / blockSize);
      for (let i = start; i < start + blockSize; i++) {
        const code = codeAt(row * rowSize + i);
        const steps = scheme === "nf4" ? Math.fround(NF4_LEVELS[code]!) : code - zero;
        data[row * rowStep + i * step] = steps * scale;
      }
    }
  }
  return { dtype: "float32", shape, data };
}

/** Codes by place; of two in a byte the first is the low half, unless `highFirst`. */
function reader({ data }: HostTensor, bits: 4 | 8, highFirst: boolean): (place: number) => number {
  const bytes = data as Uint8Array;
  if (bits === 8) return (place) => bytes[place]!;
  const first = highFirst ? 1 : 0;
  return (place) => ((place & 1) === first ? bytes[place >> 1]! & 15 : bytes[place >> 1]! >> 4);
}

function zeroPointReader({ scheme, zeroPoints }: BlocksInMemory, blocks: number) {
  const bits = SCHEME_BITS[scheme];
  if (!zeroPoints) return () => 2 ** (bits - 1);
  const at = reader(zeroPoints, bits, false);
  // Rows of zero points begin at whole bytes.
  const perRow = bits === 8 ? blocks : 2 * Math.ceil(blocks / 2);
  return (row: number, block: number) => at(row * perRow + block);
}
