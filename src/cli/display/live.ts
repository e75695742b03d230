import { stripVTControlCharacters } from "node:util";
import type { TrainEvent } from "../../train/events.ts";
import type { Display } from "../display.ts";
import { columnWidth, makeVisible } from "./columns.ts";
import { renderFrame } from "./frame.ts";
import type { Paint } from "./paint.ts";
import { eventLine } from "./plain.ts";
import { advance, beginRun, type RunState } from "./run-state.ts";

/** At most ten frames a second … */
const FRAME_MS = 100;
/** … and at least one, so that the clock moves during a long step. */
const TICK_MS = 1000;

const HIDE_CURSOR = "\u001b[?25l";
const SHOW_CURSOR = "\u001b[?25h";
const CLEAR_BELOW = "\u001b[J";
const CLEAR_LINE_END = "\u001b[K";

/** A block at the bottom of the terminal, redrawn in place; notices scroll away above it. */
export function createLiveDisplay(stream: NodeJS.WriteStream, now: () => number, paint: Paint): Display {
  return new LiveDisplay(stream, now, paint);
}

class LiveDisplay implements Display {
  readonly #stream: NodeJS.WriteStream;
  readonly #now: () => number;
  readonly #paint: Paint;
  readonly #restore = (): void => {
    this.#stream.write(SHOW_CURSOR);
  };
  /** Ctrl-C with nobody else listening ends the process, as it would have without this listener. */
  readonly #interrupt = (): void => {
    if (process.listenerCount("SIGINT") > 0) return;
    this.#restore();
    process.kill(process.pid, "SIGINT");
  };
  readonly #tick: NodeJS.Timeout;
  #state: RunState;
  /** Widths of the lines on screen, top to bottom: how far up the block begins. */
  #drawn: readonly number[] = [];
  #drawnMs = Number.NEGATIVE_INFINITY;
  #pending: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(stream: NodeJS.WriteStream, now: () => number, paint: Paint) {
    this.#stream = stream;
    this.#now = now;
    this.#paint = paint;
    this.#state = beginRun(now());
    stream.write(HIDE_CURSOR);
    process.once("exit", this.#restore); // whatever ends the process, the user gets a cursor
    process.once("SIGINT", this.#interrupt);
    this.#tick = setInterval(() => this.#draw([]), TICK_MS).unref();
  }

  handle(event: TrainEvent): void {
    if (this.#closed) return;
    this.#state = advance(this.#state, event, this.#now());
    if (event.type === "notice" || event.type === "skip") {
      this.#draw([this.#paint(eventLine(event, this.#state), "warning")]);
    } else {
      this.#drawSoon();
    }
  }

  notice(line: string): void {
    if (this.#closed) this.#stream.write(`${makeVisible(line)}\n`);
    else this.#draw([this.#paint(makeVisible(line), "warning")]);
  }

  close(): void {
    if (this.#closed) return;
    clearInterval(this.#tick);
    clearTimeout(this.#pending);
    this.#draw([]);
    this.#closed = true;
    process.off("exit", this.#restore);
    process.off("SIGINT", this.#interrupt);
    this.#stream.write(SHOW_CURSOR);
  }

  /** Now if the last frame is old enough, else once it is: training may block the thread until the next event. */
  #drawSoon(): void {
    const wait = FRAME_MS - (this.#now() - this.#drawnMs);
    if (wait <= 0) this.#draw([]);
    else this.#pending ??= setTimeout(() => this.#draw([]), wait).unref();
  }

  /** One write for the whole frame, so that no terminal shows half of it. */
  #draw(above: readonly string[]): void {
    clearTimeout(this.#pending);
    this.#pending = undefined;
    const nowMs = this.#now();
    this.#drawnMs = nowMs;
    const state = this.#state.end ? this.#state : { ...this.#state, nowMs };
    const width = Math.max(1, (this.#stream.columns ?? 80) - 1); // a full last column would wrap on some terminals
    const height = Math.max(1, (this.#stream.rows ?? 24) - 1);
    const frame = renderFrame(state, width, height, this.#paint);
    const lines = [...above, ...frame].map((line) => `${line}${CLEAR_LINE_END}\n`).join("");
    this.#stream.write(`${this.#toTop(width + 1)}${lines}${CLEAR_BELOW}`);
    this.#drawn = frame.map((line) => columnWidth(stripVTControlCharacters(line)));
  }

  /** Moves to the first line of the old block; lines that a narrowed terminal has wrapped count as several. */
  #toTop(columns: number): string {
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return rows > 0 ? `\u001b[${rows}A\r` : "\r";
  }
}
