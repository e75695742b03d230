import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { acquireRunLock } from "../src/train/run-lock.ts";

const MAIN = new URL("../dist/cli/main.js", import.meta.url).pathname;

test("a quickstart does not clear the directory of one that is still running", () => {
  const cwd = mkdtempSync(join(tmpdir(), "plinth-quickstart-"));
  const directory = join(cwd, "runs", "quickstart");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "metrics.jsonl"), "");
  const lock = acquireRunLock(directory);
  try {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, "quickstart"], { cwd, encoding: "utf8" });
    expect(status).toBe(1);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(stderr).toContain(`process ${process.pid}`);
    expect(existsSync(join(directory, "metrics.jsonl"))).toBe(true);
  } finally {
    lock.release();
    rmSync(cwd, { recursive: true });
  }
});
