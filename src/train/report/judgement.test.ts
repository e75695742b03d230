import { describe, expect, it } from "vitest";
import { renderConfusions } from "./confusion.ts";
import { renderTable } from "./html.ts";
import { renderMistakes } from "./mistakes.ts";

const EVIL = "<img src=x>";

describe("renderConfusions", () => {
  it("shows a matrix: a row for each right label, tinted by its share of the row", () => {
    const counts = [
      [3, 1],
      [0, 2],
    ];
    const html = renderConfusions({ labels: ["spam", EVIL], counts });
    const cells = [...html.matchAll(/<td(?: style="[^"]*(--good|--warn)\) (\d+)%[^"]*")?>(\d*)<\/td>/g)];
    expect(cells.map(([, tone = "", share = "", count]) => [tone, share, count].join(" ").trim())).toEqual([
      "--good 45 3",
      "--warn 15 1",
      "",
      "--good 60 2",
    ]);
    expect(html).not.toContain("<img");
  });

  it("lists the pairs most often confused where there are many labels", () => {
    const labels = Array.from({ length: 30 }, (_, i) => `label ${i}`);
    const counts = labels.map((_, i) => labels.map((_, j) => (j === (i + 1) % 30 ? i : 7)));
    const html = renderConfusions({ labels, counts });
    expect(html).toContain("<td>label 29</td><td>label 0</td><td>29</td>");
    expect(html.match(/<tr>/g)).toHaveLength(1 + 30);
  });
});

describe("renderMistakes", () => {
  const mistake = { where: "a.csv:7", prompt: "Where?\n", expected: "here", got: "" };

  it("keeps lines, names each cell's column, and says where nothing was said", () => {
    const html = renderMistakes([{ ...mistake, expected: "a\nb" }], 2);
    expect(html).toContain("<p>1 of 2 examples.</p>");
    expect(html).toContain('<td data-label="right"><span>a\nb</span></td>');
    expect(html).toContain('<td class="soft" data-label="said"><span>(nothing)</span></td>');
  });

  it("shortens what is long, in lines and in characters, and lists forty", () => {
    const html = renderMistakes([{ ...mistake, prompt: "x".repeat(1000), got: "y\n".repeat(100) }], 1);
    expect(html).toContain(`${"x".repeat(300)}…<`);
    expect(html).toContain(`${"y\n".repeat(8).trim()}…<`);
    const many = renderMistakes(Array<typeof mistake>(50).fill(mistake), 60);
    expect(many).toContain("50 of 60 examples. The first 40 of them:");
    expect(many.match(/a\.csv:7/g)).toHaveLength(40);
  });

  it("shows hostile text as text", () => {
    expect(renderMistakes([{ where: EVIL, prompt: EVIL, expected: EVIL, got: EVIL }], 1)).not.toContain(
      "<img",
    );
  });
});

it("a setting's long name may break at its point", () => {
  const html = renderTable([{ label: "model.numHeads", value: "4.5" }]);
  expect(html).toContain('<th scope="row">model.<wbr>numHeads</th><td>4.5</td>');
});
