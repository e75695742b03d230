import { figureOf, isBetter, isTaskQuality, isTextQuality, type Quality } from "../quality.ts";
import type { Baseline } from "../report.ts";
import { escapeHtml } from "./html.ts";
import { formatCount, formatDuration, formatSi } from "./quantities.ts";
import type { RunSummary } from "./run-summary.ts";

interface Tile {
  readonly label: string;
  readonly value: string;
  readonly unit?: string;
  readonly note?: string;
}

/** The run in a handful of figures. */
export function renderTiles(summary: RunSummary, baselines: readonly Baseline[]): string {
  const tiles = [...qualityTiles(summary, baselines), ...costTiles(summary)];
  return `<dl class="tiles">\n${tiles.map(renderTile).join("\n")}\n</dl>`;
}

function qualityTiles({ best, steps }: RunSummary, baselines: readonly Baseline[]): Tile[] {
  const last = steps.at(-1);
  if (!best) {
    return last ? [{ label: "Training loss", value: last.lossNats.toFixed(3), unit: "nats" }] : [];
  }
  const comparison = compare(best, baselines);
  const { value, unit } = figureOf(best, 3);
  const per = isTaskQuality(best) ? "nats" : "nats/token";
  const nats = `${best.lossNats.toFixed(3)} ${per} at step ${formatCount(best.step)}`;
  return [
    {
      label: "Best validation",
      value,
      unit,
      note: comparison ? `${comparison}; ${nats}` : nats,
    },
  ];
}

/** Against the strongest baseline. */
function compare(quality: Quality, baselines: readonly Baseline[]): string | undefined {
  const strongest = baselines.reduce<Baseline | undefined>(
    (best, one) => (best && !isBetter(one, best) ? best : one),
    undefined,
  );
  if (!strongest) return undefined;
  if (isTextQuality(quality) && isTextQuality(strongest)) {
    const percent = (quality.bitsPerByte / strongest.bitsPerByte - 1) * 100;
    return `${Math.abs(percent).toFixed(1)} % ${percent < 0 ? "below" : "above"} ${strongest.label}`;
  }
  return `${strongest.label}: ${figureOf(strongest, 3).value}`;
}

function costTiles({ start, numTokens, totalFlops, seconds, steps }: RunSummary): Tile[] {
  const tokensPerSecond = seconds > 0 ? `${formatCount(numTokens / seconds)} tokens/s overall` : "";
  const stepSeconds = steps.reduce((sum, { stepMs }) => sum + stepMs / 1000, 0);
  const speed = stepSeconds > 0 ? `${formatSi(totalFlops / stepSeconds, "FLOP/s")} in the steps` : "";
  const pace = steps.length > 0 ? `${formatCount((stepSeconds * 1000) / steps.length)} ms a step` : "";
  return [
    { label: "Parameters trained", ...split(formatSi(start?.numParameters ?? 0, "")) },
    { label: "Tokens seen", ...split(formatSi(numTokens, "")), note: tokensPerSecond },
    { label: "Compute", ...split(formatSi(totalFlops, "FLOP")), note: speed },
    { label: "Time", value: formatDuration(seconds), note: pace },
  ];
}

function split(quantity: string): { value: string; unit: string } {
  const [value = "", ...unit] = quantity.split(" ");
  return { value, unit: unit.join(" ") };
}

function renderTile({ label, value, unit, note }: Tile): string {
  const small = unit ? ` <small>${escapeHtml(unit)}</small>` : "";
  const extra = note ? `<div class="note">${escapeHtml(note)}</div>` : "";
  return `<div class="tile"><dt>${escapeHtml(label)}</dt><dd><div class="value">${escapeHtml(value)}${small}</div>${extra}</dd></div>`;
}
