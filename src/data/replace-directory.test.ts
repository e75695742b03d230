import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { EnvironmentError } from "../core/errors.ts";
import { replaceDirectory } from "./replace-directory.ts";

const folder = mkdtempSync(join(tmpdir(), "plinth-replace-"));

afterAll(() => rmSync(folder, { recursive: true }));

const fill = (text: string) => async (partial: string) => writeFileSync(join(partial, "file"), text);

test("appears whole, replaces whole, and failures change nothing", async () => {
  const target = join(folder, "a/b");
  await replaceDirectory(target, fill("one"));
  await replaceDirectory(target, fill("two"));
  const failing = replaceDirectory(target, async (partial) => {
    await fill("three")(partial);
    throw new Error("no more");
  });
  await expect(failing).rejects.toThrow("no more");
  expect(readFileSync(join(target, "file"), "utf8")).toBe("two");
  expect(readdirSync(join(folder, "a"))).toEqual(["b"]);
});

test("what a killed process left is removed, what a living one writes is not", async () => {
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;
  const left = (pid: number, host = hostname()) => `.c.partial-${host}-${pid}-0`;
  const names = [left(dead), left(process.ppid), left(dead, "elsewhere")];
  for (const name of names) mkdirSync(join(folder, name));
  await replaceDirectory(join(folder, "c"), fill("one"));
  const rest = readdirSync(folder).filter((name) => name.includes("partial"));
  expect(rest.sort()).toEqual(names.slice(1).sort());
});

test("a place that cannot be written is an environment error", async () => {
  writeFileSync(join(folder, "plain"), "a file");
  await expect(replaceDirectory(join(folder, "plain/below"), fill(""))).rejects.toThrow(EnvironmentError);
});
