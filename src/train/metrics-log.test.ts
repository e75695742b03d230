import { appendFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { EnvironmentError, FormatError } from "../core/errors.ts";
import type { TrainEvent } from "./events.ts";
import { MetricsLog, readMetrics } from "./metrics-log.ts";

/** A disk that takes as many bytes as there is room, then refuses like a full one. */
const disk = vi.hoisted(() => ({ room: Number.POSITIVE_INFINITY }));

vi.mock("node:fs", async (importActual) => {
  const fs = await importActual<typeof import("node:fs")>();
  const writeSync = (file: number, bytes: Uint8Array, offset: number): number => {
    if (disk.room <= 0) {
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), {
        code: "ENOSPC",
        syscall: "write",
      });
    }
    const length = Math.min(bytes.length - offset, disk.room);
    disk.room -= length;
    return fs.writeSync(file, bytes, offset, length);
  };
  return { ...fs, writeSync };
});

const TIME = new Date("2026-11-23T10:00:00.000Z");

function step(number: number, lossNats = 2.5): TrainEvent {
  return {
    type: "step",
    step: number,
    lossNats,
    learningRate: 3e-4,
    gradientNorm: 0.5,
    stepMs: 50,
    tokensPerSecond: 1000,
    gflopPerSecond: 100,
  };
}

let path: string;

beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), "plinth-metrics-")), "metrics.jsonl");
});

function writeSteps(count: number): void {
  const log = MetricsLog.create(path);
  for (let i = 1; i <= count; i++) log.append(step(i), TIME);
  log.close();
}

describe("MetricsLog", () => {
  it("writes one JSON object a line, readable by anything", () => {
    writeSteps(2);
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { ...step(1), time: "2026-11-23T10:00:00.000Z" },
      { ...step(2), time: "2026-11-23T10:00:00.000Z" },
    ]);
  });

  it("reads back every type of event as it was", () => {
    const events: TrainEvent[] = [
      {
        type: "start",
        title: "t",
        totalSteps: 9,
        step: 1,
        numParameters: 10,
        tokensPerStep: 8,
        flopsPerStep: 1e9,
      },
      step(1),
      { type: "validation", step: 1, lossNats: 2, bitsPerByte: 2.885, numTokens: 100, best: true },
      {
        ...{ type: "validation", step: 1, lossNats: 2, numTokens: 100, best: true },
        ...{ metric: "accuracy", value: 0.5, higherIsBetter: true, standardError: 0.1 },
        others: { "macro F1": Number.NaN, precision: 0.5 },
      },
      { type: "sample", step: 1, prompt: "NaN", text: "Infinity\n" },
      { type: "checkpoint", step: 1, path: "runs/a", saveMs: 12 },
      { type: "skip", step: 2, reason: "the loss was not finite", count: 1 },
      { type: "notice", step: 2, message: "hello" },
      { type: "end", step: 2, seconds: 3, totalFlops: 2e9, reason: "finished" },
    ];
    const log = MetricsLog.create(path);
    for (const event of events) log.append(event, TIME);
    log.close();
    expect(readMetrics(path)).toEqual(events.map((event) => ({ ...event, time: TIME.toISOString() })));
  });

  it("keeps numbers that JSON has no notation for", () => {
    const log = MetricsLog.create(path);
    for (const loss of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      log.append(step(1, loss));
    log.close();
    expect(readMetrics(path).map((event) => event.type === "step" && event.lossNats)).toEqual([
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ]);
  });

  it("refuses a file of another run", () => {
    writeSteps(1);
    expect(() => MetricsLog.create(path)).toThrow(EnvironmentError);
    expect(() => MetricsLog.create(path)).toThrow(/expected no metrics yet, got those of an earlier run/);
  });

  it("names a directory that is not there", () => {
    expect(() => MetricsLog.create(join(path, "no", "metrics.jsonl"))).toThrow(/ENOENT/);
  });

  it("says so when the disk is full, and ends with the event before", () => {
    const log = MetricsLog.create(path);
    log.append(step(1), TIME);
    disk.room = 20;
    expect(() => log.append(step(2), TIME)).toThrow(
      /metrics\.jsonl: expected a file that can be written, got ENOSPC/,
    );
    disk.room = Number.POSITIVE_INFINITY;
    log.append(step(3), TIME);
    log.close();
    expect(readMetrics(path).map(({ step: number }) => number)).toEqual([1, 3]);
  });
});

describe("MetricsLog.resume", () => {
  it("drops what lies beyond the resumed step and appends after it", () => {
    writeSteps(5);
    const log = MetricsLog.resume(path, 3);
    log.append(step(4, 9), TIME);
    log.close();
    const losses = readMetrics(path).map((event) => event.type === "step" && [event.step, event.lossNats]);
    expect(losses).toEqual([
      [1, 2.5],
      [2, 2.5],
      [3, 2.5],
      [4, 9],
    ]);
  });

  it("mends a torn last line, so that the next event does not run into it", () => {
    writeSteps(2);
    appendFileSync(path, '{"type":"step","st');
    const log = MetricsLog.resume(path, 2);
    log.append(step(3), TIME);
    log.close();
    expect(readMetrics(path).map(({ step: number }) => number)).toEqual([1, 2, 3]);
  });

  it("begins a log where there is none, and leaves no temporary file", () => {
    MetricsLog.resume(path, 0).close();
    expect(readMetrics(path)).toEqual([]);
    expect(readdirSync(join(path, ".."))).toEqual(["metrics.jsonl"]);
  });

  it("does not touch a file with a damaged line", () => {
    writeFileSync(path, 'not json\n{"type":"notice","step":1,"message":"a","time":"t"}\n');
    expect(() => MetricsLog.resume(path, 1)).toThrow(FormatError);
    expect(readFileSync(path, "utf8")).toContain("not json");
  });
});

describe("readMetrics", () => {
  it("leaves out a torn last line", () => {
    writeSteps(2);
    appendFileSync(path, '{"type":"step","step":3');
    expect(readMetrics(path)).toHaveLength(2);
  });

  it.each([
    ["no JSON", "nonsense", /metrics\.jsonl:1: expected an event as a JSON object, got nonsense/],
    ["no object", "[1]", /expected an event as a JSON object/],
    ["an unknown type", '{"type":"stop"}', /expected a type among start, step, .*, got stop/],
    ["a name every object has", '{"type":"toString"}', /got toString/],
    [
      "a missing field",
      '{"type":"notice","step":1,"time":"t"}',
      /expected message to be a string, got undefined/,
    ],
    [
      "a wrong field",
      '{"type":"skip","step":"1","reason":"r","count":1,"time":"t"}',
      /expected step to be a number/,
    ],
    [
      "a metric that is no number",
      '{"type":"validation","step":1,"time":"t","lossNats":1,"numTokens":1,"best":true,"metric":"m","value":1,"higherIsBetter":true,"others":{"F1":"high"}}',
      /expected others to be an object of numbers, got \{"F1":"high"\}/,
    ],
  ])("names the line that holds %s", (_, line, message) => {
    writeFileSync(path, `${line}\n`);
    expect(() => readMetrics(path)).toThrow(FormatError);
    expect(() => readMetrics(path)).toThrow(message);
  });

  it("says when there is no file", () => {
    expect(() => readMetrics(path)).toThrow(EnvironmentError);
  });
});
