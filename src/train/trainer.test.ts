import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  checkpointDigests,
  EventRecord,
  engine,
  type TinyChanges,
  tinyModel,
  tinyRun,
} from "../../test/tiny-run.ts";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError, EnvironmentError, ShapeError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import type { Engine } from "../engine/engine.ts";
import { SafetensorsFile } from "../hub/safetensors.ts";
import { initializeParameters } from "../nn/scope.ts";
import { CheckpointStore } from "./checkpoint.ts";
import type { TrainEvent } from "./events.ts";
import { NextToken } from "./next-token.ts";
import type { TrainResult } from "./train-run.ts";
import { train } from "./trainer.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-train-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

interface Finished {
  readonly result: TrainResult;
  readonly record: EventRecord;
  readonly directory: string;
}

/** Trains the tiny model in a directory of that name. */
async function trainTiny(name: string, changes: TinyChanges = {}): Promise<Finished> {
  const [directory, record] = [join(root, name), new EventRecord()];
  const onEvent = (event: TrainEvent) => {
    record.record(event);
    changes.onEvent?.(event);
  };
  return { result: await train(tinyRun(directory, { ...changes, onEvent })), record, directory };
}

/** Trains until `step` is done, then aborts as Ctrl-C does. */
async function trainUntil(name: string, step: number, changes: TinyChanges = {}): Promise<Finished> {
  const controller = new AbortController();
  const onEvent = (event: TrainEvent) => {
    if (event.type === "step" && event.step === step) controller.abort();
  };
  return await trainTiny(name, { ...changes, signal: controller.signal, onEvent });
}

/** Trains and "dies" at a step: an exception out of the event handler, so that nothing is saved on the way out. */
async function crashAfter(
  name: string,
  step: number,
  changes: TinyChanges = {},
  type: "step" | "skip" = "step",
): Promise<void> {
  const onEvent = (event: TrainEvent) => {
    if (event.type === type && event.step === step) throw new Error("crash");
  };
  await expect(trainTiny(name, { ...changes, onEvent })).rejects.toThrow("crash");
}

function digestsOf(weights: ReadonlyMap<string, HostTensor>): [string, string][] {
  return [...weights].map(([path, { data }]) => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return [path, createHash("sha256").update(bytes).digest("hex")];
  });
}

/** One tensor of a checkpoint directory. */
function readTensor(path: string, name: string): Float32Array {
  const file = SafetensorsFile.open(join(path, "tensors.safetensors"));
  try {
    return file.read(name).data as Float32Array;
  } finally {
    file.close();
  }
}

function largestDifference(a: ReadonlyMap<string, HostTensor>, b: ReadonlyMap<string, HostTensor>): number {
  let worst = 0;
  for (const [path, { data }] of a) {
    const other = b.get(path)!.data;
    data.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(Number(value) - Number(other[i])));
    });
  }
  return worst;
}

