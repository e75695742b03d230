import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkpointDigests, EventRecord, type TinyChanges, tinyRun } from "../../test/tiny-run.ts";
import { CheckpointStore } from "./checkpoint.ts";
import { flopsOf } from "./flops.ts";
import type { Examples, Measure } from "./objective.ts";
import type { TrainResult } from "./train-run.ts";
import { train } from "./trainer.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-patience-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A measure that says what it is told: losses, and accuracies that are not in step with them. */
function scripted(losses: readonly number[], accuracies: readonly number[] = losses): () => Measure {
  let at = 0;
  return () => ({
    run: async () => {
      const task = { metric: "accuracy", value: accuracies[at]!, higherIsBetter: true };
      return { ...task, lossNats: losses[at++]!, numTokens: 10 };
    },
    dispose: () => {},
  });
}

async function trainTiny(changes: TinyChanges): Promise<{ result: TrainResult; record: EventRecord }> {
  const record = new EventRecord();
  const options = { steps: 30, validateEvery: 3, saveEvery: 5, ...changes.options };
  return { result: await train(tinyRun(root, { ...changes, options, onEvent: record.record })), record };
}

describe("patience", () => {
  const losses = [3, 2, 2.5, 1.9, 2, 2.1, 2, 1, 1, 1];

  test("ends the run after so many validations without a lower loss, with a checkpoint of the end", async () => {
    const { result, record } = await trainTiny({ measure: scripted(losses), options: { patience: 3 } });
    expect(result).toMatchObject({ reason: "early-stopped", step: 21, best: { step: 12, lossNats: 1.9 } });
    expect(record.of("validation").map(({ best }) => best)).toEqual([
      ...[true, true, false, true, false, false, false],
    ]);
    expect(record.events.at(-1)).toMatchObject({ type: "end", step: 21, reason: "early-stopped" });
    expect(record.of("checkpoint").map(({ step }) => step)).toEqual([5, 10, 15, 20, 21]);
    const best = new CheckpointStore(join(root, "best")).list();
    expect(best.map(({ step }) => step)).toEqual([12]);
  });

  test("0 never ends a run early", async () => {
    const { result } = await trainTiny({ measure: scripted([1, 2, 2, 2, 2, 2, 2, 2, 2, 2]) });
    expect(result).toMatchObject({ reason: "finished", step: 30, best: { step: 3 } });
  });

  test("is remembered across a resume, and an early end is an end", async () => {
    const controller = new AbortController();
    const stop = tinyRun(root, {
      options: { steps: 30, validateEvery: 3, saveEvery: 5, patience: 3 },
      measure: scripted(losses),
      signal: controller.signal,
      onEvent: ({ type, step }) => {
        if (type === "step" && step === 17) controller.abort();
      },
    });
    expect((await train(stop)).reason).toBe("stopped"); // after validations at 3 … 15: one without a lower loss
    const rest = { options: { patience: 3 }, resume: true } as const;
    const resumed = await trainTiny({ ...rest, measure: scripted(losses.slice(5)) });
    expect(resumed.result).toMatchObject({ reason: "early-stopped", step: 21, best: { step: 12 } });
    const digests = checkpointDigests(root);
    const again = await trainTiny({ ...rest, measure: scripted([]) });
    expect(again.result).toMatchObject({ reason: "early-stopped", step: 21, best: { step: 12 } });
    expect(again.record.events.map(({ type }) => type)).toEqual(["start", "end"]);
    expect(checkpointDigests(root)).toEqual(digests);
  });
});

test("the best weights are those of the best quality where that is asked for", async () => {
  const measure = () => scripted([3, 2, 1, 4, 5], [0.2, 0.5, 0.4, 0.9, 0.6]);
  const options = { steps: 15, validateEvery: 3 };
  const byLoss = await trainTiny({ measure: measure(), options });
  expect(byLoss.result.best).toMatchObject({ step: 9, lossNats: 1, value: 0.4 });
  rmSync(root, { recursive: true });
  const byQuality = await trainTiny({ measure: measure(), options: { ...options, best: "quality" } });
  expect(byQuality.result.best).toEqual({
    ...{ step: 12, lossNats: 4, metric: "accuracy", value: 0.9, higherIsBetter: true },
  });
  rmSync(root, { recursive: true });
  const tied = scripted([3, 2, 1, 1.5, 1], [0.5, 0.5, 0.5, 0.5, 0.4]);
  const byLossToo = await trainTiny({ measure: tied, options: { ...options, best: "quality" } });
  expect(byLossToo.result.best).toMatchObject({ step: 9, lossNats: 1, value: 0.5 });
});

describe("examples that come when they are ready, in several lengths", () => {
  /** Rows of the tiny text, as long as the batch's number says. */
  function bucketed(directory: string): TinyChanges {
    const { examples } = tinyRun(join(directory, "text"), { options: { batchSize: 4 } });
    let count = 0;
    const next = async (): Promise<Examples> => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      const { inputs } = await examples.next();
      const T = [16, 8, 12][count % 3]!;
      const B = [4, 2, 4][count++ % 3]!;
      const cut = (name: string) => {
        const rows = Array.from({ length: B }, (_, row) =>
          (inputs[name]!.data as Int32Array).subarray(row * 16, row * 16 + T),
        );
        const data = Int32Array.from(rows.flatMap((row) => [...row]));
        return { dtype: "int32", shape: [B, T], data } as const;
      };
      const numTargets = { nextToken: new Int32Array(B).fill(T) };
      return {
        ...{ inputs: { tokens: cut("tokens"), targets: cut("targets") }, numTargets },
        ...{ contextLength: T, group: 2 },
      };
    };
    return {
      examples: {
        next,
        state: () => ({ inner: examples.state(), count }),
        restore: (cursor) => {
          const saved = cursor as { inner: unknown; count: number };
          examples.restore(saved.inner);
          count = saved.count;
        },
      },
    };
  }

  test("are counted as they are, and a resumed run has the same bits", async () => {
    const data = (name: string) => tinyRun(join(root, name));
    const options = { steps: 12, saveEvery: 4, accumulation: 2 };
    const start = async (name: string, changes: TinyChanges) => {
      const record = new EventRecord();
      const { measure } = data(`${name}-data`);
      const given = { measure, ...bucketed(join(root, `${name}-data`)), options, ...changes };
      const onEvent: typeof record.record = (event) => {
        record.record(event);
        changes.onEvent?.(event);
      };
      return { result: await train(tinyRun(join(root, name), { ...given, onEvent })), record };
    };
    const straight = await start("straight", {});
    const { objective } = data("shapes");
    const costs = [
      [4, 16],
      [2, 8],
      [4, 12],
    ].map(([batchSize, contextLength]) =>
      flopsOf(objective, { batchSize: batchSize!, contextLength: contextLength! }),
    );
    expect(straight.result.totalFlops).toBe(8 * costs.reduce((a, b) => a + b, 0));
    const crash = start("cut", {
      onEvent: ({ type, step }) => {
        if (type === "step" && step === 7) throw new Error("crash");
      },
    });
    await expect(crash).rejects.toThrow("crash");
    const resumed = await start("cut", { resume: true });
    expect(resumed.record.losses()).toEqual(straight.record.losses().slice(4));
    expect(checkpointDigests(join(root, "cut"))).toEqual(checkpointDigests(join(root, "straight")));
    expect(resumed.result.totalFlops).toBe(straight.result.totalFlops);
  });
});
