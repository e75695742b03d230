import { chooseTicks, fitScale, formatTick, makeScale, type Scale, type ScaleKind } from "./axis.ts";
import { escapeHtml } from "./html.ts";
import type { Point } from "./series.ts";

/** Which of the page's colours; see the style sheet in `page.ts`. */
export type ChartColor = "training" | "validation" | "rate" | "norm" | "speed";

/** One line or set of points of a chart. */
export interface ChartSeries {
  readonly label: string;
  readonly color: ChartColor;
  /** `faint`: a thin pale line behind the others, left out of the legend. */
  readonly style: "line" | "faint" | "points";
  readonly points: readonly Point[];
}

/** A dashed line across the chart. */
export interface ChartLevel {
  readonly label: string;
  readonly y: number;
}

/** What a chart shows. */
export interface LineChart {
  readonly title: string;
  /** What the left axis measures, e.g. `nats per token`. */
  readonly unit: string;
  readonly xLabel: string;
  readonly scale: ScaleKind | "from-zero";
  readonly series: readonly ChartSeries[];
  readonly levels?: readonly ChartLevel[];
  /** A second axis on the right that shows `y × factor`. */
  readonly rightAxis?: { readonly unit: string; readonly factor: number };
  /** Height of the plot in CSS pixels. */
  readonly heightPx: number;
}

/** The drawing's own coordinates, stretched to the plot by the browser; labels are HTML and keep their size. */
const EXTENT = 1000;
const PX_PER_Y_TICK = 45;
/** Plots lower than this are small multiples, also narrow: fewer labels fit below them. */
const SMALL_PX = 200;
/** A level's label is a line of text; two of them must not lie on each other. */
const LEVEL_LABEL_PX = 17;

/**
 * Draws a chart as HTML with an inline SVG. It needs the style sheet of `page.ts`, and no script to be read; the
 * page's script adds the values under the pointer, which every series carries in `data-points`. Points that are not
 * finite are left out.
 */
export function renderLineChart(chart: LineChart): string {
  const series = chart.series.map((one) => ({ ...one, points: one.points.filter(isFinitePoint) }));
  const points = series.flatMap((one) => one.points);
  const caption = `<figcaption><b>${escapeHtml(chart.title)}</b>${renderLegend(series)}</figcaption>`;
  if (points.length === 0) {
    return `<figure class="chart">${caption}<p class="empty">Nothing was recorded.</p></figure>`;
  }
  const levels = (chart.levels ?? []).filter(({ y }) => Number.isFinite(y));
  const steps = points.map((point) => point.x);
  const x = makeScale("linear", minOf(steps), maxOf(steps));
  const y = fitScale(
    chart.scale,
    [...points, ...levels].map((point) => point.y),
  );
  const ticks = chooseTicks(y, Math.max(2, Math.floor(chart.heightPx / PX_PER_Y_TICK)));
  const plot = [
    renderDrawing(series, levels, ticks, x, y),
    ...renderLeftAxis(ticks, y),
    ...renderRightAxis(chart, y),
    ...renderBottomAxis(x, chart.heightPx < SMALL_PX ? 3 : 5),
    ...renderLevelLabels(levels, y, chart.heightPx),
    '<span class="cursor" hidden></span><div class="tip" hidden></div>',
  ];
  const right = chart.rightAxis ? ` data-right="${chart.rightAxis.factor}"` : "";
  const rightUnit = chart.rightAxis ? `<span>${escapeHtml(chart.rightAxis.unit)}</span>` : "";
  return `<figure class="chart">${caption}
<div class="units"><span>${escapeHtml(chart.unit)}</span>${rightUnit}</div>
<div class="plot${chart.rightAxis ? " two-axes" : ""}" style="height:${chart.heightPx}px" data-x="${x.min} ${x.max}" data-y="${y.min} ${y.max}" data-scale="${y.kind}"${right}>
${plot.join("\n")}
</div>
<div class="x-label">${escapeHtml(chart.xLabel)}</div>
</figure>`;
}

