import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeFakeStream } from "./fake-stream.ts";
import { runCli } from "./run-cli.ts";
import { VERBS } from "./verbs.ts";

let cache = "";
beforeAll(() => {
  cache = mkdtempSync(join(tmpdir(), "plinth-find-"));
});
afterAll(() => rmSync(cache, { recursive: true }));

async function plinth(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const [stdout, stderr] = [makeFakeStream(), makeFakeStream()];
  const code = await runCli(words, {
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: { HF_HUB_CACHE: cache, ...env },
    verbs: VERBS,
    signal: new AbortController().signal,
  });
  return { code, stderr: stderr.text() };
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
