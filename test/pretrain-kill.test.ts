import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as giveTurn, setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Random } from "../src/core/random.ts";
import { CheckpointStore } from "../src/train/checkpoint.ts";
import { readMetrics } from "../src/train/metrics-log.ts";
import { checkpointDigests, tinyText } from "./tiny-run.ts";

const MAIN = join(import.meta.dirname, "../dist/cli/main.js");
const SAVE_EVERY = 7;
const STEPS = 400;

/** Moments to kill at; the first is before there is any checkpoint. */
const KILLS = [
  "anywhere",
  ...Array.from({ length: 4 }, () => ["in a save", "in training", "in a save of the best"] as const).flat(),
  "in a save",
] as const;

let root = "";
beforeAll(() => {
  if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing. Run "npm run build" first.`);
  root = mkdtempSync(join(tmpdir(), "plinth-kills-"));
  writeFileSync(join(root, "text.txt"), tinyText(5000, 1));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function startRun(name: string, resume: boolean): ChildProcess {
  const settings = [
    ...[
      "model.width=32",
      "model.numLayers=1",
      "model.numHeads=2",
      "train.contextLength=16",
      "train.batchSize=2",
    ],
    ...[
      `train.steps=${STEPS}`,
      `train.saveEvery=${SAVE_EVERY}`,
      "train.validateEvery=20",
      "train.sampleEvery=10000",
    ],
  ];
  const words = ["pretrain", "shakespeare-char", "--data", "text.txt", "--out", name, "--threads", "1"];
  if (resume) words.push("--resume");
  const options = { cwd: root, stdio: "ignore" } as const;
  return spawn(process.execPath, [MAIN, ...words, "--set", ...settings], options);
}

/** Waits, looking as often as the machine allows, until there is such an entry or the process has ended. */
async function waitForEntry(child: ChildProcess, directory: string, isThere: (name: string) => boolean) {
  while (child.exitCode === null && child.signalCode === null) {
    if (existsSync(directory) && readdirSync(directory).some(isThere)) return;
    await giveTurn();
  }
}

async function killAt(child: ChildProcess, moment: (typeof KILLS)[number], random: Random): Promise<void> {
  const run = join(root, "killed");
  const isTemporary = (name: string) => name.includes(`.tmp-${child.pid}`);
  if (moment === "anywhere") {
    await sleep(random.uniform() * 300);
  } else if (moment === "in training") {
    await waitForEntry(child, join(run, "checkpoints"), isTemporary);
    await sleep(random.uniform() * 20);
  } else {
    const store = moment === "in a save" ? "checkpoints" : "best";
    await waitForEntry(child, join(run, store), isTemporary);
    await sleep(random.uniform() < 0.5 ? 0 : random.uniform() * 4);
  }
  child.kill("SIGKILL");
}

function lastStep(directory: string): number {
  const path = join(directory, "metrics.jsonl");
  const events = existsSync(path) ? readMetrics(path) : [];
  return events.reduce((last, { type, step }) => (type === "step" ? step : last), 0);
}

test(`${KILLS.length} kills, nine of them aimed inside a save: at most ${SAVE_EVERY} steps lost each time, the same bits in the end`, async () => {
  const straight = startRun("straight", false);
  const [code] = await once(straight, "close");
  expect(code).toBe(0);

  const random = new Random(11);
  const directory = join(root, "killed");
  const store = new CheckpointStore(join(directory, "checkpoints"), {
    notice: (message) => expect.unreachable(message),
  });
  let insideSaves = 0;
  for (const moment of KILLS) {
    const child = startRun("killed", store.list().length > 0);
    const ended = once(child, "close");
    await killAt(child, moment, random);
    await ended;
    expect(child.signalCode, `${moment}: the run ended before it could be killed`).toBe("SIGKILL");
    const left = ["checkpoints", "best"].flatMap((name) =>
      existsSync(join(directory, name)) ? readdirSync(join(directory, name)) : [],
    );
    if (left.some((name) => name.includes(".tmp-"))) insideSaves++;
    const loaded = store.latest();
    expect(lastStep(directory) - (loaded?.step ?? 0), moment).toBeLessThanOrEqual(SAVE_EVERY);
    loaded?.close();
  }
  // Were the kills to fall only between saves, they would prove little.
  expect(insideSaves).toBeGreaterThanOrEqual(4);

  const last = startRun("killed", true);
  expect((await once(last, "close"))[0]).toBe(0);
  expect(checkpointDigests(directory)).toEqual(checkpointDigests(join(root, "straight")));
  const modelOf = (name: string) => readFileSync(join(root, name, "model/model.safetensors"));
  expect(modelOf("killed").equals(modelOf("straight"))).toBe(true);
  const steps = readMetrics(join(directory, "metrics.jsonl")).filter(({ type }) => type === "step");
  const expected = readMetrics(join(root, "straight/metrics.jsonl")).filter(({ type }) => type === "step");
  const lossesOf = (events: typeof steps) =>
    events.map((event) => (event.type === "step" ? [event.step, event.lossNats] : []));
  expect(lossesOf(steps)).toEqual(lossesOf(expected));
  expect(readdirSync(directory).filter((name) => /tmp|old|lock/.test(name))).toEqual([]);
});
