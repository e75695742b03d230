/** Where the first line of a text ends; undefined while it goes on. */
export function endOfLine(text: string): number | undefined {
  const end = text.indexOf("\n");
  return end < 0 ? undefined : end;
}

/**
 * Finds where the block ends that the cursor is in, by indentation. After a line that opens a block (`{`, `(`, `[` or `:` at its end) that
 * block is meant, and a line that closes it belongs to it; elsewhere the lines that stand as deep as the cursor's own or deeper, at
 * the outermost level up to a blank line.
 *
 * @param before what stands before the cursor
 * @returns says where in a text that grows after the cursor the block ends; undefined while it goes on
 * @example
 * endOfBlock("if (x) {")("\n  y();\n}\nz();\n"); // => 10
 */
export function endOfBlock(before: string): (text: string) => number | undefined {
  const line = before.slice(before.lastIndexOf("\n") + 1);
  const depth = indentation(line);
  const opens = /[{([:]\s*$/.test(line);
  return (text) => {
    // The last line is still being written.
    for (let at = text.indexOf("\n"); at >= 0; ) {
      const next = text.indexOf("\n", at + 1);
      if (next < 0) return undefined;
      const content = text.slice(at + 1, next);
      const isBlank = content.trim() === "";
      const own = indentation(content);
      if (!isBlank && opens && own <= depth) return own === depth && /^\s*[\])}]/.test(content) ? next : at;
      if (!isBlank && !opens && own < depth) return at;
      if (isBlank && !opens && depth === 0) return at;
      at = next;
    }
    return undefined;
  };
}

/** Columns of white space ahead of a line; a tab counts four. */
function indentation(line: string): number {
  const [white] = /^[ \t]*/.exec(line)!;
  return white.replaceAll("\t", "    ").length;
}
