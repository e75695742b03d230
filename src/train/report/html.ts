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

/** A two-column table, everything escaped. */
export function renderTable(rows: readonly TableRow[]): string {
  const body = rows
    .map(
      ({ label, value }) => `<tr><th scope="row">${escapeHtml(label)}</th><td>${escapeHtml(value)}</td></tr>`,
    )
    .join("\n");
  return `<table>\n${body}\n</table>`;
}
