import { createHash } from "node:crypto";
import { CHART_SCRIPT } from "./chart-script.ts";
import { escapeHtml } from "./html.ts";
import { STYLE } from "./style.ts";

/**
 * A whole HTML file around `body`: style and script inline, and a policy under which the browser loads nothing
 * else and runs no other script, whatever the body holds.
 */
export function renderPage(title: string, body: string): string {
  const hash = createHash("sha256").update(CHART_SCRIPT).digest("base64");
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${body}
</main>
<script>${CHART_SCRIPT}</script>
</body>
</html>
`;
}
