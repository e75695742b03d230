import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TrainEvent } from "../train/events.ts";
import { createDisplay, isLiveTerminal, wantsColor } from "./display.ts";
import { makeFakeStream } from "./fake-stream.ts";

const HIDE = "\u001b[?25l";
const SHOW = "\u001b[?25h";

function upBy(rows: number): string {
  return `\u001b[${rows}A\r`;
}

const start: TrainEvent = {
  type: "start",
  title: "gpt2 \u001b[31m",
  totalSteps: 1000,
  step: 0,
  numParameters: 10,
  tokensPerStep: 8,
  flopsPerStep: 1e9,
};

function step(number: number): TrainEvent {
  return {
    type: "step",
    step: number,
    lossNats: 2.5,
    learningRate: 3e-4,
    gradientNorm: 0.5,
    stepMs: 50,
    tokensPerSecond: 1000,
    gflopPerSecond: 100,
  };
}

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
});

afterEach(() => {
  vi.useRealTimers();
});

describe("which display", () => {
  it.each([
    [true, {}, true],
    [true, { CI: "false" }, true],
    [true, { CI: "" }, true],
    [true, { CI: "1" }, false],
    [true, { TERM: "dumb" }, false],
    [false, {}, false],
  ])("terminal %s under %j is live: %s", (isTTY, env, live) => {
    expect(isLiveTerminal({ isTTY }, env)).toBe(live);
  });

  it.each([
    [{}, true],
    [{ NO_COLOR: "" }, true],
    [{ NO_COLOR: "0" }, false],
    [{ NO_COLOR: "1" }, false],
  ])("under %j colour is wanted: %s", (env, wanted) => {
    expect(wantsColor(env)).toBe(wanted);
  });
});

describe("plain display", () => {
  function open() {
    const output = makeFakeStream();
    const display = createDisplay(output.stream, { env: {}, plainIntervalMs: 1000 });
    return { ...output, display };
  }

  it("writes a line at the first step, then one an interval", () => {
    const { display, text } = open();
    display.handle(start);
    for (let i = 1; i <= 50; i++) {
      vi.advanceTimersByTime(50);
      display.handle(step(i));
    }
    display.close();
    expect(text()).toBe(
      [
        "gpt2 ␛[31m: 1,000 steps",
        "step 1/1,000  loss 2.5000  rate 3.00e-4  gradient 0.500  1,000 tokens/s  100.0 GFLOP/s  elapsed 0:00  left 0:50",
        "step 21/1,000  loss 2.5000  rate 3.00e-4  gradient 0.500  1,000 tokens/s  100.0 GFLOP/s  elapsed 0:01  left 0:49",
        "step 41/1,000  loss 2.5000  rate 3.00e-4  gradient 0.500  1,000 tokens/s  100.0 GFLOP/s  elapsed 0:02  left 0:48",
        "",
      ].join("\n"),
    );
  });

  it("gives every other event its line", () => {
    const { display, text } = open();
    display.handle({ ...start, step: 500 });
    display.handle({
      type: "validation",
      step: 500,
      lossNats: 1.5,
      bitsPerByte: 2.1640425,
      numTokens: 9,
      best: true,
    });
    display.handle({
      type: "validation",
      step: 600,
      lossNats: 1.6,
      bitsPerByte: 2.3,
      numTokens: 9,
      best: false,
    });
    display.handle({ type: "sample", step: 600, prompt: "To", text: ` be\n${"x".repeat(300)}` });
    display.handle({ type: "checkpoint", step: 600, path: "runs/a\u0007", saveMs: 120 });
    display.handle({ type: "skip", step: 601, reason: "the loss was not finite", count: 2 });
    display.handle({ type: "notice", step: 602, message: "look\nhere" });
    display.notice("stopping");
    display.handle(step(603));
    display.handle(step(604));
    display.handle({ type: "end", step: 604, seconds: 61, totalFlops: 4.2e14, reason: "stopped" });
    const lines = text().split("\n");
    expect(lines[0]).toBe("gpt2 ␛[31m: 1,000 steps, resumed after step 500");
    expect(lines[1]).toBe("validation at step 500  1.5000 nats  2.1640 bits/byte  best");
    expect(lines[2]).toBe("validation at step 600  1.6000 nats  2.3000 bits/byte");
    expect(lines[3]).toBe(`sample at step 600  To be↵${"x".repeat(194)}…`);
    expect(lines[4]).toBe("checkpoint at step 600  runs/a␇  120 ms");
    expect(lines[5]).toBe("step 601 skipped: the loss was not finite (2 so far)");
    expect(lines[6]).toBe("look↵here");
    expect(lines[7]).toBe("stopping");
    expect(lines[8]).toMatch(/^step 603\/1,000 /);
    expect(lines[9]).toMatch(/^step 604\/1,000 /); // within the interval, but the last one
    expect(lines[10]).toBe("stopped at step 604  1:01  420 TFLOP  best 2.1640 bits/byte");
  });

  it("has no escape codes, even on a terminal under CI", () => {
    const output = makeFakeStream({ columns: 80, rows: 24 });
    const display = createDisplay(output.stream, { env: { CI: "true" } });
    display.handle(start);
    display.handle(step(1));
    display.close();
    expect(output.text()).not.toContain("\u001b");
  });
});

