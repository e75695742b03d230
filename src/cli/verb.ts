import type { FlagSpecs, FlagValues, PositionalSpec } from "./flags.ts";
import type { Output } from "./output.ts";

/** What a running verb gets: its arguments, where to write, and when to stop. */
export interface VerbContext<F extends FlagSpecs = FlagSpecs> {
  readonly flags: FlagValues<F>;
  /** In the order of the verb's `positionals`; those that are required are there. */
  readonly positionals: readonly string[];
  readonly out: Output;
  /** Aborted by the first Ctrl-C: finish the step, save, return. The second one ends the process. */
  readonly signal: AbortSignal;
}

/** One command: `plinth <name>`. `--json` and `--help` are added to every verb. */
export interface Verb<F extends FlagSpecs = FlagSpecs> {
  readonly name: string;
  /** Same line as in the table of `verbs.ts`. */
  readonly summary: string;
  readonly positionals: readonly PositionalSpec[];
  readonly flags: F;
  /** A whole command line that works, shown in the help. */
  readonly example: string;
  /** Throws a PlinthError for anything the user can mend. */
  run(context: VerbContext<F>): Promise<void>;
}

/**
 * Types a verb's `run` by its flags.
 *
 * @example
 * const hello: Verb = defineVerb({
 *   name: "hello", summary: "greet", positionals: [], example: "plinth hello --times 2",
 *   flags: { times: integer({ describe: "how often", min: 1, fallback: 1 }) },
 *   run: async ({ flags, out }) => out.result({ times: flags.times }, "hello\n".repeat(flags.times)),
 * });
 */
export function defineVerb<F extends FlagSpecs>(verb: Verb<F>): Verb {
  return verb;
}
