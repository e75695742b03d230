import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { COMMIT, FakeHub, ID } from "../../test/fake-hub.ts";
import { makeFakeStream } from "./fake-stream.ts";
import { runCli } from "./run-cli.ts";
import { VERBS } from "./verbs.ts";

let cache = "";
beforeAll(() => {
  cache = mkdtempSync(join(tmpdir(), "plinth-find-"));
});
afterAll(() => rmSync(cache, { recursive: true }));

async function plinth(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  terminal?: { columns: number; rows: number },
) {
  const [stdout, stderr] = [makeFakeStream(), makeFakeStream(terminal)];
  const code = await runCli(words, {
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: { HF_HUB_CACHE: cache, ...env },
    verbs: VERBS,
    signal: new AbortController().signal,
  });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

test("every verb that takes a model takes an id: offline it has to be in the cache", async () => {
  for (const verb of ["generate", "score", "quantize", "inspect", "download"]) {
    const rest = verb === "quantize" ? ["--out", join(cache, "out")] : [];
    const { code, stderr } = await plinth([verb, "someone/tiny@v1", "--offline", ...rest]);
    expect(code, verb).toBe(1);
    expect(stderr, verb).toMatch(
      /^plinth: someone\/tiny@v1: expected the model in .*, got none\. Go online once/,
    );
  }
});

test("so does a flag that names a model", async () => {
  const words = ["adapt", cache, "--task", "text", "--data", "x.txt", "--out", join(cache, "out")];
  const { code, stderr } = await plinth([...words, "--teacher", "someone/tiny@v1", "--offline"]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^plinth: someone\/tiny@v1: expected the model in .*, got none\. Go online once/);
});

test("what Python downloaded is used as it lies in the cache", async () => {
  const commit = "0123456789abcdef0123456789abcdef01234567";
  const model = join(cache, "models--someone--gpt2");
  const fixture = join(import.meta.dirname, "../../test/fixtures/gpt2/bare");
  for (const folder of ["blobs", "refs", join("snapshots", commit)])
    mkdirSync(join(model, folder), { recursive: true });
  writeFileSync(join(model, "refs", "main"), commit);
  for (const file of ["config.json", "model.safetensors"]) {
    copyFileSync(join(fixture, file), join(model, "blobs", `blob-of-${file}`));
    symlinkSync(join("../../blobs", `blob-of-${file}`), join(model, "snapshots", commit, file));
  }
  const words = ["generate", "someone/gpt2", "--offline", "--tokens", "1", "2", "--max-tokens", "3"];
  const { code, stderr } = await plinth([...words, "--temperature", "0"]);
  expect(stderr).toContain("someone/gpt2@0123456789ab, licence: not stated");
  expect(code).toBe(0);
});

test("the environment says offline, too", async () => {
  const { stderr } = await plinth(["download", "someone/tiny"], { HF_HUB_OFFLINE: "1" });
  expect(stderr).toMatch(/as nothing may be downloaded/);
});

test("no network", async () => {
  const { code, stderr } = await plinth(["download", "someone/tiny"], { HF_ENDPOINT: "http://127.0.0.1:9" });
  expect(code).toBe(1);
  expect(stderr).toMatch(/no connection/);
});

test("a revision needs an id", async () => {
  const { stderr } = await plinth(["inspect", cache, "--revision", "v1"]);
  expect(stderr).toMatch(/^plinth: revision: expected a model on Hugging Face/);
});

test("whatever verb takes a model takes an id", async () => {
  const takes = await Promise.all(
    Object.entries(VERBS).map(async ([name, { load }]) => {
      const [spec] = (await load()).positionals.filter((positional) => positional.name === "model");
      return [name, spec === undefined || spec.isModel === true];
    }),
  );
  expect(takes.filter(([, isRight]) => !isRight)).toEqual([]);
});

describe("a model that a hub has", () => {
  const BARE = new URL("../../test/fixtures/gpt2/bare/", import.meta.url).pathname;
  const hub = new FakeHub();
  const env = { HF_ENDPOINT: "" };
  beforeAll(async () => {
    for (const name of ["config.json", "generation_config.json", "model.safetensors"]) {
      hub.contents.set(name, readFileSync(join(BARE, name)));
    }
    hub.contents.delete("tokenizer.json");
    env.HF_ENDPOINT = await hub.start();
  });
  afterAll(() => hub.stop());
  const LICENCE = `${ID}@${COMMIT.slice(0, 12)}, licence: apache-2.0\n`;

  test("progress, commit and licence on stderr; the result of its directory alone on stdout", async () => {
    const words = ["--tokens", "1,2,3", "--max-tokens", "3", "--temperature", "0", "--json"];
    const byId = await plinth(["generate", ID, ...words], env);
    const { text, tokens, finishReason, usage } = JSON.parse(byId.stdout);
    const local = JSON.parse((await plinth(["generate", BARE, ...words])).stdout);
    expect(local).toMatchObject({ text, tokens, finishReason, usage });
    const lines = byId.stderr.trimEnd().split("\n");
    expect(`${lines.pop()}\n`).toBe(LICENCE);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.filter((line) => !/^downloading +\d+ % +[\d.]+ of [\d.]+ MB +\S+$/.test(line))).toEqual([]);
  });

  test("the second time from the cache, and with --offline; then without a bar", async () => {
    const again = await plinth(["download", ID, "--json"], env);
    expect(again).toEqual({ code: 0, stdout: expect.stringContaining(COMMIT), stderr: LICENCE });
    expect(await plinth(["download", ID, "--offline", "--json"])).toEqual(again);
    expect(await plinth(["download", `${ID}@${COMMIT}`, "--json"])).toEqual(again);
  });

  test("a terminal shows one bar, and leaves nothing of it", async () => {
    rmSync(join(cache, "models--someone--tiny"), { recursive: true });
    const { stderr } = await plinth(["download", ID], env, { columns: 60, rows: 20 });
    const frames = stderr.split("\r\u001b[K");
    expect(frames.length).toBeGreaterThan(3);
    expect(frames[0]).toBe("");
    expect(frames.at(-1)).toBe(LICENCE);
    const bars = frames.slice(1, -1).filter((frame) => frame !== "");
    expect(bars.filter((bar) => !/^downloading +\d+ %[^\n]*$/.test(bar) || bar.length > 59)).toEqual([]);
  });

  test("one that it has not", async () => {
    const { code, stdout, stderr } = await plinth(["inspect", "someone/else"], env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(
      /^plinth: someone\/else@main: expected a model that .* got none of that name.*\n$/,
    );
  });
});
