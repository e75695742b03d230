import type { Segment } from "./paint.ts";
import type { CurvePoint } from "./run-state.ts";

/** Dots of one braille character, by row then column (Unicode chart U+2800). */
const BRAILLE_DOTS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;

const VALIDATION_MARK = "●";
const BEST_MARK = "★";

/** A validation result on the curve. */
export interface CurveMark extends CurvePoint {
  readonly best: boolean;
}

/** A curve as lines of characters, with the ends of its axes. */
export interface Curve {
  /** `rows` lines of exactly `columns` columns. */
  readonly lines: readonly (readonly Segment[])[];
  /** Loss at the top and at the bottom edge, and the steps at the left and right edge. */
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/**
 * Draws the training losses as a line of braille dots (2 × 4 a character) and validations as marks over it.
 * The loss axis is logarithmic, so the end of a run is not squashed by its beginning.
 */
export function drawCurve(
  points: readonly CurvePoint[],
  marks: readonly CurveMark[],
  columns: number,
  rows: number,
): Curve | undefined {
  const all = [...points, ...marks].filter(({ lossNats }) => Number.isFinite(lossNats) && lossNats > 0);
  if (all.length < 2) return undefined;
  const left = all.reduce((min, { step }) => Math.min(min, step), Number.POSITIVE_INFINITY);
  const right = all.reduce((max, { step }) => Math.max(max, step), 0);
  const top = all.reduce((max, { lossNats }) => Math.max(max, lossNats), 0);
  const bottom = all.reduce((min, { lossNats }) => Math.min(min, lossNats), Number.POSITIVE_INFINITY);
  const toColumn = (step: number, size: number): number =>
    right === left ? 0 : Math.round(((step - left) / (right - left)) * (size - 1));
  const toRow = (loss: number, size: number): number =>
    top === bottom ? size - 1 : Math.round((Math.log(top / loss) / Math.log(top / bottom)) * (size - 1));

  const heights = columnMeans(points, columns * 2, toColumn, (loss) => toRow(loss, rows * 4));
  const cells = drawDots(heights, columns, rows);
  const overlay = new Map<number, Segment>();
  for (const { step, lossNats, best } of marks) {
    if (!(lossNats > 0 && Number.isFinite(lossNats))) continue;
    const at = toRow(lossNats, rows) * columns + toColumn(step, columns);
    overlay.set(at, { text: best ? BEST_MARK : VALIDATION_MARK, tone: best ? "good" : "validation" });
  }
  const lines = Array.from({ length: rows }, (_, row) => drawLine(cells, overlay, row, columns));
  return { lines, top, bottom, left, right };
}

/** Dot row for each dot column: the mean of the points there, straight lines between; undefined outside the data. */
function columnMeans(
  points: readonly CurvePoint[],
  dotColumns: number,
  toColumn: (step: number, size: number) => number,
  toDotRow: (lossNats: number) => number,
): (number | undefined)[] {
  const sums = new Float64Array(dotColumns);
  const counts = new Float64Array(dotColumns);
  for (const { step, lossNats } of points) {
    if (!(lossNats > 0 && Number.isFinite(lossNats))) continue;
    const column = toColumn(step, dotColumns);
    sums[column]! += lossNats;
    counts[column]! += 1;
  }
  const heights: (number | undefined)[] = Array.from(sums, (sum, i) =>
    counts[i]! > 0 ? toDotRow(sum / counts[i]!) : undefined,
  );
  let before = -1;
  for (let i = 0; i < dotColumns; i++) {
    if (heights[i] === undefined) continue;
    for (let gap = before + 1; before >= 0 && gap < i; gap++) {
      heights[gap] = Math.round(
        heights[before]! + ((heights[i]! - heights[before]!) * (gap - before)) / (i - before),
      );
    }
    before = i;
  }
  return heights;
}

/** Braille bits of every cell, row by row; neighbouring columns are joined by vertical strokes. */
function drawDots(heights: readonly (number | undefined)[], columns: number, rows: number): Uint8Array {
  const cells = new Uint8Array(columns * rows);
  let previous: number | undefined;
  heights.forEach((height, x) => {
    if (height === undefined) return;
    const from =
      previous === undefined || previous === height ? height : previous + Math.sign(height - previous);
    for (let y = Math.min(from, height); y <= Math.max(from, height); y++) {
      cells[(y >> 2) * columns + (x >> 1)]! |= BRAILLE_DOTS[y & 3]![x & 1]!;
    }
    previous = height;
  });
  return cells;
}

function drawLine(
  cells: Uint8Array,
  overlay: ReadonlyMap<number, Segment>,
  row: number,
  columns: number,
): Segment[] {
  const segments: Segment[] = [];
  let dots = "";
  for (let at = row * columns; at < (row + 1) * columns; at++) {
    const mark = overlay.get(at);
    if (mark) {
      if (dots !== "") segments.push({ text: dots, tone: "training" });
      dots = "";
      segments.push(mark);
    } else {
      dots += cells[at] === 0 ? " " : String.fromCharCode(0x2800 + cells[at]!);
    }
  }
  return dots === "" ? segments : [...segments, { text: dots, tone: "training" }];
}
