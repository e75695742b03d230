import { type BlocksInMemory, NF4_LEVELS } from "./dequantize.ts";
import type { HostTensor } from "./dtype.ts";
import { ShapeError } from "./errors.ts";
import { type QuantizationScheme, SCHEME_BITS } from "./weights.ts";

/** How a matrix is put into blocks. */
export interface BlockFormat {
  readonly scheme: QuantizationScheme;
  /** Numbers that share a scale; an even divisor of the axis that blocks run along. */
  readonly blockSize: number;
  /** A zero point for each block, so that its 16 or 256 steps span just what is there. Not for nf4. */
  readonly zeroPoints?: boolean;
}

/** A quantised matrix, and how well it stands for the one it came from. */
export interface QuantizedMatrix extends BlocksInMemory {
  /** Sum of squared differences, and of squared numbers: the root of their ratio is the relative error. */
  readonly squaredError: number;
  readonly squaredNorm: number;
}

/**
 * Factors on the scale that reaches just to the outermost number. A smaller one clips that number and tells all others
 * better apart; one above 1 makes room on the side that has one step less. The best of them is taken, block by block.
 */
const SYMMETRIC_FACTORS = [1, 1.15, 1.1, 1.05, 0.95, 0.9, 0.85, 0.8];
const SPANNING_FACTORS = [1, 0.95, 0.9, 0.85, 0.8, 0.75];

/**
 * Quantises a matrix block by block along `axis`, with the scale of least squared error among a few.
 *
 * @throws {ShapeError} if it is no float32 matrix, the block size does not divide the axis, or a number is not finite.
 */
export function quantize(
  matrix: HostTensor,
  axis: 0 | 1,
  format: BlockFormat,
  where: string,
): QuantizedMatrix {
  const { scheme, blockSize, zeroPoints = false } = format;
  const [rows, rowSize] = checkMatrix(matrix, axis, format, where);
  const bits = SCHEME_BITS[scheme];
  const blocks = rowSize / blockSize;
  const values = new Uint8Array((rows * rowSize * bits) / 8);
  const scales = new Float32Array(rows * blocks);
  const zeros = new Uint8Array(zeroPoints ? rows * Math.ceil((blocks * bits) / 8) : 0);
  const coder = scheme === "nf4" ? new LevelCoder(blockSize) : new StepCoder(blockSize, bits, zeroPoints);
  const numbers = matrix.data as Float32Array;
  const [rowStep, step] = axis === 1 ? [rowSize, 1] : [1, rows];
  let squaredError = 0;
  let squaredNorm = 0;
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const first = row * rowStep + block * blockSize * step;
      for (let i = 0; i < blockSize; i++) coder.numbers[i] = numbers[first + i * step]!;
      squaredError += coder.encode();
      squaredNorm += coder.squaredNorm;
      const at = row * blocks + block;
      scales[at] = coder.scale;
      pack(values, coder.codes, at * blockSize, bits, scheme === "nf4");
      if (zeroPoints) setZeroPoint(zeros, row, block, blocks, bits, coder.zeroPoint);
    }
  }
  // A number that is not finite makes its block's error so.
  if (!Number.isFinite(squaredError)) {
    throw new ShapeError({ where, expected: "finite numbers", got: "NaN or infinity among them" });
  }
  return {
    scheme,
    blockSize,
    shape: matrix.shape,
    axis,
    values: { dtype: "uint8", shape: [rows, blocks, (blockSize * bits) / 8], data: values },
    scales: { dtype: "float32", shape: [rows, blocks], data: scales },
    ...(zeroPoints && { zeroPoints: { dtype: "uint8", shape: [rows, zeros.length / rows], data: zeros } }),
    squaredError,
    squaredNorm,
  };
}

function checkMatrix(
  { dtype, shape }: HostTensor,
  axis: 0 | 1,
  { blockSize, scheme, zeroPoints }: BlockFormat,
  where: string,
): readonly [rows: number, rowSize: number] {
  const [rows, rowSize] = [shape[1 - axis], shape[axis]];
  const divides = Number.isInteger(blockSize) && blockSize >= 16 && rowSize! % blockSize === 0;
  if (dtype === "float32" && shape.length === 2 && divides && !(scheme === "nf4" && zeroPoints)) {
    return [rows!, rowSize!];
  }
  throw new ShapeError({
    where,
    expected: `a float32 matrix of which ${blockSize} divides axis ${axis}`,
    got: `${dtype} [${shape}]${scheme === "nf4" && zeroPoints ? " and zero points for nf4" : ""}`,
  });
}

/** Codes of one block at a time; the arrays are the same for all. */
interface Coder {
  readonly numbers: Float64Array;
  readonly codes: Uint8Array;
  readonly scale: number;
  readonly zeroPoint: number;
  readonly squaredNorm: number;
  /** Codes {@link numbers} and returns the squared error. */
  encode(): number;
}

