import { createDisplay, type Display } from "./display.ts";

/** Where a verb writes. With `--json` stdout carries the result alone and all else goes to stderr. */
export interface Output {
  readonly json: boolean;
  /** The verb's result: `value` as one line of JSON with `--json`, otherwise `text` (a final newline is added). */
  result(value: unknown, text: string): void;
  /** Text as it comes, e.g. streamed tokens; no newline is added. */
  write(chunk: string): void;
  /** A line for the user beside the result, on stderr; above the live display while one is open. */
  notice(line: string): void;
  /** Opens the progress display of a training run; the frame closes it when the verb ends, also by an error. */
  openDisplay(): Display;
}

/** Where output ends up: the process's own streams, or a test's. */
export interface OutputStreams {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** An {@link Output} that the frame can close. */
export interface CloseableOutput extends Output {
  close(): void;
}

/** Output to the given streams: results on stdout, all else beside them. */
export function createOutput({ stdout, stderr, env }: OutputStreams, json: boolean): CloseableOutput {
  let display: Display | undefined;
  return {
    json,
    result(value, text) {
      display?.close();
      const line = json ? JSON.stringify(value) : text;
      stdout.write(line.endsWith("\n") ? line : `${line}\n`);
    },
    write(chunk) {
      (json ? stderr : stdout).write(chunk);
    },
    notice(line) {
      if (display) display.notice(line);
      else stderr.write(`${line}\n`);
    },
    openDisplay() {
      display?.close();
      display = createDisplay(json ? stderr : stdout, { env });
      return display;
    },
    close() {
      display?.close();
      display = undefined;
    },
  };
}
