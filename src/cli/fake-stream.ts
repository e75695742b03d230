import { Writable } from "node:stream";

/** A terminal or file for tests: keeps what was written. */
export interface FakeStream {
  readonly stream: NodeJS.WriteStream;
  readonly text: () => string;
  readonly clear: () => void;
}

/** @param size of the terminal; without one it is a file. */
export function makeFakeStream(size?: { columns: number; rows: number }): FakeStream {
  let written = "";
  const sink = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      written += String(chunk);
      done();
    },
  });
  const stream = Object.assign(sink, size ? { isTTY: true, ...size } : {}) as unknown as NodeJS.WriteStream;
  return {
    stream,
    text: () => written,
    clear: () => {
      written = "";
    },
  };
}
