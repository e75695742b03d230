#!/usr/bin/env node
import { INTERRUPTED, runCli } from "./run-cli.ts";
import { VERBS } from "./verbs.ts";

const { stdout, stderr } = process;

// `plinth inspect … | head`: the reader has seen enough, which is no failure.
for (const stream of [stdout, stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(0);
  });
}

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
  verbs: VERBS,
  signal: interrupt.signal,
  onStart: (tell) => {
    notice = tell;
  },
});

// Exit rather than wait: a verb that failed may have left a worker thread behind.
stdout.write("", () => process.exit(code));
