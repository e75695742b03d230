import { dirname, join, relative } from "node:path";
import { RIVAL_TITLES, type TaskAdaptation } from "../recipes/adapt-to-task.ts";
import { askKind } from "../recipes/local-task.ts";
import type { QuickstartResult } from "../recipes/quickstart.ts";
import { sayVerdict } from "../recipes/rivalry-page.ts";
import { figureOf, isBetter } from "../train/quality.ts";
import { formatSi } from "../train/report/quantities.ts";

/** What a quickstart says at its end: completions, both comparisons, where things are and what to type next. */
export function summarizeQuickstart(result: QuickstartResult, command: string): string {
  const { completions, best, baselines, seconds, modelDirectory, reportPath, reason, adaptation } = result;
  const [baseline] = baselines;
  const shown = completions.map(
    ({ kind, prompt, text }) => `— ${kind} —\n${prompt}\u2502${text.trimEnd()}\n`,
  );
  const model = relative(process.cwd(), modelDirectory);
  const saved = reason === "stopped" ? "" : `model    ${model}\n`;
  const verdict = isBetter(best, baseline) ? "The model is ahead." : "Counting is ahead: it takes longer.";
  return `
${shown.join("\n")}
bits per byte on text it never saw (8 is a uniform guess, lower is better)
  this model, ${Math.round(seconds)} s of training   ${figureOf(best, 3).value}
  ${baseline.label}, counted         ${figureOf(baseline, 3).value}
  ${verdict}

${adaptation ? compareInTable(adaptation) : ""}${saved}report   ${relative(process.cwd(), reportPath)}
${adaptation ? `adapter  ${relative(process.cwd(), adaptation.adapterDirectory)}\n` : ""}
next
  ${command} generate ${model} --prompt "import " --max-tokens 100
  ${command} score ${model} --text "The quick brown fox"
  ${command} pretrain mistral-tiny --data YOUR_FILES --out runs/mine
${adaptation ? nextWith(adaptation, command, model) : ""}`;
}

/** The adapter in use: merged, and asked about a line. */
function nextWith({ adapterDirectory }: TaskAdaptation, command: string, model: string): string {
  const adapter = relative(process.cwd(), adapterDirectory);
  const merged = join(dirname(adapter), "merged");
  return `  ${command} merge ${model} --adapter ${adapter} --out ${merged}
  ${command} generate ${merged} --temperature 0 --prompt '${askKind('import { join } from "node:path";')}'
`;
}

/** Both rivals where their held-out loss was lowest, the simple means, and who was better. */
function compareInTable({ rivalry, baselines, task, pagePath }: TaskAdaptation): string {
  const rows = (["adapted", "scratch"] as const).map((rival) => {
    const { best, trainedParameters, bytes } = rivalry[rival];
    return [
      RIVAL_TITLES[rival],
      percent(best.value),
      best.lossNats.toFixed(3),
      formatSi(best.flops, "FLOP"),
      `${best.seconds.toFixed(1)} s`,
      formatSi(trainedParameters, ""),
      formatSi(bytes, "B"),
    ];
  });
  const simple = baselines.map(({ label, accuracy }) => [label, percent(accuracy)]);
  const header = ["", "right", "loss", "arithmetic", "time", "trained", "on disk"];
  const { kinds, training, heldOut } = task;
  return `a few lines of a file → the end of its name, one of ${kinds.length}: ${heldOut.length} pieces of packages that neither has seen,
${training.length} to learn from; each where its held-out loss was lowest
${alignColumns([header, ...rows, ...simple])}
  ${sayVerdict(rivalry)}
  both curves  ${relative(process.cwd(), pagePath)}

`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** The first column to the left, figures to the right. */
function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ");
  return rows.map((row) => `  ${line(row).trimEnd()}`).join("\n");
}
