import type { SampleEvent } from "../events.ts";
import { escapeHtml } from "./html.ts";
import { formatCount } from "./quantities.ts";

/** Samples shown at once; the others are there, folded away. */
const MAX_OPEN = 6;

/** What the model wrote along the way, the prompt marked; nothing when it wrote nothing. */
export function renderSamples(samples: readonly SampleEvent[]): string {
  if (samples.length === 0) return "";
  const open = new Set(
    Array.from({ length: MAX_OPEN }, (_, i) => Math.round((i * (samples.length - 1)) / (MAX_OPEN - 1))),
  );
  const shown = samples.filter((_, i) => open.has(i));
  const folded = samples.filter((_, i) => !open.has(i));
  const rest =
    folded.length > 0
      ? `<div class="card"><details><summary>${formatCount(folded.length)} more from other steps</summary>
<div>${folded.map(renderSample).join("\n")}</div></details></div>`
      : "";
  return `<h2>What it wrote</h2>
<div class="card">
${shown.map(renderSample).join("\n")}
</div>${rest}`;
}

function renderSample({ step, prompt, text }: SampleEvent): string {
  const marked = prompt === "" ? "" : `<mark>${escapeHtml(prompt)}</mark>`;
  return `<div class="sample"><p class="soft">step ${formatCount(step)}</p><pre>${marked}${escapeHtml(text)}</pre></div>`;
}
