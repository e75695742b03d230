import type { TrainEvent } from "../train/events.ts";
import { createLiveDisplay } from "./display/live.ts";
import { paintAnsi, paintNothing } from "./display/paint.ts";
import { createPlainDisplay } from "./display/plain.ts";

/** Shows a training run as it goes. */
export interface Display {
  handle(event: TrainEvent): void;
  /** A line that stays: above the live block, or among the plain lines. */
  notice(line: string): void;
  /** Leaves the last state standing and gives the cursor back. May be called twice. */
  close(): void;
}

export interface DisplayOptions {
  /** Read for `NO_COLOR`, `TERM` and `CI`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
  /** Between the plain lines of ordinary steps. */
  readonly plainIntervalMs?: number;
}

/**
 * A block redrawn in place on a terminal; plain lines without escape codes anywhere else: in files and pipes,
 * under CI and with `TERM=dumb`.
 *
 * @example
 * const display = createDisplay(process.stdout);
 * train(recipe, { onEvent: (event) => display.handle(event) });
 * display.close();
 */
export function createDisplay(stream: NodeJS.WriteStream, options: DisplayOptions = {}): Display {
  const { env = process.env, now = Date.now, plainIntervalMs = 10_000 } = options;
  if (!isLiveTerminal(stream, env)) return createPlainDisplay(stream, now, plainIntervalMs);
  return createLiveDisplay(stream, now, wantsColor(env) ? paintAnsi : paintNothing);
}

/** Whether the stream is a terminal on which lines can be redrawn for someone to see. */
export function isLiveTerminal(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  const isCi = env.CI !== undefined && env.CI !== "" && env.CI !== "false";
  return stream.isTTY === true && env.TERM !== "dumb" && !isCi;
}

/** False under `NO_COLOR` (any value but the empty one; no-color.org). */
export function wantsColor(env: Readonly<Record<string, string | undefined>>): boolean {
  return env.NO_COLOR === undefined || env.NO_COLOR === "";
}
