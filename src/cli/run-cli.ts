import { readFileSync } from "node:fs";
import { ConfigError, PlinthError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import { readArguments } from "./flags.ts";
import { COMMON_FLAGS, hubFlags, renderOverview, renderVerbHelp } from "./help.ts";
import { type CloseableOutput, createOutput, type OutputStreams } from "./output.ts";
import type { Verb, VerbContext } from "./verb.ts";
import type { VerbEntry } from "./verbs.ts";

/** What the command line reaches of the outside; a test passes its own. */
export interface CliHost extends OutputStreams {
  readonly verbs: Readonly<Record<string, VerbEntry>>;
  readonly signal: AbortSignal;
  /** Called with the way to tell the user something while the verb runs, e.g. that Ctrl-C was heard. */
  readonly onStart?: (notice: (line: string) => void) => void;
}

/** Exit code of a run that Ctrl-C ended: 128 + SIGINT. */
export const INTERRUPTED = 130;

/**
 * Runs one command line (without `node` and the script) and resolves with its exit code: 0, 1 after an error
 * (one line on stderr), 130 when interrupted. Never rejects.
 *
 * @example
 * process.exitCode = await runCli(["doctor", "--json"], host);
 */
export async function runCli(words: readonly string[], host: CliHost): Promise<number> {
  try {
    const [first, ...rest] = words;
    if (first === undefined || first === "--help" || first === "-h") {
      host.stdout.write(renderOverview(host.verbs, readVersion()));
    } else if (first === "--version") {
      host.stdout.write(`${readVersion()}\n`);
    } else if (first === "help") {
      await showHelp(rest, host);
    } else {
      await runVerb(first, rest, host);
    }
    return host.signal.aborted ? INTERRUPTED : 0;
  } catch (error) {
    if (host.signal.aborted && isAbort(error, host.signal)) return INTERRUPTED;
    host.stderr.write(describeError(error, host.env.PLINTH_DEBUG === "1"));
    return 1;
  }
}

/** The line(s) an error ends the command with. */
export function describeError(error: unknown, debug: boolean): string {
  const stack = debug && error instanceof Error ? `${error.stack}\n` : "";
  if (error instanceof PlinthError) return `plinth: ${error.message}\n${stack}`;
  const message = error instanceof Error ? error.message : String(error);
  const hint = debug ? "" : "Set PLINTH_DEBUG=1 to see the stack.\n";
  return `plinth: unexpected failure: ${message}\n${hint}${stack}`;
}

async function showHelp(words: readonly string[], host: CliHost): Promise<void> {
  const [name] = words;
  if (name === undefined) {
    host.stdout.write(renderOverview(host.verbs, readVersion()));
  } else {
    host.stdout.write(renderVerbHelp(await findVerb(name, host.verbs).load()));
  }
}

async function runVerb(name: string, words: readonly string[], host: CliHost): Promise<void> {
  const verb = await findVerb(name, host.verbs).load();
  if (asksForHelp(words)) {
    host.stdout.write(renderVerbHelp(verb));
    return;
  }
  const { flags, positionals } = readArguments(
    name,
    { ...verb.flags, ...hubFlags(verb), ...COMMON_FLAGS },
    verb.positionals,
    modelFirst(verb, words),
  );
  const out = createOutput(host, flags.json);
  host.onStart?.((line) => out.notice(line));
  try {
    const found = await findModels(verb, { positionals, flags }, host, out);
    await verb.run({ ...found, out, signal: host.signal });
  } finally {
    out.close(); // before any error line, which would otherwise land inside the live block
  }
}

/** `--model X` as the first word, where that names the model. */
function modelFirst({ positionals: [first], flags }: Verb, words: readonly string[]): readonly string[] {
  if (!first?.isModel || "model" in flags) return words;
  const end = words.indexOf("--");
  const at = words.findIndex((word, i) => (end < 0 || i < end) && /^--model(?:=|$)/.test(word));
  if (at < 0) return words;
  const [flag, next] = [words[at]!, words[at + 1]];
  if (flag !== "--model") return [flag.slice("--model=".length), ...words.toSpliced(at, 1)];
  return next === undefined || next.startsWith("--") ? words : [next, ...words.toSpliced(at, 2)];
}

/** Words and flags, those that name models as directories: downloaded where they are ids. */
async function findModels(
  { positionals: specs, flags: flagSpecs }: Verb,
  { positionals, flags }: Pick<VerbContext, "positionals" | "flags">,
  host: CliHost,
  out: CloseableOutput,
): Promise<Pick<VerbContext, "positionals" | "flags">> {
  if (!specs.some(({ isModel }) => isModel)) return { positionals, flags };
  const { findModel } = await import("./find-model.ts");
  const { revision, offline } = flags as HubFlagValues;
  const options = {
    offline: offline || undefined, // not given, the environment decides
    signal: host.signal,
    notice: (line: string) => out.notice(line),
    streams: host,
  };
  const words: string[] = [];
  for (const [i, word] of positionals.entries()) {
    words.push(specs[i]?.isModel ? await findModel(word, { ...options, revision }) : word);
  }
  const values: Record<string, unknown> = { ...flags };
  for (const [name, { isModel }] of Object.entries(flagSpecs)) {
    const word = values[name];
    if (isModel && typeof word === "string") values[name] = await findModel(word, options);
  }
  return { positionals: words, flags: values };
}

interface HubFlagValues {
  readonly revision?: string | undefined;
  readonly offline?: boolean;
}

/** Help wins over everything else on the line, as long as it is not a value after `--`. */
function asksForHelp(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  const own = end < 0 ? words : words.slice(0, end);
  return own.includes("--help") || own.includes("-h");
}

function findVerb(name: string, verbs: Readonly<Record<string, VerbEntry>>): VerbEntry {
  const entry = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (entry) return entry;
  const near = nearest(name, Object.keys(verbs));
  throw new ConfigError({
    where: `"${name}"`,
    expected: "a verb",
    got: name.startsWith("-") ? "a flag" : "an unknown one",
    fix: near ? `Did you mean "plinth ${near}"?` : "See plinth --help.",
  });
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === "AbortError");
}

/** From package.json: two folders up, both from `src/cli` and from `dist/cli`. */
function readVersion(): string {
  const path = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}