/** Whole steps of the scale from a zero point. */
class StepCoder implements Coder {
  readonly numbers: Float64Array;
  readonly codes: Uint8Array;
  readonly #half: number;
  readonly #spans: boolean;
  readonly #factors: readonly number[];
  readonly #trial: Uint8Array;
  scale = 0;
  zeroPoint: number;
  squaredNorm = 0;

  constructor(blockSize: number, bits: 4 | 8, spans: boolean) {
    this.numbers = new Float64Array(blockSize);
    this.codes = new Uint8Array(blockSize);
    this.#trial = new Uint8Array(blockSize);
    this.#half = 2 ** (bits - 1);
    this.#spans = spans;
    // With 256 steps nothing is won by clipping.
    this.#factors = bits === 8 ? [1] : spans ? SPANNING_FACTORS : SYMMETRIC_FACTORS;
    this.zeroPoint = this.#half;
  }

  encode(): number {
    let [low, high] = [0, 0];
    this.squaredNorm = 0;
    for (const number of this.numbers) {
      low = Math.min(low, number);
      high = Math.max(high, number);
      this.squaredNorm += number * number;
    }
    const steps = 2 * this.#half - 1;
    // The outermost number becomes code 0, half the range away from the zero point, whatever its sign.
    const full = this.#spans ? (high - low) / steps : (high > -low ? high : low) / -this.#half;
    if (full === 0) {
      this.scale = 0;
      this.zeroPoint = this.#half;
      this.codes.fill(this.#half);
      return 0;
    }
    let least = Number.POSITIVE_INFINITY;
    for (const factor of this.#factors) {
      const scale = Math.fround(full * factor);
      const zeroPoint = this.#spans
        ? Math.min(steps, Math.max(0, Math.floor((-low * factor) / scale + 0.5)))
        : this.#half;
      const error = this.#encodeWith(scale, zeroPoint, steps);
      if (!(error < least)) continue;
      least = error;
      this.scale = scale;
      this.zeroPoint = zeroPoint;
      this.codes.set(this.#trial);
    }
    return least;
  }

  #encodeWith(scale: number, zeroPoint: number, steps: number): number {
    const { numbers } = this;
    const codes = this.#trial;
    const inverse = 1 / scale;
    let error = 0;
    for (let i = 0; i < numbers.length; i++) {
      const code = Math.min(steps, Math.max(0, Math.floor(numbers[i]! * inverse + 0.5) + zeroPoint));
      codes[i] = code;
      const difference = numbers[i]! - (code - zeroPoint) * scale;
      error += difference * difference;
    }
    return error;
  }
}

/** The nearest of the 16 levels, times the largest magnitude. */
class LevelCoder implements Coder {
  readonly numbers: Float64Array;
  readonly codes: Uint8Array;
  readonly zeroPoint = 0;
  scale = 0;
  squaredNorm = 0;

  constructor(blockSize: number) {
    this.numbers = new Float64Array(blockSize);
    this.codes = new Uint8Array(blockSize);
  }

  encode(): number {
    let [largest, error] = [0, 0];
    this.squaredNorm = 0;
    for (const number of this.numbers) {
      largest = Math.max(largest, Math.abs(number));
      this.squaredNorm += number * number;
    }
    this.scale = largest;
    const inverse = largest === 0 ? 0 : 1 / largest;
    for (let i = 0; i < this.numbers.length; i++) {
      const code = nearestLevel(this.numbers[i]! * inverse);
      this.codes[i] = code;
      const difference = this.numbers[i]! - NF4_LEVELS[code]! * largest;
      error += difference * difference;
    }
    return error;
  }
}

/** Halves of the way from each level to the next. */
const LEVEL_BOUNDS = NF4_LEVELS.slice(1).map((level, i) => (NF4_LEVELS[i]! + level) / 2);

function nearestLevel(number: number): number {
  let [low, high] = [0, 15];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (number > LEVEL_BOUNDS[middle]!) low = middle + 1;
    else high = middle;
  }
  return low;
}

function pack(target: Uint8Array, codes: Uint8Array, at: number, bits: 4 | 8, highFirst: boolean): void {
  if (bits === 8) {
    target.set(codes, at);
    return;
  }
  for (let i = 0; i < codes.length; i += 2) {
    const [a, b] = [codes[i]!, codes[i + 1]!];
    target[(at + i) >> 1] = highFirst ? (a << 4) | b : a | (b << 4);
  }
}

/** Rows of zero points begin at whole bytes. */
function setZeroPoint(
  target: Uint8Array,
  row: number,
  block: number,
  blocks: number,
  bits: 4 | 8,
  value: number,
): void {
  if (bits === 8) target[row * blocks + block] = value;
  else target[row * Math.ceil(blocks / 2) + (block >> 1)]! |= value << (4 * (block & 1));
}
