import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError, DataError, EnvironmentError, FormatError, ShapeError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { type CheckpointContents, CheckpointStore } from "./checkpoint.ts";

/** Larger than any process number Linux gives out. */
const DEAD_PID = 4_194_305;

let directory = "";
let notices: string[] = [];
let store: CheckpointStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-checkpoint-"));
  notices = [];
  store = new CheckpointStore(directory, { notice: (message) => notices.push(message) });
});
afterEach(() => rmSync(directory, { recursive: true }));

function contentsAt(step: number, length: number = 300): CheckpointContents {
  const random = new Random(step);
  const tensor = (): HostTensor => {
    const data = Float32Array.from({ length }, () => random.normal());
    return { dtype: "float32", shape: [length], data };
  };
  return {
    step,
    tensors: [
      ["weight/a", tensor()],
      ["m/a", tensor()],
    ],
    state: { rng: random.state(), loss: step / 3, cursor: { epoch: 0, at: -0 } },
  };
}

/** The step of the newest intact checkpoint, after comparing all of it with what was saved. */
function verifiedStep(from: CheckpointStore = store, length: number = 300): number | undefined {
  const loaded = from.latest();
  if (loaded === undefined) return undefined;
  const expected = contentsAt(loaded.step, length);
  expect(loaded.state).toStrictEqual(expected.state);
  for (const [name, { data }] of expected.tensors) {
    expect(Buffer.compare(Buffer.from(loaded.read(name).data.buffer), Buffer.from(data.buffer))).toBe(0);
  }
  loaded.close();
  return loaded.step;
}

const pathOf = (step: number) => join(directory, `step-${String(step).padStart(8, "0")}`);
const stepsOf = (from: CheckpointStore) => from.list().map(({ step }) => step);

