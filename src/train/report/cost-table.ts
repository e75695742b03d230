import { escapeHtml } from "./html.ts";

/** One cost, and what the base has of it. */
export interface CostRow {
  readonly label: string;
  readonly value: string;
  readonly base?: string;
  /** Of the base. */
  readonly share?: number;
}

/** What an adaptation cost, beside its base. */
export function renderCosts(rows: readonly CostRow[]): string {
  const body = rows.map(({ label, value, base, share }) => {
    const beside =
      base === undefined ? "" : `of ${base}${share === undefined ? "" : ` (${showShare(share)})`}`;
    return `<tr><th scope="row">${escapeHtml(label)}</th><td>${escapeHtml(value)}</td><td class="soft">${escapeHtml(beside)}</td></tr>`;
  });
  return `<h2>What it cost</h2>
<div class="card scroll"><table class="costs">
${body.join("\n")}
</table></div>`;
}

/** `0.42 %` */
function showShare(share: number): string {
  const percent = share * 100;
  return `${percent >= 10 ? percent.toFixed(0) : percent.toPrecision(2)} %`;
}
