import { dirname, relative, sep } from "node:path";
import { DataError } from "../../core/errors.ts";
import { readWholeText } from "./file-bytes.ts";
import { describeValue, type RawRow } from "./raw-row.ts";

const COMMAND_LINE = /^IN: (.+) OUT: (.+)$/;

/**
 * A text file as rows. One whose first line is `IN: … OUT: …` (the layout of SCAN) gives a row with `prompt` and
 * `completion` for every line. Any other is one row with `text`, and with `label` if it lies in a folder below `root`: the
 * folder's name.
 *
 * @throws {DataError} naming the line that is not like the first.
 */
export function* readTextRows(path: string, root: string | undefined): Generator<RawRow> {
  const text = readWholeText(path);
  if (COMMAND_LINE.test(text.slice(0, text.indexOf("\n")).trimEnd())) {
    yield* readCommandLines(path, text);
    return;
  }
  const label = root === undefined ? undefined : labelOf(path, root);
  yield { values: label === undefined ? { text } : { text, label }, where: path };
}

function labelOf(path: string, root: string): string | undefined {
  const inside = relative(root, dirname(path));
  return inside === "" ? undefined : inside.split(sep)[0];
}

function* readCommandLines(path: string, text: string): Generator<RawRow> {
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const match = COMMAND_LINE.exec(line.trimEnd());
    const where = `${path}:${index + 1}`;
    if (!match) {
      throw new DataError({
        where,
        expected: '"IN: … OUT: …", as on the first line',
        got: describeValue(line),
      });
    }
    yield { values: { prompt: match[1], completion: match[2] }, where };
  }
}
