import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Random } from "../core/random.ts";
import { CheckpointStore } from "./checkpoint.ts";

const BUILT = join(import.meta.dirname, "../../dist/train/checkpoint.js");
const KILLS = 24;
const LENGTH = 20_000;

/** Resumes from the newest checkpoint and saves as fast as it can; prints each step once it is saved. */
const SAVER = `
const { CheckpointStore } = await import(process.argv[1]);
const store = new CheckpointStore(process.argv[2]);
const loaded = store.latest();
loaded?.close();
for (let step = (loaded?.step ?? 0) + 1; ; step++) {
  const data = new Float32Array(${LENGTH}).fill(step);
  const tensor = { dtype: "float32", shape: [${LENGTH}], data };
  store.save({ step, tensors: [["w", tensor], ["m", tensor]], state: { step } });
  process.stdout.write(step + "\\n");
}`;

let directory = "";
beforeAll(() => {
  if (!existsSync(BUILT)) throw new Error(`${BUILT} is missing. Run "npm run build" first.`);
  directory = mkdtempSync(join(tmpdir(), "plinth-kill-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function startSaver(): { readonly child: ChildProcess; readonly lastSaved: () => number } {
  const url = pathToFileURL(BUILT).href;
  const child = spawn(process.execPath, ["--input-type=module", "-e", SAVER, url, directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  child.stdout?.on("data", (text) => {
    printed += text;
  });
  return { child, lastSaved: () => Number(printed.trimEnd().split("\n").at(-1)) };
}

test(`kill -9 at ${KILLS} random moments of a loop of saves: never a step lost that was reported saved`, async () => {
  const random = new Random(20);
  const store = new CheckpointStore(directory, { notice: (message) => expect.unreachable(message) });
  let killedInside = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const { child, lastSaved } = startSaver();
    const ended = once(child, "close");
    while (lastSaved() === 0) {
      expect(child.exitCode).toBeNull();
      await sleep(2);
    }
    await sleep(random.uniform() * 60);
    child.kill("SIGKILL");
    await ended;
    if (readdirSync(directory).some((name) => name.includes(".tmp-"))) killedInside++;
    const loaded = store.latest();
    if (!loaded) throw new Error("no checkpoint left");
    expect(loaded.step).toBeOneOf([lastSaved(), lastSaved() + 1]);
    expect(loaded.state).toEqual({ step: loaded.step });
    for (const name of ["w", "m"]) {
      expect(loaded.read(name).data.every((value) => value === loaded.step)).toBe(true);
    }
    loaded.close();
  }
  // Were the kills to fall only between saves, they would prove nothing.
  expect(killedInside).toBeGreaterThanOrEqual(5);
});