describe("CheckpointStore", () => {
  test("nothing was saved yet", () => {
    expect(new CheckpointStore(join(directory, "none")).latest()).toBeUndefined();
    expect(store.latest()).toBeUndefined();
    expect(store.list()).toEqual([]);
  });

  test("saves, lists and loads", () => {
    const saved = store.save(contentsAt(100));
    expect(saved.path).toBe(pathOf(100));
    const files = readdirSync(saved.path);
    expect(files.sort()).toEqual(["manifest.json", "state.json", "tensors.safetensors"]);
    expect(saved.bytes).toBe(files.reduce((sum, name) => sum + statSync(join(saved.path, name)).size, 0));
    expect(saved.saveMs).toBeGreaterThan(0);
    expect(store.list()).toEqual([{ step: 100, path: saved.path }]);
    expect(verifiedStep()).toBe(100);
    const loaded = store.latest();
    expect(loaded?.names).toEqual(["m/a", "weight/a"]);
    const target = new Uint8Array(1200);
    loaded?.readInto("m/a", target);
    expect(new Float32Array(target.buffer)).toEqual(loaded?.read("m/a").data);
    loaded?.close();
    expect(notices).toEqual([]);
  });

  test("save → load → save is byte-identical", () => {
    store.save(contentsAt(7));
    const loaded = store.latest();
    if (!loaded) throw new Error("nothing to load");
    const again = new CheckpointStore(join(directory, "again"));
    const tensors = loaded.names.map((name) => [name, loaded.read(name)] as const);
    again.save({ step: loaded.step, tensors, state: loaded.state });
    loaded.close();
    for (const name of readdirSync(pathOf(7))) {
      const [first, second] = [pathOf(7), join(directory, "again/step-00000007")];
      expect(readFileSync(join(second, name)).equals(readFileSync(join(first, name)))).toBe(true);
    }
  });

  test("the manifest agrees with sha256sum", () => {
    store.save(contentsAt(1));
    const { files } = JSON.parse(readFileSync(join(pathOf(1), "manifest.json"), "utf8"));
    for (const name of ["state.json", "tensors.safetensors"]) {
      const printed = execFileSync("sha256sum", [join(pathOf(1), name)], { encoding: "utf8" });
      expect(printed.slice(0, 64)).toBe(files[name].sha256);
    }
  });

  test("keeps two, or as many as asked", () => {
    for (const step of [1, 2, 3]) store.save(contentsAt(step));
    expect(stepsOf(store)).toEqual([2, 3]);
    const best = new CheckpointStore(join(directory, "best"), { keep: 1 });
    for (const step of [1, 2, 3]) best.save(contentsAt(step));
    expect(stepsOf(best)).toEqual([3]);
    expect(readdirSync(best.directory)).toEqual(["step-00000003"]);
  });

  test("an equal step is replaced; later ones, of an abandoned continuation, go with a notice", () => {
    store.save(contentsAt(1));
    store.save(contentsAt(5));
    store.save({ ...contentsAt(5), state: "again" });
    const loaded = store.latest();
    expect(loaded?.state).toBe("again");
    loaded?.close();
    store.save(contentsAt(3));
    expect(stepsOf(store)).toEqual([1, 3]);
    expect(notices).toEqual([`removing checkpoint ${pathOf(5)}: the run went on from before it`]);
    expect(readdirSync(directory)).toEqual(["step-00000001", "step-00000003"]);
  });

  test("clears away what killed processes left, and restores a replacement cut off half-way", () => {
    store.save(contentsAt(1));
    store.save(contentsAt(2));
    mkdirSync(`${pathOf(3)}.tmp-${DEAD_PID}`);
    writeFileSync(join(`${pathOf(3)}.tmp-${DEAD_PID}`, "tensors.safetensors"), "half");
    cpSync(pathOf(1), `${pathOf(1)}.old`, { recursive: true });
    renameSync(pathOf(2), `${pathOf(2)}.old`);
    mkdirSync(join(directory, "mine.tmp-1"));
    expect(verifiedStep()).toBe(2);
    expect(readdirSync(directory).sort()).toEqual(["mine.tmp-1", "step-00000001", "step-00000002"]);
  });

  test("bad input is refused and leaves no trace", () => {
    expect(() => new CheckpointStore(directory, { keep: 0 })).toThrow(ConfigError);
    expect(() => store.save(contentsAt(-1))).toThrow("checkpoint step: expected an integer ≥ 0, got -1");
    expect(() => store.save(contentsAt(0.5))).toThrow(ConfigError);
    expect(() => store.save({ ...contentsAt(1), state: { best: Number.POSITIVE_INFINITY } })).toThrow(
      DataError,
    );
    const bad: HostTensor = { dtype: "float32", shape: [2], data: new Float32Array(1) };
    expect(() => store.save({ ...contentsAt(1), tensors: [["w", bad]] })).toThrow(ShapeError);
    expect(() => store.save({ ...contentsAt(1), tensors: [["w", bad]] })).toThrow(`${pathOf(1)}, tensor "w"`);
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe("damage", () => {
  test("single bit flips and truncations at 200 random places: all detected, the previous one used and said", () => {
    store.save(contentsAt(1));
    store.save(contentsAt(2));
    const random = new Random(1);
    const files = readdirSync(pathOf(2)).map((name) => join(pathOf(2), name));
    for (let trial = 0; trial < 200; trial++) {
      const file = files[trial % files.length]!;
      const original = readFileSync(file);
      const at = random.integer(original.length);
      if (random.uniform() < 0.5) {
        const flipped = Buffer.from(original);
        flipped[at]! ^= 1 << random.integer(8);
        writeFileSync(file, flipped);
      } else {
        truncateSync(file, at);
      }
      notices = [];
      expect(verifiedStep()).toBe(1);
      expect(notices).toHaveLength(1);
      expect(notices[0]).toContain(`checkpoint ${pathOf(2)} is damaged: `);
      expect(notices[0]).toContain("; trying the one before it");
      writeFileSync(file, original);
    }
    expect(verifiedStep()).toBe(2);
  });

  test("the notice names the file with expected and actual hash or size", () => {
    store.save(contentsAt(1));
    store.save(contentsAt(2));
    const file = join(pathOf(2), "tensors.safetensors");
    const original = readFileSync(file);
    const flipped = Buffer.from(original);
    flipped[flipped.length - 1]! ^= 1;
    writeFileSync(file, flipped);
    expect(verifiedStep()).toBe(1);
    expect(notices[0]).toMatch(/tensors\.safetensors: expected SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}\./);
    truncateSync(file, 10);
    expect(verifiedStep()).toBe(1);
    expect(notices[1]).toContain(`tensors.safetensors: expected ${original.length} bytes, got 10.`);
  });

  test.each(["manifest.json", "state.json", "tensors.safetensors"])("a missing %s is damage", (name) => {
    store.save(contentsAt(1));
    store.save(contentsAt(2));
    rmSync(join(pathOf(2), name));
    expect(verifiedStep()).toBe(1);
    expect(notices[0]).toContain(`${name}: expected a file, got no such file`);
  });

  test("a checkpoint under another step's name is damage", () => {
    store.save(contentsAt(1));
    cpSync(pathOf(1), pathOf(9), { recursive: true });
    expect(verifiedStep()).toBe(1);
    expect(notices[0]).toContain("manifest.json: expected step 9 as in step-00000009, got 1");
  });

  test("the run goes on from the previous one, and the damaged one is not in the way", () => {
    for (const step of [1, 2]) store.save(contentsAt(step));
    truncateSync(join(pathOf(2), "state.json"), 3);
    expect(verifiedStep()).toBe(1);
    store.save(contentsAt(2));
    notices = [];
    expect(verifiedStep()).toBe(2);
    expect(notices).toEqual([]);
    expect(stepsOf(store)).toEqual([1, 2]);
  });

  test("with none intact, it does not begin again in silence", () => {
    store.save(contentsAt(1));
    store.save(contentsAt(2));
    for (const step of [1, 2]) rmSync(join(pathOf(step), "manifest.json"));
    expect(() => store.latest()).toThrow(FormatError);
    expect(() => store.latest()).toThrow("expected at least one intact checkpoint, got 2 damaged");
  });
});

/** Mounts a real file system of the given size, or returns false where that is not permitted. */
function mountTiny(path: string, sizeBytes: number): boolean {
  mkdirSync(path);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", path], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const canMount = process.platform === "linux" && process.getuid?.() === 0;

describe.skipIf(!canMount)("a full disk (a real tmpfs; skipped unless root on Linux)", () => {
  test("at 20 offsets: EnvironmentError, the previous checkpoint loads, nothing is left", ({ skip }) => {
    const page = 4096;
    const mounted = join(directory, "tiny");
    skip(!mountTiny(mounted, 80 * page), "mount is not permitted here");
    try {
      const tiny = new CheckpointStore(mounted);
      const length = 11_000; // two tensors: 22 pages
      tiny.save(contentsAt(1, length));
      const free =
        80 -
        Number(execFileSync("du", ["-s", "--block-size=4096", mounted], { encoding: "utf8" }).split("\t")[0]);
      for (let offset = 0; offset < 20; offset++) {
        writeFileSync(join(mounted, "ballast"), new Uint8Array((free - offset) * page));
        expect(() => tiny.save(contentsAt(2, length))).toThrow(EnvironmentError);
        expect(() => tiny.save(contentsAt(2, length))).toThrow(
          /ENOSPC: no space left on device \(\w+\)\. The previous checkpoint, step 1, is intact\. Free some space/,
        );
        expect(readdirSync(mounted).sort()).toEqual(["ballast", "step-00000001"]);
        expect(verifiedStep(tiny, length)).toBe(1);
        rmSync(join(mounted, "ballast"));
      }
      tiny.save(contentsAt(2, length));
      expect(verifiedStep(tiny, length)).toBe(2);
    } finally {
      execFileSync("umount", [mounted]);
      expect(existsSync(mounted)).toBe(true);
    }
  });
});