describe("what a run says and leaves behind", () => {
  test("events in order, learning, the best weights, two checkpoints", async () => {
    const { result, record, directory } = await trainTiny("run", { options: { steps: 40 } });
    expect(result).toMatchObject({ reason: "finished", step: 40 });
    const steps = record.of("step");
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(steps[0]!.lossNats).toBeCloseTo(Math.log(24), 1);
    expect(steps.at(-1)!.lossNats).toBeLessThan(2.6);
    expect(steps[0]!.learningRate).toBeCloseTo(0.0025, 12);
    expect(steps.at(-1)!.learningRate).toBeCloseTo(0.001, 12);
    expect(record.events[0]).toMatchObject({ type: "start", step: 0, totalSteps: 40, tokensPerStep: 32 });
    expect(record.events.at(-1)).toMatchObject({ type: "end", step: 40, reason: "finished" });
    const looks = record.events.filter(({ type }) => type === "validation" || type === "checkpoint");
    expect(looks.map(({ type, step }) => `${type} ${step}`)).toEqual(
      [10, 20, 30, 40].flatMap((step) => [`validation ${step}`, `checkpoint ${step}`]),
    );
    const validations = record.of("validation");
    const lowest = Math.min(...validations.map(({ lossNats }) => lossNats));
    expect(result.best.lossNats).toBe(lowest);
    expect(validations.findLast(({ best }) => best)).toMatchObject(result.best);
    expect(readdirSync(join(directory, "checkpoints"))).toEqual(["step-00000030", "step-00000040"]);
    expect(readdirSync(join(directory, "best"))).toEqual([`step-${`${result.best.step}`.padStart(8, "0")}`]);
    // N: wte 24 × 16, one layer 12 · 16²; norms and biases 15 · 16; positions are only looked up.
    const N = 24 * 16 + 12 * 16 * 16 + 15 * 16;
    expect(result.totalFlops).toBe(40 * 32 * (6 * N + 12 * 1 * 16 * 16));
  });

  test("the best weights are those of the best step, not the last", async () => {
    // A rate that climbs far too high ruins what the first steps improved.
    const first = await trainTiny("good", { options: { steps: 20, schedule: "constant" } });
    const ruined = await trainTiny("ruined", {
      options: { steps: 60, schedule: "constant", learningRate: 0.6, minLearningRate: 0, warmupSteps: 60 },
      initialWeights: first.result.bestWeights,
    });
    expect(ruined.result.best.step).toBeLessThan(60);
    const last = ruined.record.of("validation").at(-1)!;
    expect(last.lossNats).toBeGreaterThan(ruined.result.best.lossNats);
    const store = new CheckpointStore(join(ruined.directory, "best"));
    expect(store.list().map(({ step }) => step)).toEqual([ruined.result.best.step]);
  });

  test("a sample is shown when due, from the weights as they are", async () => {
    const sizes: number[] = [];
    const { record } = await trainTiny("run", {
      options: { steps: 10, sampleEvery: 4 },
      sample: async (weights) => {
        sizes.push(weights.size);
        return { prompt: "a", text: "b" };
      },
    });
    expect(record.of("sample").map(({ step, text }) => [step, text])).toEqual([
      [4, "b"],
      [8, "b"],
      [10, "b"],
    ]);
    expect(new Set(sizes)).toEqual(new Set([tinyModel().parameters.length]));
  });
});

describe("gradient accumulation", () => {
  test("4 × 2 rows accumulated give the weights of 8 rows at once", async () => {
    // A clip norm that always binds shows whether the mean or the sum was clipped.
    const options = { steps: 5, warmupSteps: 0, clipNorm: 0.05 };
    const whole = await trainTiny("whole", { options: { ...options, batchSize: 8 } });
    const parts = await trainTiny("parts", { options: { ...options, batchSize: 2, accumulation: 4 } });
    expect(largestDifference(whole.result.bestWeights, parts.result.bestWeights)).toBeLessThan(1e-5);
    parts.record.of("step").forEach(({ lossNats, gradientNorm }, i) => {
      const expected = whole.record.of("step")[i]!;
      expect(lossNats).toBeCloseTo(expected.lossNats, 5);
      expect(gradientNorm).toBeCloseTo(expected.gradientNorm, 5);
      expect(gradientNorm).toBeGreaterThan(0.05);
    });
    expect(parts.record.of("start")[0]!.tokensPerStep).toBe(128);
  });
});

describe("clipping", () => {
  test.each([0.05, 1000])(
    "clip norm %s: what reaches the moments is that long, or as it was",
    async (clipNorm) => {
      const { directory, record } = await trainTiny("run", { options: { steps: 1, clipNorm } });
      const [step] = record.of("step");
      const { path } = new CheckpointStore(join(directory, "checkpoints")).list()[0]!;
      const squares = tinyModel().parameters.map((parameter) =>
        readTensor(path, `firstMoments.${parameter.path}`).reduce((sum, value) => sum + value * value, 0),
      );
      // The first moment of a first step is (1 − β₁) times the gradient.
      const length = Math.sqrt(squares.reduce((a, b) => a + b, 0)) / 0.1;
      expect(length / Math.min(clipNorm, step!.gradientNorm)).toBeCloseTo(1, 5);
      expect(step!.gradientNorm).toBeGreaterThan(0.05);
    },
  );
});

describe("determinism", () => {
  test("the same seed gives the same bits, another seed others", async () => {
    const options = { steps: 30 };
    const [a, b] = [await trainTiny("a", { options }), await trainTiny("b", { options })];
    expect(a.record.losses().length).toBe(30);
    expect(b.record.losses()).toEqual(a.record.losses());
    expect(digestsOf(b.result.bestWeights)).toEqual(digestsOf(a.result.bestWeights));
    expect(checkpointDigests(b.directory)).toEqual(checkpointDigests(a.directory));
    const c = await trainTiny("c", { options: { ...options, seed: 2 } });
    const same = c.record.losses().filter(([, loss], i) => loss === a.record.losses()[i]![1]);
    expect(same).toEqual([]);
  });
});

