import { INTERRUPTED, runCli } from "./run-cli.ts";
import type { VerbEntry } from "./verbs.ts";

/**
 * Runs this process's command line and ends the process with its exit code. The first Ctrl-C (or SIGTERM) asks the
 * verb to stop cleanly, the second one ends it at once; a reader that closes the pipe ends it quietly.
 */
export async function runProcess(verbs: Readonly<Record<string, VerbEntry>>): Promise<void> {
  const { stdout, stderr } = process;
  for (const stream of [stdout, stderr]) stream.on("error", endOnClosedPipe);

  const interrupt = new AbortController();
  let notice = (line: string): void => {
    stderr.write(`${line}\n`);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (interrupt.signal.aborted) process.exit(INTERRUPTED);
      interrupt.abort();
      notice("Stopping cleanly. Ctrl-C again to quit at once.");
    });
  }

  const code = await runCli(process.argv.slice(2), {
    stdout,
    stderr,
    env: process.env,
    verbs,
    signal: interrupt.signal,
    onStart: (tell) => {
      notice = tell;
    },
  });
  // Exit rather than wait: a verb that failed may have left a worker thread behind. First flush what is written.
  stdout.write("", () => process.exit(code));
}

/** `plinth inspect … | head`: the reader has seen enough, which is no failure. */
function endOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
}
