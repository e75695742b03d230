import { describe, expect, it } from "vitest";
import type { TrainEvent } from "./events.ts";
import type { TimedEvent } from "./metrics-log.ts";
import { type RunReport, renderReport } from "./report.ts";

const BEGIN = Date.parse("2026-11-23T10:00:00.000Z");

/** One event a second. */
function timed(events: readonly TrainEvent[]): TimedEvent[] {
  return events.map((event, i) => ({ ...event, time: new Date(BEGIN + i * 1000).toISOString() }));
}

const start: TrainEvent = {
  type: "start",
  title: "t",
  totalSteps: 4,
  step: 0,
  numParameters: 10_788_929,
  tokensPerStep: 2048,
  flopsPerStep: 1e11,
};

function step(number: number, lossNats: number): TrainEvent {
  return {
    type: "step",
    step: number,
    lossNats,
    learningRate: 3e-4,
    gradientNorm: 0.5,
    stepMs: 1000,
    tokensPerSecond: 2048,
    gflopPerSecond: 100,
  };
}

function validation(number: number, lossNats: number): TrainEvent {
  return {
    type: "validation",
    step: number,
    lossNats,
    bitsPerByte: lossNats / Math.LN2 / 2,
    numTokens: 100,
    best: true,
  };
}

const masked = (number: number, accuracy: number): TrainEvent => ({
  ...{ type: "validation", step: number, lossNats: 3 - accuracy, numTokens: 1000, best: true },
  ...{ maskedAccuracy: accuracy, standardError: 0.01, nextSentenceAccuracy: 0.75 },
});

const losses = [4.25, 3.125, 2.5, 2.0625];
const run: RunReport = {
  title: "A run",
  startedAt: "2026-11-23T10:00:00.000Z",
  machine: "a machine",
  config: { layers: 6, tie: true, schedule: "cosine" },
  corpus: [{ label: "bytes", value: "1,115,394" }],
  events: timed([
    start,
    ...losses.map((loss, i) => step(i + 1, loss)),
    validation(4, 2.2),
    { type: "sample", step: 4, prompt: "ROMEO:", text: " To be" },
    { type: "checkpoint", step: 4, path: "runs/a/step-4", saveMs: 120 },
    { type: "end", step: 4, seconds: 8, totalFlops: 4e11, reason: "finished" },
  ]),
  baselines: [{ label: "4-gram", bitsPerByte: 2.559 }],
  next: ["plinth generate runs/a --prompt 'ROMEO:'"],
};

/** What is drawn: each series' exact data, and where its path puts it, turned back into values. */
function readChart(html: string, title: string): Map<string, { data: number[][]; drawn: number[][] }> {
  const figure = html.split('<figure class="chart">').find((part) => part.includes(`<b>${title}</b>`))!;
  const [x0 = 0, x1 = 0] = /data-x="([^"]*)"/.exec(figure)![1]!.split(" ").map(Number);
  const [y0 = 0, y1 = 0] = /data-y="([^"]*)"/.exec(figure)![1]!.split(" ").map(Number);
  const isLog = figure.includes('data-scale="log"');
  const toValue = (place: number): number => (isLog ? y0 * (y1 / y0) ** place : y0 + place * (y1 - y0));
  const series = [...figure.matchAll(/ d="([^"]*)" data-label="([^"]*)" data-points="([^"]*)"/g)];
  return new Map(
    series.map(([, path = "", label = "", points = ""]) => {
      const places = [...path.matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
      const drawn = places.map(([x = 0, y = 0]) => [x0 + (x / 1000) * (x1 - x0), toValue(1 - y / 1000)]);
      return [label, { data: JSON.parse(points) as number[][], drawn }];
    }),
  );
}

