import { figureOf } from "../../train/quality.ts";
import { formatCount, formatDuration, formatSmall } from "../../train/report/quantities.ts";
import { cutColumns, makeVisible, takeColumns } from "./columns.ts";
import { drawCurve } from "./curve.ts";
import { type Paint, paintLine, paintNothing, type Segment, segmentsWidth } from "./paint.ts";
import { type RunState, secondsLeft } from "./run-state.ts";

const CURVE_MAX_ROWS = 8;
const CURVE_MIN_ROWS = 3;
const CURVE_MIN_COLUMNS = 20;
const AXIS_COLUMNS = 8;
const SAMPLE_ROWS = 2;

/**
 * The live block of a run: at most `height` lines of at most `width` columns. When there is little room the
 * curve shrinks and goes first, then the sample.
 */
export function renderFrame(
  state: RunState,
  width: number,
  height: number,
  paint: Paint = paintNothing,
): string[] {
  const head = [
    titleLine(state),
    progressLine(state, width),
    timeLine(state),
    [],
    ...figureLines(state, width),
  ];
  const sample = sampleLines(state, width);
  const withSample = head.length + sample.length <= height ? sample : [];
  const room = height - head.length - withSample.length - 2; // a blank line above, the step axis below
  const rows = Math.min(CURVE_MAX_ROWS, room - 1);
  const curve = rows >= CURVE_MIN_ROWS ? curveLines(state, width, rows) : [];
  return [...head, ...curve, ...withSample].slice(0, height).map((line) => paintLine(line, width, paint));
}

function titleLine({ start }: RunState): Segment[] {
  return [{ text: start ? makeVisible(start.title) : "preparing …", tone: "title" }];
}

function progressLine(state: RunState, width: number): Segment[] {
  const { start, last } = state;
  if (!start) return [];
  // A resumed run is that far along before its first step.
  const step = last?.step ?? start.step;
  const part = start.totalSteps > 0 ? step / start.totalSteps : 1;
  const counter = `${formatCount(step)} / ${formatCount(start.totalSteps)} steps`;
  const tail = `  ${(part * 100).toFixed(1).padStart(5)} %   ${counter}`;
  const columns = Math.max(10, Math.min(width, 120) - tail.length);
  const filled = Math.min(columns, Math.floor(part * columns));
  return [
    { text: "━".repeat(filled), tone: "training" },
    { text: "─".repeat(columns - filled), tone: "label" },
    { text: tail.slice(0, 9), tone: "value" },
    { text: tail.slice(9) },
  ];
}

function timeLine(state: RunState): Segment[] {
  const elapsed = state.end ? state.end.seconds : (state.nowMs - state.startedMs) / 1000;
  const line: Segment[] = [{ text: "elapsed ", tone: "label" }, { text: formatDuration(elapsed) }];
  const left = secondsLeft(state);
  if (state.end) {
    const tone = state.end.reason === "stopped" ? "warning" : "good";
    line.push({ text: "  ·  ", tone: "label" }, { text: state.end.reason, tone });
  } else if (Number.isFinite(left)) {
    line.push({ text: "  ·  left ", tone: "label" }, { text: formatDuration(left) });
  }
  if (state.numSkipped > 0) {
    const plural = state.numSkipped > 1 ? "s" : "";
    line.push({ text: "  ·  ", tone: "label" });
    line.push({ text: `${formatCount(state.numSkipped)} step${plural} skipped`, tone: "warning" });
  }
  return line;
}

/** Narrower terminals have half as much in a line of figures. */
const NARROW_COLUMNS = 68;

/** Loss and validation, then four figures in equal cells. */
function figureLines(state: RunState, width: number): Segment[][] {
  const { last, best } = state;
  const validation = state.validations.at(-1);
  if (!last && !validation) return [[{ text: "waiting for the first step …", tone: "label" }]];
  const loss: Segment[] = [
    { text: "loss ", tone: "label" },
    { text: lossText(last?.lossNats, state.smoothedNats), tone: "training" },
    { text: " nats", tone: "label" },
  ];
  const cells: Segment[][] = [
    [{ text: "rate ", tone: "label" }, { text: last ? formatSmall(last.learningRate) : "–" }],
    [{ text: "gradient ", tone: "label" }, { text: last ? formatSmall(last.gradientNorm) : "–" }],
    [{ text: "tokens/s ", tone: "label" }, { text: last ? formatCount(last.tokensPerSecond) : "–" }],
    [{ text: "GFLOP/s ", tone: "label" }, { text: last ? last.gflopPerSecond.toFixed(1) : "–" }],
  ];
  const checked = validationSegments(validation, best);
  const inRow = (row: readonly Segment[][], cellWidth: number): Segment[] =>
    row.flatMap((cell, i) => (i < row.length - 1 ? pad(cell, cellWidth) : cell));
  if (width < NARROW_COLUMNS) {
    const half = Math.floor(width / 2);
    return [loss, checked, inRow(cells.slice(0, 2), half), inRow(cells.slice(2), half)];
  }
  const cellWidth = Math.min(26, Math.floor(width / 4));
  return [[...pad(loss, cellWidth), ...checked], inRow(cells, cellWidth)];
}