describe("resume", () => {
  test("stopped at 17, or crashed at 37, and resumed: the same bits as a straight run", async () => {
    const straight = await trainTiny("straight");
    const stopped = await trainUntil("stopped", 17);
    expect(stopped.result).toMatchObject({ reason: "stopped", step: 17 });
    expect(stopped.record.events.at(-1)).toMatchObject({ type: "end", step: 17, reason: "stopped" });
    await crashAfter("crashed", 37);
    for (const [name, from] of [
      ["stopped", 17],
      ["crashed", 30],
    ] as const) {
      const resumed = await trainTiny(name, { resume: true });
      expect(resumed.record.of("start")[0]!.step).toBe(from);
      expect(resumed.record.losses()).toEqual(straight.record.losses().slice(from));
      expect(checkpointDigests(resumed.directory)).toEqual(checkpointDigests(straight.directory));
      expect(digestsOf(resumed.result.bestWeights)).toEqual(digestsOf(straight.result.bestWeights));
      expect(resumed.result.best).toEqual(straight.result.best);
    }
  });

  test("the best record and its weights survive a resume that never beats it", async () => {
    const options = { steps: 40, learningRate: 0, minLearningRate: 0, weightDecay: 0 };
    const stopped = await trainUntil("run", 25, { options });
    expect(stopped.result.best.step).toBe(10);
    const resumed = await trainTiny("run", { options, resume: true });
    expect(resumed.result.best).toEqual(stopped.result.best);
    expect(resumed.record.of("validation").map(({ best }) => best)).toEqual([false, false]);
  });

  test("with accumulation too", async () => {
    const options = { steps: 12, accumulation: 3, saveEvery: 5 };
    const straight = await trainTiny("straight", { options });
    await crashAfter("crashed", 8, { options });
    const resumed = await trainTiny("crashed", { options, resume: true });
    expect(resumed.record.losses()).toEqual(straight.record.losses().slice(5));
    expect(checkpointDigests(resumed.directory)).toEqual(checkpointDigests(straight.directory));
  });

  test("a finished run resumed does nothing but answer", async () => {
    const finished = await trainTiny("run", { options: { steps: 10 } });
    const again = await trainTiny("run", { options: { steps: 10 }, resume: true });
    expect(again.record.of("step")).toEqual([]);
    expect(again.result.best).toEqual(finished.result.best);
    expect(digestsOf(again.result.bestWeights)).toEqual(digestsOf(finished.result.bestWeights));
  });

  test("a damaged newest checkpoint: the one before is used, a notice says so, the end has the same bits", async () => {
    const straight = await trainTiny("straight");
    const { directory } = await trainUntil("run", 27);
    const path = join(directory, "checkpoints", "step-00000027", "tensors.safetensors");
    const bytes = readFileSync(path);
    bytes[bytes.length - 100]! ^= 4;
    writeFileSync(path, bytes);
    const resumed = await trainTiny("run", { resume: true });
    const notices = resumed.record.of("notice").map(({ message }) => message);
    expect(notices[0]).toMatch(/step-00000027 is damaged: .*SHA-256.*trying the one before it$/);
    expect(resumed.record.of("start")[0]!.step).toBe(20);
    expect(resumed.record.losses()).toEqual(straight.record.losses().slice(20));
    expect(checkpointDigests(directory)).toEqual(checkpointDigests(straight.directory));
  });

  test("nothing to resume, another configuration, another tokenizer, other data: refused, nothing changed", async () => {
    await expect(trainTiny("empty", { resume: true })).rejects.toThrow(ConfigError);
    await expect(trainTiny("empty", { resume: true })).rejects.toThrow(
      "checkpoints: expected a checkpoint to resume from, got none. Start without --resume.",
    );
    const { directory } = await trainTiny("run", { options: { steps: 10 } });
    const before = checkpointDigests(directory);
    const { identity } = tinyRun(directory);
    for (const [changes, message] of [
      [
        { identity: { ...identity, configHash: "other" } },
        "the configuration that the run began with, got a different one",
      ],
      [
        { identity: { ...identity, tokenizerHash: "other" } },
        "the tokenizer that the run began with, got a different one",
      ],
      [
        { identity: { ...identity, dataHash: "other" } },
        "the data that the run began with, got a different one",
      ],
      [{ options: { steps: 10, seed: 5 } }, "data cursor seed: expected 1, as when it was saved, got 5"],
    ] as const) {
      const attempt = trainTiny("run", { resume: true, options: { steps: 10 }, ...changes });
      await expect(attempt).rejects.toThrow(message);
      await expect(attempt).rejects.toThrow(ConfigError);
    }
    expect(checkpointDigests(directory)).toEqual(before);
  });
});

