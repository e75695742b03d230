import type { EndEvent } from "./events.ts";
import type { TimedEvent } from "./metrics-log.ts";
import { type Quality, showQuality } from "./quality.ts";
import { escapeHtml, renderTable, type TableRow } from "./report/html.ts";
import { renderPage } from "./report/page.ts";
import { formatCount } from "./report/quantities.ts";
import { renderLossChart, renderMultiples, renderQualityChart } from "./report/run-charts.ts";
import { renderSamples } from "./report/run-samples.ts";
import { findType, type RunSummary, summarizeRun } from "./report/run-summary.ts";
import { renderTiles } from "./report/run-tiles.ts";

/** A simple model's score on the same validation text, to compare with. */
export type Baseline = Quality & { readonly label: string };

/** What goes into a run's report. */
export interface RunReport {
  readonly title: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** One line, e.g. processor, cores, memory, Node version. */
  readonly machine: string;
  readonly config: Readonly<Record<string, string | number | boolean>>;
  readonly corpus: readonly TableRow[];
  /** As `readMetrics` gives them. */
  readonly events: readonly TimedEvent[];
  readonly baselines: readonly Baseline[];
  /** Commands to type next. */
  readonly next: readonly string[];
  /** Further parts, as HTML whose texts are escaped. */
  readonly sections?: readonly string[];
}

/**
 * The report of a training run: one HTML file that needs no network and no script to be read. Everything in it,
 * samples above all, is escaped.
 *
 * @example
 * writeFileSync("report.html", renderReport({ ...run, events: readMetrics("metrics.jsonl") }));
 */
export function renderReport(report: RunReport): string {
  const summary = summarizeRun(report.events);
  const sections = [
    renderHeader(report, summary),
    renderTiles(summary, report.baselines),
    `<h2>Loss</h2>\n${renderLossChart(summary, report.baselines)}`,
    renderQualityChart(summary, report.baselines),
    renderMultiples(summary),
    ...(report.sections ?? []),
    renderSamples(findType(report.events, "sample")),
    renderIncidents(report.events),
    renderFacts(report, summary),
    renderNext(report.next),
    "<footer>Made by Plinth. The numbers behind every chart are in <code>metrics.jsonl</code>.</footer>",
  ];
  return renderPage(report.title, sections.filter(Boolean).join("\n"));
}

const END_WORDS: Readonly<Record<EndEvent["reason"], string>> = {
  finished: "finished",
  "early-stopped": "stopped early: validation no longer improved",
  stopped: "stopped",
};

function renderHeader(
  { title, startedAt, machine }: RunReport,
  { end, lastStep, start }: RunSummary,
): string {
  const progress = `${formatCount(lastStep)} of ${formatCount(start?.totalSteps ?? 0)} steps`;
  const words = end ? END_WORDS[end.reason] : "not finished";
  const tone = end && end.reason !== "stopped" ? "good" : "warn";
  const state = `<span class="${tone}">${words}</span>, ${progress}`;
  const when = `${startedAt.slice(0, 16).replace("T", " ")} UTC`;
  return `<header>
<div class="eyebrow">Plinth training report</div>
<h1>${escapeHtml(title)}</h1>
<p>${state}</p>
<p class="soft">${escapeHtml(when)} · ${escapeHtml(machine)}</p>
</header>`;
}

/** Skipped steps and notices; nothing when there were none. */
function renderIncidents(events: readonly TimedEvent[]): string {
  const items = events.flatMap((event) => {
    if (event.type !== "skip" && event.type !== "notice") return [];
    const text = event.type === "skip" ? `skipped: ${event.reason}` : event.message;
    return [`<li><span class="soft">step ${formatCount(event.step)}</span> ${escapeHtml(text)}</li>`];
  });
  if (items.length === 0) return "";
  return `<h2>Skipped steps and notices</h2>
<div class="card"><ul class="notices">
${items.join("\n")}
</ul></div>`;
}

function renderFacts({ config, corpus, events, baselines }: RunReport, summary: RunSummary): string {
  const settings = Object.entries(config).map(
    ([label, value]): TableRow => ({
      label,
      value: typeof value === "number" ? String(value) : `${value}`,
    }),
  );
  const scores = baselines.map(
    (baseline): TableRow => ({ label: baseline.label, value: showQuality(baseline, 4) }),
  );
  const { best } = summary;
  if (best && scores.length > 0) {
    scores.push({ label: "this model", value: showQuality(best, 4) });
  }
  const checkpoint = findType(events, "checkpoint").at(-1);
  const saved = checkpoint
    ? [{ label: `last checkpoint, step ${formatCount(checkpoint.step)}`, value: checkpoint.path }]
    : [];
  const card = (title: string, rows: readonly TableRow[]): string =>
    rows.length > 0 ? `<div class="card"><h3>${title}</h3>${renderTable(rows)}</div>` : "";
  return `<h2>What was trained</h2>
<div class="columns">
<div>${card("Configuration", settings)}</div>
<div>${card("Corpus", corpus)}${card("Compared with", scores)}${card("Saved", saved)}</div>
</div>`;
}

function renderNext(commands: readonly string[]): string {
  if (commands.length === 0) return "";
  return `<h2>Use the model</h2>
<div class="card"><pre>${commands.map((command) => escapeHtml(command)).join("\n")}</pre></div>`;
}
