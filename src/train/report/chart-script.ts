/**
 * Shows the values under the pointer. It reads them from the charts' `data-points` and writes them as text nodes
 * only, so hostile labels stay text. Plain browser JavaScript: it goes into the page as it stands.
 */
export const CHART_SCRIPT = `
"use strict";
for (const plot of document.querySelectorAll(".plot")) {
  const cursor = plot.querySelector(".cursor");
  const tip = plot.querySelector(".tip");
  const [left, right] = plot.dataset.x.split(" ").map(Number);
  const factor = Number(plot.dataset.right);
  const series = [...plot.querySelectorAll("path[data-points]")].map((path) => ({
    label: path.dataset.label,
    points: JSON.parse(path.dataset.points),
  }));
  const nearest = (points, x) => {
    let low = 0;
    let high = points.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] <= x) low = middle;
      else high = middle;
    }
    return x - points[low][0] < points[high][0] - x ? points[low] : points[high];
  };
  const show = (value) => Number(value.toPrecision(4)).toString();
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const x = left + part * (right - left);
    const lines = series.filter(({ points }) => points.length > 0).map(({ label, points }) => {
      const [step, value] = nearest(points, x);
      const other = factor ? " = " + show(value * factor) : "";
      return label + " " + show(value) + other + "  at " + step.toLocaleString("en-US");
    });
    tip.textContent = lines.join("\\n");
    cursor.style.left = part * 100 + "%";
    tip.style.left = part < 0.5 ? "calc(" + part * 100 + "% + 8px)" : "auto";
    tip.style.right = part < 0.5 ? "auto" : "calc(" + (1 - part) * 100 + "% + 8px)";
    cursor.hidden = tip.hidden = false;
  });
  plot.addEventListener("pointerleave", () => {
    cursor.hidden = tip.hidden = true;
  });
}
`;
