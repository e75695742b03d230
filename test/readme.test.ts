import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readArguments } from "../src/cli/flags.ts";
import { COMMON_FLAGS } from "../src/cli/help.ts";
import { VERBS } from "../src/cli/verbs.ts";
import { expectPromisedOutput } from "./expected-output.ts";

const ROOT = join(import.meta.dirname, "..");
const PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"];
const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  scripts: Readonly<Record<string, string>>;
};

const page = (path: string) => readFileSync(join(ROOT, path), "utf8");

/** The insides of a page's fenced blocks in one language. */
function blocks(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, found, code]) =>
    found === language ? [code!] : [],
  );
}

/** Words of a command line; quotes as in a shell. */
function words(line: string): string[] {
  return (line.match(/"[^"]*"|\$?'[^']*'|[^\s"']+/g) ?? []).map((word) =>
    word.replace(/^\$?(["'])(.*)\1$/, "$2"),
  );
}

/** @throws {Error} saying why a command line would not run. */
async function checkCommand(line: string): Promise<void> {
  const [program, ...rest] = words(line).filter((word) => word !== "--silent");
  if (program !== "npm") throw new Error(`not npm: ${line}`);
  const [script, separator, verb, ...flags] = rest[0] === "run" ? rest.slice(1) : rest;
  if (!Object.hasOwn(scripts, script!)) throw new Error(`no such script: ${script}`);
  if (script !== "plinth") return;
  if (separator !== "--") throw new Error(`npm takes the flags for itself: ${line}`);
  if (!Object.hasOwn(VERBS, verb!)) throw new Error(`no such verb: ${verb}`);
  const { flags: specs, positionals } = await VERBS[verb!]!.load();
  readArguments(verb!, { ...specs, ...COMMON_FLAGS }, positionals, flags);
}

describe("snippets of the README", () => {
  // They run in a folder of their own, and through the built package, as a stranger's would.
  const snippets = blocks(page("README.md"), "ts").map((source, i) => [i + 1, source] as const);
  const folder = mkdtempSync(join(tmpdir(), "plinth-readme-"));
  const code = join(ROOT, ".cache", "readme-snippets");
  const home = process.cwd();
  beforeAll(() => {
    mkdirSync(code, { recursive: true });
    for (const [i, source] of snippets) writeFileSync(join(code, `snippet-${i}.ts`), source);
    symlinkSync(join(ROOT, "docs"), join(folder, "docs"));
    process.chdir(folder);
  });
  afterAll(() => {
    process.chdir(home);
    for (const path of [folder, code]) rmSync(path, { recursive: true });
  });

  test.each(snippets)("number %i does what it says", async (i, source) => {
    await expectPromisedOutput(source, () => import(pathToFileURL(join(code, `snippet-${i}.ts`)).href));
  });

  test("they pass the type checker, strictly, with the package's own declarations", () => {
    const options = "--noEmit --strict --module nodenext --target es2023 --types node --ignoreConfig".split(
      " ",
    );
    const files = snippets.map(([i]) => join(code, `snippet-${i}.ts`));
    const compiler = join(ROOT, "node_modules", ".bin", "tsc");
    const { stdout, status } = spawnSync(compiler, [...options, ...files], { cwd: ROOT, encoding: "utf8" });
    expect(`${stdout}${status}`).toBe("0");
  });
});

test.each(["README.md", "CONTRIBUTING.md"])("commands in %s would run", async (path) => {
  const lines = blocks(page(path), "sh").flatMap((block) => block.trim().split("\n"));
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) await checkCommand(line);
});

test.each([
  ["npm run plinth -- pretrian gpt2 --data x --out y", "no such verb"],
  ["npm run plinth -- pretrain gpt2 --data x --outt y", '"--out"'],
  ["npm run plinth -- score runs/first --test x", '"--text"'],
  ["npm run plinth pretrain gpt2 --data x", "npm takes the flags for itself"],
  ["npm run bensh", "no such script"],
  ["curl example.com", "not npm"],
])("a command that would not run is noticed: %s", async (line, message) => {
  await expect(checkCommand(line)).rejects.toThrow(message);
});

test.each(PAGES)("links of %s lead somewhere", (path) => {
  const text = page(path);
  const anchors = new Set(
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\w -]/g, "")
        .replaceAll(" ", "-"),
    ),
  );
  for (const [, target] of text.matchAll(/\]\(([^)]+)\)/g)) {
    const [file, anchor] = target!.split("#");
    if (file) expect(existsSync(join(ROOT, path, "..", file)), `${path} → ${file}`).toBe(true);
    else expect(anchors, `${path} → #${anchor}`).toContain(anchor);
  }
});

test("the README names every verb that there is in its commands or its changelog", () => {
  const text = page("README.md") + page("CHANGELOG.md");
  for (const verb of Object.keys(VERBS)) expect(text).toContain(verb);
});
