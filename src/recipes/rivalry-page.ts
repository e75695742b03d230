import { writeFileAtomic } from "../hub/atomic-write.ts";
import { escapeHtml, renderTable } from "../train/report/html.ts";
import { renderLineChart } from "../train/report/line-chart.ts";
import { renderPage } from "../train/report/page.ts";
import { formatSi } from "../train/report/quantities.ts";
import type { KindBaseline } from "./kind-baselines.ts";
import { type LocalTask, labelOf } from "./local-task.ts";
import type { Rival, Rivalry } from "./rivals.ts";

/** What the page shows. */
export interface RivalryPage {
  readonly rivalry: Rivalry;
  readonly baselines: readonly KindBaseline[];
  readonly task: LocalTask;
}

/** Both rivals' held-out loss against what it took, and what each of them cost: one HTML file without network. */
export function writeRivalryPage(path: string, page: RivalryPage): void {
  writeFileAtomic(path, renderRivalryPage(page));
}

function renderRivalryPage({ rivalry, baselines, task }: RivalryPage): string {
  const { adapted, scratch } = rivalry;
  const chart = renderLineChart({
    title: "Held-out loss against arithmetic",
    unit: "nats per learnt token",
    xLabel: "GFLOP of training",
    scale: "log",
    series: [
      { label: "base with LoRA", color: "training", style: "line", points: pointsOf(adapted) },
      { label: "from scratch", color: "rate", style: "line", points: pointsOf(scratch) },
    ],
    levels: [{ label: "best from scratch", y: scratch.best.lossNats }],
    heightPx: 320,
  });
  const counts = task.kinds.map((kind) => {
    const of = (rows: LocalTask["training"]) => rows.filter((row) => labelOf(row) === kind).length;
    return { label: kind, value: `${of(task.training)} to learn from, ${of(task.heldOut)} held out` };
  });
  const simple = baselines.map(({ label, accuracy }) => ({
    label,
    value: `${(100 * accuracy).toFixed(1)} % right`,
  }));
  const card = (title: string, rows: Parameters<typeof renderTable>[0]) =>
    `<div class="card"><h3>${title}</h3>${renderTable(rows)}</div>`;
  const body = `<header>
<div class="eyebrow">Plinth adaptation report</div>
<h1>Piece of a file → the end of its name</h1>
<p>${escapeHtml(sayVerdict(rivalry))}</p>
</header>
${chart}
<div class="columns">
<div>${card("The base with LoRA", costs(adapted))}${card("The same network from scratch", costs(scratch))}</div>
<div>${card("Without a network", simple)}${card("Pieces of files", counts)}</div>
</div>`;
  return renderPage("Adaptation", body);
}

function pointsOf({ curve }: Rival) {
  return curve.map(({ flops, lossNats }) => ({ x: flops / 1e9, y: lossNats }));
}

function costs({ best, trainedParameters, bytes }: Rival) {
  const rows = {
    "right on held-out pieces": `${(100 * best.value).toFixed(1)} %`,
    "lowest held-out loss": `${best.lossNats.toFixed(3)} nats`,
    "arithmetic until then": formatSi(best.flops, "FLOP"),
    "time in steps until then": `${best.seconds.toFixed(1)} s`,
    "trained parameters": formatSi(trainedParameters, ""),
    "on disk": formatSi(bytes, "B"),
  };
  return Object.entries(rows).map(([label, value]) => ({ label, value }));
}

/** Who was better, and what the base took to get as far; nothing that was not measured. */
export function sayVerdict({ saving, adapted, scratch }: Rivalry): string {
  const size = `It trained ${times(saving.trainedParameters)} fewer parameters.`;
  if (saving.reached) {
    const flops = saving.flops!;
    const cost = flops >= 1 ? `${times(flops)} less` : `${times(1 / flops)} more`;
    return `LoRA got as low as the best from scratch for ${cost} arithmetic. ${size}`;
  }
  const [lora, alone] = [adapted, scratch].map(({ best }) => best.lossNats.toFixed(3));
  return `From scratch was better here: a held-out loss of ${alone} against LoRA's ${lora}. ${size}`;
}

function times(factor: number): string {
  return `${factor >= 10 ? factor.toFixed(0) : factor.toFixed(1)} ×`;
}