describe("renderReport", () => {
  const html = renderReport(run);

  it("draws the numbers it was given", () => {
    const chart = readChart(html, "Training and validation loss");
    const expected = losses.map((loss, i) => [i + 1, loss]);
    const raw = chart.get("one step")!;
    expect(raw.data).toEqual(expected);
    raw.drawn.forEach(([x, y], i) => {
      expect(x).toBeCloseTo(expected[i]![0]!, 3);
      expect(y).toBeCloseTo(expected[i]![1]!, 3);
    });
    expect(chart.get("validation")!.data).toEqual([[4, 2.2]]);
    expect(chart.get("validation")!.drawn[0]![1]).toBeCloseTo(2.2, 3);
    expect(readChart(html, "Throughput").get("one step")!.data[0]).toEqual([1, 2048]);
    expect(readChart(html, "Learning rate").get("rate")!.data[3]).toEqual([4, 3e-4]);
  });

  it("puts a baseline at its nats on the left axis: bits/byte × nats per bits/byte of the validation", () => {
    const [, min = 0, max = 0] = /data-y="([\d.]+) ([\d.]+)"/.exec(html)!.map(Number);
    const top = Number(/class="level-line" d="M0 ([\d.]+)H/.exec(html)![1]);
    const nats = min * (max / min) ** (1 - top / 1000);
    expect(nats).toBeCloseTo(2.559 * Math.LN2 * 2, 3);
    expect(html).toContain("4-gram 2.559");
  });

  it("adds up the run", () => {
    const text = html
      .replace(/<style>.*?<\/style>/s, "")
      .replace(/<[^>]*>/g, " ")
      .replace(/\s+/g, " ");
    expect(text).toContain("finished , 4 of 4 steps");
    expect(text).toContain("Best validation 1.587 bits/byte 38.0 % below 4-gram; 2.200 nats/token at step 4");
    expect(text).toContain("Parameters trained 10.8 M");
    expect(text).toContain("Tokens seen 8.19 k 1,024 tokens/s overall");
    expect(text).toContain("Compute 400 GFLOP 100 GFLOP/s in the steps");
    expect(text).toContain("Time 0:08 1,000 ms a step");
    expect(text).toContain("layers 6");
    expect(text).toContain("runs/a/step-4");
  });

  it("marks the prompt and says what to type next", () => {
    expect(html).toContain("<mark>ROMEO:</mark> To be");
    expect(html).toContain("plinth generate runs/a --prompt &#39;ROMEO:&#39;");
  });

  it("asks nothing of the network", () => {
    expect(html).not.toMatch(/(src|href)=|url\(|@import|https?:/);
    expect(html).toContain("default-src 'none'");
    expect(html.match(/<script>/g)).toHaveLength(1);
  });

  it("shows hostile text as text, wherever it comes from", () => {
    const evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u0000\u001b[31m\ud800";
    const hostile = renderReport({
      title: evil,
      startedAt: evil,
      machine: evil,
      config: { [evil]: evil },
      corpus: [{ label: evil, value: evil }],
      events: timed([
        { ...start, title: evil } as TrainEvent,
        step(1, 3),
        validation(1, 3),
        { type: "sample", step: 1, prompt: evil, text: evil },
        { type: "skip", step: 1, reason: evil, count: 1 },
        { type: "notice", step: 1, message: evil },
        { type: "checkpoint", step: 1, path: evil, saveMs: 1 },
      ]),
      baselines: [{ label: evil, bitsPerByte: 2 }],
      next: [evil],
    });
    expect(hostile.match(/<script>/g)).toHaveLength(1);
    expect(hostile).not.toContain("<img");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
    expect(hostile).not.toMatch(/[\u0000-\u0008\u001b]/);
    expect(hostile).not.toMatch(/[\ud800-\udfff]/u); // with this flag: halves of characters
    expect(hostile).toContain("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&gt;&lt;img src=x");
  });

  it("leaves the time between two processes out, and says that a run without an end is not finished", () => {
    const events: TimedEvent[] = [
      { ...start, time: "2026-11-23T10:00:00.000Z" },
      { ...step(1, 3), time: "2026-11-23T10:00:05.000Z" },
      { ...start, step: 1, time: "2026-11-24T10:00:00.000Z" },
      { ...step(2, 3), time: "2026-11-24T10:00:07.000Z" },
    ];
    const resumed = renderReport({ ...run, events });
    expect(resumed).toContain('<div class="value">0:12</div>');
    expect(resumed).toContain('<span class="warn">not finished</span>, 2 of 4 steps');
  });

  it("can be made of a run that has not done anything yet", () => {
    const empty = renderReport({ ...run, events: [], baselines: [], next: [], corpus: [] });
    expect(empty).toContain("Nothing was recorded.");
    expect(empty).not.toMatch(/NaN|Infinity|undefined/);
  });

  it("leaves losses that are not finite out of the chart", () => {
    const broken = renderReport({
      ...run,
      events: timed([start, step(1, 4), step(2, Number.NaN), step(3, 3)]),
    });
    const chart = readChart(broken, "Training and validation loss");
    expect(chart.get("one step")!.data).toEqual([
      [1, 4],
      [3, 3],
    ]);
    expect(broken).not.toContain("NaN");
  });

  it("folds all but six samples away and loses none", () => {
    const samples = Array.from(
      { length: 20 },
      (_, i): TrainEvent => ({ type: "sample", step: i + 1, prompt: "", text: `text-${i + 1}.` }),
    );
    const many = renderReport({ ...run, events: timed(samples) });
    for (let i = 1; i <= 20; i++) expect(many).toContain(`text-${i}.`);
    expect(many).toContain("14 more from other steps");
    const one = renderReport({ ...run, events: timed(samples.slice(0, 1)) });
    expect(one).not.toContain("more from other steps");
  });
});

describe("a run that fills in masked tokens", () => {
  const baselines = [
    { label: "counts", maskedAccuracy: 0.5, standardError: 0.01 },
    { label: "most common", maskedAccuracy: 0.15, standardError: 0.01 },
  ];
  const events = timed([start, step(1, 4), step(2, 3), masked(1, 0.25), masked(2, 0.625)]);
  const html = renderReport({ ...run, events, baselines });

  it("shows the share that is right, against the strongest baseline, and no bits", () => {
    expect(html).toContain("62.5 %");
    expect(html).toContain("of masked tokens right");
    expect(html).toContain("counts: 50.0 %; ");
    expect(html).toContain("62.50 % of masked tokens right, 75.0 % of pairs");
    expect(html).not.toContain("bits/byte");
    expect(html).not.toContain("bits per byte");
  });

  it("draws the share over the steps", () => {
    const chart = readChart(html, "Masked tokens filled in right");
    expect(chart.get("validation")!.data).toEqual([
      [1, 25],
      [2, 62.5],
    ]);
    expect(renderReport(run)).not.toContain("Masked tokens filled in right");
  });
});

describe("a run for a task", () => {
  const judged = (number: number, value: number, best: boolean): TrainEvent => ({
    ...{ type: "validation", step: number, lossNats: 2 - value, numTokens: 200, best },
    ...{ metric: "accuracy", value, higherIsBetter: true, standardError: 0.02, others: { "macro F1": 0.5 } },
  });
  const baselines = [
    { label: "most common", metric: "accuracy", value: 0.125, higherIsBetter: true },
    { label: "nearest", metric: "accuracy", value: 0.375, higherIsBetter: true },
  ];
  const end: TrainEvent = { type: "end", step: 2, seconds: 2, totalFlops: 2, reason: "early-stopped" };
  const events = timed([start, step(1, 4), judged(1, 0.75, true), step(2, 3), judged(2, 0.5, false), end]);
  const html = renderReport({ ...run, events, baselines });

  it("shows the best validation in its metric, against the strongest baseline", () => {
    const text = html.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
    expect(text).toContain("Best validation 0.750 accuracy nearest: 0.375; 1.250 nats at step 1");
    expect(text).toContain("this model 0.7500 ± 0.0200 accuracy, 0.5000 macro F1");
    expect(text).toContain("stopped early: validation no longer improved , 2 of 4 steps");
    expect(html).not.toContain("per token");
    expect(html).not.toMatch(/bits/);
  });

  it("draws the metric over the steps, with the baselines", () => {
    const chart = readChart(html, "Held-out accuracy");
    expect(chart.get("validation")!.data).toEqual([
      [1, 0.75],
      [2, 0.5],
    ]);
    expect(html).toContain("nearest 0.375<");
  });
});