/** An engine whose training step gives NaN, in the loss or in one gradient, the `at`-th times it runs. */
function poisoningEngine(what: "loss" | "gradient", ...at: readonly number[]): Engine {
  const compile: Engine["compile"] = (name, outputs, options) => {
    const program = engine.compile(name, outputs, options);
    if (name !== "training step") return program;
    const [newBinding, run] = [program.newBinding.bind(program), program.run.bind(program)];
    let gradient: HostTensor | undefined;
    let count = 0;
    program.newBinding = () => {
      const binding = newBinding();
      const bind = binding.bind.bind(binding);
      binding.bind = (tensorName, tensor) => {
        if (tensorName.startsWith("gradient of")) gradient = tensor;
        bind(tensorName, tensor);
      };
      return binding;
    };
    program.run = async (feeds, binding) => {
      const results = await run(feeds, binding);
      if (at.includes(++count)) (what === "loss" ? results.loss! : gradient!).data[0] = Number.NaN;
      return results;
    };
    return program;
  };
  return Object.assign(Object.create(engine) as Engine, { compile });
}

describe("steps that are not finite", () => {
  /** Weights of the usual start, with one of them made so large that float32 overflows. */
  function overflowing(): Map<string, HostTensor> {
    const weights = initializeParameters(tinyModel().parameters, new Random(3));
    weights.get("ln_f.weight")!.data.fill(3e38 as never);
    return weights;
  }

  test("weights and moments stay as they are, bit for bit; the count goes up; too many in a row end the run", async () => {
    const record = new EventRecord();
    const options = { steps: 40, maxSkips: 7, saveEvery: 3, validateEvery: 40 };
    const initialWeights = overflowing();
    const run = trainTiny("run", { options, initialWeights, onEvent: record.record });
    await expect(run).rejects.toThrow(EnvironmentError);
    await expect(run).rejects.toThrow(
      /^training step 7: expected finite loss and gradients, got 7 steps in a row without \(loss (NaN|-?Infinity), gradient norm (NaN|Infinity)\)\. Start again with a lower learning rate; the checkpoints are intact\.$/,
    );
    expect(record.of("step")).toEqual([]);
    expect(record.of("skip").map(({ step, count }) => [step, count])).toEqual(
      Array.from({ length: 7 }, (_, i) => [i + 1, i + 1]),
    );
    const checkpoint = new CheckpointStore(join(root, "run", "checkpoints")).latest()!;
    expect(checkpoint.step).toBe(6);
    for (const name of checkpoint.names) {
      const { data } = checkpoint.read(name);
      const [, kind, path] = /^(weights|firstMoments|secondMoments)\.(.+)$/.exec(name)!;
      const expected = kind === "weights" ? initialWeights.get(path!)!.data : new Float32Array(data.length);
      expect(Buffer.from(data.buffer).equals(Buffer.from(expected.buffer)), name).toBe(true);
    }
    checkpoint.close();
  });

  test.each(["loss", "gradient"] as const)(
    "one %s that is not finite: the step changes no bit, and the run goes on, also through a resume",
    async (what) => {
      const options = { steps: 12, saveEvery: 1 };
      const digests = new Map<number, Record<string, string>>();
      const straight = await trainTiny("straight", { options });
      const poisoned = await trainTiny("poisoned", {
        ...{ options, engine: poisoningEngine(what, 5) },
        onEvent: ({ type, step }) => {
          if (type === "checkpoint") digests.set(step, checkpointDigests(join(root, "poisoned")));
        },
      });
      expect(poisoned.record.of("skip")).toMatchObject([{ step: 5, count: 1 }]);
      expect(digests.get(5)).toEqual(digests.get(4));
      expect(digests.get(6)).not.toEqual(digests.get(5));
      expect(poisoned.record.losses().slice(0, 4)).toEqual(straight.record.losses().slice(0, 4));
      expect(poisoned.record.losses().map(([step]) => step)).toEqual([1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]);
      expect(poisoned.record.of("step").every(({ lossNats }) => Number.isFinite(lossNats))).toBe(true);
      // Skipped steps do not count for the bias correction: had the checkpoint forgotten them, the bits would differ.
      await crashAfter("crashed", 8, { options, engine: poisoningEngine(what, 5) });
      const resumed = await trainTiny("crashed", { options, resume: true });
      expect(resumed.record.losses()).toEqual(poisoned.record.losses().slice(6));
      expect(checkpointDigests(resumed.directory)).toEqual(checkpointDigests(poisoned.directory));
    },
  );

  test("a skipped step does not count for the bias correction: the first real one is as long as the rate", async () => {
    const { directory } = await trainTiny("run", {
      engine: poisoningEngine("loss", 1),
      options: { steps: 2, saveEvery: 1, warmupSteps: 0, schedule: "constant", learningRate: 0.01 },
    });
    // m̂/√v̂ of a first step is ±1 for every weight, and norms and biases do not decay.
    const [before, after] = new CheckpointStore(join(directory, "checkpoints"))
      .list()
      .map(({ path }) => readTensor(path, "weights.ln_f.bias"));
    for (const [i, value] of after!.entries()) {
      expect(Math.abs(value - before![i]!)).toBeCloseTo(0.01, 4);
    }
  });

  test("skips that are not in a row do not end the run", async () => {
    const { result, record } = await trainTiny("run", {
      engine: poisoningEngine("gradient", 2, 3, 5, 6, 8),
      options: { steps: 10, maxSkips: 3 },
    });
    expect(result.reason).toBe("finished");
    expect(record.of("skip").map(({ step, count }) => [step, count])).toEqual([
      ...[
        [2, 1],
        [3, 2],
        [5, 3],
        [6, 4],
        [8, 5],
      ],
    ]);
  });

  test("skips in a row are counted on across a resume", async () => {
    const options = { steps: 40, maxSkips: 7, saveEvery: 2, validateEvery: 40 };
    const initialWeights = overflowing();
    await crashAfter("run", 5, { options, initialWeights }, "skip");
    await expect(trainTiny("run", { options, resume: true })).rejects.toThrow("training step 7: ");
  });

  test("validation that is not finite ends the run with one clear line", async () => {
    const options = { steps: 2, validateEvery: 1, saveEvery: 1 };
    const run = trainTiny("run", { options, initialWeights: overflowing() });
    await expect(run).rejects.toThrow(EnvironmentError);
    await expect(run).rejects.toThrow("validation: expected a finite loss, got NaN. The weights have grown");
  });
});