function renderLegend(series: readonly ChartSeries[]): string {
  const entries = series
    .filter(({ style }) => style !== "faint")
    .map(({ label, color, style }) => `<span class="key ${style} ${color}">${escapeHtml(label)}</span>`);
  return entries.length > 1 ? `<span class="legend">${entries.join("")}</span>` : "";
}

function renderDrawing(
  series: readonly ChartSeries[],
  levels: readonly ChartLevel[],
  ticks: readonly number[],
  x: Scale,
  y: Scale,
): string {
  const across = (value: number): string => `M0 ${toY(y, value)}H${EXTENT}`;
  const lines = [
    `<path class="grid" d="${ticks.map(across).join("")}"/>`,
    `<path class="level-line" d="${levels.map((level) => across(level.y)).join("")}"/>`,
    ...series.map((one) => renderSeries(one, x, y)),
  ];
  return `<svg viewBox="0 0 ${EXTENT} ${EXTENT}" preserveAspectRatio="none" aria-hidden="true">
${lines.join("\n")}
</svg>`;
}

function renderSeries({ label, color, style, points }: ChartSeries, x: Scale, y: Scale): string {
  const places = points.map((point) => `${round(x.place(point.x) * EXTENT)} ${toY(y, point.y)}`);
  // A point is a line of no length with round ends: it stays round however the drawing is stretched.
  const path = style === "points" ? places.map((place) => `M${place}h0`).join("") : `M${places.join("L")}`;
  const data = escapeHtml(JSON.stringify(points.map((point) => [point.x, point.y])));
  const drawn = points.length === 0 ? "" : path;
  return `<path class="${style} ${color}" d="${drawn}" data-label="${escapeHtml(label)}" data-points="${data}"/>`;
}

function renderLeftAxis(ticks: readonly number[], y: Scale): string[] {
  return ticks.map(
    (tick) => `<span class="tick left" style="top:${fromTop(y, tick)}%">${formatTick(tick, ticks)}</span>`,
  );
}

function renderRightAxis({ rightAxis, heightPx }: LineChart, y: Scale): string[] {
  if (!rightAxis) return [];
  const scale = makeScale(y.kind, y.min * rightAxis.factor, y.max * rightAxis.factor);
  const ticks = chooseTicks(scale, Math.max(2, Math.floor(heightPx / PX_PER_Y_TICK)));
  return ticks.map(
    (tick) =>
      `<span class="tick right" style="top:${fromTop(scale, tick)}%">${formatTick(tick, ticks)}</span>`,
  );
}

function renderBottomAxis(x: Scale, count: number): string[] {
  const ticks = chooseTicks(x, count).filter(Number.isInteger);
  return ticks.map(
    (tick) =>
      `<span class="tick below" style="left:${round(x.place(tick) * 100)}%">${formatTick(tick, ticks)}</span>`,
  );
}

/** Labels sit on their lines; one that would cross another label or line moves up, so their order stays. */
function renderLevelLabels(levels: readonly ChartLevel[], y: Scale, heightPx: number): string[] {
  const height = (LEVEL_LABEL_PX / heightPx) * 100;
  const sorted = [...levels].sort((a, b) => a.y - b.y);
  let free = 100 + height;
  return sorted.map(({ label, y: value }) => {
    let bottom = Math.min(fromTop(y, value), free - height);
    for (const other of sorted) {
      const line = fromTop(y, other.y);
      if (line < bottom && line > bottom - height) bottom = line;
    }
    free = bottom;
    return `<span class="level-label" style="top:${round(bottom)}%">${escapeHtml(label)}</span>`;
  });
}

function toY(scale: Scale, value: number): number {
  return round((1 - scale.place(value)) * EXTENT);
}

/** Percent of the plot's height. */
function fromTop(scale: Scale, value: number): number {
  return round((1 - scale.place(value)) * 100);
}

function round(value: number): number {
  return Number(value.toFixed(2));
}

function isFinitePoint({ x, y }: Point): boolean {
  return Number.isFinite(x) && Number.isFinite(y);
}

function minOf(values: readonly number[]): number {
  return values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
}

function maxOf(values: readonly number[]): number {
  return values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
}
