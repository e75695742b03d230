/** Rows for people: one line each, aligned. */

const VERDICTS = { true: "pass", false: "MISS", null: "—" };

/** @param {import("./row.mjs").Row} row */
export function formatRow(row) {
  const { name, value, unit, peer, peerValue, ratio, rule, target, pass, spread, noise } = row;
  if (row.error) return `${name.padEnd(34)} FAILED: ${row.error}`;
  if (row.skipped) return `${name.padEnd(34)} skipped: ${row.skipped} (${rule})`;
  const sign = spread === undefined ? "" : ` ±${percent(spread / 2)}`;
  const of = (label) => (rule.startsWith(label) ? sign : "");
  const columns = [
    name.padEnd(34),
    `${number(value)} ${unit}${of("value")}`.padEnd(20),
    (peer ? `${peer} ${number(peerValue)}` : "").padEnd(34),
    (ratio ? `${number(ratio)}×${of("ratio")}` : "").padEnd(12),
    (target === null ? rule : `want ${rule}`).padEnd(20),
    VERDICTS[pass].padEnd(5),
    `machine ±${percent(noise)}`,
  ];
  return `${columns.join(" ")}${row.note ? `  ${row.note}` : ""}`;
}

/** Three digits, or all before the point. */
function number(x) {
  return Math.abs(x) >= 100 ? x.toFixed(0) : Number(x.toPrecision(3)).toString();
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
