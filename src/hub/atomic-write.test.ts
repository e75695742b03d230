import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EnvironmentError } from "../core/errors.ts";
import {
  ensureDirectory,
  finishReplacement,
  replaceDirectoryAtomic,
  writeFileAtomic,
} from "./atomic-write.ts";
import { digestFile } from "./file-writer.ts";

/** Larger than any process number Linux gives out. */
const DEAD_PID = 4_194_305;

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-atomic-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Every file below the directory with its content. */
function contents(): Readonly<Record<string, string>> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(directory.length + 1), readFileSync(path, "utf8")];
    }),
  );
}

describe("writeFileAtomic", () => {
  test("writes text and bytes, replaces, and returns the digest", () => {
    const path = join(directory, "x");
    // The published test vector for SHA-256 of "abc": FIPS 180-4, appendix B.1.
    const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    expect(writeFileAtomic(path, "abc")).toEqual({ sizeBytes: 3, sha256: abc });
    expect(writeFileAtomic(path, Uint8Array.of(0x61, 0x62, 0x63)).sha256).toBe(abc);
    expect(digestFile(path)).toEqual({ sizeBytes: 3, sha256: abc });
    writeFileAtomic(path, "é");
    expect(contents()).toEqual({ x: "é" });
  });

  test("content longer than one chunk", () => {
    const data = new Uint8Array(3_000_001).map((_, i) => i);
    const digest = writeFileAtomic(join(directory, "x"), data);
    expect(readFileSync(join(directory, "x")).equals(data)).toBe(true);
    expect(digestFile(join(directory, "x"))).toEqual(digest);
  });

  test("failure leaves the old content and no temporary file", () => {
    mkdirSync(join(directory, "x"));
    writeFileSync(join(directory, "x/kept"), "old");
    expect(() => writeFileAtomic(join(directory, "x"), "new")).toThrow(EnvironmentError);
    expect(contents()).toEqual({ "x/kept": "old" });
    expect(() => writeFileAtomic(join(directory, "no/such/x"), "new")).toThrow(
      `${join(directory, "no/such/x")}: expected a file that can be written, got ENOENT`,
    );
  });
});

describe("ensureDirectory", () => {
  test("what cannot be made is an error of the system", () => {
    writeFileSync(join(directory, "file"), "");
    expect(() => ensureDirectory(join(directory, "file"))).toThrow("EEXIST");
    expect(() => ensureDirectory(join(directory, "file", "below"))).toThrow("ENOTDIR");
  });

  test.runIf(existsSync("/proc/self"))("so is a place where none can be made, such as /proc", () => {
    expect(() => ensureDirectory("/proc/no/such")).toThrow("ENOENT");
  });
});

describe("replaceDirectoryAtomic", () => {
  const fillWith = (text: string) => (temporary: string) => {
    mkdirSync(join(temporary, "sub"));
    writeFileSync(join(temporary, "sub/a"), text);
    return text.length;
  };

  test("creates parents, then replaces the whole directory", () => {
    const path = join(directory, "p/q/model");
    expect(replaceDirectoryAtomic(path, fillWith("one"))).toBe(3);
    writeFileSync(join(path, "extra"), "");
    replaceDirectoryAtomic(path, fillWith("two"));
    expect(contents()).toEqual({ "p/q/model/sub/a": "two" });
    expect(readdirSync(join(directory, "p/q"))).toEqual(["model"]);
  });

  test("a failing fill leaves the old directory and nothing else", () => {
    const path = join(directory, "model");
    replaceDirectoryAtomic(path, fillWith("one"));
    const fail = (temporary: string) => {
      writeFileSync(join(temporary, "half"), "x");
      throw new RangeError("no");
    };
    expect(() => replaceDirectoryAtomic(path, fail)).toThrow(RangeError);
    expect(contents()).toEqual({ "model/sub/a": "one" });
    expect(readdirSync(directory)).toEqual(["model"]);
  });

  test("clears away what dead processes left, and nothing that is another's", () => {
    const [dead, alive, foreign] = [
      `model.tmp-${DEAD_PID}`,
      `model.tmp-${process.ppid}`,
      `other.tmp-${DEAD_PID}`,
    ];
    for (const name of [dead, alive, foreign]) mkdirSync(join(directory, name));
    replaceDirectoryAtomic(join(directory, "model"), fillWith("one"));
    expect(readdirSync(directory).sort()).toEqual(["model", alive, foreign].sort());
  });

  test("a replacement cut off before the new directory arrived is undone; after, it is completed", () => {
    const path = join(directory, "model");
    replaceDirectoryAtomic(`${path}.old`, fillWith("old"));
    finishReplacement(path);
    expect(contents()).toEqual({ "model/sub/a": "old" });
    replaceDirectoryAtomic(`${path}.old`, fillWith("older"));
    finishReplacement(path);
    expect(contents()).toEqual({ "model/sub/a": "old" });
    finishReplacement(path);
    expect(existsSync(`${path}.old`)).toBe(false);
  });
});

test("a directory of one letter is made, and its parents, from where one stands", () => {
  const home = process.cwd();
  process.chdir(directory);
  try {
    ensureDirectory("o");
    ensureDirectory("o");
    ensureDirectory("a/b/c");
  } finally {
    process.chdir(home);
  }
  expect(existsSync(join(directory, "o"))).toBe(true);
  expect(existsSync(join(directory, "a/b/c"))).toBe(true);
});
