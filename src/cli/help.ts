import { boolean, text } from "./flag-specs.ts";
import { type FlagSpecs, toFlagName } from "./flags.ts";
import type { Verb } from "./verb.ts";
import type { VerbEntry } from "./verbs.ts";

/** Help never gets wider than this. */
const MAX_COLUMNS = 100;

/** Flags every verb has. */
export const COMMON_FLAGS = {
  json: boolean({ describe: "print the result as JSON on stdout, everything else on stderr" }),
  help: boolean({ describe: "show this help" }),
} satisfies FlagSpecs;

/** Flags of every verb that takes a model. */
const HUB_FLAGS = {
  revision: text({ describe: "branch, tag or commit of a model on Hugging Face; default main" }),
  offline: boolean({ describe: "take it from the cache, ask nobody; also by HF_HUB_OFFLINE=1" }),
} satisfies FlagSpecs;

/** Flags a verb has because it takes a model. */
export function hubFlags({ positionals }: Pick<Verb, "positionals">): FlagSpecs {
  return positionals.some(({ isModel }) => isModel) ? HUB_FLAGS : {};
}

/** What `plinth --help` prints. */
export function renderOverview(verbs: Readonly<Record<string, VerbEntry>>, version: string): string {
  const rows = Object.entries(verbs).map(([name, { summary }]): Row => [name, summary]);
  return [
    `Plinth ${version}: pretrain, adapt and run foundation models in TypeScript.`,
    "",
    "Usage: plinth <verb> [words and flags]",
    "",
    "Verbs",
    ...alignRows(rows),
    "",
    "Flags",
    ...alignRows([
      ["--help", "this overview; plinth <verb> --help for one verb"],
      ["--version", "the version"],
    ]),
    "",
    "Set PLINTH_DEBUG=1 to see the stack of an unexpected failure.",
    "",
  ].join("\n");
}

/** What `plinth <verb> --help` prints, made from the verb's own description. */
export function renderVerbHelp(verb: Verb): string {
  const words = verb.positionals.map(({ name, required }) => (required ? ` <${name}>` : ` [${name}]`));
  const flags = Object.entries({ ...verb.flags, ...hubFlags(verb), ...COMMON_FLAGS });
  const lines = [
    `plinth ${verb.name}: ${verb.summary}`,
    "",
    `Usage: plinth ${verb.name}${words.join("")} [flags]`,
  ];
  if (verb.positionals.length > 0) {
    lines.push(
      "",
      "Words",
      ...alignRows(verb.positionals.map(({ name, describe }): Row => [name, describe])),
    );
  }
  lines.push("", "Flags", ...alignRows(flags.map(([key, spec]) => flagRow(key, spec))));
  lines.push("", "Example", `  ${verb.example}`, "");
  return lines.join("\n");
}

type Row = readonly [left: string, right: string];

function flagRow(key: string, spec: FlagSpecs[string]): Row {
  // A switch that is on by default is only ever given to turn it off.
  const name = spec.arity === "switch" && spec.fallback === true ? `no-${toFlagName(key)}` : toFlagName(key);
  const left = spec.placeholder ? `--${name} ${spec.placeholder}` : `--${name}`;
  const { fallback } = spec;
  const scalar = typeof fallback === "string" || typeof fallback === "number";
  const note = spec.required ? " (required)" : scalar ? ` (default ${fallback})` : "";
  return [left, spec.describe + note];
}

function alignRows(rows: readonly Row[]): string[] {
  const widest = Math.max(...rows.map(([left]) => left.length));
  const indent = Math.min(widest, 30) + 4;
  return rows.flatMap(([left, right]) => {
    const [first = "", ...rest] = wrapWords(right, MAX_COLUMNS - indent);
    const head = `  ${left}`;
    const opening =
      head.length + 2 > indent ? [head, " ".repeat(indent) + first] : [head.padEnd(indent) + first];
    return [...opening, ...rest.map((line) => " ".repeat(indent) + line)];
  });
}

function wrapWords(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
