import { escapeHtml } from "./html.ts";
import { formatCount } from "./quantities.ts";

/** An example that a model got wrong. */
export interface Mistake {
  /** File and row. */
  readonly where: string;
  readonly prompt: string;
  readonly expected: string;
  readonly got: string;
}

/** Mistakes that are shown at once; the rest are in the run's file of predictions. */
const MAX_SHOWN = 40;

/** Longest text of a cell. */
const MAX_CHARACTERS = 300;

/** Examples that a model got wrong: what was asked, what was right, what it said. */
export function renderMistakes(mistakes: readonly Mistake[], numJudged: number): string {
  const count = `${formatCount(mistakes.length)} of ${formatCount(numJudged)} examples`;
  const rows = mistakes.slice(0, MAX_SHOWN).map(({ where, prompt, expected, got }) => {
    const cells = [prompt, expected, got].map((text) => `<td>${escapeHtml(shorten(text))}</td>`);
    return `<tr><td class="soft">${escapeHtml(where)}</td>${cells.join("")}</tr>`;
  });
  const more = mistakes.length > MAX_SHOWN ? ` The first ${MAX_SHOWN} of them:` : "";
  const table = `<table>
<thead><tr><th>where</th><th>asked</th><th>right</th><th>said</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody></table>`;
  return `<h2>What it got wrong</h2>
<div class="card"><p>${count}.${more}</p>${rows.length > 0 ? table : ""}</div>`;
}

function shorten(text: string): string {
  return text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text;
}
