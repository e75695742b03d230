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
const MAX_LINES = 8;

const COLUMNS = ["where", "asked", "right", "said"] as const;

/** Examples that a model got wrong: what was asked, what was right, what it said. */
export function renderMistakes(mistakes: readonly Mistake[], numJudged: number): string {
  const count = `${formatCount(mistakes.length)} of ${formatCount(numJudged)} examples`;
  const more = mistakes.length > MAX_SHOWN ? ` The first ${MAX_SHOWN} of them:` : "";
  const table = mistakes.length > 0 ? renderRows(mistakes.slice(0, MAX_SHOWN)) : "";
  return `<h2>What it got wrong</h2>
<div class="card"><p>${count}.${more}</p>${table}</div>`;
}

/** The cells carry their column's name, for narrow screens, where each row is a block of its own. */
function renderRows(mistakes: readonly Mistake[]): string {
  const rows = mistakes.map(({ where, prompt, expected, got }) => {
    const cells = [where, prompt, expected, got].map((text, i) => {
      const tone = i === 0 || text.trim() === "" ? ' class="soft"' : "";
      return `<td${tone} data-label="${COLUMNS[i]}"><span>${escapeHtml(shorten(text))}</span></td>`;
    });
    return `<tr>${cells.join("")}</tr>`;
  });
  return `<table class="mistakes">
<thead><tr>${COLUMNS.map((name) => `<th>${name}</th>`).join("")}</tr></thead>
<tbody>
${rows.join("\n")}
</tbody></table>`;
}

/** The beginning of a text; white space at its ends does not count when answers are compared. */
function shorten(text: string): string {
  const trimmed = text.trim();
  if (trimmed === "") return "(nothing)";
  const shown = trimmed.split("\n").slice(0, MAX_LINES).join("\n").slice(0, MAX_CHARACTERS);
  return shown.length < trimmed.length ? `${shown}…` : shown;
}
