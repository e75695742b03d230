/**
 * Text made safe inside HTML, in elements and in quoted attributes. Control characters, which HTML may not hold,
 * become their Unicode pictures, halves of characters U+FFFD; line breaks and tabs stay.
 *
 * @example
 * escapeHtml('<script>"&'); // => "&lt;script&gt;&quot;&amp;"
 */
export function escapeHtml(text: string): string {
  return (
    text
      .replace(/[\ud800-\udfff]/gu, "\ufffd")
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
      .replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
      .replace(/[\u007f-\u009f]/g, "␡")
      .replace(/&/g, "&amp;")
      .replace(/</g, "&lt;")
      .replace(/>/g, "&gt;")
      .replace(/"/g, "&quot;")
      .replace(/'/g, "&#39;")
  );
}

/** A row of a two-column table. */
export interface TableRow {
  readonly label: string;
  readonly value: string;
}

/** A two-column table, everything escaped. Long names may break at their points and underscores. */
export function renderTable(rows: readonly TableRow[]): string {
  const body = rows.map(({ label, value }) => {
    const name = escapeHtml(label).replace(/(?<=[\p{L}\d])[._](?=\p{L})/gu, "$&<wbr>");
    return `<tr><th scope="row">${name}</th><td>${escapeHtml(value)}</td></tr>`;
  });
  return `<table class="facts">\n${body.join("\n")}\n</table>`;
}