function lossText(lossNats: number | undefined, smoothedNats: number): string {
  if (lossNats === undefined) return "–";
  return Number.isFinite(lossNats) ? smoothedNats.toFixed(4) : String(lossNats);
}

function validationSegments(validation: RunState["best"], best: RunState["best"]): Segment[] {
  if (!validation) return [];
  const figure = figureOf(validation, 4);
  const line: Segment[] = [
    { text: "validation ", tone: "label" },
    { text: validation.lossNats.toFixed(4), tone: "validation" },
    { text: " nats  ", tone: "label" },
    { text: figure.value, tone: "validation" },
    { text: ` ${figure.unit}  `, tone: "label" },
  ];
  if (validation === best) return [...line, { text: "★ best", tone: "good" }];
  return best ? [...line, { text: `★ ${figureOf(best, 4).value}`, tone: "label" }] : line;
}

function pad(segments: readonly Segment[], width: number): Segment[] {
  return [...segments, { text: " ".repeat(Math.max(2, width - segmentsWidth(segments))) }];
}

function curveLines(state: RunState, width: number, rows: number): Segment[][] {
  const columns = Math.min(width, 120) - AXIS_COLUMNS;
  if (columns < CURVE_MIN_COLUMNS) return [];
  const marks = state.validations.map(({ step, lossNats }) => ({
    step,
    lossNats,
    best: step === state.best?.step,
  }));
  const curve = drawCurve(state.curve, marks, columns, rows);
  if (!curve) return [];
  const lines = curve.lines.map((line, row): Segment[] => {
    const label = row === 0 ? curve.top.toFixed(2) : row === rows - 1 ? curve.bottom.toFixed(2) : "";
    const axis = `${label.padStart(AXIS_COLUMNS - 2)} ${label ? "┤" : "│"}`;
    return [{ text: axis, tone: "label" }, ...line];
  });
  const left = formatCount(curve.left);
  const right = formatCount(curve.right);
  const legend = state.validations.length > 0 ? " ⠒⠒ training  ● validation  ★ best " : " ⠒⠒ training ";
  const rule = columns - left.length - right.length - legend.length - 3;
  const before = Math.max(0, Math.floor(rule / 2));
  const ruler = ` ${left} ${"─".repeat(before)}${legend}${"─".repeat(Math.max(0, rule - before))} ${right}`;
  return [
    [],
    ...lines,
    [{ text: " ".repeat(AXIS_COLUMNS - 1) }, { text: "└", tone: "label" }, { text: ruler, tone: "label" }],
  ];
}

function sampleLines({ sample }: RunState, width: number): Segment[][] {
  if (!sample) return [];
  const prompt = makeVisible(sample.prompt);
  const [first, ...rest] = wrapColumns(`${prompt}${makeVisible(sample.text)}`, width, SAMPLE_ROWS);
  if (first === undefined) return [];
  const shownPrompt = first.startsWith(prompt) ? prompt : "";
  const lines: Segment[][] = [
    [{ text: shownPrompt, tone: "value" }, { text: first.slice(shownPrompt.length) }],
    ...rest.map((text): Segment[] => [{ text }]),
  ];
  return [[], [{ text: `sample at step ${formatCount(sample.step)}`, tone: "label" }], ...lines];
}

/** Breaks at columns, not words: model output need not have any. The last row says with `…` that more came. */
function wrapColumns(text: string, width: number, rows: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest !== "" && lines.length < rows) {
    const line = lines.length === rows - 1 ? cutColumns(rest, width) : takeColumns(rest, width);
    if (line === "") break; // a terminal narrower than one character
    lines.push(line);
    rest = rest.slice(line.length);
  }
  return lines;
}