describe("live display", () => {
  function open(env: Record<string, string> = {}) {
    const output = makeFakeStream({ columns: 80, rows: 24 });
    const display = createDisplay(output.stream, { env });
    return { ...output, display };
  }

  it("hides the cursor and gives it back once, after a last frame", () => {
    const { display, text, clear } = open();
    expect(text()).toBe(HIDE);
    clear();
    display.handle(start);
    display.close();
    expect(text().endsWith(SHOW)).toBe(true);
    clear();
    display.close();
    display.handle(step(1));
    vi.advanceTimersByTime(5000);
    expect(text()).toBe("");
  });

  it("gives the cursor back when the process ends under it, and leaves no listener behind", () => {
    const count = (): number => process.listenerCount("exit") + process.listenerCount("SIGINT");
    const before = count();
    const { display, text, clear } = open();
    expect(count()).toBe(before + 2);
    clear();
    process.listeners("exit").at(-1)!.call(process, 0);
    expect(text()).toBe(SHOW);
    display.close();
    expect(count()).toBe(before);
  });

  it("ends the process by Ctrl-C only when nobody else listens", () => {
    const kill = vi.spyOn(process, "kill").mockReturnValue(true);
    const other = vi.fn();
    const { text, clear, display } = open();
    clear();
    process.once("SIGINT", other);
    process.emit("SIGINT");
    expect(other).toHaveBeenCalled();
    // The display's listener ran first, while the other was still there.
    expect(kill).not.toHaveBeenCalled();
    display.close();
    const alone = open();
    alone.clear();
    process.emit("SIGINT");
    expect(kill).toHaveBeenCalledWith(process.pid, "SIGINT");
    expect(alone.text()).toBe(SHOW);
    expect(text()).not.toBe("");
    alone.display.close();
    kill.mockRestore();
  });

  it("redraws in place at most ten times a second", () => {
    const { display, text, clear } = open();
    display.handle(start);
    clear();
    for (let i = 1; i <= 100; i++) {
      vi.advanceTimersByTime(10);
      display.handle(step(i));
    }
    const frames = text().split("\u001b[J").length - 1;
    expect(frames).toBeGreaterThanOrEqual(9);
    expect(frames).toBeLessThanOrEqual(10);
    // Every frame first climbs to the top of the one before.
    expect(text().startsWith(upBy(5))).toBe(true);
    display.close();
  });

  it("moves the clock while nothing happens", () => {
    const { display, text, clear } = open({ NO_COLOR: "1" });
    display.handle(start);
    clear();
    vi.advanceTimersByTime(3000);
    expect(text()).toContain("elapsed 0:03");
    display.close();
  });

  it("leaves notices and skips standing above the block", () => {
    const { display, text, clear } = open({ NO_COLOR: "1" });
    display.handle(start);
    clear();
    display.handle({ type: "notice", step: 1, message: "read this\u001b" });
    expect(text().startsWith(`${upBy(5)}read this␛\u001b[K\ngpt2`)).toBe(true);
    clear();
    display.notice("and this");
    expect(text().startsWith(`${upBy(5)}and this`)).toBe(true);
    display.close();
    clear();
    display.notice("later");
    expect(text()).toBe("later\n");
  });

  it("climbs further when a narrower terminal has wrapped the old lines", () => {
    const { display, stream, text, clear } = open({ NO_COLOR: "1" });
    display.handle(start);
    clear();
    stream.columns = 40; // the bar of 79 columns now takes two rows
    display.notice("x");
    expect(text().startsWith(upBy(6))).toBe(true);
    display.close();
  });

  it("colours unless NO_COLOR says otherwise", () => {
    for (const [env, colored] of [
      [{}, true],
      [{ NO_COLOR: "1" }, false],
    ] as const) {
      const { display, text } = open(env);
      display.handle(start);
      display.close();
      // biome-ignore lint/suspicious/noControlCharactersInRegex: colour sequences
      expect(/\u001b\[\d+m/.test(text())).toBe(colored);
    }
  });
});
