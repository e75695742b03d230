import { ConfigError } from "../core/errors.ts";
import { readTextPieces } from "../data/text-file.ts";
import { completeCode } from "../pipelines/complete-code.ts";
import { LanguageModel } from "../pipelines/language-model.ts";
import { boolean, choice, integer, number, text } from "./flag-specs.ts";
import { loadModelArgument, MODEL_ARGUMENT, MODEL_FLAGS } from "./model-argument.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth complete`: completes code at a cursor. */
export const complete: Verb = defineVerb({
  name: "complete",
  summary: "complete code at a cursor",
  positionals: [MODEL_ARGUMENT],
  flags: {
    before: text({ describe: "the code before the cursor" }),
    after: text({ describe: "the code after it, for models that can fill in the middle" }),
    file: text({ describe: "a source file in place of these", placeholder: "FILE" }),
    line: integer({ describe: "line of the cursor, from 1; default: the last", min: 1 }),
    column: integer({ describe: "column of the cursor, from 1; default: the end of the line", min: 1 }),
    fill: boolean({ describe: "also read what comes after the cursor in the file" }),
    until: choice(["line", "block", "end"], { describe: "where the completion ends", fallback: "block" }),
    maxTokens: integer({ describe: "most tokens to write", min: 1, fallback: 128 }),
    temperature: number({ describe: "0 takes the likeliest token each time", min: 0, fallback: 0 }),
    seed: integer({ describe: "of the random numbers, where there are any", fallback: 0 }),
    ...MODEL_FLAGS,
  },
  example: "plinth complete runs/code --file src/index.ts --line 20",
  run: async ({ positionals: [word], flags, out, signal }) => {
    const { until, maxTokens, temperature, seed } = flags;
    const code = flags.file === undefined ? fromFlags(flags) : fromFile(flags.file, flags);
    const model = new LanguageModel(loadModelArgument(word!, flags), { rows: 1 });
    try {
      const sampling = { temperature, seed };
      const result = await completeCode(model, { ...code, until, maxTokens, sampling, signal });
      out.result(result, result.completion);
    } finally {
      model.dispose();
    }
  },
});

interface Code {
  readonly before: string;
  readonly after?: string | undefined;
}

interface Cursor {
  readonly before?: string | undefined;
  readonly after?: string | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  readonly fill: boolean;
}

function fromFlags({ before, after, line, column }: Cursor): Code {
  if (before !== undefined && line === undefined && column === undefined) return { before, after };
  throw new ConfigError({
    where: "plinth complete",
    expected: "--before, or --file with a place in it",
    got: before === undefined ? "neither" : "--before with --line or --column",
  });
}

/** The code around a place in a file. */
function fromFile(file: string, { before, after, line, column, fill }: Cursor): Code {
  if (before !== undefined || after !== undefined) {
    const got = "also --before or --after";
    throw new ConfigError({ where: `--file ${file}`, expected: "to be where the code comes from", got });
  }
  const code = [...readTextPieces(file)].join("");
  const lines = code.split("\n");
  const row = line ?? lines.length;
  const within = lines[row - 1];
  if (within === undefined) {
    throw new ConfigError({ where: "--line", expected: `a line in [1, ${lines.length}]`, got: `${row}` });
  }
  const place = column ?? within.length + 1;
  if (place > within.length + 1) {
    throw new ConfigError({
      where: "--column",
      expected: `a column in [1, ${within.length + 1}]`,
      got: `${place}`,
    });
  }
  const cursor = lines.slice(0, row - 1).reduce((length, { length: own }) => length + own + 1, 0) + place - 1;
  return { before: code.slice(0, cursor), ...(fill && { after: code.slice(cursor) }) };
}