describe("bad input", () => {
  test("a context longer than the model's or than the data", async () => {
    const longer = { contextLength: 17 };
    await expect(trainTiny("a", { options: longer })).rejects.toThrow(
      "train.contextLength: expected at most the model's 16, got 17",
    );
    const run = trainTiny("b", {
      options: { contextLength: 5000 },
      objective: new NextToken(tinyModel(5000)),
    });
    await expect(run).rejects.toThrow(ConfigError);
    await expect(run).rejects.toThrow("contextLength: expected at most 3999");
    expect(readdirSync(root).filter((name) => readdirSync(join(root, name)).includes("checkpoints"))).toEqual(
      [],
    );
  });

  test("initial weights that are missing or of another shape", async () => {
    const initialWeights = initializeParameters(tinyModel().parameters, new Random(1));
    initialWeights.delete("ln_f.bias");
    await expect(trainTiny("a", { initialWeights })).rejects.toThrow(
      "initial weights, ln_f.bias: expected float32 [16], got nothing",
    );
    initialWeights.set("ln_f.bias", { dtype: "float32", shape: [15], data: new Float32Array(15) });
    await expect(trainTiny("b", { initialWeights })).rejects.toThrow(ShapeError);
  });

  test("a directory that holds a run already: nothing of it is touched", async () => {
    const { directory } = await trainTiny("run", { options: { steps: 10 } });
    const before = checkpointDigests(directory);
    const second = trainTiny("run", { options: { steps: 20 } });
    await expect(second).rejects.toThrow("expected no checkpoints yet, got those of a run up to step 10");
    expect(checkpointDigests(directory)).toEqual(before);
  });
});
