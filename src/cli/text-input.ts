import { readFileSync } from "node:fs";
import { ConfigError, DataError } from "../core/errors.ts";
import { readJsonLines } from "../data/json-lines.ts";
import { readTextPieces } from "../data/text-file.ts";
import { list, text } from "./flag-specs.ts";
import type { FlagValues } from "./flags.ts";

/** Flags of verbs that do the same with each of several texts. */
export const TEXTS_FLAGS = {
  text: list({ describe: "a text, or several" }),
  file: text({
    describe: 'a file with a text a line, or JSON lines with a "text" each (.jsonl); "-" is standard input',
    placeholder: "FILE",
  }),
} as const;

/** Flags of verbs that take one text, however long. */
export const WHOLE_TEXT_FLAGS = {
  text: text({ describe: "the text" }),
  file: text({ describe: 'a file of UTF-8 text; "-" is standard input', placeholder: "FILE" }),
} as const;

/** Where standard input is read from. */
const STDIN = 0;

/**
 * The texts of {@link TEXTS_FLAGS}.
 *
 * @throws {ConfigError} unless exactly one of the flags is given.
 * @throws {DataError} if the file cannot be read, is not text, or has none in it.
 */
export function readTexts(verb: string, { text, file }: FlagValues<typeof TEXTS_FLAGS>): readonly string[] {
  checkOne(verb, text.length > 0, file !== undefined);
  if (file === undefined) return text;
  const texts = file.endsWith(".jsonl")
    ? [...readJsonLines(file, "text")].map((document) => document.text)
    : readWhole(file)
        .split(/\r?\n/)
        .filter((line) => line.trim() !== "");
  if (texts.length > 0) return texts;
  throw new DataError({ where: `--file ${file}`, expected: "a text a line", got: "none" });
}

/**
 * The text of {@link WHOLE_TEXT_FLAGS}.
 *
 * @throws {ConfigError} unless exactly one of the flags is given.
 * @throws {DataError} if the file cannot be read, is not text, or there is nothing in it.
 */
export function readWholeText(verb: string, { text, file }: FlagValues<typeof WHOLE_TEXT_FLAGS>): string {
  checkOne(verb, text !== undefined, file !== undefined);
  const whole = text ?? readWhole(file!);
  if (whole.trim() !== "") return whole;
  const where = text === undefined ? `--file ${file}` : "--text";
  throw new DataError({ where, expected: "a text with something in it", got: "an empty one" });
}

function readWhole(file: string): string {
  if (file !== "-") return [...readTextPieces(file)].join("");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(STDIN));
  } catch (cause) {
    const got = (cause as Error).message;
    throw new DataError({ where: "standard input", expected: "UTF-8 text", got }, { cause });
  }
}

function checkOne(verb: string, hasText: boolean, hasFile: boolean): void {
  if (hasText !== hasFile) return;
  const got = hasText ? "both" : "neither";
  throw new ConfigError({ where: `plinth ${verb}`, expected: "either --text or --file", got });
}
