import { escapeHtml } from "./html.ts";
import { formatCount } from "./quantities.ts";

/** How often each label was taken for each: a row for each right one, in it a count for each that was said. */
export interface Confusions {
  readonly labels: readonly string[];
  readonly counts: readonly ArrayLike<number>[];
}

/** Largest matrix that is shown whole. */
const MAX_LABELS = 24;

/** Pairs of labels that are listed where the matrix is too large. */
const MAX_PAIRS = 30;

/** The matrix of what was taken for what, darker where more was; of many labels, only the pairs most often confused. */
export function renderConfusions({ labels, counts }: Confusions): string {
  const content = labels.length <= MAX_LABELS ? renderMatrix(labels, counts) : renderPairs(labels, counts);
  return `<h2>What was taken for what</h2>
<div class="card scroll">${content}</div>`;
}

function renderMatrix(labels: readonly string[], counts: readonly ArrayLike<number>[]): string {
  // Long names are cut, and whole under the pointer.
  const names = labels.map((label) => ({ name: escapeHtml(label), title: ` title="${escapeHtml(label)}"` }));
  const head = names.map(({ name, title }) => `<th scope="col"${title}><span>${name}</span></th>`).join("");
  const rows = names.map(({ name, title }, right) => {
    const row = Array.from(counts[right]!);
    const total = row.reduce((sum, count) => sum + count, 0);
    const cells = row.map((count, said) => {
      const share = total === 0 ? 0 : Math.round((100 * count) / total);
      const color = right === said ? "var(--good)" : "var(--warn)";
      const style = `background: color-mix(in srgb, ${color} ${Math.round(share * 0.6)}%, var(--paper))`;
      return count === 0 ? "<td></td>" : `<td style="${style}">${formatCount(count)}</td>`;
    });
    return `<tr><th scope="row"${title}>${name}</th>${cells.join("")}</tr>`;
  });
  return `<p class="soft">Rows are what was right, columns what was said.</p>
<table class="matrix"><thead><tr><th></th>${head}</tr></thead>
<tbody>
${rows.join("\n")}
</tbody></table>`;
}

function renderPairs(labels: readonly string[], counts: readonly ArrayLike<number>[]): string {
  const pairs = labels.flatMap((right, i) =>
    labels.flatMap((said, j) =>
      i !== j && counts[i]![j]! > 0 ? [{ right, said, count: counts[i]![j]! }] : [],
    ),
  );
  const shown = pairs.sort((a, b) => b.count - a.count).slice(0, MAX_PAIRS);
  const rows = shown.map(
    ({ right, said, count }) =>
      `<tr><td>${escapeHtml(right)}</td><td>${escapeHtml(said)}</td><td>${formatCount(count)}</td></tr>`,
  );
  return `<p class="soft">The pairs most often confused, of ${formatCount(labels.length)} labels.</p>
<table class="list"><thead><tr><th>right</th><th>said</th><th>times</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody></table>`;
}
